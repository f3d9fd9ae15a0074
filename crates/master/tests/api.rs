//! Rules of the APIs that the recordings do not hold: protobuf, limits, redirects, streams, files, changes.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_proto::v1;
use mezz_testkit::framework::{Framework, framework_info};
use mezz_testkit::http_client::Request;
use prost::Message as _;
use serde_json::json;
use support::TestMaster;

const SCHEDULER: &str = "/api/v1/scheduler";

fn subscribe_call() -> v1::scheduler::Call {
    let info = v1::FrameworkInfo {
        user: "root".into(),
        name: "binary".into(),
        ..v1::FrameworkInfo::default()
    };
    v1::scheduler::Call {
        r#type: Some(v1::scheduler::call::Type::Subscribe as i32),
        subscribe: Some(Box::new(v1::scheduler::call::Subscribe {
            framework_info: info,
            ..v1::scheduler::call::Subscribe::default()
        })),
        ..v1::scheduler::Call::default()
    }
}

#[test]
fn a_framework_that_speaks_protobuf_is_answered_in_protobuf() {
    let master = TestMaster::start();
    let mut events = master
        .client()
        .open(&Request::protobuf(SCHEDULER, &subscribe_call()))
        .unwrap();
    assert_eq!(
        events.header("Content-Type"),
        Some("application/x-protobuf")
    );
    let stream_id = events.header("Mesos-Stream-Id").unwrap().to_owned();
    let first: v1::scheduler::Event = events.next_message().unwrap().unwrap();
    let framework_id = first.subscribed.unwrap().framework_id;
    let second: v1::scheduler::Event = events.next_message().unwrap().unwrap();
    assert_eq!(second.r#type(), v1::scheduler::event::Type::Heartbeat);
    let revive = v1::scheduler::Call {
        framework_id: Some(framework_id),
        r#type: Some(v1::scheduler::call::Type::Revive as i32),
        ..v1::scheduler::Call::default()
    };
    let answer = master
        .client()
        .send(&Request::protobuf(SCHEDULER, &revive).header("Mesos-Stream-Id", &stream_id))
        .unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (202, ""));
}

#[test]
fn a_protobuf_body_without_a_required_field_is_refused_with_its_path() {
    let master = TestMaster::start();
    // type SUBSCRIBE, and a subscribe whose framework_info holds only a name.
    let body = vec![0x10, 1, 0x1a, 5, 0x0a, 3, 0x12, 1, b'x'];
    let request = Request::new("POST", SCHEDULER)
        .header("Content-Type", "application/x-protobuf")
        .body(body);
    let answer = master.client().send(&request).unwrap();
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .text()
            .starts_with("Failed to parse body into Call protobuf"),
        "{}",
        answer.text()
    );
    assert!(
        answer.text().contains("subscribe.framework_info.user"),
        "{}",
        answer.text()
    );
}

