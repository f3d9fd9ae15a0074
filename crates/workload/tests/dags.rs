//! Dags, as a user sees them.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, job, run};
use mezz_spec::{Kind, Name};
use mezz_workload::call::{Call, Refusal, Reply};
use mezz_workload::records::{Cause, NodeState, RunState};
use serde_json::{Value, json};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn node(after: Value) -> Value {
    json!({ "run": { "job": job(json!({})) }, "after": after })
}

fn started(c: &mut Cluster, spec: Value) {
    let reply = c.apply(Kind::Dag, "/dag", spec);
    assert!(matches!(reply, Reply::Applied(_)), "{reply:?}");
    let reply = c.call(run("/dag", &[], Some("r")));
    assert!(matches!(reply, Reply::Started { .. }), "{reply:?}");
}

fn state(c: &Cluster) -> RunState {
    dag_run(c).state
}

fn dag_run(c: &Cluster) -> std::sync::Arc<mezz_workload::records::RunRecord> {
    let runs = c.runs(Kind::Dag, "/dag");
    runs.into_iter().find(|run| &*run.id == "r").unwrap()
}

/// The states of the nodes, one letter each, in the order of their names.
fn nodes(c: &Cluster) -> String {
    dag_run(c)
        .nodes
        .values()
        .map(|state| match state {
            NodeState::Waiting => 'w',
            NodeState::Running { .. } => 'r',
            NodeState::Succeeded { .. } => 's',
            NodeState::Failed { .. } => 'f',
            NodeState::Skipped => '-',
        })
        .collect()
}

/// `a`, then `b` and `c`, then `d`.
fn diamond() -> Value {
    json!({ "nodes": {
        "a": node(json!([])),
        "b": node(json!([{ "node": "a" }])),
        "c": node(json!([{ "node": "a" }])),
        "d": node(json!([{ "node": "b" }, { "node": "c" }])),
    } })
}

#[test]
fn nodes_start_when_all_that_they_wait_for_has_succeeded() {
    let mut c = Cluster::new(1, 10);
    started(&mut c, diamond());
    assert_eq!(c.ids(), ["dag.r.a.0.0"]);
    c.succeed("dag.r.a.0.0");
    assert_eq!(c.ids(), ["dag.r.b.0.0", "dag.r.c.0.0"]);
    c.succeed("dag.r.c.0.0");
    assert!(
        c.why(Kind::Dag, "/dag")
            .contains("node 'd' waits for 'b' to succeed")
    );
    c.succeed("dag.r.b.0.0");
    assert_eq!(c.ids(), ["dag.r.d.0.0"]);
    c.succeed("dag.r.d.0.0");
    assert_eq!(state(&c), RunState::Succeeded);
}

#[test]
fn what_cannot_start_any_more_is_skipped_and_the_run_fails_with_the_reason() {
    let mut c = Cluster::new(1, 10);
    started(&mut c, diamond());
    c.succeed("dag.r.a.0.0");
    c.fail("dag.r.b.0.0");
    assert_eq!(nodes(&c), "sfr-");
    c.succeed("dag.r.c.0.0");
    assert_eq!(nodes(&c), "sfs-");
    assert_eq!(state(&c), RunState::Failed);
    assert!(
        dag_run(&c).message.contains("node 'b' has failed"),
        "{}",
        dag_run(&c).message
    );
}

#[test]
fn a_failure_that_a_node_comes_after_is_caught_and_always_runs_in_any_case() {
    let spec = json!({ "nodes": {
        "a": node(json!([])),
        "b": node(json!([{ "node": "a", "when": "success" }])),
        "c": node(json!([{ "node": "a", "when": "failure" }])),
        "d": node(json!([{ "node": "b", "when": "always" }])),
    } });
    let mut c = Cluster::new(1, 10);
    started(&mut c, spec.clone());
    c.fail("dag.r.a.0.0");
    assert_eq!(nodes(&c), "f-rr");
    c.succeed_all();
    assert_eq!(state(&c), RunState::Succeeded);
    let mut c = Cluster::new(1, 10);
    started(&mut c, spec);
    c.succeed_all();
    assert_eq!(nodes(&c), "ss-s");
    assert_eq!(state(&c), RunState::Succeeded);
}

