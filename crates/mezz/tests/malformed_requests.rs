//! Malformed requests to every endpoint of master and agent: refused in words, never with a fault of ours.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::Lab;
use mezz_testkit::{Client, Encoding, Request};
use serde_json::{Value, json};

const MASTER: &[&str] = &[
    "/",
    "/api/v1/scheduler",
    "/master/api/v1/scheduler",
    "/api/v1",
    "/api/v1/operator",
    "/redirect",
    "/v1",
    "/v1/tasks",
    "/v1/tasks/x",
    "/v1/tasks/x/logs",
    "/v1/agents",
    "/v1/frameworks",
    "/v1/roles",
    "/v1/offers",
    "/v1/why/x",
    "/v1/nope",
    "/health",
    "/version",
    "/flags",
    "/state.json",
    "/master/state",
    "/state-summary",
    "/slaves",
    "/frameworks",
    "/tasks",
    "/roles",
    "/weights",
    "/quota",
    "/teardown",
    "/maintenance/schedule",
    "/maintenance/status",
    "/metrics/snapshot",
    "/metrics",
    "/system/stats.json",
    "/logging/toggle",
    "/files/browse",
    "/files/read",
    "/files/download",
    "/files/debug",
    "/reserve",
    "/unreserve",
    "/create-volumes",
    "/destroy-volumes",
    "/machine/down",
    "/machine/up",
    "/registrar(1)/registry",
    "/nope",
    "/%ff",
    "/../x",
    "//",
];

const AGENT: &[&str] = &[
    "/",
    "/api/v1/executor",
    "/api/v1",
    "/slave(1)/api/v1",
    "/api/v1/resource_provider",
    "/health",
    "/version",
    "/flags",
    "/slave(1)/state",
    "/monitor/statistics",
    "/containers",
    "/metrics/snapshot",
    "/files/browse",
    "/files/read",
    "/files/download",
    "/files/debug",
    "/logging/toggle",
    "/system/stats.json",
    "/containerizer/debug",
    "/nope",
];

const QUERIES: &[&str] = &[
    "?",
    "?path=",
    "?path=/&offset=abc",
    "?path=/nope&offset=-5&length=99999999999999999999",
    "?limit=-1",
    "?limit=x&offset=y&order=z",
    "?slave_id=%ff",
    "?jsonp=%0a",
    "?&&==&",
    "?level=9&duration=1secs",
    "?level=x&duration=y",
    "?timeout=x",
    "?path=%00",
];

const CONTENT_TYPES: &[&str] = &[
    "",
    "application/json",
    "application/x-protobuf",
    "application/recordio",
    "text/plain",
    "x",
];

fn bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        "",
        "{",
        "{}",
        "null",
        "[]",
        "\"x\"",
        "5",
        r#"{"type":5}"#,
        r#"{"type":"NOPE"}"#,
        r#"{"type":null}"#,
        r#"{"type":"GET_STATE","type":"KILL"}"#,
        r#"{"framework_id":{"value":7},"type":"ACCEPT","accept":{"offer_ids":"x"}}"#,
        "framework=x&y",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    bodies.push(b"[".repeat(20_000));
    bodies.push(b"{\"a\":".repeat(20_000));
    bodies.push(b"\xff\xfe\x00".to_vec());
    bodies.push(b"\x08\x01\x12\xff\xff\xff\xff\x0f".to_vec());
    bodies.push(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec());
    bodies
}

/// Calls that lack their contents, or have empty ones, of every kind that does not open a stream.
fn empty_calls() -> Vec<Value> {
    let golden = [
        include_str!("../../proto/tests/golden/scheduler-call.tsv"),
        include_str!("../../proto/tests/golden/executor-call.tsv"),
        include_str!("../../proto/tests/golden/master-call.tsv"),
        include_str!("../../proto/tests/golden/agent-call.tsv"),
    ];
    let kinds = golden.iter().flat_map(|file| file.lines());
    let kinds = kinds.filter_map(|line| line.split('\t').next());
    let mut calls = Vec::new();
    for kind in kinds.filter(|kind| *kind != "SUBSCRIBE") {
        calls.push(json!({"type": kind}));
        let contents = kind.to_lowercase();
        let ids =
            json!({"type": kind, "framework_id": {"value": "x"}, "executor_id": {"value": "y"}});
        calls.push(lab::with(ids, &contents, json!({})));
    }
    calls
}

fn refused_or_served(client: &Client, request: &Request, what: &str) {
    let status = client
        .send(request)
        .unwrap_or_else(|error| panic!("{what}: {error}"))
        .status;
    // 501 names what is not built; 503 says who else to ask.
    let is_fault = status >= 500 && status != 501 && status != 503;
    assert!(!is_fault, "{what}: {status}");
}