#[test]
fn no_accept_header_means_json_and_the_operator_api_checks_it_for_every_call() {
    let master = TestMaster::start();
    let call = Request::new("POST", "/api/v1").header("Content-Type", "application/json");
    let call = call.body(br#"{"type": "GET_HEALTH"}"#.to_vec());
    assert_eq!(
        master.client().send(&call).unwrap().json()["get_health"]["healthy"],
        true
    );
    let refused = master
        .client()
        .send(&call.header("Accept", "text/html"))
        .unwrap();
    assert_eq!(refused.status, 406);
    let binary = v1::master::Call {
        r#type: Some(v1::master::call::Type::GetHealth as i32),
        ..v1::master::Call::default()
    };
    let answer = master.client().post_protobuf("/api/v1", &binary).unwrap();
    assert!(
        answer
            .message::<v1::master::Response>()
            .get_health
            .unwrap()
            .healthy
    );
}

#[test]
fn longer_paths_and_queries_reach_the_api_as_in_libprocess() {
    let master = TestMaster::start();
    for path in [
        "/api/v1/operator",
        "/master/api/v1",
        "/api/v1?_ts=1",
        "/api/v1/",
    ] {
        let answer = master
            .client()
            .post_json(path, &json!({"type": "GET_HEALTH"}))
            .unwrap();
        assert_eq!(answer.status, 200, "{path}");
    }
    for path in [
        "/master/state.json",
        "/state/",
        "/master/frameworks/",
        "/metrics/snapshot",
        "/metrics",
    ] {
        assert_eq!(master.client().get(path).unwrap().status, 200, "{path}");
    }
    assert_eq!(master.client().get("/metrics/other").unwrap().status, 404);
    assert_eq!(master.client().get("/redirect/x").unwrap().status, 404);
}

#[test]
fn a_body_above_the_limit_is_refused_with_413() {
    let master = TestMaster::start_with(|options| options.max_body_bytes = 100);
    let answer = master
        .client()
        .post_json(
            "/api/v1",
            &json!({"type": "GET_HEALTH", "x": "y".repeat(200)}),
        )
        .unwrap();
    assert_eq!(answer.status, 413);
    assert!(answer.text().contains("100 bytes"), "{}", answer.text());
}

#[test]
fn weights_can_be_put_and_read_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    // The writer of a stopped master closes its file in a thread of its own.
    let open = |options: &mut mezz_master::MasterOptions| {
        options.backend = loop {
            match mezz_store::open_redb(&file) {
                Ok(backend) => break backend,
                Err(mezz_store::OpenError::InUse { .. }) => {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                Err(error) => panic!("{error}"),
            }
        };
    };
    {
        let master = TestMaster::start_with(open);
        let put =
            Request::new("PUT", "/weights").body(br#"[{"role": "a", "weight": 2.5}]"#.to_vec());
        let answer = master.client().send(&put).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        // The reply came after the view that holds the change.
        assert_eq!(
            master.client().get("/weights").unwrap().json(),
            json!([{"role": "a", "weight": 2.5}])
        );
        let bad =
            Request::new("PUT", "/weights").body(br#"[{"role": "a", "weight": -1}]"#.to_vec());
        assert_eq!(master.client().send(&bad).unwrap().status, 400);
        let malformed = Request::new("PUT", "/weights").body(b"{".to_vec());
        let answer = master.client().send(&malformed).unwrap();
        assert!(
            answer
                .text()
                .starts_with("Failed to parse update weights request JSON"),
            "{}",
            answer.text()
        );
    }
    let master = TestMaster::start_with(open);
    assert_eq!(
        master.client().get("/weights").unwrap().json(),
        json!([{"role": "a", "weight": 2.5}])
    );
}

#[test]
fn a_framework_can_be_torn_down_over_the_old_endpoint() {
    let master = TestMaster::start();
    let mut framework = Framework::subscribe(&master.client(), &framework_info("doomed", &["dev"]));
    let teardown = |body: String| {
        master
            .client()
            .send(&Request::new("POST", "/teardown").body(body.into_bytes()))
            .unwrap()
    };
    assert_eq!(teardown(String::new()).status, 400);
    assert_eq!(teardown("frameworkId=nobody".into()).status, 400);
    assert_eq!(
        teardown(format!("frameworkId={}", framework.id())).status,
        200
    );
    while framework.events().next_json().unwrap().is_some() {}
    let state = master.client().get("/frameworks").unwrap().json();
    assert_eq!(state["completed_frameworks"][0]["name"], "doomed");
    assert_eq!(state["frameworks"], json!([]));
}

#[test]
fn a_framework_whose_stream_breaks_is_disconnected_until_it_comes_back() {
    let master = TestMaster::start();
    let info = framework_info("away", &["dev"]);
    let framework = Framework::subscribe(&master.client(), &info);
    let mut again = info.clone();
    again["id"] = json!({"value": framework.id()});
    let old_stream = framework.stream_id().to_owned();
    drop(framework);
    master.wait_for("/frameworks", |state| {
        state["frameworks"][0]["connected"] == false
    });
    let call = json!({"type": "REVIVE", "framework_id": again["id"]});
    let refused = master
        .client()
        .send(&Request::json(SCHEDULER, &call).header("Mesos-Stream-Id", &old_stream))
        .unwrap();
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (403, "Framework is not subscribed")
    );
    let framework = Framework::subscribe(&master.client(), &again);
    assert_eq!(framework.id(), again["id"]["value"].as_str().unwrap());
    master.wait_for("/frameworks", |state| {
        state["frameworks"][0]["connected"] == true
    });
}

#[test]
fn the_newest_subscription_of_a_framework_wins() {
    let master = TestMaster::start();
    let mut first = Framework::subscribe(&master.client(), &framework_info("twice", &["dev"]));
    let mut info = framework_info("twice", &["dev"]);
    info["id"] = json!({"value": first.id()});
    let second = Framework::subscribe(&master.client(), &info);
    let mut last = json!(null);
    while let Some(event) = first.events().next_json().unwrap() {
        last = event;
    }
    assert_eq!(
        last,
        json!({"type": "ERROR", "error": {"message": "Framework failed over"}})
    );
    second.accepted("REVIVE", None);
}

#[test]
fn the_oldest_operator_stream_is_closed_when_there_are_too_many() {
    let master =
        TestMaster::start_with(|options| options.max_operator_event_stream_subscribers = 1);
    let subscribe = Request::json("/api/v1", &json!({"type": "SUBSCRIBE"}));
    let mut first = master.client().open(&subscribe).unwrap();
    assert_eq!(first.next_json().unwrap().unwrap()["type"], "SUBSCRIBED");
    let mut second = master.client().open(&subscribe).unwrap();
    assert_eq!(second.next_json().unwrap().unwrap()["type"], "SUBSCRIBED");
    while first.next_json().unwrap().is_some() {}
    let _agent = master.agent();
    assert_eq!(second.next_json().unwrap().unwrap()["type"], "HEARTBEAT");
    assert_eq!(second.next_json().unwrap().unwrap()["type"], "AGENT_ADDED");
}

#[test]
fn the_log_is_read_through_both_file_apis() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    std::fs::write(&log, "line one\n").unwrap();
    let master = TestMaster::start_with(|options| options.log_file = Some(log.clone()));
    let client = master.client();
    let size = client
        .get("/files/read.json?path=/master/log&offset=-1")
        .unwrap()
        .json();
    assert_eq!(size, json!({"data": "", "offset": 9}));
    let piece = client
        .get("/files/read?path=%2Fmaster%2Flog&offset=5&length=3")
        .unwrap()
        .json();
    assert_eq!(piece, json!({"data": "one", "offset": 5}));
    assert_eq!(
        client
            .get("/files/read?path=/etc/passwd&offset=0")
            .unwrap()
            .status,
        404
    );
    assert_eq!(client.get("/files/read").unwrap().status, 400);
    let read = json!({"type": "READ_FILE", "read_file": {"path": "/master/log", "offset": 0, "length": 4}});
    let answer = client.post_json("/api/v1", &read).unwrap().json();
    assert_eq!(answer["read_file"], json!({"size": 9, "data": "bGluZQ=="}));
    let downloaded = client.get("/files/download?path=/master/log").unwrap();
    assert_eq!(downloaded.text(), "line one\n");
    assert_eq!(
        downloaded.header("Content-Disposition"),
        Some("attachment; filename=log")
    );
}

#[test]
fn unversioned_answers_can_be_wrapped_and_compressed() {
    let master = TestMaster::start();
    let wrapped = master.client().get("/version?jsonp=f").unwrap();
    assert_eq!(wrapped.header("Content-Type"), Some("text/javascript"));
    assert!(
        wrapped.text().starts_with("f({") && wrapped.text().ends_with("});"),
        "{}",
        wrapped.text()
    );
    let request = Request::get("/metrics/snapshot").header("Accept-Encoding", "gzip");
    assert_eq!(
        master
            .client()
            .send(&request)
            .unwrap()
            .header("Content-Encoding"),
        Some("gzip")
    );
}

#[test]
fn an_agent_that_is_declared_gone_is_told_and_cannot_stay() {
    let master = TestMaster::start();
    let agent = master.agent();
    let call =
        json!({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": agent.id}}});
    assert_eq!(
        master.client().post_json("/api/v1", &call).unwrap().status,
        200
    );
    agent.expect(|body| {
        matches!(
            body,
            mezz_proto::agent_protocol::frame::Body::ShutdownAgent(_)
        )
        .then_some(())
    });
    let agents = master
        .client()
        .post_json("/api/v1", &json!({"type": "GET_AGENTS"}))
        .unwrap()
        .json();
    assert_eq!(agents["get_agents"]["agents"], json!([]));
}

#[test]
fn a_response_in_protobuf_decodes_to_the_same_state() {
    let master = TestMaster::start();
    let agent = master.agent();
    master.wait_for("/slaves", |state| {
        state["slaves"][0]["id"] == agent.id.as_str()
    });
    let call = v1::master::Call {
        r#type: Some(v1::master::call::Type::GetAgents as i32),
        ..v1::master::Call::default()
    };
    let answer = master.client().post_protobuf("/api/v1", &call).unwrap();
    let response = v1::master::Response::decode(answer.body.as_slice()).unwrap();
    let agents = response.get_agents.unwrap().agents;
    assert_eq!(agents[0].agent_info.id.as_ref().unwrap().value, agent.id);
    assert_eq!(agents[0].pid.as_deref(), Some("slave(1)@127.0.0.1:5051"));
}
