//! Behaviours 74 to 87: updates, and agents that are lost.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::{
    IMPATIENT, Lab, SILENCE, answer, executor_task, heal, ids, info, partition, reconcile, running,
    task, unaware, with,
};
use mezz_testkit::framework::Acknowledging;
use mezz_testkit::{Daemon, Encoding};
use serde_json::{Value, json};

/// Behaviour 74.
#[test]
fn a_partition_is_told_and_so_is_its_end() {
    let lab = Lab::with(&IMPATIENT, &[]);
    let (mut framework, offer) = running(&lab, &info("dev"));
    partition(&lab);
    let status = framework.wait_for("t", "TASK_UNREACHABLE");
    assert_eq!(status["reason"], "REASON_AGENT_REMOVED");
    assert!(status["unreachable_time"]["nanoseconds"].is_number());
    lab.state_where("the task is listed as unreachable", |state| {
        let framework = &state["frameworks"][0];
        ids(&framework["unreachable_tasks"]) == ["t"] && ids(&framework["tasks"]).is_empty()
    });
    let asked = reconcile(&mut framework, "t", Some(&offer["agent_id"]));
    assert_eq!(asked["state"], "TASK_UNREACHABLE");
    heal(&lab);
    let status = answer(&mut framework, "t");
    assert_eq!(status["state"], "TASK_RUNNING");
    assert_eq!(status["reason"], "REASON_AGENT_REREGISTERED");
    lab.state_where("the task is listed as running again", |state| {
        let framework = &state["frameworks"][0];
        ids(&framework["tasks"]) == ["t"] && ids(&framework["unreachable_tasks"]).is_empty()
    });
}

/// Behaviour 75.
#[test]
fn a_framework_that_knows_no_partitions_hears_lost_and_its_task_survives() {
    let lab = Lab::with(&IMPATIENT, &[]);
    let (mut framework, _) = running(&lab, &unaware());
    partition(&lab);
    let status = framework.wait_for("t", "TASK_LOST");
    assert_eq!(status["reason"], "REASON_AGENT_REMOVED");
    heal(&lab);
    let status = answer(&mut framework, "t");
    assert_eq!(status["state"], "TASK_RUNNING");
}

/// Behaviour 76.
#[test]
fn a_task_whose_framework_has_gone_ends_when_its_agent_returns() {
    let lab = Lab::with(&IMPATIENT, &[]);
    let (mut framework, _) = running(&lab, &info("dev"));
    partition(&lab);
    framework.wait_for("t", "TASK_UNREACHABLE");
    framework.accepted("TEARDOWN", None);
    framework.rest();
    heal(&lab);
    lab.state_where("the agent has come back", |state| {
        state["slaves"]
            .as_array()
            .is_some_and(|agents| !agents.is_empty())
    });
    mezz_testkit::wait::eventually("the agent has ended the task", || {
        let state = lab.agent_client().get("/state").ok()?.json();
        state["frameworks"].as_array()?.is_empty().then_some(())
    });
}

/// Behaviour 77.
#[test]
fn updates_of_an_unreachable_agent_wait_for_its_registration() {
    let lab = Lab::with(&IMPATIENT, &[]);
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    let go = lab.cluster.folder().join("go");
    let command = format!("while [ ! -e {} ]; do sleep 0.02; done", go.display());
    framework.launch(&offer, &[task(&offer, "t", &command, 0.1)]);
    framework.wait_for("t", "TASK_RUNNING");
    partition(&lab);
    framework.wait_for("t", "TASK_UNREACHABLE");
    std::fs::write(&go, "").unwrap();
    framework.events_within(SILENCE);
    assert!(!framework.states_of("t").contains(&"TASK_FINISHED"));
    heal(&lab);
    framework.wait_for("t", "TASK_FINISHED");
}