fn bombard(client: &Client, paths: &[&str]) {
    for path in paths {
        for query in QUERIES {
            let address = format!("{path}{query}");
            refused_or_served(client, &Request::get(&address), &address);
        }
        for method in ["DELETE", "PATCH", "OPTIONS", "PUT", "BREW"] {
            let request = Request::new(method, path).body(b"{}".to_vec());
            refused_or_served(client, &request, &format!("{method} {path}"));
        }
        for kind in CONTENT_TYPES {
            for body in bodies() {
                let start = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
                let mut request = Request::new("POST", path).body(body);
                if !kind.is_empty() {
                    request = request.header("Content-Type", kind);
                }
                refused_or_served(client, &request, &format!("POST {path} {kind} {start}"));
            }
        }
    }
    for path in ["/api/v1", "/api/v1/scheduler", "/api/v1/executor"] {
        for call in empty_calls() {
            let request = Request::json(path, &call);
            refused_or_served(client, &request, &format!("{path} {call}"));
        }
    }
}

#[test]
fn no_malformed_request_is_a_fault_of_the_server() {
    let mut lab = Lab::start();
    bombard(&lab.client(), MASTER);
    bombard(&lab.agent_client(), AGENT);
    let mut framework = lab.framework(Encoding::Json);
    framework.next_offer();
    for daemon in [&lab.master, lab.agent.as_ref().unwrap()] {
        let lines = daemon.lines();
        let panicked = lines.iter().find(|line| line.contains("panicked"));
        assert_eq!(panicked, None);
    }
    lab.kill_agent();
}

fn assert_says(client: &Client, path: &str, body: &str, words: &str) {
    let request = Request::new("POST", path)
        .header("Content-Type", "application/json")
        .body(body.as_bytes().to_vec());
    let response = client.send(&request).unwrap();
    let text = String::from_utf8_lossy(&response.body).into_owned();
    assert_eq!(response.status, 400, "{body}: {text}");
    assert!(text.contains(words), "{body}: {text}");
}

/// A path, a body, and what the refusal says.
const MASTER_REFUSALS: &[(&str, &str, &str)] = &[
    (
        "/api/v1/scheduler",
        r#"{"type":"SUBSCRIBE"}"#,
        "Expecting 'subscribe'",
    ),
    (
        "/api/v1/scheduler",
        r#"{"type":"KILL","framework_id":{"value":"f"},"kill":{}}"#,
        "kill.task_id",
    ),
    (
        "/api/v1/scheduler",
        r#"{"type":"ACCEPT","framework_id":{},"accept":{}}"#,
        "framework_id.value",
    ),
    ("/api/v1/scheduler", r#"{"type":"KILL",}"#, "line 1"),
    (
        "/api/v1",
        r#"{"type":"READ_FILE","read_file":{"path":"/x"}}"#,
        "read_file.offset",
    ),
    (
        "/api/v1",
        r#"{"type":"UPDATE_WEIGHTS","update_weights":{"weight_infos":[{"role":"a"}]}}"#,
        "weight_infos[0].weight",
    ),
    ("/v1/tasks", r#"{"command":"x","cpus":-1}"#, "cpus: -1 is"),
    (
        "/v1/tasks",
        r#"{"command":"x","nmae":"y"}"#,
        "did you mean 'name'",
    ),
];

const AGENT_REFUSALS: &[(&str, &str, &str)] = &[
    (
        "/api/v1/executor",
        r#"{"type":"SUBSCRIBE"}"#,
        "executor_id, framework_id",
    ),
    (
        "/api/v1",
        r#"{"type":"READ_FILE","read_file":{"offset":1}}"#,
        "read_file.path",
    ),
];

#[test]
fn a_refusal_names_the_field() {
    let lab = Lab::start();
    let (master, agent) = (lab.client(), lab.agent_client());
    let info = |field: &str| {
        format!(
            r#"{{"type":"SUBSCRIBE","subscribe":{{"framework_info":{{"user":"u","name":"n",{field}}}}}}}"#
        )
    };
    let subscribe = "subscribe.framework_info";
    for (field, words) in [
        (
            r#""failover_timeout":"x""#,
            format!("'{subscribe}.failover_timeout': expected a number"),
        ),
        (
            r#""roles":{"a":1}"#,
            format!("'{subscribe}.roles': expected a string"),
        ),
        (
            r#""capabilities":[{"type":7}]"#,
            format!("'{subscribe}.capabilities[0].type'"),
        ),
    ] {
        assert_says(&master, "/api/v1/scheduler", &info(field), &words);
    }
    for (path, body, words) in MASTER_REFUSALS {
        assert_says(&master, path, body, words);
    }
    for (path, body, words) in AGENT_REFUSALS {
        assert_says(&agent, path, body, words);
    }
}
