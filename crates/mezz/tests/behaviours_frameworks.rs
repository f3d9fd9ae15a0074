//! Behaviours 28 to 46: the life of a framework.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::{Lab, SILENCE, capable, ids, info, sleeper, task, with, without};
use mezz_testkit::framework::{Acknowledging, Framework, framework_info};
use mezz_testkit::wait::eventually;
use mezz_testkit::{Encoding, HttpError};
use serde_json::{Value, json};

fn id_of(framework: &Framework) -> Value {
    json!({"value": framework.id()})
}

fn error_of(result: Result<Framework, HttpError>) -> String {
    match result {
        Ok(framework) => panic!("{} is subscribed", framework.id()),
        Err(error) => error.to_string(),
    }
}

fn try_subscribe(lab: &Lab, encoding: Encoding, info: &Value) -> Result<Framework, HttpError> {
    let contents = json!({"framework_info": info});
    Framework::try_subscribe_with(encoding, &lab.client(), &contents)
}

/// Behaviour 28.
#[test]
fn another_principal_is_refused_at_a_later_subscription() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let first = lab.framework_with(encoding, &with(info("dev"), "principal", json!("ann")));
        let other = with(
            with(info("dev"), "principal", json!("bob")),
            "id",
            id_of(&first),
        );
        let error = error_of(try_subscribe(&lab, encoding, &other));
        assert!(error.contains(r#""type":"ERROR""#), "{error}");
    }
}

/// Behaviour 29.
#[test]
fn an_id_cannot_be_used_again_after_the_failover_timeout() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let info = with(info("dev"), "failover_timeout", json!(0.05));
        let first = lab.framework_with(encoding, &info);
        let again = with(info, "id", id_of(&first));
        let id = first.id().to_owned();
        drop(first);
        lab.state_where("the framework is completed", |state| {
            ids(&state["completed_frameworks"]).contains(&id.as_str())
        });
        let error = error_of(try_subscribe(&lab, encoding, &again));
        assert!(error.contains("Framework has been removed"), "{error}");
    }
}

/// Behaviour 30.
#[test]
fn an_id_cannot_be_used_again_after_a_teardown() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let first = lab.framework(encoding);
        first.accepted("TEARDOWN", None);
        let again = with(info("dev"), "id", id_of(&first));
        let error = error_of(try_subscribe(&lab, encoding, &again));
        assert!(error.contains("Framework has been removed"), "{error}");
    }
}

/// Behaviour 31.
#[test]
fn an_update_without_acknowledgement_goes_to_the_new_instance() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut first = lab.framework(encoding).acknowledging(Acknowledging::ByHand);
        let offer = first.next_offer();
        first.launch(&offer, &[sleeper(&offer, "t")]);
        let update = first.wait_for("t", "TASK_STARTING");
        let again = with(info("dev"), "id", id_of(&first));
        let mut second = lab.framework_with(encoding, &again);
        let repeated = second.wait_for("t", "TASK_STARTING");
        assert_eq!(repeated["uuid"], update["uuid"]);
        second.accepted("TEARDOWN", None);
    }
}

/// Behaviour 32.
#[test]
fn without_a_failover_timeout_the_end_of_the_stream_ends_the_tasks() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let info = with(info("dev"), "failover_timeout", json!(0.0));
        let mut framework = lab.framework_with(encoding, &info);
        let offer = framework.next_offer();
        framework.launch(&offer, &[sleeper(&offer, "t")]);
        framework.wait_for("t", "TASK_RUNNING");
        drop(framework);
        let agent = lab.agent_client();
        eventually("the agent has ended the task", || {
            let state = agent.get("/state").unwrap().json();
            state["frameworks"].as_array()?.is_empty().then_some(())
        });
        lab.state_where("the framework is completed", |state| {
            state["frameworks"].as_array().unwrap().is_empty()
        });
    }
}

/// Behaviour 33.
#[test]
fn old_offers_are_void_after_a_new_subscription_and_the_resources_are_offered_again() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut first = lab.framework(encoding);
        let old = first.next_offer();
        let again = with(info("dev"), "id", id_of(&first));
        let mut second = lab.framework_with(encoding, &again);
        let new = second.next_offer();
        assert_ne!(new["id"], old["id"]);
        assert_eq!(new["resources"], old["resources"]);
        second.launch(&old, &[sleeper(&old, "t")]);
        let lost = second.wait_for("t", "TASK_DROPPED");
        assert_eq!(lost["reason"], "REASON_INVALID_OFFERS");
        second.accepted("TEARDOWN", None);
    }
}

