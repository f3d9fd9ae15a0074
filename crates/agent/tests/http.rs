//! The agent's HTTP surfaces as clients see them.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_proto::v1::TaskState;
use support::{Agent, FakeMaster, framework, shell};

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[tokio::test]
async fn the_executor_api_refuses_in_the_order_and_words_of_mesos() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let _link = master.accept().await;
    let path = "/api/v1/executor";
    assert_eq!(agent.request("GET", path, &[], "").await.0, 405);
    let (status, body) = agent.request("POST", path, &[], "{}").await;
    assert_eq!(
        (status, body.as_str()),
        (400, "Expecting 'Content-Type' to be present")
    );
    assert_eq!(
        agent
            .request("POST", path, &[("Content-Type", "text/plain")], "{}")
            .await
            .0,
        415
    );
    let (status, body) = agent.request("POST", path, &[JSON], "nonsense").await;
    assert_eq!(status, 400);
    assert!(body.contains("Failed to parse body into JSON"), "{body}");
    let subscribe = r#"{"type":"SUBSCRIBE","executor_id":{"value":"e"},"framework_id":{"value":"f"},"subscribe":{}}"#;
    let (status, _) = agent
        .request("POST", path, &[JSON, ("Accept", "text/html")], subscribe)
        .await;
    assert_eq!(status, 406);
    let (status, body) = agent.request("POST", path, &[JSON], subscribe).await;
    assert_eq!((status, body.as_str()), (400, "Framework cannot be found"));
    let no_type = r#"{"executor_id":{"value":"e"},"framework_id":{"value":"f"}}"#;
    let (status, body) = agent.request("POST", path, &[JSON], no_type).await;
    assert_eq!(
        (status, body.as_str()),
        (
            400,
            "Failed to validate Executor::Call: Expecting 'type' to be present"
        )
    );
}

#[tokio::test]
async fn operator_reads_show_a_running_task() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(
        &master.address,
        None,
        &[("--resources", "cpus:4;mem:1024;disk:100;ports:[1-5]")],
    );
    let mut link = master.accept().await;
    link.run(
        &framework(true),
        vec![shell("run-1", "echo here; exec sleep 60")],
    );
    link.until("run-1", TaskState::TaskRunning).await;
    for call in [
        "GET_HEALTH",
        "GET_FLAGS",
        "GET_VERSION",
        "GET_LOGGING_LEVEL",
        "GET_STATE",
        "GET_CONTAINERS",
        "GET_FRAMEWORKS",
        "GET_EXECUTORS",
        "GET_OPERATIONS",
        "GET_TASKS",
        "GET_AGENT",
        "GET_RESOURCE_PROVIDERS",
    ] {
        let (status, body) = agent
            .request(
                "POST",
                "/api/v1",
                &[JSON],
                &format!(r#"{{"type":"{call}"}}"#),
            )
            .await;
        assert_eq!(status, 200, "{call}: {body}");
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["type"], call);
        assert!(answer.get(call.to_lowercase()).is_some(), "{body}");
        if call == "GET_TASKS" {
            assert_eq!(
                answer["get_tasks"]["launched_tasks"][0]["task_id"]["value"], "run-1",
                "{body}"
            );
        }
        if call == "GET_CONTAINERS" {
            let container = &answer["get_containers"]["containers"][0];
            assert!(
                container["resource_statistics"]["mem_rss_bytes"].is_u64(),
                "{body}"
            );
            assert_eq!(container["resource_statistics"]["processes"], 1, "{body}");
        }
    }
    let (status, body) = agent
        .request(
            "POST",
            "/api/v1",
            &[JSON],
            r#"{"type":"MARK_RESOURCE_PROVIDER_GONE"}"#,
        )
        .await;
    assert_eq!(
        (status, body.as_str()),
        (501, "MARK_RESOURCE_PROVIDER_GONE is not built yet")
    );
    let (status, _) = agent
        .request(
            "POST",
            "/api/v1",
            &[("Content-Type", "application/json; charset=utf-8")],
            "{}",
        )
        .await;
    assert_eq!(status, 415);
}

#[tokio::test]
async fn the_state_and_its_directory_lead_to_the_sandbox() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(
        &master.address,
        None,
        &[("--resources", "cpus:4;mem:1024;disk:100;ports:[1-5]")],
    );
    let mut link = master.accept().await;
    link.run(
        &framework(true),
        vec![shell("run-1", "echo here; exec sleep 60")],
    );
    link.until("run-1", TaskState::TaskRunning).await;
    let state = agent.json("/slave(1)/state.json").await;
    assert_eq!(state["id"], support::AGENT);
    assert_eq!(state["resources"]["cpus"], 4.0);
    assert_eq!(state["resources"]["ports"], "[1-5]");
    let executor = &state["frameworks"][0]["executors"][0];
    assert_eq!(executor["id"], "run-1");
    assert_eq!(executor["tasks"][0]["state"], "TASK_RUNNING");
    assert_eq!(executor["tasks"][0]["executor_id"], "");
    let directory = executor["directory"].as_str().unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    for path in [
        directory.to_owned(),
        "/frameworks/fw-0000/executors/run-1/runs/latest".to_owned(),
    ] {
        let read = agent
            .json(&format!("/files/read?path={path}/stdout&offset=0"))
            .await;
        assert_eq!(
            read,
            serde_json::json!({ "data": "here\n", "offset": 0 }),
            "{path}"
        );
        let browse = agent.json(&format!("/files/browse?path={path}")).await;
        assert!(
            browse
                .as_array()
                .unwrap()
                .iter()
                .any(|entry| entry["path"] == format!("{path}/stdout")),
            "{browse}"
        );
    }
    assert_eq!(
        agent.get("/files/read?path=/etc/passwd&offset=0").await.0,
        404
    );
    assert_eq!(
        agent
            .get(&format!(
                "/files/read?path={directory}/../../../../../../../../../etc/passwd&offset=0"
            ))
            .await
            .0,
        404
    );
    assert!(agent.json("/files/debug").await.get(directory).is_some());
}

#[tokio::test]
async fn metrics_have_every_name_that_exporters_read() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let _link = master.accept().await;
    let metrics = agent.json("/metrics/snapshot").await;
    for name in include_str!("support/metric_names.txt").lines() {
        assert!(metrics[name].is_number(), "{name} is missing");
    }
    assert_eq!(
        agent.json("/monitor/statistics").await,
        serde_json::json!([])
    );
    assert_eq!(agent.json("/version").await["version"], "1.11.0");
    assert!(agent.json("/flags").await["flags"]["work_dir"].is_string());
    assert!(agent.json("/system/stats.json").await["cpus_total"].is_number());
    assert_eq!(agent.get("/health").await, (200, String::new()));
    assert_eq!(agent.get("/nothing").await.0, 404);
}

#[tokio::test]
async fn the_resource_provider_api_says_that_it_is_not_built() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let _link = master.accept().await;
    let path = "/api/v1/resource_provider";
    let json = [("Content-Type", "application/json")];
    let (status, body) = agent
        .request("POST", path, &json, r#"{"type":"SUBSCRIBE"}"#)
        .await;
    assert_eq!(status, 501);
    assert!(body.contains("resource-provider API"), "{body}");
    assert_eq!(agent.get(path).await.0, 405);
}
