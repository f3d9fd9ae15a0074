//! Behaviours 14 to 27: calls of a framework and what comes of them.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::{Lab, SILENCE, amount, executor_task, info, scalar, sleeper, task, with};
use mezz_proto::v1::scheduler::Event;
use mezz_testkit::framework::{Acknowledging, Framework};
use mezz_testkit::wait::eventually;
use mezz_testkit::{Encoding, Request};
use serde_json::{Value, json};

fn again(framework: &Framework) -> Value {
    with(info("dev"), "id", json!({"value": framework.id()}))
}

fn offers_in(events: &[Value]) -> usize {
    events
        .iter()
        .filter(|event| event["type"] == "OFFERS")
        .count()
}

/// Behaviour 14.
#[test]
fn a_second_instance_takes_over_and_the_first_is_told() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let mut first = lab.framework(encoding);
        let second = lab.framework_with(encoding, &again(&first));
        assert_eq!(second.id(), first.id());
        let rest = first.rest();
        let error = rest.last().unwrap();
        assert_eq!(error["type"], "ERROR");
        assert_eq!(error["error"]["message"], "Framework failed over");
    }
}

/// Behaviour 15.
#[test]
fn a_framework_keeps_its_id_over_a_restart_of_the_master() {
    let mut lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let mut first = lab.framework(encoding);
        lab.restart_master();
        while let Ok(Some(_)) = first.try_next_event() {}
        let second = lab.framework_with(encoding, &again(&first));
        assert_eq!(second.id(), first.id());
    }
}

/// Behaviour 16.
#[test]
fn a_launch_yields_updates_with_a_uuid_and_their_acknowledgement_reaches_the_agent() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[task(&offer, "t", "exit 0", 0.1)]);
        framework.wait_for("t", "TASK_FINISHED");
        let states = ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"];
        assert_eq!(framework.states_of("t"), states);
        for status in framework.updates_of("t") {
            assert!(status["uuid"].as_str().is_some_and(|uuid| uuid.len() == 24));
            assert_eq!(status["source"], "SOURCE_EXECUTOR");
        }
        // The agent lets go of a task when its end was acknowledged.
        let agent = lab.agent_client();
        eventually("the acknowledgement reaches the agent", || {
            let state = agent.get("/state").unwrap().json();
            let running = state["frameworks"].as_array()?;
            let is_ours = |one: &&Value| one["id"] == framework.id();
            running.iter().all(|one| !is_ours(&one)).then_some(())
        });
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 18.
#[test]
fn an_explicit_reconciliation_answers_with_the_present_state() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[sleeper(&offer, "t")]);
        framework.wait_for("t", "TASK_RUNNING");
        let asked = json!([{"task_id": {"value": "t"}, "agent_id": offer["agent_id"]}]);
        framework.accepted("RECONCILE", Some(json!({"tasks": asked})));
        let answer = framework.wait_for_event("UPDATE")["update"]["status"].clone();
        assert_eq!(answer["state"], "TASK_RUNNING");
        assert_eq!(answer["reason"], "REASON_RECONCILIATION");
        assert_eq!(answer["source"], "SOURCE_MASTER");
        assert_eq!(answer.get("uuid"), None);
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 19.
#[test]
fn a_kill_ends_a_task_in_task_killed() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[sleeper(&offer, "t")]);
        framework.wait_for("t", "TASK_RUNNING");
        framework.kill("t");
        framework.wait_for("t", "TASK_KILLED");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 20, of which LAUNCH is built.
#[test]
fn an_operation_id_on_a_launch_is_a_task_error() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let tasks = json!({"task_infos": [sleeper(&offer, "t")]});
        let operation = json!({"type": "LAUNCH", "id": {"value": "o"}, "launch": tasks});
        framework.accept(&[&offer], &json!([operation]));
        let error = framework.wait_for("t", "TASK_ERROR");
        assert_eq!(error["source"], "SOURCE_MASTER");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 21.