/// Behaviour 78.
#[test]
fn a_terminal_task_keeps_its_state_when_its_agent_is_lost() {
    let lab = Lab::with(&IMPATIENT, &[]);
    let mut framework = lab
        .framework(Encoding::Json)
        .acknowledging(Acknowledging::ByHand);
    let offer = framework.next_offer();
    framework.launch(&offer, &[task(&offer, "t", "exit 0", 0.1)]);
    for state in ["TASK_STARTING", "TASK_RUNNING"] {
        let status = framework.wait_for("t", state);
        framework.acknowledge(&status);
    }
    framework.wait_for("t", "TASK_FINISHED");
    partition(&lab);
    lab.state_where("the agent is lost", |state| {
        state["slaves"].as_array().unwrap().is_empty()
    });
    framework.events_within(SILENCE);
    assert!(!framework.states_of("t").contains(&"TASK_UNREACHABLE"));
    let state = lab.client().get("/state").unwrap().json();
    let framework = &state["frameworks"][0];
    let lists = ["tasks", "completed_tasks", "unreachable_tasks"];
    let shown: Vec<&Value> = lists
        .iter()
        .flat_map(|list| framework[*list].as_array().unwrap())
        .collect();
    assert_eq!(shown.len(), 1, "{framework}");
    assert_eq!(shown[0]["state"], "TASK_FINISHED");
}

/// Behaviour 83.
#[test]
fn agents_missing_after_a_failover_cause_no_updates_and_reconciliation_tells_of_them() {
    let mut lab = Lab::with(&IMPATIENT, &[]);
    let (framework, offer) = running(&lab, &info("dev"));
    partition(&lab);
    lab.restart_master();
    let again = with(info("dev"), "id", json!({"value": framework.id()}));
    let mut back = lab.framework_with(Encoding::Json, &again);
    back.events_within(3 * SILENCE);
    assert_eq!(back.states_of("t"), Vec::<&str>::new());
    let status = reconcile(&mut back, "t", Some(&offer["agent_id"]));
    assert_eq!(status["state"], "TASK_UNREACHABLE");
}

/// Behaviour 86.
#[test]
fn an_orderly_stop_of_an_agent_is_told_at_once() {
    for (info, state) in [(info("dev"), "TASK_GONE"), (unaware(), "TASK_LOST")] {
        let mut lab = Lab::start();
        let (mut framework, _) = running(&lab, &info);
        let rest = framework.next_offer();
        let agent: Daemon = lab.agent.take().unwrap();
        agent.signal(rustix::process::Signal::USR1);
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let event = framework.next_event();
            match event["type"].as_str().unwrap() {
                "RESCIND" => {
                    assert_eq!(event["rescind"]["offer_id"], rest["id"]);
                    seen.push("RESCIND");
                }
                "FAILURE" if event["failure"].get("executor_id").is_none() => {
                    assert_eq!(event["failure"]["agent_id"], rest["agent_id"]);
                    seen.push("FAILURE");
                }
                "UPDATE" => {
                    let told = event["update"]["status"]["state"]
                        .as_str()
                        .unwrap()
                        .to_owned();
                    let ended = ["TASK_KILLED", "TASK_GONE", "TASK_LOST", "TASK_UNREACHABLE"];
                    assert!(ended.contains(&told.as_str()), "{told} instead of {state}");
                    seen.push("UPDATE");
                }
                _ => {}
            }
        }
    }
}

/// Behaviour 87.
#[test]
fn a_second_terminal_update_of_a_task_is_ignored() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[executor_task(&offer, "t", "e")]);
        let mut executor = lab.executor(encoding, framework.id(), "e");
        executor.wait_for_event("LAUNCH");
        executor.update("t", "TASK_RUNNING");
        executor.update("t", "TASK_FINISHED");
        executor.update("t", "TASK_FAILED");
        framework.wait_for("t", "TASK_FINISHED");
        framework.events_within(SILENCE);
        assert_eq!(framework.states_of("t"), ["TASK_RUNNING", "TASK_FINISHED"]);
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 82.
#[test]
fn a_framework_that_was_cut_off_gets_an_error_on_its_next_call() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let framework = lab.framework(encoding);
        let (id, stream) = (framework.id().to_owned(), framework.stream_id().to_owned());
        drop(framework);
        lab.state_where("the framework is disconnected", |state| {
            let frameworks = state["frameworks"].as_array().unwrap();
            frameworks
                .iter()
                .any(|one| one["id"] == id.as_str() && one["connected"] == false)
        });
        let call = json!({"type": "REVIVE", "framework_id": {"value": id}});
        let request = encoding.post::<mezz_proto::v1::scheduler::Call>("/api/v1/scheduler", &call);
        let answer = lab
            .client()
            .send(&request.header("Mesos-Stream-Id", &stream))
            .unwrap();
        assert_eq!(answer.status, 403);
        assert_eq!(answer.text(), "Framework is not subscribed");
    }
}
