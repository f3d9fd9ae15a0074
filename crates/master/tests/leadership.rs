//! Two masters on one store, and a master that may no longer write.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use mezz_master::{MasterEnd, MasterOptions, run};
use mezz_testkit::http_client::{Client, Request};
use serde_json::json;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn options(backend: &mezz_store::Backend) -> MasterOptions {
    MasterOptions::new(backend.clone(), "127.0.0.1:0".parse().unwrap())
}

fn put_weight(client: &Client, weight: &str) -> mezz_testkit::http_client::Response {
    let body = format!(r#"[{{"role": "a", "weight": {weight}}}]"#);
    client
        .send(&Request::new("PUT", "/weights").body(body.into_bytes()))
        .unwrap()
}

#[test]
fn a_standby_sends_clients_to_the_leader_and_takes_over_its_state() {
    let runtime = runtime();
    let backend = mezz_store::open_memory().unwrap();
    let (first, second) = runtime.block_on(async {
        let first = run(options(&backend)).await.unwrap();
        first.ready().await;
        let second = run(options(&backend)).await.unwrap();
        (first, second)
    });
    let leader = Client::new(first.address().to_string());
    let standby = Client::new(second.address().to_string());
    assert_eq!(put_weight(&leader, "3.5").status, 200);

    // The standby learns of the leader a moment after it starts.
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let redirected = loop {
        let answer = standby.get("/state?a=b").unwrap();
        if answer.status == 307 {
            break answer;
        }
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (503, "No leader elected")
        );
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    };
    let expected = format!("//{}/state?a=b", leader.address());
    assert_eq!(redirected.header("Location"), Some(expected.as_str()));
    let base = format!("//{}", leader.address());
    assert_eq!(
        standby.get("/redirect").unwrap().header("Location"),
        Some(base.as_str())
    );
    for path in ["/api/v1", "/api/v1/scheduler", "/v1/tasks"] {
        assert_eq!(
            standby.post_json(path, &json!({})).unwrap().status,
            307,
            "{path}"
        );
    }
    for path in ["/health", "/version", "/flags", "/metrics/snapshot"] {
        assert_eq!(standby.get(path).unwrap().status, 200, "{path}");
    }

    assert_eq!(runtime.block_on(first.shutdown()), MasterEnd::Stopped);
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(10), second.ready()).await })
        .unwrap();
    assert_eq!(
        standby.get("/weights").unwrap().json(),
        json!([{"role": "a", "weight": 3.5}])
    );
    runtime.block_on(second.shutdown());
}

#[test]
fn a_master_whose_write_is_fenced_steps_down_and_answers_nobody_falsely() {
    let runtime = runtime();
    let backend = mezz_store::open_memory().unwrap();
    let master = runtime.block_on(async {
        let master = run(options(&backend)).await.unwrap();
        master.ready().await;
        master
    });
    let client = Client::new(master.address().to_string());
    // A restore raises the epoch, as another leader would.
    backend
        .store
        .restore(backend.store.backup().unwrap())
        .unwrap();
    let refused = put_weight(&client, "2");
    assert_eq!(refused.status, 503, "{}", refused.text());
    let end = runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(10), master.ended()).await })
        .unwrap();
    assert!(matches!(end, MasterEnd::SteppedDown(_)), "{end:?}");
    assert_eq!(client.get("/state").unwrap().status, 503);
    assert_eq!(client.get("/health").unwrap().status, 200);
}

#[test]
fn a_marathon_that_abdicates_leaves_its_apps_to_the_next() {
    let runtime = runtime();
    let backend = mezz_store::open_memory().unwrap();
    // The store of this test outlives its masters.
    let durable = || {
        let mut options = options(&backend);
        options.flags.insert("registry".into(), "redb".into());
        options
    };
    let (first, second) = runtime.block_on(async {
        let first = run(durable()).await.unwrap();
        first.ready().await;
        (first, run(durable()).await.unwrap())
    });
    let leader = Client::new(first.address().to_string());
    let app = json!({ "id": "/web", "cmd": "serve", "healthChecks": [{ "protocol": "TCP" }] });
    let posted = leader.post_json("/service/marathon/v2/apps", &app).unwrap();
    assert_eq!(posted.status, 201, "{}", posted.text());
    let abdicate = Request::new("DELETE", "/service/marathon/v2/leader");
    let answer = leader.send(&abdicate).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let limit = Duration::from_secs(10);
    let end = runtime
        .block_on(async { tokio::time::timeout(limit, first.ended()).await })
        .unwrap();
    assert!(matches!(end, MasterEnd::SteppedDown(_)), "{end:?}");
    runtime.block_on(first.shutdown());
    runtime
        .block_on(async { tokio::time::timeout(limit, second.ready()).await })
        .unwrap();
    let next = Client::new(second.address().to_string());
    let found = next.get("/service/marathon/v2/apps//web").unwrap().json();
    assert_eq!(found["app"]["version"], posted.json()["version"]);
    assert_eq!(found["app"]["healthChecks"][0]["protocol"], "TCP");
    let deployments = next.get("/service/marathon/v2/deployments").unwrap().json();
    assert_eq!(deployments[0]["affectedApps"], json!(["/web"]));
    runtime.block_on(second.shutdown());
}
