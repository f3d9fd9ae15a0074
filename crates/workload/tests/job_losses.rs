//! Jobs whose master or agents are lost.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, Death};
use mezz_spec::Kind;
use mezz_workload::event::Event;
use mezz_workload::records::RunState;
use serde_json::json;

#[test]
fn what_has_ended_stays_ended_and_what_runs_goes_on_under_the_next_master() {
    let mut c = Cluster::new(2, 2);
    c.apply_job(
        "/array",
        json!({ "completions": 600, "parallelism": 4, "max_failed": 5, "retries": 0 }),
    );
    for _ in 0..100 {
        let id = c.ids()[0].to_owned();
        c.succeed(&id);
    }
    let id = c.ids()[0].to_owned();
    c.fail(&id);
    let before = c.launched.len();
    let alive: Vec<String> = c.tasks.keys().cloned().collect();
    c.restart();
    assert_eq!(c.launched.len(), before);
    assert_eq!(c.tasks.keys().cloned().collect::<Vec<_>>(), alive);
    c.succeed_all();
    let record = c.run("/array");
    assert_eq!(record.state, RunState::Succeeded);
    assert_eq!((record.counts.succeeded, record.counts.failed), (599, 1));
    assert_eq!(c.launched.len(), 600);
}

#[test]
fn an_attempt_whose_launch_never_left_is_started_again_without_counting() {
    let mut c = Cluster::new(1, 0);
    c.apply_job("/job", json!({}));
    let (key, _) = c.demands.iter().next().unwrap();
    let placed = mezz_workload::event::Placed {
        demand: *key,
        agent: cluster::info("agent-0"),
        ports: Vec::new(),
        resources: Vec::new(),
    };
    c.agents.get_mut("agent-0").unwrap().room = 1;
    c.die(Event::Placed(placed), Death::AfterWrite);
    assert_eq!(c.ids(), ["job.20260101T000000.0.1"]);
    c.succeed_all();
    assert_eq!(c.run("/job").state, RunState::Succeeded);
}

#[test]
fn an_attempt_on_an_agent_out_of_reach_is_waited_for_and_then_given_up() {
    let mut c = Cluster::new(2, 1);
    c.apply_job("/job", json!({ "lost_after": 300 }));
    let first = c.ids()[0].to_owned();
    let agent = c.tasks[&first].agent.clone();
    c.running(&first);
    c.lose_agent(&agent);
    c.pass(299);
    assert_eq!(c.launched.len(), 1);
    assert!(c.why(Kind::Job, "/job").contains("given up after 5m"));
    c.pass(1);
    assert_eq!(c.launched.len(), 2);
    // Back after all: the attempt that was given up is ended, under the next master too.
    c.restart();
    c.agent_returns(&agent);
    assert_eq!(c.killed, [first]);
    c.succeed_all();
    assert_eq!(c.run("/job").state, RunState::Succeeded);
}

#[test]
fn an_attempt_on_an_agent_that_comes_back_in_time_goes_on() {
    let mut c = Cluster::new(2, 1);
    c.apply_job("/job", json!({}));
    let first = c.ids()[0].to_owned();
    let agent = c.tasks[&first].agent.clone();
    c.lose_agent(&agent);
    c.pass(100);
    c.restart();
    c.pass(100);
    c.agent_returns(&agent);
    c.pass(1000);
    assert_eq!(c.launched.len(), 1);
    assert!(c.killed.is_empty());
}

#[test]
fn an_agent_that_is_gone_has_its_attempts_started_elsewhere_at_once() {
    let mut c = Cluster::new(2, 1);
    c.apply_job("/job", json!({ "lost_after": "never" }));
    let agent = c.tasks[c.ids()[0]].agent.clone();
    c.lose_agent(&agent);
    c.pass(100_000);
    assert_eq!(c.launched.len(), 1);
    c.agent_gone(&agent);
    assert_eq!(c.ids(), ["job.20260101T000000.0.1"]);
}

#[test]
fn a_run_that_is_being_ended_is_ended_by_the_next_master() {
    let mut c = Cluster::new(1, 4);
    c.apply_job("/array", json!({ "completions": 9, "parallelism": 2 }));
    c.obeys = false;
    let run = c.run("/array").id.to_string();
    let name = mezz_spec::Name::new("/array").unwrap();
    c.call(mezz_workload::call::Call::StopRun { name, run });
    c.obeys = true;
    c.restart();
    assert_eq!(c.run("/array").state, RunState::Stopped);
    assert_eq!(c.launched.len(), 2);
    assert!(c.ids().is_empty());
}

#[test]
fn an_attempt_waits_for_one_of_a_deleted_job_with_the_same_id() {
    let mut c = Cluster::new(1, 4);
    c.obeys = false;
    c.apply_job("/job", json!({}));
    c.call(mezz_workload::call::Call::Delete {
        kind: Kind::Job,
        name: mezz_spec::Name::new("/job").unwrap(),
        generation: None,
        conflict: mezz_workload::call::Conflict::Supersede,
    });
    c.apply_job("/job", json!({}));
    c.pass(10);
    assert_eq!(c.launched.len(), 1);
    assert!(c.why(Kind::Job, "/job").contains("has to end first"));
    let id = c.ids()[0].to_owned();
    c.end(&id, mezz_proto::v1::TaskState::TaskKilled, None);
    c.pass(1);
    assert_eq!(c.launched.len(), 2);
}
