//! Jobs, as a user sees them.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, job, run, status};
use mezz_proto::v1::TaskState;
use mezz_spec::{Kind, Name};
use mezz_workload::call::{Call, Conflict, Lasting, Refusal, Reply};
use mezz_workload::event::Event;
use mezz_workload::records::RunState;
use serde_json::json;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[test]
fn a_job_runs_once_when_it_is_applied_and_not_when_it_is_changed() {
    let mut c = Cluster::new(1, 4);
    c.apply_job("/team/job", json!({}));
    assert_eq!(c.ids(), ["team_job.20260101T000000.0.0"]);
    c.running("team_job.20260101T000000.0.0");
    assert_eq!(c.run("/team/job").state, RunState::Running);
    c.succeed_all();
    let record = c.run("/team/job");
    assert_eq!(record.state, RunState::Succeeded);
    assert_eq!(record.ends[0].exit_status, Some(0));
    c.apply_job("/team/job", json!({ "retries": 3 }));
    assert_eq!(c.runs(Kind::Job, "/team/job").len(), 1);
    assert!(c.ids().is_empty());
}

#[test]
fn an_attempt_knows_its_index_run_attempt_job_and_parameters() {
    let mut c = Cluster::new(1, 4);
    let parameters = json!({ "day": {}, "start-level": { "default": "low" } });
    c.apply_job("/team/job", json!({ "start": "manual", "parameters": parameters, "retries": 1, "backoff": { "initial": 0 } }));
    c.call(run("/team/job", &[("day", "monday")], Some("r1")));
    c.fail("team_job.r1.0.0");
    let id = "team_job.r1.0.1";
    for (variable, value) in [
        ("MEZZ_JOB", "/team/job"),
        ("MEZZ_RUN", "r1"),
        ("MEZZ_INDEX", "0"),
        ("MEZZ_ATTEMPT", "1"),
        ("PARAM_DAY", "monday"),
        ("PARAM_START_LEVEL", "low"),
    ] {
        assert_eq!(c.env(id, variable).as_deref(), Some(value), "{variable}");
    }
}

#[test]
fn parameters_that_are_missing_unknown_or_not_listed_are_refused_and_start_nothing() {
    let mut c = Cluster::new(1, 4);
    let parameters = json!({ "day": { "one_of": ["monday", "friday"] } });
    c.apply_job("/job", json!({ "parameters": parameters }));
    assert!(
        c.why(Kind::Job, "/job")
            .contains("parameter 'day' has no default")
    );
    for given in [&[][..], &[("dya", "friday")], &[("day", "sunday")]] {
        let reply = c.call(run("/job", given, None));
        let Reply::Refused(Refusal::Invalid { path, .. }) = reply else {
            panic!("{reply:?}");
        };
        assert!(path.starts_with("/parameters/d"), "{path}");
    }
    assert!(c.ids().is_empty());
    assert!(c.runs(Kind::Job, "/job").is_empty());
}

#[test]
fn a_second_call_with_the_same_id_is_answered_with_the_run_of_the_first() {
    let mut c = Cluster::new(1, 4);
    c.apply_job("/job", json!({ "start": "manual" }));
    let started = |is_new| Reply::Started {
        run: "mine".into(),
        is_new,
    };
    assert_eq!(c.call(run("/job", &[], Some("mine"))), started(true));
    assert_eq!(c.call(run("/job", &[], Some("mine"))), started(false));
    c.succeed_all();
    c.restart();
    assert_eq!(c.call(run("/job", &[], Some("mine"))), started(false));
    assert_eq!(c.launched.len(), 1);
    let reply = c.call(run("/job", &[], Some("no/slash")));
    assert!(matches!(reply, Reply::Refused(Refusal::Invalid { .. })));
}