#[test]
fn a_failed_node_is_run_again_as_often_as_it_says() {
    let mut first = node(json!([]));
    first["retries"] = json!(1);
    let mut c = Cluster::new(1, 10);
    started(
        &mut c,
        json!({ "nodes": { "a": first, "b": node(json!([{ "node": "a" }])) } }),
    );
    c.fail("dag.r.a.0.0");
    c.restart();
    assert_eq!(c.ids(), ["dag.r.a.1.0.0"]);
    c.fail("dag.r.a.1.0.0");
    assert_eq!(state(&c), RunState::Failed);
    assert_eq!(c.runs(Kind::Dag, "/dag").len(), 3);
}

#[test]
fn no_more_nodes_run_at_once_than_max_parallel() {
    let mut spec = json!({ "nodes": {}, "max_parallel": 2 });
    for name in ["a", "b", "c", "d", "e"] {
        spec["nodes"][name] = node(json!([]));
    }
    let mut c = Cluster::new(1, 10);
    started(&mut c, spec);
    assert_eq!(nodes(&c), "rrwww");
    assert!(c.why(Kind::Dag, "/dag").contains("max_parallel: 2"));
    c.succeed("dag.r.a.0.0");
    assert_eq!(nodes(&c), "srrww");
    c.succeed_all();
    assert_eq!(state(&c), RunState::Succeeded);
}

#[test]
fn a_run_that_takes_too_long_ends_its_nodes() {
    let mut spec = diamond();
    spec["deadline"] = json!(60);
    let mut c = Cluster::new(1, 10);
    started(&mut c, spec);
    c.pass(60);
    assert_eq!(state(&c), RunState::Failed);
    assert_eq!(nodes(&c), "f---");
    assert!(c.ids().is_empty());
}

#[test]
fn nodes_run_existing_jobs_and_dags_with_the_parameters_of_the_dag_and_their_own() {
    let mut c = Cluster::new(1, 10);
    c.apply_job(
        "/job",
        json!({ "start": "manual", "parameters": { "day": {}, "level": {} } }),
    );
    c.apply(
        Kind::Dag,
        "/inner",
        json!({ "nodes": { "x": node(json!([])) } }),
    );
    let reference = json!({ "name": "/job", "parameters": { "level": "high" } });
    let spec = json!({
        "parameters": { "day": {}, "level": { "default": "low" } },
        "nodes": {
            "a": { "run": { "job_ref": reference } },
            "b": { "run": { "dag_ref": { "name": "/inner" } }, "after": [{ "node": "a" }] },
        }
    });
    c.apply(Kind::Dag, "/dag", spec);
    assert!(matches!(
        c.call(run("/dag", &[], Some("r"))),
        Reply::Refused(_)
    ));
    c.call(run("/dag", &[("day", "friday")], Some("r")));
    let id = "job.dag-r.a.0.0";
    assert_eq!(c.env(id, "PARAM_DAY").as_deref(), Some("friday"));
    assert_eq!(c.env(id, "PARAM_LEVEL").as_deref(), Some("high"));
    let part = c.run("/job");
    assert!(matches!(&part.cause, Cause::Node { node, attempt: 0, .. } if **node == *"a"));
    c.succeed(id);
    assert_eq!(c.ids(), ["inner.dag-r.b.x.0.0"]);
    c.restart();
    c.succeed_all();
    assert_eq!(state(&c), RunState::Succeeded);
}

#[test]
fn a_failed_run_is_resumed_where_it_failed_with_what_the_dag_says_now() {
    let mut c = Cluster::new(1, 10);
    started(&mut c, diamond());
    c.succeed("dag.r.a.0.0");
    c.succeed("dag.r.b.0.0");
    c.fail("dag.r.c.0.0");
    assert_eq!(state(&c), RunState::Failed);
    let mut corrected = diamond();
    corrected["nodes"]["c"]["run"]["job"]["template"]["containers"][0]["command"] = json!("better");
    c.apply(Kind::Dag, "/dag", corrected);
    let resume = |from: Option<&str>| Call::ResumeRun {
        name: name("/dag"),
        run: "r".into(),
        from: from.map(str::to_owned),
    };
    assert!(matches!(
        c.call(resume(Some("z"))),
        Reply::Refused(Refusal::NotFound { .. })
    ));
    assert_eq!(c.call(resume(None)), Reply::Done);
    assert!(matches!(
        c.call(resume(None)),
        Reply::Refused(Refusal::Conflict { .. })
    ));
    assert_eq!(c.ids(), ["dag.r.c.1.0.0"]);
    let command = c.tasks["dag.r.c.1.0.0"].info.command.clone().unwrap();
    assert_eq!(command.value.as_deref(), Some("better"));
    c.restart();
    c.succeed_all();
    assert_eq!(state(&c), RunState::Succeeded);
    assert_eq!(c.call(resume(Some("b"))), Reply::Done);
    assert_eq!(nodes(&c), "srsw");
    c.succeed_all();
    assert_eq!(state(&c), RunState::Succeeded);
}

