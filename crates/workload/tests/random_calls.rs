//! Whatever users ask for in whatever order: nothing runs twice, and when all is deleted nothing is left.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, job, run};
use mezz_spec::{Kind, Name};
use mezz_workload::call::{Call, Conflict, Lasting};
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Clone, Debug)]
enum Step {
    Apply(usize, usize),
    Delete(usize),
    Run(usize, Option<u8>),
    Stop(usize, usize),
    ResumeRun(usize, bool),
    Mark(usize, bool),
    Pause(bool),
    Freeze(bool),
    Succeed(usize),
    Fail(usize),
    Pass(u64),
    Restart,
    Lose(usize),
    Return(usize),
}

const OBJECTS: [(Kind, &str); 5] = [
    (Kind::Job, "/job"),
    (Kind::Job, "/array"),
    (Kind::Cron, "/own"),
    (Kind::Cron, "/other"),
    (Kind::Dag, "/dag"),
];

fn spec(which: usize, variant: usize) -> Value {
    let short = json!({ "retries": variant % 3, "backoff": { "initial": 1 }, "lost_after": "never",
        "history": { "succeeded": variant % 3, "failed": 1, "age": 600 } });
    let overlap = ["allow", "forbid", "replace", "queue"][variant % 4];
    let catch_up = ["none", "last", "all"][variant % 3];
    let cron = |target: Value| json!({ "schedules": ["* * * * *"], "run": target, "overlap": overlap, "catch_up": catch_up });
    match which {
        0 => job(short),
        1 => {
            let mut spec = job(short);
            spec["completions"] = json!(260);
            spec["parallelism"] = json!(3);
            spec["gang"] = json!(variant.is_multiple_of(2));
            spec
        }
        2 => cron(json!({ "job": job(short) })),
        3 => cron(json!({ "job_ref": { "name": "/job" } })),
        _ => {
            let own = json!({ "run": { "job": job(short) } });
            let reference = json!({ "run": { "job_ref": { "name": "/job" } }, "after": [{ "node": "a", "when": "always" }], "retries": 1 });
            let last =
                json!({ "run": { "job_ref": { "name": "/array" } }, "after": [{ "node": "b" }] });
            json!({ "nodes": { "a": own, "b": reference, "c": last }, "history": { "succeeded": 1, "failed": 1 } })
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0_usize..OBJECTS.len();
    prop_oneof![
        6 => (which.clone(), 0_usize..12).prop_map(|(which, variant)| Step::Apply(which, variant)),
        2 => which.clone().prop_map(Step::Delete),
        4 => (which.clone(), prop::option::of(0_u8..3)).prop_map(|(which, id)| Step::Run(which, id)),
        2 => (which.clone(), any::<usize>()).prop_map(|(which, run)| Step::Stop(which, run)),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(run, from)| Step::ResumeRun(run, from)),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(run, node)| Step::Mark(run, node)),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => any::<bool>().prop_map(Step::Freeze),
        8 => any::<usize>().prop_map(Step::Succeed),
        4 => any::<usize>().prop_map(Step::Fail),
        4 => (1_u64..100).prop_map(Step::Pass),
        1 => Just(Step::Restart),
        1 => (0_usize..2).prop_map(Step::Lose),
        2 => (0_usize..2).prop_map(Step::Return),
    ]
}

fn name(which: usize) -> Name {
    Name::new(OBJECTS[which].1).unwrap()
}

/// The id of some run of an object.
fn some_run(c: &Cluster, which: usize, run: usize) -> String {
    let (kind, name) = OBJECTS[which];
    let runs = c.runs(kind, name);
    let run = runs.get(run % runs.len().max(1));
    run.map_or_else(|| "none".to_owned(), |run| run.id.to_string())
}

fn some_task(c: &Cluster, which: usize) -> Option<String> {
    let ids: Vec<&String> = c
        .tasks
        .iter()
        .filter(|(_, task)| c.agents[&task.agent].is_up)
        .map(|(id, _)| id)
        .collect();
    ids.get(which % ids.len().max(1)).map(|id| (*id).clone())
}

fn delete(c: &mut Cluster, which: usize) {
    c.call(Call::Delete {
        kind: OBJECTS[which].0,
        name: name(which),
        generation: None,
        conflict: Conflict::Supersede,
    });
}

fn call(c: &mut Cluster, step: &Step) -> bool {
    let call = match *step {
        Step::Run(which, id) => {
            let id = id.map(|id| format!("given-{id}"));
            run(OBJECTS[which].1, &[], id.as_deref())
        }
        Step::Stop(which, run) => Call::StopRun {
            name: name(which),
            run: some_run(c, which, run),
        },
        Step::ResumeRun(run, from) => Call::ResumeRun {
            name: name(4),
            run: some_run(c, 4, run),
            from: from.then(|| "b".to_owned()),
        },
        Step::Mark(run, node) => Call::MarkSucceeded {
            name: name(4),
            run: some_run(c, 4, run),
            node: node.then(|| "b".to_owned()),
        },
        Step::Pause(true) => Call::Pause {
            name: name(2),
            lasts: Lasting::UntilLetGo,
        },
        Step::Pause(false) => Call::Resume { name: name(2) },
        Step::Freeze(true) => Call::Freeze {
            lasts: Lasting::UntilLetGo,
        },
        Step::Freeze(false) => Call::Thaw,
        _ => return false,
    };
    c.call(call);
    true
}

fn take(c: &mut Cluster, step: &Step) {
    if call(c, step) {
        return;
    }
    match *step {
        Step::Apply(which, variant) => {
            let (kind, name) = OBJECTS[which];
            c.apply(kind, name, spec(which, variant));
        }
        Step::Delete(which) => delete(c, which),
        Step::Succeed(which) => {
            if let Some(id) = some_task(c, which) {
                c.succeed(&id);
            }
        }
        Step::Fail(which) => {
            if let Some(id) = some_task(c, which) {
                c.fail(&id);
            }
        }
        Step::Pass(seconds) => c.pass(seconds),
        Step::Restart => c.restart(),
        Step::Lose(which) => c.lose_agent(&format!("agent-{which}")),
        Step::Return(which) => c.agent_returns(&format!("agent-{which}")),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn when_all_is_deleted_nothing_is_left_whatever_was_asked_before(steps in prop::collection::vec(step(), 0..100)) {
        let mut c = Cluster::new(2, 4);
        for step in &steps {
            take(&mut c, step);
            c.assert_no_doubles();
        }
        let bytes = postcard::to_allocvec(&c.w).unwrap();
        let restored: mezz_workload::Workloads = postcard::from_bytes(&bytes).unwrap();
        prop_assert!(restored == c.w, "a snapshot says all");
        c.call(Call::Thaw);
        for agent in ["agent-0", "agent-1"] {
            c.agent_returns(agent);
        }
        for which in (0..OBJECTS.len()).rev() {
            delete(&mut c, which);
        }
        c.pass(60);
        prop_assert!(c.tasks.is_empty(), "{:?}", c.ids());
        prop_assert!(c.demands.is_empty());
        prop_assert!(c.store.keys().all(|key| key == "work/known"), "{:?}", c.store.keys());
        let records = c.w.records();
        prop_assert!(records.runs.is_empty());
        prop_assert!(records.instances.is_empty());
        prop_assert!(records.objects.is_empty());
    }
}
