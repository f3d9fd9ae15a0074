//! Whatever happens to tasks, agents and masters: nothing runs twice knowingly, everything ends, and the books balance.

#![allow(clippy::unwrap_used)]

mod cluster;

use std::collections::BTreeSet;

use cluster::{Cluster, Death, job, run, status};
use mezz_proto::v1::TaskState;
use mezz_spec::{Kind, Name};
use mezz_state::time::SECOND_NS;
use mezz_workload::event::{Event, TimerKey};
use mezz_workload::records::{AttemptEnd, Cause, Counts, RunState, Status};
use proptest::prelude::*;
use serde_json::json;

#[derive(Clone, Debug)]
enum Step {
    Run(usize),
    Succeed(usize),
    Fail(usize),
    Lose(usize),
    Pass(u64),
    AgentAway(usize),
    AgentBack(usize),
    Restart,
    /// The master dies while it hears of a task's end.
    DieAtEnd(usize, bool),
    DieAtTimer(bool),
    /// Nobody looks for a while.
    Absence(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<usize>().prop_map(Step::Run),
        10 => any::<usize>().prop_map(Step::Succeed),
        5 => any::<usize>().prop_map(Step::Fail),
        2 => any::<usize>().prop_map(Step::Lose),
        6 => (1_u64..90).prop_map(Step::Pass),
        1 => (0_usize..3).prop_map(Step::AgentAway),
        2 => (0_usize..3).prop_map(Step::AgentBack),
        1 => Just(Step::Restart),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(which, written)| Step::DieAtEnd(which, written)),
        1 => any::<bool>().prop_map(Step::DieAtTimer),
        1 => (1_u64..400).prop_map(Step::Absence),
    ]
}

fn pick(c: &Cluster, which: usize) -> Option<String> {
    let reachable: Vec<&String> = c
        .tasks
        .iter()
        .filter(|(_, task)| c.agents[&task.agent].is_up)
        .map(|(id, _)| id)
        .collect();
    let id = reachable.get(which % reachable.len().max(1))?;
    Some((*id).clone())
}

fn death(written: bool) -> Death {
    if written {
        Death::AfterWrite
    } else {
        Death::BeforeWrite
    }
}

fn take(c: &mut Cluster, step: Step) {
    match step {
        Step::Run(which) => {
            if let Some(id) = pick(c, which) {
                c.running(&id);
            }
        }
        Step::Succeed(which) => {
            if let Some(id) = pick(c, which) {
                c.succeed(&id);
            }
        }
        Step::Fail(which) => {
            if let Some(id) = pick(c, which) {
                c.fail(&id);
            }
        }
        Step::Lose(which) => {
            if let Some(id) = pick(c, which) {
                c.end(&id, TaskState::TaskLost, None);
            }
        }
        Step::Pass(seconds) => c.pass(seconds),
        Step::AgentAway(which) => c.lose_agent(&format!("agent-{which}")),
        Step::AgentBack(which) => c.agent_returns(&format!("agent-{which}")),
        Step::Restart => {
            let (before, failed) = (books(c), failures(c));
            let retried = c.run("/array").counts.retried;
            c.restart();
            let after = failures(c);
            assert!(failed.iter().all(|end| after.contains(end)));
            assert_eq!(books(c), before, "a master that dies takes nothing along");
            assert!(c.run("/array").counts.retried >= retried);
        }
        Step::DieAtEnd(which, written) => {
            if let Some(id) = pick(c, which) {
                // The agent keeps the status until somebody has taken it.
                c.tasks.get_mut(&id).unwrap().state = TaskState::TaskFinished;
                c.die(
                    status(&id, TaskState::TaskFinished, Some(0), ""),
                    death(written),
                );
                c.tasks.remove(&id);
            }
        }
        Step::DieAtTimer(written) => {
            let key =
                c.w.object(Kind::Cron, &Name::new("/cron").unwrap())
                    .unwrap()
                    .key;
            c.wall += 30 * SECOND_NS;
            c.die(Event::Timer(TimerKey::Cron(key)), death(written));
        }
        Step::Absence(seconds) => {
            c.wall += seconds * SECOND_NS;
            c.restart();
        }
    }
}