/// Behaviour 34.
#[test]
fn a_failover_may_change_name_address_labels_and_capabilities() {
    let mut lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        for restart in [false, true] {
            let first = lab.framework(encoding);
            let id = id_of(&first);
            if restart {
                lab.restart_master();
            }
            let changed = json!({
                "user": info("dev")["user"], "id": id, "name": "renamed", "roles": ["dev"],
                "checkpoint": true, "failover_timeout": 60.0, "hostname": "elsewhere",
                "webui_url": "http://elsewhere/", "labels": {"labels": [{"key": "k", "value": "v"}]},
                "capabilities": [{"type": "MULTI_ROLE"}, {"type": "TASK_KILLING_STATE"}],
            });
            let second = lab.framework_with(encoding, &changed);
            let state = lab.state_where("the new name is shown", |state| {
                state["frameworks"][0]["name"] == "renamed"
            });
            let shown = &state["frameworks"][0];
            assert_eq!(shown["id"], second.id());
            assert_eq!(shown["webui_url"], "http://elsewhere/");
            assert_eq!(shown["hostname"], "elsewhere");
            assert_eq!(shown["labels"], json!([{"key": "k", "value": "v"}]));
            assert_eq!(
                shown["capabilities"],
                json!(["MULTI_ROLE", "TASK_KILLING_STATE"])
            );
            second.accepted("TEARDOWN", None);
        }
    }
}

/// Behaviour 36.
#[test]
fn calls_of_a_replaced_instance_have_no_effect() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut first = lab.framework(encoding);
        let offer = first.next_offer();
        first.launch(&offer, &[sleeper(&offer, "t")]);
        first.wait_for("t", "TASK_RUNNING");
        let again = with(info("dev"), "id", id_of(&first));
        let mut second = lab.framework_with(encoding, &again);
        let answer = first
            .call("KILL", Some(json!({"task_id": {"value": "t"}})))
            .unwrap();
        assert_eq!(answer.status, 400, "{}", answer.text());
        second.events_within(SILENCE);
        assert_eq!(second.states_of("t"), Vec::<&str>::new());
        second.accepted("TEARDOWN", None);
    }
}

