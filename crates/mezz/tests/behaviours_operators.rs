//! Behaviour 117: readers of the operator's queries.

#![allow(clippy::unwrap_used)]

mod lab;

use std::io::Write;
use std::net::TcpStream;

use lab::{Lab, sleeper};
use mezz_testkit::{Client, Encoding};
use serde_json::{Value, json};

/// A query, and where in its answer is what does not change while nothing happens.
const QUERIES: &[(&str, &[&str])] = &[
    ("/state", &["/frameworks", "/slaves"]),
    ("/tasks", &["/tasks"]),
    ("/frameworks", &["/frameworks"]),
    ("/slaves", &["/slaves"]),
    ("/roles", &["/roles"]),
    (
        "GET_STATE",
        &["/get_state/get_tasks", "/get_state/get_agents"],
    ),
    ("GET_TASKS", &["/get_tasks"]),
    ("GET_FRAMEWORKS", &["/get_frameworks"]),
];

fn ask(client: &Client, query: &str, parts: &[&str]) -> Vec<Value> {
    let answer = if query.starts_with('/') {
        client.get(query)
    } else {
        client.post_json("/api/v1", &json!({"type": query}))
    };
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let body = answer.json();
    let part = |part: &&str| body.pointer(part).unwrap().clone();
    parts.iter().map(part).collect()
}

/// Behaviour 117.
#[test]
fn readers_at_the_same_time_do_not_disturb_each_other() {
    let lab = Lab::start();
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    let ids: Vec<String> = (0..40).map(|number| format!("t{number}")).collect();
    let tasks: Vec<Value> = ids.iter().map(|id| sleeper(&offer, id)).collect();
    framework.launch(&offer, &tasks);
    for id in &ids {
        framework.wait_for(id, "TASK_RUNNING");
    }
    let rest = framework.next_offer();
    framework.decline(&rest, 1000.0);
    let state = |state: &Value| {
        let framework = &state["frameworks"][0];
        framework["offers"] == json!([])
            && framework["tasks"]
                .as_array()
                .is_some_and(|tasks| tasks.iter().all(|task| task["state"] == "TASK_RUNNING"))
    };
    lab.state_where("all is quiet", state);

    // Some readers ask and never read.
    let stopped: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(lab.master.address()).unwrap();
            let request = "GET /state HTTP/1.1\r\nHost: m\r\n\r\n";
            stream.write_all(request.repeat(200).as_bytes()).unwrap();
            stream
        })
        .collect();
    let alone: Vec<Vec<Value>> = QUERIES
        .iter()
        .map(|(query, parts)| ask(&lab.client(), query, parts))
        .collect();
    std::thread::scope(|scope| {
        for reader in 0..12 {
            let (alone, client) = (&alone, lab.client());
            scope.spawn(move || {
                for round in 0..QUERIES.len() {
                    let which = (reader + round) % QUERIES.len();
                    let (query, parts) = QUERIES[which];
                    assert_eq!(ask(&client, query, parts), alone[which], "{query}");
                }
            });
        }
    });
    drop(stopped);
}
