//! What `mezz why` says of tasks that wait, run or have ended, of frameworks and of roles, on a real cluster.

#![allow(clippy::unwrap_used)]

mod lab;

use std::process::Command;

use lab::{Lab, amount, info, running, with};
use mezz_testkit::wait::eventually;
use mezz_testkit::{Encoding, Framework};
use serde_json::{Value, json};

fn run(lab: &Lab, task: &Value) {
    let created = lab.client().post_json("/v1/tasks", task).unwrap();
    assert_eq!(created.status, 201, "{}", created.text());
}

/// Waits until a task is in a state.
fn reached(lab: &Lab, id: &str, state: &str) {
    let path = format!("/v1/tasks/{id}");
    eventually(state, || {
        let task = lab.client().get(&path).ok()?.json();
        (task["state"] == state).then_some(())
    });
}

/// What the command line says, without what differs from run to run.
fn why(lab: &Lab, of: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_mezz"))
        .args(["why", of, "--master", lab.master.address()])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(steady).collect::<Vec<_>>().join("\n")
}

/// Spans become TIME, ids of clusters ID, and the name of this host HOST.
fn steady(line: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([';', ',']);
        let is_span = bare.starts_with(|c: char| c.is_ascii_digit())
            && ["secs", "ms", "us", "ns", "mins"]
                .iter()
                .any(|unit| bare.ends_with(unit));
        if is_span {
            return format!("TIME{}", &word[bare.len()..]);
        }
        match word.split_at_checked(36) {
            Some((id, rest)) if id.matches('-').count() == 4 && id.is_ascii() => {
                format!("ID{rest}")
            }
            _ => word.to_owned(),
        }
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

const SMALL: &str = "--resources=cpus:4;mem:4096;disk:1000;ports:[31000-31003]";

#[test]
fn a_task_that_waits_is_told_what_it_lacks_and_whether_waiting_helps() {
    let lab = Lab::with(&[], &[SMALL]);
    run(
        &lab,
        &json!({"id": "runs", "command": "sleep 1000", "cpus": 3, "ports": 2}),
    );
    reached(&lab, "runs", "TASK_RUNNING");
    for (id, wants) in [
        ("huge", json!({"cpus": 100})),
        ("soon", json!({"cpus": 2})),
        ("fat", json!({"mem": 9999})),
        ("gpu", json!({"gpus": 1})),
        ("ports", json!({"ports": 3})),
        ("many", json!({"ports": 300})),
    ] {
        let mut task = json!({"id": id, "command": "true"});
        task.as_object_mut()
            .unwrap()
            .extend(wants.as_object().unwrap().clone());
        run(&lab, &task);
    }
    let ids = ["huge", "soon", "fat", "gpu", "ports", "many"];
    let all: Vec<String> = ids.iter().map(|id| why(&lab, id)).collect();
    insta::assert_snapshot!(all.join("\n"), @r"
    task huge
      it has waited for a place for TIME; it wants cpus:100; mem:32
      1 agent lacks cpus:100
      no agent is that large: cpus is 4 at most, so waiting does not help
    task soon
      it has waited for a place for TIME; it wants cpus:2; mem:32
      1 agent lacks cpus:2
      at most cpus:1 is free on one agent now, of cpus:4
    task fat
      it has waited for a place for TIME; it wants cpus:0.1; mem:9999
      1 agent lacks mem:9999
      no agent is that large: mem is 4096 at most, so waiting does not help
    task gpu
      it has waited for a place for TIME; it wants cpus:0.1; gpus:1; mem:32
      1 agent lacks gpus:1
      no agent has gpus, so waiting does not help
    task ports
      it has waited for a place for TIME; it wants cpus:0.1; mem:32; ports:3
      1 agent lacks ports:3
      at most ports:2 is free on one agent now, of ports:4
    task many
      it has waited for a place for TIME; it wants cpus:0.1; mem:32; ports:300
      1 agent lacks ports:300
      no agent is that large: ports is 4 at most, so waiting does not help
    ");
    insta::assert_snapshot!(why(&lab, "mezz"), @r"
    framework ID-mezz
      6 tasks wait for a place: huge, soon, fat, gpu, ports and 1 more
    ");
    insta::assert_snapshot!(why(&lab, "*"), @r"
    role *
      6 tasks wait for a place: huge, soon, fat, gpu, ports and 1 more
    ");
    let answer = lab.client().get("/v1/why/huge").unwrap().json();
    assert_eq!(
        (&answer["id"], &answer["kind"]),
        (&json!("huge"), &json!("task"))
    );
    assert_eq!(answer["reasons"][1], "1 agent lacks cpus:100");
}

#[test]
fn a_task_waits_where_no_agent_can_be_used() {
    let mut lab = Lab::master_alone(&[]);
    run(&lab, &json!({"id": "early", "command": "true", "cpus": 5}));
    insta::assert_snapshot!(why(&lab, "early"), @r"
    task early
      it has waited for a place for TIME; it wants cpus:5; mem:32
      there are no agents
    ");
    lab.start_agent(&[SMALL]);
    let agents = eventually("the agent", || {
        let agents = lab.client().get("/v1/agents").ok()?.json();
        (!agents.as_array()?.is_empty()).then_some(agents)
    });
    let agent = json!({"value": agents[0]["id"]});
    let call = json!({"type": "DEACTIVATE_AGENT", "deactivate_agent": {"agent_id": agent}});
    let answer = lab.client().post_json("/api/v1", &call).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    run(&lab, &json!({"id": "late", "command": "true"}));
    insta::assert_snapshot!(why(&lab, "late"), @r"
    task late
      it has waited for a place for TIME; it wants cpus:0.1; mem:32
      1 agent is deactivated or not on the list of agents
    ");
}

#[test]
fn a_task_that_runs_or_has_ended_is_told_where_since_when_and_by_whose_word() {
    let lab = Lab::with(&[], &[SMALL, "--hostname=host-1"]);
    run(&lab, &json!({"id": "runs", "command": "sleep 1000"}));
    run(&lab, &json!({"id": "killed", "command": "sleep 1000"}));
    run(&lab, &json!({"id": "fails", "command": "exit 3"}));
    run(
        &lab,
        &json!({"id": "stranger", "command": "true", "user": "no-such-user"}),
    );
    run(
        &lab,
        &json!({"id": "nothing", "command": ["/no/such/program"]}),
    );
    run(&lab, &json!({"id": "fine", "command": "true"}));
    for id in ["runs", "killed"] {
        reached(&lab, id, "TASK_RUNNING");
    }
    let killed = mezz_testkit::http_client::Request::new("DELETE", "/v1/tasks/killed");
    assert_eq!(lab.client().send(&killed).unwrap().status, 202);
    for (id, state) in [
        ("killed", "TASK_KILLED"),
        ("fails", "TASK_FAILED"),
        ("stranger", "TASK_FAILED"),
        ("nothing", "TASK_FAILED"),
        ("fine", "TASK_FINISHED"),
    ] {
        reached(&lab, id, state);
    }
    let ids = ["runs", "killed", "fails", "stranger", "nothing", "fine"];
    let all: Vec<String> = ids.iter().map(|id| why(&lab, id)).collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    task runs
      it is TASK_RUNNING on host-1, TIME after its start
    task killed
      it ended as TASK_KILLED on host-1, TIME ago
      its executor said: Command terminated with signal Terminated
    task fails
      it ended as TASK_FAILED on host-1, TIME ago
      its executor said: Command exited with status 3
    task stranger
      it ended as TASK_FAILED on host-1, TIME ago
      its agent said: Failed to launch container: user "no-such-user" does not exist on this host (REASON_CONTAINER_LAUNCH_FAILED)
    task nothing
      it ended as TASK_FAILED on host-1, TIME ago
      its agent said: Failed to launch container: exec: No such file or directory (os error 2) (REASON_CONTAINER_LAUNCH_FAILED)
    task fine
      it ended as TASK_FINISHED on host-1, TIME ago
      its executor said: Command exited with status 0
    "#);
}

#[test]
fn a_framework_and_its_role_are_told_why_no_offer_comes() {
    let lab = Lab::with(&[], &[SMALL]);
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    insta::assert_snapshot!(why(&lab, "behaviour"), @r"
    framework ID-0000
      1 offer has not been answered for TIME
      1 agent has nothing free
    ");
    framework.decline(&offer, 600.0);
    eventually("the decline", || {
        why(&lab, "behaviour").contains("filtered").then_some(())
    });
    insta::assert_snapshot!(why(&lab, "behaviour"), @r"
    framework ID-0000
      1 agent is filtered by a decline, the first for another TIME
    ");
    insta::assert_snapshot!(why(&lab, "dev"), @r"
    role dev
      1 agent is filtered by a decline, the first for another TIME
    ");
    framework.accepted("SUPPRESS", None);
    eventually("the suppression", || {
        why(&lab, "behaviour").contains("suppressed").then_some(())
    });
    insta::assert_snapshot!(why(&lab, "behaviour"), @r"
    framework ID-0000
      the framework has suppressed offers for role dev
    ");
}

#[test]
fn a_framework_whose_turn_comes_later_is_told_who_was_offered_what_it_waits_for() {
    let lab = Lab::with(&[], &[SMALL]);
    let mut first = lab.framework(Encoding::Json);
    first.next_offer();
    let second = named("later");
    let _second = lab.framework_with(Encoding::Json, &second);
    insta::assert_snapshot!(why(&lab, "later"), @r"
    framework ID-0001
      1 agent has nothing free
      1 agent was offered to others first, TIME ago
    ");
}

#[test]
fn a_framework_that_its_constraints_keep_from_all_agents_is_told_so() {
    let lab = Lab::with(&[], &[SMALL]);
    lab.state_where("the agent", |state| state["activated_slaves"] == 1.0);
    let constraints = json!({"role_constraints": {"dev": {"groups": [{"attribute_constraints": [
        {"selector": {"attribute_name": "rack"}, "predicate": {"exists": {}}},
    ]}]}}});
    let subscribe = json!({"framework_info": info("dev"), "offer_constraints": constraints});
    let _framework =
        Framework::try_subscribe_with(Encoding::Json, &lab.client(), &subscribe).unwrap();
    insta::assert_snapshot!(why(&lab, "behaviour"), @r"
    framework ID-0000
      1 agent is kept away by the framework's offer constraints
    ");
}

#[test]
fn whoever_waits_for_a_large_offer_has_an_agent_kept_and_others_are_told_so() {
    let lab = Lab::with(&[], &[SMALL]);
    let (mut small, _) = running(&lab, &info("dev"));
    let rest = small.next_offer();
    small.accepted("SUPPRESS", None);
    small.decline(&rest, 0.0);
    let whole = json!({"quantities": {"cpus": {"value": 4.0}}});
    let minimum = json!({"min_allocatable_resources": {"quantities": [whole]}});
    let large = with(named("large"), "offer_filters", json!({"dev": minimum}));
    let mut large = lab.framework_with(Encoding::Json, &large);
    eventually("an agent is kept", || {
        why(&lab, "large").contains("less free").then_some(())
    });
    small.accepted("REVIVE", None);
    eventually("the refusal has ended", || {
        why(&lab, "behaviour").contains("kept for").then_some(())
    });
    insta::assert_snapshot!([why(&lab, "behaviour"), why(&lab, "large")].join("\n"), @r"
    framework ID-0000
      1 agent is kept for a framework that waits for a large offer
    framework ID-0001
      1 agent has less free than the smallest offer (cpus:4)
    ");
    small.kill("t");
    assert!((amount(&large.next_offer(), "cpus") - 4.0).abs() < 1e-9);
}

/// The info of a framework of the role `dev` with a name of its own.
fn named(name: &str) -> Value {
    with(info("dev"), "name", json!(name))
}

#[test]
fn the_refusals_that_stand_in_a_role_are_counted_until_they_end() {
    let lab = Lab::with(&[], &[SMALL]);
    let mut framework = lab.framework(Encoding::Json);
    let refusals = |expected: f64| {
        let name = "allocator/mesos/offer_filters/roles/dev/active";
        let what = format!("{expected} refusals");
        eventually(&what, || {
            let metrics = lab.client().get("/metrics/snapshot").ok()?.json();
            (metrics[name].as_f64() == Some(expected)).then_some(())
        });
    };
    let offer = framework.next_offer();
    refusals(0.0);
    framework.decline(&offer, 600.0);
    refusals(1.0);
    framework.accepted("REVIVE", None);
    refusals(0.0);
    framework.next_offer();
}
