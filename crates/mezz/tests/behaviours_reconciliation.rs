//! Behaviours 68 to 73: reconciliation.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::{
    Lab, SILENCE, answer, heal, info, partition, reconcile, running, sleeper, task, unaware, with,
};
use mezz_testkit::Encoding;
use mezz_testkit::framework::Acknowledging;
use serde_json::{Value, json};

/// Behaviour 68.
#[test]
fn an_unknown_task_on_an_unknown_agent_is_unknown() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        for (info, state) in [(info("dev"), "TASK_UNKNOWN"), (unaware(), "TASK_LOST")] {
            let mut framework = lab.framework_with(encoding, &info);
            let status = reconcile(&mut framework, "t", Some(&json!({"value": "nowhere"})));
            assert_eq!(status["state"], state);
            assert_eq!(status["reason"], "REASON_RECONCILIATION");
            framework.accepted("TEARDOWN", None);
        }
    }
}

/// Behaviour 69.
#[test]
fn an_unknown_task_on_a_known_agent_is_gone() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        for (info, state) in [(info("dev"), "TASK_GONE"), (unaware(), "TASK_LOST")] {
            let mut framework = lab.framework_with(encoding, &info);
            let agent = framework.next_offer()["agent_id"].clone();
            assert_eq!(reconcile(&mut framework, "t", Some(&agent))["state"], state);
            framework.accepted("TEARDOWN", None);
        }
    }
}

/// Behaviour 70.
#[test]
fn a_kill_of_an_unknown_task_is_answered_like_its_reconciliation() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let agent = framework.next_offer()["agent_id"].clone();
        framework.kill("t");
        assert_eq!(answer(&mut framework, "t")["state"], "TASK_UNKNOWN");
        let contents = json!({"task_id": {"value": "u"}, "agent_id": agent});
        framework.accepted("KILL", Some(contents));
        let status = answer(&mut framework, "u");
        assert_eq!(status["state"], "TASK_GONE");
        assert_eq!(status["reason"], "REASON_RECONCILIATION");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 71.
#[test]
fn tasks_of_an_agent_that_has_not_come_back_after_a_failover_get_no_answer() {
    let mut lab = Lab::start();
    let (framework, offer) = running(&lab, &info("dev"));
    let again = with(info("dev"), "id", json!({"value": framework.id()}));
    partition(&lab);
    lab.restart_master();
    let mut back = lab.framework_with(Encoding::Json, &again);
    let asked = |agent: Option<&Value>| {
        let mut asked = json!({"task_id": {"value": "t"}});
        if let Some(agent) = agent {
            asked["agent_id"] = agent.clone();
        }
        json!({"tasks": [asked]})
    };
    back.accepted("RECONCILE", Some(asked(Some(&offer["agent_id"]))));
    back.accepted("RECONCILE", Some(asked(None)));
    back.events_within(SILENCE);
    assert_eq!(back.states_of("t"), Vec::<&str>::new());
    heal(&lab);
    lab.state_where("the agent has come back", |state| {
        state["slaves"]
            .as_array()
            .is_some_and(|agents| !agents.is_empty())
    });
    assert_eq!(reconcile(&mut back, "t", None)["state"], "TASK_RUNNING");
}

/// Behaviour 72.
#[test]
fn an_implicit_reconciliation_covers_live_tasks_and_terminal_ones_without_acknowledgement() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding).acknowledging(Acknowledging::ByHand);
        let offer = framework.next_offer();
        let tasks = [sleeper(&offer, "live"), task(&offer, "over", "exit 0", 0.1)];
        framework.launch(&offer, &tasks);
        for (task, state) in [
            ("over", "TASK_STARTING"),
            ("over", "TASK_RUNNING"),
            ("live", "TASK_STARTING"),
        ] {
            let status = framework.wait_for(task, state);
            framework.acknowledge(&status);
        }
        framework.wait_for("over", "TASK_FINISHED");
        framework.wait_for("live", "TASK_RUNNING");
        framework.accepted("RECONCILE", Some(json!({"tasks": []})));
        let mut told: Vec<(String, String)> = (0..2)
            .map(|_| {
                let status = loop {
                    let event = framework.wait_for_event("UPDATE");
                    let status = event["update"]["status"].clone();
                    if status["source"] == "SOURCE_MASTER" {
                        break status;
                    }
                };
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                (text(&status["task_id"]["value"]), text(&status["state"]))
            })
            .collect();
        told.sort();
        let expected = [("live", "TASK_RUNNING"), ("over", "TASK_FINISHED")];
        assert_eq!(
            told,
            expected.map(|(task, state)| (task.to_owned(), state.to_owned()))
        );
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 73.
#[test]
fn a_reconciliation_answers_with_the_last_state_that_was_forwarded() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding).acknowledging(Acknowledging::ByHand);
        let offer = framework.next_offer();
        framework.launch(&offer, &[task(&offer, "t", "exit 0", 0.1)]);
        framework.wait_for("t", "TASK_STARTING");
        lab.state_where("the agent's news is known", |state| {
            let frameworks = state["frameworks"].as_array().unwrap();
            let ours = frameworks.iter().find(|one| one["id"] == framework.id());
            ours.is_some_and(|ours| ours["tasks"][0]["statuses"][0]["state"] == "TASK_STARTING")
        });
        assert_eq!(
            reconcile(&mut framework, "t", None)["state"],
            "TASK_STARTING"
        );
        framework.accepted("TEARDOWN", None);
    }
}
