//! Jobs that come after others, as a user sees them.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, Death, job, object, run, status};
use mezz_proto::v1::TaskState;
use mezz_spec::Kind;
use mezz_workload::call::{Call, Refusal, Reply};
use mezz_workload::records::{Cause, RunState};
use serde_json::{Value, json};

fn manual(c: &mut Cluster, name: &str) {
    c.apply_job(name, json!({ "start": "manual" }));
}

fn after(c: &mut Cluster, name: &str, jobs: &[&str], more: Value) {
    let mut spec = json!({ "start": "manual", "after": { "jobs": jobs } });
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    c.apply_job(name, spec);
}

fn begin(c: &mut Cluster, name: &str) -> String {
    let before: Vec<String> = c.tasks.keys().cloned().collect();
    assert!(matches!(
        c.call(run(name, &[], None)),
        Reply::Started { .. }
    ));
    let new = c.tasks.keys().find(|id| !before.contains(id));
    new.expect("it was launched").clone()
}

fn succeed_once(c: &mut Cluster, name: &str) {
    let id = begin(c, name);
    c.succeed(&id);
    c.pass(1);
}

fn count(c: &Cluster, name: &str) -> usize {
    c.runs(Kind::Job, name).len()
}

#[test]
fn a_job_runs_each_time_the_one_before_it_has_succeeded() {
    let mut c = Cluster::new(1, 10);
    manual(&mut c, "/a");
    after(&mut c, "/b", &["/a"], json!({}));
    assert_eq!(count(&c, "/b"), 0);
    let id = begin(&mut c, "/a");
    c.fail(&id);
    c.pass(1);
    assert_eq!(count(&c, "/b"), 0, "a failure is no success");
    for times in 1..=3 {
        succeed_once(&mut c, "/a");
        assert_eq!(count(&c, "/b"), times);
        assert_eq!(c.run("/b").cause, Cause::After);
        c.succeed_all();
    }
}

#[test]
fn a_job_after_several_waits_for_all_of_them_since_its_last_run() {
    let mut c = Cluster::new(1, 10);
    manual(&mut c, "/a");
    manual(&mut c, "/b");
    after(&mut c, "/c", &["/a", "/b"], json!({}));
    succeed_once(&mut c, "/a");
    succeed_once(&mut c, "/a");
    assert_eq!(count(&c, "/c"), 0);
    assert!(
        c.why(Kind::Job, "/c")
            .contains("starts when these have succeeded: /b")
    );
    succeed_once(&mut c, "/b");
    assert_eq!(count(&c, "/c"), 1);
    c.succeed_all();
    succeed_once(&mut c, "/b");
    assert_eq!(count(&c, "/c"), 1, "what /a did before counts no more");
    succeed_once(&mut c, "/a");
    assert_eq!(count(&c, "/c"), 2);
}

#[test]
fn a_run_by_hand_uses_up_what_has_succeeded() {
    let mut c = Cluster::new(1, 10);
    manual(&mut c, "/a");
    manual(&mut c, "/b");
    after(&mut c, "/c", &["/a", "/b"], json!({}));
    succeed_once(&mut c, "/a");
    succeed_once(&mut c, "/c");
    succeed_once(&mut c, "/b");
    assert_eq!(count(&c, "/c"), 1);
}

#[test]
fn an_ignored_failure_and_a_mark_count_as_successes() {
    let mut c = Cluster::new(1, 10);
    c.apply_job(
        "/soft",
        json!({ "start": "manual", "ignore_failure": true }),
    );
    manual(&mut c, "/hard");
    after(&mut c, "/b", &["/soft"], json!({}));
    after(&mut c, "/c", &["/hard"], json!({}));
    let id = begin(&mut c, "/soft");
    c.fail(&id);
    c.pass(1);
    assert_eq!(count(&c, "/b"), 1);
    let id = begin(&mut c, "/hard");
    c.fail(&id);
    c.pass(1);
    assert_eq!(count(&c, "/c"), 0);
    let failed = c.run("/hard").id.to_string();
    let name = mezz_spec::Name::new("/hard").unwrap();
    let mark = Call::MarkSucceeded {
        name,
        run: failed,
        node: None,
    };
    assert_eq!(c.call(mark), Reply::Done);
    assert_eq!(count(&c, "/c"), 1);
}