#[test]
fn a_node_that_somebody_marks_as_succeeded_lets_the_others_go_on() {
    let mut c = Cluster::new(1, 10);
    started(&mut c, diamond());
    c.fail("dag.r.a.0.0");
    assert_eq!(nodes(&c), "f---");
    let mark = |node: &str| Call::MarkSucceeded {
        name: name("/dag"),
        run: "r".into(),
        node: Some(node.into()),
    };
    assert_eq!(c.call(mark("a")), Reply::Done);
    assert_eq!(nodes(&c), "srrw");
    assert_eq!(c.call(mark("b")), Reply::Done);
    assert_eq!(c.killed, ["dag.r.b.0.0"]);
    c.succeed_all();
    assert_eq!(state(&c), RunState::Succeeded);
}

#[test]
fn a_run_that_somebody_marks_as_succeeded_has() {
    let mut c = Cluster::new(1, 10);
    c.apply_job("/job", json!({}));
    let id = c.run("/job").id.to_string();
    c.fail(&format!("job.{id}.0.0"));
    assert_eq!(c.run("/job").state, RunState::Failed);
    let mark = Call::MarkSucceeded {
        name: name("/job"),
        run: id,
        node: None,
    };
    assert_eq!(c.call(mark), Reply::Done);
    assert_eq!(c.run("/job").state, RunState::Succeeded);
}

#[test]
fn circles_unknown_nodes_and_dags_that_run_themselves_are_refused_with_their_path() {
    let mut c = Cluster::new(1, 10);
    let circle = json!({ "nodes": { "a": node(json!([{ "node": "b" }])), "b": node(json!([{ "node": "a" }])) } });
    let unknown = json!({ "nodes": { "a": node(json!([{ "node": "z" }])) } });
    let itself = json!({ "nodes": { "a": { "run": { "dag_ref": { "name": "/dag" } } } } });
    let missing = json!({ "nodes": { "a": { "run": { "job_ref": { "name": "/no" } } } } });
    let empty = json!({ "nodes": {} });
    for (spec, at) in [
        (circle, "/spec/nodes"),
        (unknown, "/spec/nodes/a/after/0/node"),
        (itself, "/spec/nodes"),
        (missing, "/spec/nodes/a/run/job_ref/name"),
        (empty, "/spec/nodes"),
    ] {
        let reply = c.apply(Kind::Dag, "/dag", spec);
        let Reply::Refused(Refusal::Invalid { path, .. }) = reply else {
            panic!("{reply:?}");
        };
        assert_eq!(path, at);
    }
    assert!(c.w.object(Kind::Dag, &name("/dag")).is_none());
}

#[test]
fn a_stopped_run_ends_the_runs_of_its_nodes_and_starts_no_others() {
    let mut c = Cluster::new(1, 10);
    started(&mut c, diamond());
    c.succeed("dag.r.a.0.0");
    let stop = Call::StopRun {
        name: name("/dag"),
        run: "r".into(),
    };
    assert_eq!(c.call(stop), Reply::Done);
    assert_eq!(state(&c), RunState::Stopped);
    assert_eq!(nodes(&c), "sff-");
    assert!(c.ids().is_empty());
}

#[test]
fn the_runs_of_nodes_are_kept_and_forgotten_with_the_run_of_their_dag() {
    let mut c = Cluster::new(1, 10);
    c.apply_job(
        "/job",
        json!({ "start": "manual", "history": { "succeeded": 0, "failed": 0 } }),
    );
    let reference = json!({ "run": { "job_ref": { "name": "/job" } } });
    let spec = json!({ "nodes": { "a": reference }, "history": { "succeeded": 1 } });
    c.apply(Kind::Dag, "/dag", spec);
    for id in ["one", "two"] {
        c.call(run("/dag", &[], Some(id)));
        c.succeed_all();
    }
    assert_eq!(c.runs(Kind::Dag, "/dag").len(), 1);
    assert_eq!(c.runs(Kind::Job, "/job").len(), 1);
    assert_eq!(&*c.run("/job").id, "dag-two.a");
}