#[test]
fn no_more_indices_run_at_once_than_parallelism_and_each_runs_once() {
    let mut c = Cluster::new(3, 100);
    c.apply_job("/array", json!({ "completions": 1000, "parallelism": 7 }));
    let mut most = 0;
    while let Some(id) = c.tasks.keys().next().cloned() {
        most = most.max(c.tasks.len());
        c.succeed(&id);
    }
    assert_eq!(most, 7);
    assert_eq!(c.launched.len(), 1000);
    let record = c.run("/array");
    assert_eq!(record.state, RunState::Succeeded);
    assert_eq!(record.counts.succeeded, 1000);
}

#[test]
fn a_million_pending_indices_are_one_demand() {
    let mut c = Cluster::new(1, 3);
    c.apply_job(
        "/array",
        json!({ "completions": 1_000_000, "parallelism": 1_000_000 }),
    );
    assert_eq!(c.tasks.len(), 3);
    assert_eq!(c.demands.len(), 1);
    assert_eq!(c.demands.values().next().unwrap().count, 999_997);
}

#[test]
fn a_gang_starts_all_at_once_or_not_at_all() {
    let mut c = Cluster::new(2, 2);
    c.apply_job(
        "/gang",
        json!({ "completions": 5, "parallelism": 5, "gang": true }),
    );
    assert!(c.ids().is_empty());
    assert!(c.demands.values().next().unwrap().gang);
    c.agents.get_mut("agent-0").unwrap().room = 3;
    c.pass(1);
    c.send(Event::Timer(mezz_workload::event::TimerKey::Write));
    assert_eq!(c.ids().len(), 5);
}

#[test]
fn a_stopped_run_starts_nothing_more_and_is_over_when_its_attempts_are() {
    let mut c = Cluster::new(1, 2);
    c.apply_job("/array", json!({ "completions": 5, "parallelism": 5 }));
    let run = c.run("/array").id.to_string();
    let stop = Call::StopRun {
        name: name("/array"),
        run,
    };
    assert_eq!(c.call(stop.clone()), Reply::Done);
    assert_eq!(c.run("/array").state, RunState::Stopped);
    assert_eq!(c.launched.len(), 2);
    assert!(matches!(
        c.call(stop),
        Reply::Refused(Refusal::Conflict { .. })
    ));
}

#[test]
fn higher_priorities_and_roles_reach_the_ledger() {
    let mut c = Cluster::new(1, 0);
    let group = json!({ "role": "batch/low", "priority": 3, "env": { "LEVEL": "x" } });
    c.apply(Kind::Group, "/team", group);
    c.apply_job("/team/one", json!({}));
    c.apply_job(
        "/team/two",
        json!({ "priority": 9, "role": "own", "preemptible": true }),
    );
    let demands: Vec<_> = c.demands.values().collect();
    assert_eq!((&*demands[0].role, demands[0].priority), ("batch/low", 3));
    assert_eq!((&*demands[1].role, demands[1].priority), ("own", 9));
    assert!(demands[1].preemptible);
}