/// Behaviour 37.
#[test]
fn update_framework_refuses_another_user_principal_or_checkpointing() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let old = with(info("dev"), "principal", json!("ann"));
        let framework = lab.framework_with(encoding, &old);
        let old = with(old, "id", id_of(&framework));
        let changes = [
            ("user", json!("nobody")),
            ("principal", json!("bob")),
            ("checkpoint", json!(false)),
        ];
        for (field, value) in changes {
            let new = with(with(old.clone(), "name", json!("other")), field, value);
            let answer = framework.call("UPDATE_FRAMEWORK", Some(json!({"framework_info": new})));
            let answer = answer.unwrap();
            assert_eq!(answer.status, 400, "{field}: {}", answer.text());
            let shown = lab.client().get("/frameworks").unwrap().json();
            let all = shown["frameworks"].as_array().unwrap();
            let shown = all.iter().find(|one| one["id"] == framework.id()).unwrap();
            assert_eq!(shown["name"], "behaviour", "{field}");
        }
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 38.
#[test]
fn update_framework_changes_every_other_field_for_queries_events_and_agents() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[sleeper(&offer, "t")]);
        framework.wait_for("t", "TASK_RUNNING");
        let subscribe = mezz_testkit::Request::json("/api/v1", &json!({"type": "SUBSCRIBE"}));
        let mut operator = lab.client().open(&subscribe).unwrap();
        operator
            .next_json_where(|event| event["type"] == "SUBSCRIBED")
            .unwrap();
        let new = json!({
            "user": info("dev")["user"], "id": id_of(&framework), "name": "renamed",
            "roles": ["dev", "ops"], "checkpoint": true, "failover_timeout": 77.0,
            "hostname": "elsewhere", "webui_url": "http://elsewhere/",
            "labels": {"labels": [{"key": "k", "value": "v"}]},
            "capabilities": [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}, {"type": "TASK_KILLING_STATE"}],
        });
        let contents = json!({"framework_info": new, "suppressed_roles": ["ops"]});
        let answer = framework.call("UPDATE_FRAMEWORK", Some(contents)).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let event = operator.next_json_where(|event| event["type"] == "FRAMEWORK_UPDATED");
        let event = event.unwrap().unwrap();
        let told = &event["framework_updated"]["framework"]["framework_info"];
        let asked = json!({"type": "GET_FRAMEWORKS"});
        let answer = lab.client().post_json("/api/v1", &asked).unwrap().json();
        let all = answer["get_frameworks"]["frameworks"].as_array().unwrap();
        let is_ours = |one: &&Value| one["framework_info"]["id"]["value"] == framework.id();
        let shown = &all.iter().find(is_ours).unwrap()["framework_info"];
        for (field, value) in new.as_object().unwrap() {
            assert_eq!(&shown[field], value, "GET_FRAMEWORKS: {field}");
            assert_eq!(&told[field], value, "FRAMEWORK_UPDATED: {field}");
        }
        let agent = lab.agent_client();
        eventually("the agent knows the new name", || {
            let state = agent.get("/state").unwrap().json();
            let all = state["frameworks"].as_array()?.clone();
            let is_renamed = |one: &Value| one["name"] == "renamed" && one["id"] == framework.id();
            all.iter().any(is_renamed).then_some(())
        });
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviours 39 and 40.
#[test]
fn a_role_that_is_added_brings_offers_and_one_that_is_removed_rescinds_them() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let first = framework.next_offer();
        assert_eq!(first["allocation_info"]["role"], "dev");
        let update = |roles: &[&str]| {
            let new = with(framework_info("behaviour", roles), "id", id_of(&framework));
            let answer = framework.call("UPDATE_FRAMEWORK", Some(json!({"framework_info": new})));
            assert_eq!(answer.unwrap().status, 200);
        };
        update(&["ops"]);
        let rescind = framework.wait_for_event("RESCIND");
        assert_eq!(rescind["rescind"]["offer_id"], first["id"]);
        let second = framework.next_offer();
        assert_eq!(second["allocation_info"]["role"], "ops");
        framework.accepted("TEARDOWN", None);
    }
}

fn constraints(predicate: &Value) -> Value {
    json!({"role_constraints": {"dev": {"groups": [{"attribute_constraints": [
        {"selector": {"attribute_name": "rack"}, "predicate": predicate},
    ]}]}}})
}

/// Behaviour 41.
#[test]
fn new_offer_constraints_hide_agents_from_then_on() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let update = |framework: &Framework, predicate: &Value| {
            let same = with(info("dev"), "id", id_of(framework));
            let contents =
                json!({"framework_info": same, "offer_constraints": constraints(predicate)});
            let answer = framework.call("UPDATE_FRAMEWORK", Some(contents)).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        };
        update(&framework, &json!({"exists": {}}));
        framework.decline(&offer, 0.0);
        let events = framework.events_within(SILENCE);
        assert!(
            events.iter().all(|event| event["type"] != "OFFERS"),
            "{events:?}"
        );
        update(&framework, &json!({"not_exists": {}}));
        framework.next_offer();
        let broken = constraints(&json!({"text_matches": {"regex": "[a-d"}}));
        let same = with(info("dev"), "id", id_of(&framework));
        let contents = json!({"framework_info": same, "offer_constraints": broken});
        let answer = framework.call("UPDATE_FRAMEWORK", Some(contents)).unwrap();
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains("Offer constraints are not valid"));
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 42.
#[test]
fn offer_constraints_for_a_role_without_subscription_are_refused() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let framework = lab.framework(encoding);
        let new = with(framework_info("renamed", &["ops"]), "id", id_of(&framework));
        let constraints = constraints(&json!({"exists": {}}));
        let contents = json!({"framework_info": new, "offer_constraints": constraints});
        let answer = framework.call("UPDATE_FRAMEWORK", Some(contents)).unwrap();
        assert_eq!(answer.status, 400, "{}", answer.text());
        let shown = lab.client().get("/frameworks").unwrap().json();
        assert_eq!(shown["frameworks"][0]["name"], "behaviour");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 43.
#[test]
fn roles_without_the_multi_role_capability_are_an_error() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let error = error_of(try_subscribe(&lab, encoding, &capable(info("dev"), &[])));
        assert!(error.contains(r#""type":"ERROR""#), "{error}");
        let old = with(
            without(capable(info("dev"), &[]), "roles"),
            "role",
            json!("dev"),
        );
        try_subscribe(&lab, encoding, &old).unwrap();
    }
}