/// What has happened so far: how objects and runs have ended, and the last ends of attempts.
fn books(c: &Cluster) -> Vec<String> {
    let records = c.w.records();
    let objects = records.objects.iter().map(|(_, object)| {
        let status = match &object.status {
            Status::Job(status) => Some(status),
            Status::Cron(status) => Some(&status.runs),
            _ => None,
        };
        format!("{}: {status:?}", object.name)
    });
    let runs = records.runs.iter().map(|(_, run)| {
        let id = &run.id;
        let state = Some(run.state).filter(|state| state.is_over());
        let (succeeded, failed) = (run.counts.succeeded, run.counts.failed);
        // While a run goes on, its last successes may be written a second later.
        let ends = state.map(|_| &run.ends);
        format!("{id}: {state:?} {succeeded} {failed} {ends:?}")
    });
    objects.chain(runs).collect()
}

/// The last ends of the array's attempts that were no successes.
fn failures(c: &Cluster) -> Vec<AttemptEnd> {
    let mut ends = c.run("/array").ends.clone();
    ends.retain(|end| end.state != TaskState::TaskFinished);
    ends
}

fn cluster() -> Cluster {
    let mut c = Cluster::new(3, 4);
    let array = json!({ "completions": 300, "parallelism": 5, "retries": 1, "max_failed": "100%",
        "lost_after": "never", "backoff": { "initial": 1, "max": 5 }, "history": { "succeeded": 1000, "failed": 1000 } });
    c.apply_job("/array", array);
    let own =
        job(json!({ "lost_after": "never", "history": { "succeeded": 10000, "failed": 10000 } }));
    let cron = json!({ "schedules": ["* * * * *"], "run": { "job": own }, "overlap": "allow",
        "catch_up": "all", "starting_deadline": "30d" });
    c.apply(Kind::Cron, "/cron", cron);
    let node = |after: serde_json::Value| {
        let own = job(json!({ "lost_after": "never" }));
        json!({ "run": { "job": own }, "after": after, "retries": 1 })
    };
    let dag = json!({ "nodes": {
        "a": node(json!([])),
        "b": node(json!([{ "node": "a", "when": "always" }])),
        "c": node(json!([{ "node": "a" }, { "node": "b", "when": "failure" }])),
    } });
    c.apply(Kind::Dag, "/dag", dag);
    c.call(run("/dag", &[], Some("r")));
    c
}

fn check(c: &Cluster) {
    c.assert_no_doubles();
    let mut fired = BTreeSet::new();
    for run in c.runs(Kind::Cron, "/cron") {
        if let Cause::Cron { fire_at, .. } = run.cause {
            assert!(fired.insert(fire_at), "two runs of one fire-time");
        }
    }
    let Counts {
        waiting,
        running,
        succeeded,
        failed,
        ..
    } = c.run("/array").counts;
    assert_eq!(waiting + running + succeeded + failed, 300);
}

fn check_snapshot(c: &Cluster) {
    let restored = postcard::to_allocvec(&c.w).unwrap();
    let restored: mezz_workload::Workloads = postcard::from_bytes(&restored).unwrap();
    assert!(restored == c.w, "a snapshot says all");
}

/// All agents come back and everything ends well: what is left must come to an end.
fn settle(c: &mut Cluster) {
    for agent in ["agent-0", "agent-1", "agent-2"] {
        c.agent_returns(agent);
    }
    for _ in 0..100 {
        c.pass(10);
        c.succeed_all();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn everything_ends_once_whatever_happens(steps in prop::collection::vec(step(), 0..120)) {
        let mut c = cluster();
        for step in steps {
            take(&mut c, step);
            check(&c);
        }
        check_snapshot(&c);
        settle(&mut c);
        check(&c);
        prop_assert_eq!(c.run("/array").state, RunState::Succeeded);
        let ends = c.run("/array").counts;
        prop_assert_eq!(ends.succeeded + ends.failed, 300);
        let dags = c.runs(Kind::Dag, "/dag");
        prop_assert!(dags.iter().all(|run| run.state.is_over()));
        // Each minute has its run, and each run has ended.
        let mut minutes: Vec<u64> = Vec::new();
        for run in c.runs(Kind::Cron, "/cron") {
            if let Cause::Cron { fire_at, .. } = run.cause {
                minutes.push((fire_at.0 - cluster::START) / SECOND_NS / 60);
            }
        }
        minutes.sort_unstable();
        let wanted: Vec<u64> = (1..=(c.wall - cluster::START) / SECOND_NS / 60).collect();
        prop_assert_eq!(minutes, wanted);
    }
}