#[test]
fn old_runs_are_forgotten_by_number_and_by_age() {
    let mut c = Cluster::new(1, 4);
    let history = json!({ "succeeded": 2, "failed": 1, "age": 3600 });
    c.apply_job("/job", json!({ "start": "manual", "history": history }));
    for _ in 0..4 {
        c.call(run("/job", &[], None));
        c.succeed_all();
        c.call(run("/job", &[], None));
        let id = c.ids()[0].to_owned();
        c.fail(&id);
        c.pass(60);
    }
    assert_eq!(c.runs(Kind::Job, "/job").len(), 3);
    c.pass(3600);
    assert!(c.runs(Kind::Job, "/job").is_empty());
    let left: Vec<&String> = c
        .store
        .keys()
        .filter(|key| key.starts_with("work/run/"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_deleted_job_ends_its_runs_and_leaves_nothing_in_the_store() {
    let mut c = Cluster::new(1, 2);
    c.apply_job("/array", json!({ "completions": 600, "parallelism": 600 }));
    let delete = Call::Delete {
        kind: Kind::Job,
        name: name("/array"),
        generation: None,
        conflict: Conflict::Supersede,
    };
    assert!(matches!(c.call(delete), Reply::Applied(_)));
    c.pass(2);
    assert_eq!(c.killed.len(), 2);
    assert!(c.demands.is_empty());
    assert!(c.store.keys().eq(["work/known"]), "{:?}", c.store.keys());
    assert!(c.w.records().runs.is_empty());
}

#[test]
fn a_job_waits_for_the_secret_that_it_needs_and_says_so() {
    let mut c = Cluster::new(1, 4);
    let env = json!({ "PASSWORD": { "secret": { "name": "/db", "key": "password" } } });
    let spec = json!({ "template": { "containers": [{ "command": "work", "env": env }] } });
    c.apply(Kind::Job, "/job", spec);
    assert!(c.ids().is_empty());
    assert!(
        c.why(Kind::Job, "/job")
            .contains("there is no secret '/db'")
    );
    c.apply(Kind::Secret, "/db", json!({ "data": { "password": null } }));
    assert_eq!(c.ids().len(), 1);
}

#[test]
fn nothing_starts_while_all_is_frozen() {
    let mut c = Cluster::new(1, 4);
    c.call(Call::Freeze {
        lasts: Lasting::UntilLetGo,
    });
    c.apply_job("/job", json!({}));
    assert!(c.ids().is_empty());
    c.restart();
    assert!(c.ids().is_empty());
    c.call(Call::Thaw);
    assert_eq!(c.ids().len(), 1);
}

#[test]
fn forgetting_the_failures_of_a_job_starts_what_waits_at_once() {
    let mut c = Cluster::new(1, 4);
    c.apply_job(
        "/job",
        json!({ "retries": 2, "backoff": { "initial": 100 } }),
    );
    c.fail("job.20260101T000000.0.0");
    c.call(Call::ResetBackoff { name: name("/job") });
    assert_eq!(c.ids(), ["job.20260101T000000.0.1"]);
}

#[test]
fn statuses_of_unknown_instances_change_nothing() {
    let mut c = Cluster::new(1, 4);
    c.apply_job("/job", json!({}));
    let before = c.w.clone();
    c.send(status("who", TaskState::TaskFailed, None, ""));
    assert_eq!(c.w.records(), before.records());
}

#[test]
fn a_deleted_job_can_be_applied_anew_while_its_last_attempt_still_ends() {
    let mut c = Cluster::new(1, 4);
    c.obeys = false;
    c.apply_job("/job", json!({}));
    let old = c.ids()[0].to_owned();
    c.call(Call::Delete {
        kind: Kind::Job,
        name: name("/job"),
        generation: None,
        conflict: Conflict::Supersede,
    });
    c.pass(1);
    c.apply(Kind::Job, "/job", job(json!({})));
    assert_eq!(c.ids().len(), 2);
    c.end(&old, TaskState::TaskKilled, None);
    assert_eq!(c.run("/job").state, RunState::Running);
}

#[test]
fn a_job_that_could_not_run_is_refused_with_its_path() {
    let mut c = Cluster::new(1, 4);
    let none = json!({ "template": { "containers": [] } });
    let many = job(json!({ "completions": 1_000_001 }));
    let inline =
        json!({ "schedules": ["* * * * *"], "run": { "job": job(json!({ "parallelism": 0 })) } });
    for (kind, spec, at) in [
        (Kind::Job, none, "/spec/template/containers"),
        (Kind::Job, many, "/spec/completions"),
        (Kind::Cron, inline, "/spec/run/job/parallelism"),
    ] {
        let reply = c.apply(kind, "/job", spec);
        let Reply::Refused(Refusal::Invalid { path, .. }) = reply else {
            panic!("{reply:?}");
        };
        assert_eq!(path, at);
    }
    assert!(c.w.records().objects.is_empty());
}
