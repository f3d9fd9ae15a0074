//! The native API: its errors, its lists, the logs of a task.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use mezz_http::server::{ServerOptions, Service, serve};
use mezz_testkit::framework::{Framework, framework_info};
use mezz_testkit::http_client::Request;
use serde_json::json;
use support::{FakeAgent, TestMaster};

#[test]
fn native_errors_name_what_is_wrong() {
    let master = TestMaster::start();
    let client = master.client();
    let problem = client
        .post_json("/v1/tasks", &json!({"command": "true", "cpu": 1}))
        .unwrap();
    assert_eq!(
        problem.header("Content-Type"),
        Some("application/problem+json")
    );
    assert_eq!(
        (problem.status, problem.json()["status"].as_u64()),
        (400, Some(400))
    );
    assert_eq!(
        problem.json()["detail"],
        "'cpu' is no known key; did you mean 'cpus'?"
    );
    assert_eq!(client.get("/v1/tasks/none").unwrap().status, 404);
    assert_eq!(client.get("/v1/nothing").unwrap().status, 404);
    assert_eq!(
        client
            .send(&Request::new("PUT", "/v1/agents"))
            .unwrap()
            .status,
        405
    );
    let wrong_state = client.get("/v1/tasks?state=RUNNING").unwrap();
    assert!(
        wrong_state.text().contains("TASK_RUNNING"),
        "{}",
        wrong_state.text()
    );
}

#[test]
fn native_lists_show_agents_frameworks_roles_and_offers() {
    let master = TestMaster::start();
    let agent = master.agent();
    let mut framework = Framework::subscribe(&master.client(), &framework_info("shown", &["dev"]));
    let offer = framework.next_offer();
    let get = |path: &str| master.client().get(path).unwrap().json();
    let offers = master.wait_for("/v1/offers", |offers| {
        !offers.as_array().unwrap().is_empty()
    });
    assert_eq!(offers[0]["id"], offer["id"]["value"]);
    let agents = get("/v1/agents");
    assert_eq!(agents[0]["id"], agent.id.as_str());
    assert_eq!(agents[0]["address"], "127.0.0.1:5051");
    assert_eq!(agents[0]["attributes"]["rack"], "r1");
    assert_eq!(agents[0]["resources"]["offered"]["cpus"], 4.0);
    assert_eq!(get("/v1/frameworks")[0]["name"], "shown");
    assert_eq!(get("/v1/roles")[0]["share"], 1.0);
    let why = get(&format!("/v1/why/{}", framework.id()));
    assert_eq!(why["kind"], "framework");
    assert!(get("/v1/openapi.json")["paths"]["/v1/tasks"].is_object());
}

/// An agent's own HTTP endpoint.
struct AgentHttp;

impl Service for AgentHttp {
    async fn handle(self: Arc<Self>, request: mezz_http::Request) -> mezz_http::Response {
        let line = format!(
            "{{\"stream\":\"stdout\",\"offset\":0,\"data\":\"{}\"}}\n",
            request.path_and_query()
        );
        mezz_http::respond::with_type(http::StatusCode::OK, "application/x-ndjson", line)
    }
}

#[test]
fn the_logs_of_a_waiting_task_come_once_it_is_placed() {
    let master = TestMaster::start();
    let created = master
        .client()
        .post_json("/v1/tasks", &json!({"id": "late", "command": "echo"}))
        .unwrap();
    assert_eq!(created.status, 201, "{}", created.text());
    let server = master.runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        serve(listener, Arc::new(AgentHttp), ServerOptions::default()).unwrap()
    });
    let client = master.client();
    // The answer begins only when the task has a place.
    let reader = std::thread::spawn(move || {
        let request = Request::get("/v1/tasks/late/logs?follow=true");
        client
            .open(&request)
            .unwrap()
            .next_bytes()
            .unwrap()
            .unwrap()
    });
    let port = i32::from(server.address().port());
    let agent = FakeAgent::register_at(&master, "cpus:4;mem:4096", port);
    let run = agent.expect_run();
    let first = reader.join().unwrap();
    let expected = format!("/v1/tasks/{}/late/logs?follow=true", run.framework_id.value);
    assert!(
        String::from_utf8_lossy(&first).contains(&expected),
        "{}",
        String::from_utf8_lossy(&first)
    );
}

#[test]
fn events_tell_what_happens_line_by_line() {
    let master = TestMaster::start();
    let mut events = master
        .client()
        .open(&Request::new("GET", "/v1/events").header("Accept", "application/x-ndjson"))
        .unwrap();
    assert_eq!(events.next_bytes().unwrap().unwrap(), b"\n");
    let agent = master.agent();
    let line = events.next_bytes().unwrap().unwrap();
    let event: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(
        (event["type"].as_str(), event["agent_id"].as_str()),
        (Some("agent_added"), Some(agent.id.as_str()))
    );
    assert!(event["sequence"].as_u64().unwrap() > 0);
}
