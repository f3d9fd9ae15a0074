//! What ends of attempts, deadlines and limits make of a run.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, status};
use mezz_proto::v1::TaskState;
use mezz_spec::Kind;
use mezz_workload::event::Event;
use mezz_workload::records::RunState;
use serde_json::json;

#[test]
fn a_failure_is_retried_after_a_growing_delay_as_often_as_the_job_says() {
    let mut c = Cluster::new(1, 4);
    c.apply_job(
        "/job",
        json!({ "retries": 2, "backoff": { "initial": 10 } }),
    );
    c.fail("job.20260101T000000.0.0");
    assert!(c.ids().is_empty());
    assert!(
        c.why(Kind::Job, "/job").contains("2026-01-01T00:00:10Z"),
        "{}",
        c.why(Kind::Job, "/job")
    );
    c.pass(9);
    assert!(c.ids().is_empty());
    c.pass(1);
    c.fail("job.20260101T000000.0.1");
    c.pass(19);
    assert!(c.ids().is_empty());
    c.pass(1);
    c.fail("job.20260101T000000.0.2");
    let record = c.run("/job");
    assert_eq!(record.state, RunState::Failed);
    assert_eq!(record.failed_indices, [0]);
    assert!(record.message.contains("it ended"), "{}", record.message);
    assert_eq!(record.ends.len(), 3);
}

#[test]
fn only_the_exit_statuses_of_retry_on_are_retried() {
    let mut c = Cluster::new(1, 4);
    let spec =
        json!({ "retries": 5, "backoff": { "initial": 0 }, "retry_on": { "exit_statuses": [75] } });
    c.apply_job("/job", spec);
    c.end("job.20260101T000000.0.0", TaskState::TaskFailed, Some(75));
    c.end("job.20260101T000000.0.1", TaskState::TaskFailed, Some(2));
    assert_eq!(c.run("/job").state, RunState::Failed);
}

#[test]
fn ends_that_are_nobodys_fault_do_not_count_as_failures() {
    let mut c = Cluster::new(1, 4);
    c.apply_job("/job", json!({ "backoff": { "initial": 1 } }));
    let states = [
        TaskState::TaskLost,
        TaskState::TaskDropped,
        TaskState::TaskGone,
        TaskState::TaskKilled,
    ];
    for (attempt, state) in states.into_iter().enumerate() {
        c.pass(600);
        c.end(&format!("job.20260101T000000.0.{attempt}"), state, None);
    }
    c.pass(600);
    assert_eq!(c.ids(), ["job.20260101T000000.0.4"]);
    assert_eq!(c.run("/job").counts.failed, 0);
}

#[test]
fn a_run_goes_on_as_long_as_no_more_indices_fail_than_it_allows() {
    let mut c = Cluster::new(1, 100);
    c.apply_job(
        "/array",
        json!({ "completions": 10, "parallelism": 1, "max_failed": "20%" }),
    );
    c.fail("array.20260101T000000.0.0");
    c.fail("array.20260101T000000.1.0");
    assert_eq!(c.run("/array").state, RunState::Running);
    c.fail("array.20260101T000000.2.0");
    let record = c.run("/array");
    assert_eq!(record.state, RunState::Failed);
    assert_eq!(record.failed_indices, [0, 1, 2]);
    assert_eq!(c.launched.len(), 3);
}

#[test]
fn too_many_failures_end_what_still_runs_before_the_run_is_over() {
    let mut c = Cluster::new(1, 100);
    c.apply_job("/array", json!({ "completions": 10, "parallelism": 4 }));
    c.obeys = false;
    c.fail("array.20260101T000000.0.0");
    assert_eq!(c.killed.len(), 3);
    assert_eq!(c.run("/array").state, RunState::Running);
    assert!(c.why(Kind::Job, "/array").contains("is being ended"));
    for id in c.killed.clone() {
        c.end(&id, TaskState::TaskKilled, None);
    }
    assert_eq!(c.run("/array").state, RunState::Failed);
    assert_eq!(c.launched.len(), 4);
}

#[test]
fn an_attempt_that_takes_too_long_is_killed_and_counts_as_failed() {
    let mut c = Cluster::new(1, 4);
    c.apply_job(
        "/job",
        json!({ "attempt_timeout": 60, "retries": 1, "backoff": { "initial": 0 } }),
    );
    c.pass(59);
    assert!(c.killed.is_empty());
    c.pass(1);
    assert_eq!(c.killed, ["job.20260101T000000.0.0"]);
    assert_eq!(c.ids(), ["job.20260101T000000.0.1"]);
    c.pass(60);
    let record = c.run("/job");
    assert_eq!(record.state, RunState::Failed);
    assert!(
        record.message.contains("longer than it may"),
        "{}",
        record.message
    );
}

#[test]
fn a_run_that_takes_too_long_fails_as_a_whole() {
    let mut c = Cluster::new(1, 1);
    c.apply_job("/array", json!({ "completions": 3, "deadline": 60 }));
    c.pass(60);
    let record = c.run("/array");
    assert_eq!(record.state, RunState::Failed);
    assert!(record.message.contains("deadline"), "{}", record.message);
    assert_eq!(c.killed.len(), 1);
    assert!(c.demands.is_empty());
}

#[test]
fn a_run_that_finds_no_place_in_time_fails_but_one_that_began_does_not() {
    let mut c = Cluster::new(1, 1);
    c.apply_job("/first", json!({ "launch_deadline": 30 }));
    c.apply_job("/second", json!({ "launch_deadline": 30 }));
    c.pass(31);
    assert_eq!(c.run("/first").state, RunState::Running);
    assert_eq!(c.run("/second").state, RunState::Failed);
    assert!(c.demands.is_empty());
}

#[test]
fn an_attempt_that_is_killed_for_its_health_counts_as_failed() {
    let mut c = Cluster::new(1, 4);
    c.apply_job("/job", json!({}));
    let id = c.ids()[0].to_owned();
    c.tasks.remove(&id);
    let mut event = status(&id, TaskState::TaskKilled, None, "unhealthy");
    if let Event::Status { status, .. } = &mut event {
        status.healthy = Some(false);
    }
    c.send(event);
    assert_eq!(c.run("/job").state, RunState::Failed);
}