#[test]
fn a_shutdown_ends_an_executor_and_a_failure_names_it() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[executor_task(&offer, "t", "e")]);
        let mut executor = lab.executor(encoding, framework.id(), "e");
        executor.wait_for_event("LAUNCH");
        let contents = json!({"executor_id": {"value": "e"}, "agent_id": offer["agent_id"]});
        framework.accepted("SHUTDOWN", Some(contents));
        executor.wait_for_event("SHUTDOWN");
        let failure = framework.wait_for_event("FAILURE")["failure"].clone();
        assert_eq!(failure["executor_id"]["value"], "e");
        assert_eq!(failure["agent_id"], offer["agent_id"]);
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 22.
#[test]
fn declined_resources_return_only_after_the_filter() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.decline(&offer, 1.5);
        let events = framework.events_within(SILENCE);
        assert_eq!(offers_in(&events), 0, "{events:?}");
        assert_eq!(framework.next_offer()["agent_id"], offer["agent_id"]);
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 23.
#[test]
fn revive_ends_a_long_filter() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.decline(&offer, 100_000.0);
        let events = framework.events_within(SILENCE);
        assert_eq!(offers_in(&events), 0, "{events:?}");
        framework.accepted("REVIVE", None);
        assert_eq!(framework.next_offer()["agent_id"], offer["agent_id"]);
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 24.
#[test]
fn a_suppressed_framework_gets_no_offers_until_it_revives() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.accepted("SUPPRESS", None);
        framework.decline(&offer, 0.0);
        let events = framework.events_within(SILENCE);
        assert_eq!(offers_in(&events), 0, "{events:?}");
        framework.accepted("REVIVE", None);
        framework.next_offer();
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 25.
#[test]
fn suppressed_roles_count_at_the_first_and_at_every_later_subscription() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let quiet = |info: &Value| json!({"framework_info": info, "suppressed_roles": ["dev"]});
        let subscribe = |contents: &Value| {
            Framework::try_subscribe_with(encoding, &lab.client(), contents).unwrap()
        };
        let mut first = subscribe(&quiet(&info("dev")));
        assert_eq!(offers_in(&first.events_within(SILENCE)), 0);
        let mut open = subscribe(&json!({"framework_info": again(&first)}));
        open.next_offer();
        let mut closed = subscribe(&quiet(&again(&first)));
        assert_eq!(offers_in(&closed.events_within(SILENCE)), 0);
        closed.accepted("REVIVE", None);
        closed.next_offer();
        closed.accepted("TEARDOWN", None);
    }
}

/// Behaviour 26.
#[test]
fn a_message_carries_its_bytes_to_the_executor_and_back() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[executor_task(&offer, "t", "e")]);
        let mut executor = lab.executor(encoding, framework.id(), "e");
        executor.wait_for_event("LAUNCH");
        // Bytes that are no text.
        let data = "AP+AAQ0K8J+SpQ==";
        let contents =
            json!({"agent_id": offer["agent_id"], "executor_id": {"value": "e"}, "data": data});
        framework.accepted("MESSAGE", Some(contents));
        assert_eq!(executor.wait_for_event("MESSAGE")["message"]["data"], data);
        let answer = executor.call("MESSAGE", &json!({"data": data})).unwrap();
        assert_eq!(answer.status, 202);
        let message = framework.wait_for_event("MESSAGE")["message"].clone();
        assert_eq!(message["data"], data);
        assert_eq!(message["executor_id"]["value"], "e");
        assert_eq!(message["agent_id"], offer["agent_id"]);
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 27.
#[test]
fn a_request_is_accepted_and_does_no_harm() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let requests =
            json!([{"agent_id": offer["agent_id"], "resources": [scalar(&offer, "cpus", 1.0)]}]);
        framework.accepted("REQUEST", Some(json!({"requests": requests})));
        framework.accepted("REQUEST", Some(json!({"requests": []})));
        framework.launch(&offer, &[task(&offer, "t", "exit 0", 0.1)]);
        framework.wait_for("t", "TASK_FINISHED");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 16: one update of a task is in flight until it is acknowledged.
#[test]
fn the_next_update_comes_after_the_acknowledgement_of_the_last() {
    let lab = Lab::start();
    let mut framework = lab
        .framework(Encoding::Json)
        .acknowledging(Acknowledging::ByHand);
    let offer = framework.next_offer();
    framework.launch(&offer, &[task(&offer, "t", "exit 0", 0.1)]);
    let first = framework.wait_for("t", "TASK_STARTING");
    framework.events_within(SILENCE);
    assert_eq!(framework.states_of("t"), ["TASK_STARTING"]);
    framework.acknowledge(&first);
    framework.wait_for("t", "TASK_RUNNING");
}

/// The golden rule of both encodings: a protobuf stream tells what a JSON stream tells.
#[test]
fn both_encodings_offer_the_same() {
    let lab = Lab::start();
    let [json, protobuf] = Encoding::BOTH.map(|encoding| {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.accepted("TEARDOWN", None);
        offer
    });
    assert_eq!(json["resources"], protobuf["resources"]);
    assert!((amount(&protobuf, "cpus") - 8.0).abs() < f64::EPSILON);
    assert_eq!(json["url"], protobuf["url"]);
}

/// Text outside of ASCII is escaped in a stream, so that lengths in bytes and in characters agree.
#[test]
fn streamed_json_is_ascii() {
    let lab = Lab::start();
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    let unknown = json!([{"task_id": {"value": "täsk-名"}, "agent_id": offer["agent_id"]}]);
    framework.accepted("RECONCILE", Some(json!({"tasks": unknown})));
    loop {
        let record = framework.events().next_record().unwrap().unwrap();
        assert!(record.is_ascii());
        let event = Encoding::Json.decode::<Event>(&record).unwrap();
        if event["type"] == "UPDATE" {
            assert_eq!(event["update"]["status"]["task_id"]["value"], "täsk-名");
            return;
        }
    }
}

/// Wire rule 8: a call for a framework that nobody knows is refused with 400.
#[test]
fn a_call_for_an_unknown_framework_is_refused() {
    let lab = Lab::master_alone(&[]);
    let call = json!({"type": "REVIVE", "framework_id": {"value": "nobody"}});
    let request = Request::json("/api/v1/scheduler", &call).header("Mesos-Stream-Id", "x");
    let answer = lab.client().send(&request).unwrap();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (400, "Framework cannot be found")
    );
}