#[test]
fn while_a_run_goes_on_overlap_says_what_becomes_of_the_next() {
    for (overlap, runs_then, runs_later) in [
        ("allow", 2, 2),
        ("forbid", 1, 1),
        ("queue", 1, 2),
        ("replace", 1, 2),
    ] {
        let mut c = Cluster::new(1, 10);
        manual(&mut c, "/a");
        after(
            &mut c,
            "/b",
            &["/a"],
            json!({ "after": { "jobs": ["/a"], "overlap": overlap } }),
        );
        succeed_once(&mut c, "/a");
        let first = c.ids()[0].to_owned();
        let id = begin(&mut c, "/a");
        c.succeed(&id);
        if overlap != "replace" {
            assert_eq!(count(&c, "/b"), runs_then, "{overlap}");
            c.succeed(&first);
        } else if c.tasks.contains_key(&first) {
            c.end(&first, TaskState::TaskKilled, None);
        }
        c.pass(1);
        assert_eq!(count(&c, "/b"), runs_later, "{overlap}");
    }
}

#[test]
fn no_master_that_dies_starts_the_next_job_twice_or_forgets_it() {
    for death in [Death::BeforeWrite, Death::AfterWrite] {
        let mut c = Cluster::new(1, 10);
        manual(&mut c, "/a");
        manual(&mut c, "/b");
        after(&mut c, "/c", &["/a", "/b"], json!({}));
        succeed_once(&mut c, "/a");
        c.restart();
        let id = begin(&mut c, "/b");
        c.pass(2);
        let mut task = c.tasks.remove(&id).unwrap();
        task.state = TaskState::TaskFinished;
        c.tasks.insert(id.clone(), task);
        c.die(status(&id, TaskState::TaskFinished, Some(0), ""), death);
        c.succeed(&id);
        c.pass(2);
        assert_eq!(count(&c, "/c"), 1, "{death:?}");
    }
}

#[test]
fn jobs_that_are_not_there_and_circles_are_refused() {
    let mut c = Cluster::new(1, 10);
    manual(&mut c, "/a");
    after(&mut c, "/b", &["/a"], json!({}));
    for (jobs, told) in [
        (json!(["/nope"]), "there is no job '/nope'"),
        (json!(["/b"]), "circle"),
        (json!(["/a"]), "circle"),
    ] {
        let spec = job(json!({ "start": "manual", "after": { "jobs": jobs } }));
        let reply = c.call(cluster::apply(vec![object(Kind::Job, "/a", spec)]));
        let Reply::Refused(Refusal::Invalid { message, path, .. }) = reply else {
            panic!("{reply:?}");
        };
        assert!(message.contains(told), "{message}");
        assert!(path.starts_with("/spec/after"), "{path}");
    }
}

#[test]
fn arguments_are_added_to_the_command_of_one_run() {
    let mut c = Cluster::new(1, 10);
    manual(&mut c, "/a");
    let with = |arguments: &str| Call::Run {
        name: mezz_spec::Name::new("/a").unwrap(),
        parameters: std::collections::BTreeMap::default(),
        id: None,
        arguments: Some(arguments.to_owned()),
    };
    c.call(with("--day 'first one'"));
    let command = |c: &Cluster| {
        let task = c.tasks.values().next().unwrap();
        task.info.command.as_ref().unwrap().value.clone().unwrap()
    };
    assert_eq!(command(&c), "work --day 'first one'");
    c.succeed_all();
    c.call(with(" "));
    assert_eq!(command(&c), "work");
}

#[test]
fn what_fails_after_its_time_to_retry_is_not_retried() {
    let mut c = Cluster::new(1, 10);
    c.apply_job(
        "/a",
        json!({ "retries": 100, "retry_for": "1m", "backoff": { "initial": 0 } }),
    );
    let first = c.ids()[0].to_owned();
    c.fail(&first);
    c.pass(61);
    let second = c.ids()[0].to_owned();
    assert_ne!(first, second);
    c.fail(&second);
    c.pass(1);
    assert_eq!(c.run("/a").state, RunState::Failed);
}