/// Behaviour 44.
#[test]
fn roles_may_change_at_a_failover_and_tasks_of_an_old_role_go_on() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut first = lab.framework(encoding);
        let offer = first.next_offer();
        first.launch(&offer, &[sleeper(&offer, "t")]);
        first.wait_for("t", "TASK_RUNNING");
        let changed = with(info("ops"), "id", id_of(&first));
        let mut second = lab.framework_with(encoding, &changed);
        assert_eq!(second.next_offer()["allocation_info"]["role"], "ops");
        second.events_within(SILENCE);
        let state = lab.state_where("the framework is shown with its task", |state| {
            state["frameworks"][0]["tasks"]
                .as_array()
                .is_some_and(|tasks| !tasks.is_empty())
        });
        let framework = &state["frameworks"][0];
        assert_eq!(ids(&framework["tasks"]), ["t"]);
        assert_eq!(framework["tasks"][0]["state"], "TASK_RUNNING");
        assert_eq!(framework["tasks"][0]["role"], "dev");
        second.accepted("TEARDOWN", None);
        lab.state_where("the framework is gone", |state| {
            state["frameworks"].as_array().unwrap().is_empty()
        });
    }
}

/// Behaviour 45, of which the rights are not built.
#[test]
fn teardown_by_an_operator_needs_the_id_of_a_framework() {
    let lab = Lab::master_alone(&[]);
    let mut framework = lab.framework(Encoding::Json);
    let post = |body: &str| {
        let request = mezz_testkit::Request::new("POST", "/teardown")
            .header("Content-Type", "application/x-www-form-urlencoded");
        lab.client()
            .send(&request.body(body.as_bytes().to_vec()))
            .unwrap()
    };
    assert_eq!(post("").status, 400);
    assert_eq!(post("frameworkId=nobody").status, 400);
    assert_eq!(post(&format!("frameworkId={}", framework.id())).status, 200);
    framework.rest();
    let state = lab.client().get("/state").unwrap().json();
    assert_eq!(state["completed_frameworks"][0]["id"], framework.id());
    assert_eq!(state["frameworks"], json!([]));
}

/// Behaviour 46.
#[test]
fn a_framework_known_only_from_agents_is_recovered_and_not_connected() {
    let mut lab = Lab::start();
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    framework.launch(&offer, &[sleeper(&offer, "t")]);
    framework.wait_for("t", "TASK_RUNNING");
    lab.restart_master();
    let state = lab.state_where("the agent has come back with its task", |state| {
        state["frameworks"][0]["tasks"]
            .as_array()
            .is_some_and(|tasks| !tasks.is_empty())
    });
    let shown = &state["frameworks"][0];
    assert_eq!(shown["id"], framework.id());
    assert_eq!(shown["recovered"], true);
    assert_eq!(shown["connected"], false);
    assert_eq!(shown["active"], false);
    let again = with(info("dev"), "id", id_of(&framework));
    let back = lab.framework(Encoding::Json);
    drop(back);
    let mut back = lab.framework_with(Encoding::Json, &again);
    back.accepted("RECONCILE", Some(json!({"tasks": []})));
    back.wait_for("t", "TASK_RUNNING");
}

/// Behaviour 35, as far as live agents hold the tasks: completed ones are told by the agent of a live framework.
#[test]
fn a_completed_task_is_known_again_after_a_restart_of_the_master() {
    let mut lab = Lab::start();
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    let tasks = [sleeper(&offer, "on"), task(&offer, "done", "exit 0", 0.1)];
    framework.launch(&offer, &tasks);
    framework.wait_for("on", "TASK_RUNNING");
    framework.wait_for("done", "TASK_FINISHED");
    lab.state_where("the end is acknowledged", |state| {
        ids(&state["frameworks"][0]["completed_tasks"]) == ["done"]
    });
    lab.restart_master();
    let _back = lab.framework_with(Encoding::Json, &with(info("dev"), "id", id_of(&framework)));
    lab.state_where("both tasks are known again", |state| {
        let framework = &state["frameworks"][0];
        ids(&framework["tasks"]) == ["on"] && ids(&framework["completed_tasks"]) == ["done"]
    });
}
