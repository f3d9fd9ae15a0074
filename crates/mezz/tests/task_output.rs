//! The output of a task over the API of a real cluster: as lines, as server-sent events, as plain text, and again from
//! where a reader was.

#![allow(clippy::unwrap_used)]

use mezz_testkit::http_client::Request;
use mezz_testkit::{Client, TempCluster};
use serde_json::{Value, json};

fn run(client: &Client, id: &str, command: &str) {
    let created = client.post_json("/v1/tasks", &json!({"id": id, "command": command}));
    assert_eq!(created.unwrap().status, 201);
}

/// The whole answer.
fn read(client: &Client, path: &str, accept: &str, last: Option<&str>) -> (u16, String, String) {
    let mut request = Request::new("GET", path).header("Accept", accept);
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last);
    }
    let mut stream = client.open(&request).unwrap();
    let mut body = Vec::new();
    while let Some(piece) = stream.next_bytes().unwrap() {
        body.extend(piece);
    }
    let kind = stream.header("Content-Type").unwrap_or_default().to_owned();
    (stream.status, kind, String::from_utf8(body).unwrap())
}

/// Id, event and data of each event.
fn events(text: &str) -> Vec<(String, String, Value)> {
    let event = |block: &str| {
        let field = |name: &str| {
            let value = block.lines().find_map(|line| line.strip_prefix(name));
            value
                .unwrap_or_else(|| panic!("no {name} in {block}"))
                .to_owned()
        };
        let data = serde_json::from_str(&field("data: ")).unwrap();
        (field("id: "), field("event: "), data)
    };
    let blocks = text.split("\n\n").filter(|block| !block.starts_with(':'));
    blocks
        .filter(|block| !block.trim().is_empty())
        .map(event)
        .collect()
}

#[test]
fn output_comes_as_it_is_asked_for_and_goes_on_where_a_reader_was() {
    let mut cluster = TempCluster::new(env!("CARGO_BIN_EXE_mezz")).unwrap();
    let dev = cluster.dev(&[]).unwrap();
    let client = dev.client();
    run(
        &client,
        "talks",
        "echo one; echo two; printf '\\377'; echo err >&2",
    );
    let path = "/v1/tasks/talks/logs?follow=true";
    let (status, kind, text) = read(&client, path, "text/event-stream", None);
    assert_eq!((status, kind.as_str()), (200, "text/event-stream"));
    let all = events(&text);
    let (id, name, end) = all.last().unwrap();
    assert_eq!(
        (id.as_str(), name.as_str()),
        ("stdout=9,stderr=4,end", "end")
    );
    assert_eq!(end["end"]["state"], "TASK_FINISHED");
    assert!(
        all[..all.len() - 1]
            .iter()
            .all(|(_, name, _)| name == "output")
    );
    // What was read is not told again, in whatever format the reader goes on.
    let (_, _, text) = read(
        &client,
        path,
        "text/event-stream",
        Some("stdout=4,stderr=4"),
    );
    let rest = events(&text);
    assert_eq!(
        (&rest[0].2["offset"], &rest[0].2["stream"]),
        (&json!(4), &json!("stdout"))
    );
    let (_, kind, lines) = read(&client, path, "*/*", Some("stdout=9"));
    assert_eq!(kind, "application/x-ndjson");
    let records: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        records[0],
        json!({"stream": "stderr", "offset": 0, "data": "err\n"})
    );
    assert_eq!(records[1]["end"]["wait_status"], 0);
    // Whoever has been told the end is told to stay away.
    let ended = read(&client, path, "text/event-stream", Some(id));
    assert_eq!((ended.0, ended.2.as_str()), (204, ""));
    let path = "/v1/tasks/talks/logs?stream=stderr&offset=1";
    let (_, kind, text) = read(&client, path, "text/plain", None);
    let plain = "text/plain; charset=utf-8";
    assert_eq!((kind.as_str(), text.as_str()), (plain, "rr\n"));
}

#[test]
fn what_cannot_be_given_is_refused_by_name() {
    let mut cluster = TempCluster::new(env!("CARGO_BIN_EXE_mezz")).unwrap();
    let dev = cluster.dev(&[]).unwrap();
    let client = dev.client();
    run(&client, "big", "true");
    for (accept, last, status, words) in [
        ("image/png", None, 406, "text/plain"),
        ("text/event-stream", Some("17"), 400, "Last-Event-ID: '17'"),
    ] {
        let (seen, kind, text) = read(&client, "/v1/tasks/big/logs", accept, last);
        assert_eq!((seen, kind.as_str()), (status, "application/problem+json"));
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_task_that_waits_and_is_killed_ends_its_readers_in_their_format() {
    let mut cluster = TempCluster::new(env!("CARGO_BIN_EXE_mezz")).unwrap();
    let dev = cluster.dev(&[]).unwrap();
    let client = dev.client();
    let task = json!({"id": "waits", "command": "true", "cpus": 100_000});
    assert_eq!(client.post_json("/v1/tasks", &task).unwrap().status, 201);
    let path = "/v1/tasks/waits/logs?follow=true";
    let now = read(&client, "/v1/tasks/waits/logs", "text/plain", None);
    assert_eq!(
        now,
        (200, "text/plain; charset=utf-8".to_owned(), String::new())
    );
    let (reader, plain) = (dev.client(), dev.client());
    let readers = std::thread::spawn(move || read(&reader, path, "text/event-stream", None));
    let plain = std::thread::spawn(move || read(&plain, path, "text/plain", None));
    let killed = client
        .send(&Request::new("DELETE", "/v1/tasks/waits"))
        .unwrap();
    assert_eq!(killed.status, 202);
    let (_, _, text) = readers.join().unwrap();
    let end = &events(&text)[0];
    assert_eq!(
        (end.0.as_str(), &end.2["end"]["state"]),
        ("end", &json!("TASK_KILLED"))
    );
    assert_eq!(plain.join().unwrap().2, "");
}

#[test]
fn output_that_was_collected_is_told_as_that_and_not_as_silence() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = TempCluster::new(env!("CARGO_BIN_EXE_mezz")).unwrap();
    let dev = cluster
        .dev(&["--work-dir", folder.path().to_str().unwrap()])
        .unwrap();
    let client = dev.client();
    run(&client, "old", "echo one");
    let followed = "/v1/tasks/old/logs?follow=true";
    assert_eq!(read(&client, followed, "text/plain", None).2, "one\n");
    let sandboxes = folder.path().join("agent-1/sandboxes");
    for framework in std::fs::read_dir(&sandboxes).unwrap() {
        std::fs::remove_dir_all(framework.unwrap().path()).unwrap();
    }
    let (status, _, text) = read(&client, "/v1/tasks/old/logs", "text/plain", None);
    assert_eq!(status, 404, "{text}");
    assert!(text.contains("its sandbox was collected"), "{text}");
    // Whoever follows wants to hear of the end as well.
    assert_eq!(read(&client, followed, "text/plain", None).0, 200);
}
