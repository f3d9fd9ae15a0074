//! The way of a task: SUBSCRIBE, offer, ACCEPT, updates, acknowledgements, over real HTTP and a real agent session.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1::TaskState;
use mezz_testkit::framework::{Framework, framework_info};
use serde_json::{Value, json};
use support::TestMaster;

fn task(id: &str, agent: &str) -> Value {
    json!({
        "name": id,
        "task_id": {"value": id},
        "agent_id": {"value": agent},
        "command": {"value": "sleep 1"},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}, "allocation_info": {"role": "dev"}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 64}, "allocation_info": {"role": "dev"}},
        ],
    })
}

#[test]
fn a_task_goes_from_the_offer_to_its_end() {
    let master = TestMaster::start();
    let agent = master.agent();
    let mut framework = Framework::subscribe(&master.client(), &framework_info("spine", &["dev"]));
    let offer = framework.next_offer();
    assert_eq!(offer["agent_id"]["value"], agent.id.as_str());
    assert_eq!(offer["url"]["address"]["ip"], "127.0.0.1");
    framework.launch(&offer, &[task("t1", &agent.id)]);

    let run = agent.expect_run();
    assert_eq!(run.framework_id.value, framework.id());
    assert_eq!(run.tasks[0].task.task_id.value, "t1");
    for state in [
        TaskState::TaskStarting,
        TaskState::TaskRunning,
        TaskState::TaskFinished,
    ] {
        let uuid = agent.update(framework.id(), "t1", state);
        loop {
            let event = framework.next_event();
            if event["type"] == "UPDATE" {
                assert_eq!(event["update"]["status"]["state"], state.as_str_name());
                break;
            }
        }
        let acknowledged = agent.expect(|body| match body {
            Body::AcknowledgeUpdate(acknowledge) => Some(acknowledge.uuid),
            _ => None,
        });
        assert_eq!(acknowledged, uuid);
    }
    let state = master.wait_for("/state", |state| {
        state["frameworks"][0]["completed_tasks"]
            .as_array()
            .is_some_and(|tasks| tasks.len() == 1)
    });
    assert_eq!(
        state["frameworks"][0]["completed_tasks"][0]["state"],
        "TASK_FINISHED"
    );
    assert_eq!(state["slaves"][0]["used_resources"]["cpus"], 0.0);
}

#[test]
fn a_native_task_runs_without_a_framework_and_can_be_killed() {
    let master = TestMaster::start();
    let client = master.client();
    let answer = client
        .post_json(
            "/v1/tasks",
            &json!({"name": "n", "command": "sleep 9", "cpus": 0.5}),
        )
        .unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let waiting = client.get(&format!("/v1/tasks/{id}")).unwrap().json();
    assert_eq!(waiting["state"], "TASK_STAGING");
    assert!(!waiting["why"].as_array().unwrap().is_empty(), "{waiting}");

    let agent = master.agent();
    let run = agent.expect_run();
    assert_eq!(run.tasks[0].task.task_id.value, id);
    agent.update(&run.framework_id.value, &id, TaskState::TaskRunning);
    master.wait_for("/v1/tasks", |tasks| tasks[0]["state"] == "TASK_RUNNING");
    let killed = client
        .send(&mezz_testkit::http_client::Request::new(
            "DELETE",
            &format!("/v1/tasks/{id}"),
        ))
        .unwrap();
    assert_eq!(killed.status, 202, "{}", killed.text());
    agent.expect(|body| match body {
        Body::KillTask(kill) => Some(kill.task_id.value),
        _ => None,
    });
}

#[test]
fn the_operator_stream_tells_a_snapshot_and_then_what_happens() {
    let master = TestMaster::start();
    let call = json!({"type": "SUBSCRIBE"});
    let mut events = master
        .client()
        .open(&mezz_testkit::http_client::Request::json("/api/v1", &call))
        .unwrap();
    let first = events.next_json().unwrap().unwrap();
    assert_eq!(first["type"], "SUBSCRIBED");
    assert_eq!(first["subscribed"]["heartbeat_interval_seconds"], 15.0);
    assert_eq!(
        first["subscribed"]["get_state"]["get_tasks"]["completed_tasks"],
        json!([])
    );
    assert_eq!(
        events.next_json().unwrap().unwrap(),
        json!({"type": "HEARTBEAT"})
    );

    let agent = master.agent();
    let added = events.next_json().unwrap().unwrap();
    assert_eq!(added["type"], "AGENT_ADDED");
    assert_eq!(
        added["agent_added"]["agent"]["agent_info"]["id"]["value"],
        agent.id.as_str()
    );
    let mut framework =
        Framework::subscribe(&master.client(), &framework_info("watched", &["dev"]));
    assert_eq!(
        events.next_json().unwrap().unwrap()["type"],
        "FRAMEWORK_ADDED"
    );
    let offer = framework.next_offer();
    framework.launch(&offer, &[task("t1", &agent.id)]);
    let added = events.next_json().unwrap().unwrap();
    assert_eq!(added["task_added"]["task"]["task_id"]["value"], "t1");
    agent.expect_run();
    agent.update(framework.id(), "t1", TaskState::TaskRunning);
    let updated = events.next_json().unwrap().unwrap();
    assert_eq!(updated["task_updated"]["state"], "TASK_RUNNING");
    assert_eq!(
        updated["task_updated"]["framework_id"]["value"],
        framework.id()
    );
}
