//! Apps with several health checks and several readiness checks.
#![allow(clippy::unwrap_used)]

mod asking;
mod views;

use asking::Server;
use mezz_facade::marathon;
use mezz_proto::v1::TaskState;
use mezz_workload::event::{CheckFound, Event, FoundByMany, Status};
use serde_json::{Value, json};

fn app() -> Value {
    json!({
        "id": "/web", "cmd": "serve", "portDefinitions": [{ "name": "http" }, { "name": "admin" }],
        "healthChecks": [
            { "protocol": "HTTP", "path": "/up", "portIndex": 0 },
            { "protocol": "MESOS_TCP", "portIndex": 1, "maxConsecutiveFailures": 5 },
            { "protocol": "COMMAND", "command": { "value": "test -e fine" } },
        ],
        "readinessChecks": [
            { "name": "first", "portName": "http", "path": "/ready" },
            { "name": "second", "portName": "admin", "protocol": "HTTPS", "httpStatusCodesForReady": [204] },
        ],
        "check": { "exec": { "command": { "value": "true" } } },
    })
}

/// Marathon with the app, and the id of its task.
fn server() -> (Server, String) {
    let mut server = Server::new(marathon::handle);
    let (status, answer) = server.send("POST", "/v2/apps", &app());
    assert_eq!(status, 201, "{answer}");
    let id = server.cluster.launched[0].clone();
    (server, id)
}

fn tell(server: &mut Server, id: &str, health: &[Option<(bool, u32)>], checks: [CheckFound; 3]) {
    let verdicts: Vec<bool> = health.iter().flatten().map(|(alive, _)| *alive).collect();
    let is_known = verdicts.len() == health.len();
    let is_bad = verdicts.contains(&false);
    let status = Status {
        state: TaskState::TaskRunning,
        at: None,
        reason: None,
        message: "".into(),
        healthy: (is_known || is_bad).then_some(!is_bad),
        check: Some(checks[0]),
        findings: Some(Box::new(FoundByMany {
            health: health.to_vec(),
            checks: vec![None, Some(checks[1]), Some(checks[2])],
        })),
        exit_status: None,
        addresses: Vec::new(),
    };
    let instance = id.into();
    server.cluster.send(Event::Status { instance, status });
}

#[test]
fn several_checks_are_answered_as_they_were_given() {
    let (mut server, id) = server();
    let (status, body) = server.get("/v2/apps/web");
    assert_eq!(status, 200);
    for (index, given) in app()["healthChecks"].as_array().unwrap().iter().enumerate() {
        let shown = &body["app"]["healthChecks"][index];
        for (key, value) in given.as_object().unwrap() {
            assert_eq!(&shown[key], value, "{key} of {index}");
        }
        assert_eq!(shown["intervalSeconds"], 60);
    }
    assert_eq!(body["app"]["healthChecks"].as_array().unwrap().len(), 3);
    assert_eq!(body["app"]["readinessChecks"][1]["protocol"], "HTTPS");
    assert_eq!(body["app"]["readinessChecks"][0]["name"], "first");
    let info = &server.cluster.tasks[&id].info;
    assert_eq!(
        info.health_check
            .as_ref()
            .unwrap()
            .http
            .as_ref()
            .unwrap()
            .path(),
        "/up"
    );
}

#[test]
fn a_task_has_a_result_of_each_health_check_and_an_app_one_of_each_readiness_check() {
    let (mut server, id) = server();
    let found = [
        CheckFound::Http(200),
        CheckFound::Http(200),
        CheckFound::Command(3),
    ];
    tell(
        &mut server,
        &id,
        &[Some((true, 0)), None, Some((false, 2))],
        found,
    );
    let (_, body) = server.get("/v2/apps/web?embed=apps.tasks&embed=apps.readiness");
    let app = &body["app"];
    assert_eq!(
        (&app["tasksHealthy"], &app["tasksUnhealthy"]),
        (&json!(0), &json!(1))
    );
    let task = &app["tasks"][0];
    let results = task["healthCheckResults"].as_array().unwrap();
    let told: Vec<_> = results
        .iter()
        .map(|result| {
            (
                result["alive"] == true,
                result["consecutiveFailures"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [(true, 0), (false, 0), (false, 2)]);
    assert!(results[0].get("lastSuccess").is_some() && results[2].get("lastFailure").is_some());
    assert_eq!(task["checkResult"], json!({ "command": { "exitCode": 3 } }));
    let ready: Vec<_> = app["readinessCheckResults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            (
                result["name"].as_str().unwrap().to_owned(),
                result["ready"] == true,
            )
        })
        .collect();
    assert_eq!(
        ready,
        [("first".to_owned(), true), ("second".to_owned(), false)]
    );

    let found = [
        CheckFound::Http(200),
        CheckFound::Http(204),
        CheckFound::Command(0),
    ];
    tell(&mut server, &id, &[Some((true, 0)); 3], found);
    let (_, body) = server.get("/v2/apps/web?embed=apps.readiness");
    assert_eq!(body["app"]["tasksHealthy"], 1);
    assert_eq!(
        body["app"]["deployments"],
        json!([]),
        "all that is asked for is ready"
    );
}

#[test]
fn a_task_whose_checks_have_all_been_silent_has_no_results() {
    let (mut server, id) = server();
    server.cluster.running(&id);
    let (_, body) = server.get("/v2/apps/web/tasks");
    assert!(body["tasks"][0].get("healthCheckResults").is_none());
}
