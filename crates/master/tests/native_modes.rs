//! The three modes of a GET of the native API: plain with a tag, waiting for a change, and a stream.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_testkit::http_client::Request;
use serde_json::{Value, json};
use support::{FakeAgent, TestMaster};

fn run(master: &TestMaster, id: &str, label: &str) {
    let body = json!({"id": id, "command": "x", "labels": {"team": label}});
    let created = master.client().post_json("/v1/tasks", &body).unwrap();
    assert_eq!(created.status, 201, "{}", created.text());
}

fn ids(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap();
    list.iter().map(|one| one["id"].as_str().unwrap()).collect()
}

fn number(answer: &mezz_testkit::http_client::Response, header: &str) -> u64 {
    answer.header(header).unwrap().parse().unwrap()
}

/// Reads lines until one satisfies the condition; returns all of them.
fn lines_until(
    stream: &mut mezz_testkit::event_stream::EventStream,
    enough: impl Fn(&Value) -> bool,
) -> Vec<Value> {
    let mut seen = Vec::new();
    let mut text = String::new();
    loop {
        while let Some((line, rest)) = text.clone().split_once('\n') {
            text = rest.chars().collect();
            if line.is_empty() {
                continue;
            }
            let value: Value = serde_json::from_str(line).unwrap();
            let last = enough(&value);
            seen.push(value);
            if last {
                return seen;
            }
        }
        let piece = stream.next_bytes().unwrap().unwrap();
        text.push_str(&String::from_utf8(piece).unwrap());
    }
}

#[test]
fn an_answer_that_the_client_has_is_not_sent_again() {
    let master = TestMaster::start();
    for path in ["/v1/tasks", "/v1/version", "/v1/openapi.json", "/v1/events"] {
        let first = master.client().get(path).unwrap();
        assert_eq!(first.status, 200, "{path}");
        let tag = first.header("ETag").unwrap().to_owned();
        let again = Request::get(path).header("If-None-Match", &tag);
        let again = master.client().send(&again).unwrap();
        assert_eq!((again.status, again.text().as_str()), (304, ""), "{path}");
        assert_eq!(again.header("ETag"), Some(tag.as_str()));
    }
    let tag = master.client().get("/v1/tasks").unwrap();
    let tag = tag.header("ETag").unwrap().to_owned();
    run(&master, "a", "x");
    let changed = Request::get("/v1/tasks").header("If-None-Match", &tag);
    assert_eq!(master.client().send(&changed).unwrap().status, 200);
}

#[test]
fn a_reader_waits_for_the_change_after_its_index() {
    let master = TestMaster::start();
    let index = number(&master.client().get("/v1/tasks").unwrap(), "Mezz-Index");
    let waiting = Request::get(&format!("/v1/tasks?index={index}&wait=20ms"));
    let same = master.client().send(&waiting).unwrap();
    assert_eq!(number(&same, "Mezz-Index"), index);
    let client = master.client();
    let reader = std::thread::spawn(move || {
        let path = format!("/v1/tasks?index={index}&wait=30s");
        client.get(&path).unwrap()
    });
    run(&master, "a", "x");
    let answer = reader.join().unwrap();
    assert_eq!(ids(&answer.json()), ["a"]);
    assert!(number(&answer, "Mezz-Index") > index);
    // Nobody who knows an older state waits.
    let path = format!("/v1/tasks?index={index}&wait=10m");
    assert_eq!(master.client().get(&path).unwrap().status, 200);
}

#[test]
fn one_task_is_waited_for_by_itself() {
    let master = TestMaster::start();
    run(&master, "a", "x");
    let client = master.client();
    let reader = std::thread::spawn(move || {
        let mut index = 0;
        loop {
            let path = format!("/v1/tasks/a?index={index}&wait=30s");
            let answer = client.get(&path).unwrap();
            let task = answer.json();
            if task["agent_id"] != Value::Null {
                return task;
            }
            assert!(number(&answer, "Mezz-Index") > index);
            index = number(&answer, "Mezz-Index");
        }
    });
    run(&master, "b", "x");
    let agent = FakeAgent::register(&master, "cpus:4;mem:4096");
    let placed = reader.join().unwrap();
    assert_eq!(placed["id"], "a");
    assert_eq!(placed["agent_id"], agent.id.as_str());
}

#[test]
fn a_stream_begins_with_what_is_there_and_goes_on_with_every_change() {
    let master = TestMaster::start();
    run(&master, "a", "x");
    let request =
        Request::new("GET", "/v1/tasks?label=team=x").header("Accept", "application/x-ndjson");
    let mut stream = master.client().open(&request).unwrap();
    let first = lines_until(&mut stream, |line| line["op"] == "synced");
    assert_eq!(first[0]["op"], "snapshot");
    assert_eq!(
        (&first[1]["op"], &first[1]["object"]["id"]),
        (&json!("put"), &json!("a"))
    );
    run(&master, "other", "y");
    run(&master, "b", "x");
    let then = lines_until(&mut stream, |line| line["op"] == "synced");
    assert_eq!(then[0]["object"]["id"], "b", "{then:?}");
    kill(&master, "a");
    let last = lines_until(&mut stream, |line| line["op"] == "synced");
    assert_eq!(
        (&last[0]["op"], &last[0]["id"]),
        (&json!("delete"), &json!("a"))
    );
}

/// The records of a stream up to the first moment that is told whole.
fn beginning(master: &TestMaster, path: &str, last: Option<u64>) -> Vec<Value> {
    let mut request = Request::new("GET", path).header("Accept", "application/x-ndjson");
    if let Some(last) = last {
        request = request.header("Last-Event-ID", &last.to_string());
    }
    let mut stream = master.client().open(&request).unwrap();
    lines_until(&mut stream, |line| line["op"] == "synced")
}

fn told(records: &[Value]) -> Vec<(&str, &str)> {
    let id = |record: &Value| match record["op"].as_str() {
        Some("put") => record["object"]["id"].as_str().map(str::to_owned),
        _ => record["id"].as_str().map(str::to_owned),
    };
    let mut told = Vec::new();
    for record in records {
        let op = record["op"].as_str().unwrap();
        let id: &str = id(record).unwrap_or_default().leak();
        told.push((op, id));
    }
    told
}

fn kill(master: &TestMaster, id: &str) {
    let killed = Request::new("DELETE", &format!("/v1/tasks/{id}"));
    assert_eq!(master.client().send(&killed).unwrap().status, 202);
}

#[test]
fn a_broken_stream_goes_on_with_the_changes_alone_removals_included() {
    let master = TestMaster::start();
    for id in ["a", "b", "c"] {
        run(&master, id, "x");
    }
    let first = beginning(&master, "/v1/tasks", None);
    let index = first.last().unwrap()["index"].as_u64().unwrap();
    let resumed = beginning(&master, "/v1/tasks", Some(index));
    assert_eq!(told(&resumed), [("resumed", ""), ("synced", "")]);
    kill(&master, "b");
    run(&master, "d", "x");
    // One that comes and goes while the reader is away is at most told as gone.
    run(&master, "e", "x");
    kill(&master, "e");
    master.wait_for("/v1/tasks", |tasks| ids(tasks) == ["a", "c", "d"]);
    let resumed = beginning(&master, "/v1/tasks", Some(index));
    let told = told(&resumed);
    assert_eq!(told[0], ("resumed", ""), "{told:?}");
    let b_and_d = told.contains(&("delete", "b")) && told.contains(&("put", "d"));
    assert!(b_and_d, "{told:?}");
    for (op, id) in told {
        assert!(!["a", "c"].contains(&id), "{id} has not changed");
        assert!(id != "e" || op == "delete", "e is gone");
    }
}

#[test]
fn a_stream_that_cannot_go_on_begins_anew_and_says_so() {
    let master = TestMaster::start();
    run(&master, "a", "x");
    let list = master.client().get("/v1/tasks").unwrap();
    let old = number(&list, "Mezz-Index");
    run(&master, "b", "x");
    // Nobody has read a stream yet, so nothing was kept.
    for index in [old, old + 1_000_000_000] {
        let begun = beginning(&master, "/v1/tasks", Some(index));
        assert_eq!(
            told(&begun),
            [("snapshot", ""), ("put", "a"), ("put", "b"), ("synced", "")]
        );
        let reason = begun[0]["reason"].as_str().unwrap();
        assert!(reason.contains(&index.to_string()), "{reason}");
    }
    assert_eq!(
        beginning(&master, "/v1/tasks", None)[0],
        json!({"op": "snapshot"})
    );
}

#[test]
fn streams_of_every_list_go_on() {
    let master = TestMaster::start();
    let paths = ["/v1/agents", "/v1/frameworks", "/v1/roles", "/v1/offers"];
    let index = |path| {
        let first = beginning(&master, path, None);
        assert_eq!(first[0]["op"], "snapshot", "{path}");
        first.last().unwrap()["index"].as_u64().unwrap()
    };
    let before = paths.map(index);
    let agent = FakeAgent::register(&master, "cpus:4;mem:4096");
    let id = agent.id.clone();
    master.wait_for("/v1/agents", |agents| ids(agents) == [id.as_str()]);
    run(&master, "a", "x");
    master.wait_for("/v1/roles", |roles| {
        roles[0]["resources"]["used"]["cpus"] != json!(0.0)
    });
    for (path, index) in paths.into_iter().zip(before) {
        let resumed = beginning(&master, path, Some(index));
        assert_eq!(resumed[0]["op"], "resumed", "{path}");
        let has_puts = resumed.iter().any(|record| record["op"] == "put");
        assert_eq!(has_puts, path != "/v1/offers", "{path}: {resumed:?}");
    }
}

#[test]
fn server_sent_events_carry_the_index_to_go_on_from() {
    let master = TestMaster::start();
    run(&master, "a", "x");
    let request = Request::new("GET", "/v1/tasks").header("Accept", "text/event-stream");
    let mut stream = master.client().open(&request).unwrap();
    let mut text = String::new();
    while !text.contains("event: synced") {
        text.push_str(&String::from_utf8(stream.next_bytes().unwrap().unwrap()).unwrap());
    }
    assert!(text.contains("event: put\ndata: {\"object\":{"), "{text}");
    let id = text.split("id: ").nth(1).unwrap();
    let id = id.split('\n').next().unwrap().parse().unwrap();
    let resumed = beginning(&master, "/v1/tasks", Some(id));
    assert_eq!(resumed[0]["op"], "resumed");
}

#[test]
fn events_are_read_after_a_snapshot_without_a_gap() {
    let master = TestMaster::start();
    let list = master.client().get("/v1/agents").unwrap();
    let sequence = number(&list, "Mezz-Event-Sequence");
    let agent = FakeAgent::register(&master, "cpus:4;mem:4096");
    master.wait_for("/v1/agents", |agents| ids(agents) == [agent.id.as_str()]);
    let path = format!("/v1/events?after={sequence}&wait=10s&type=agent_added");
    let events = master.client().get(&path).unwrap();
    assert_eq!(events.json()[0]["agent_id"], agent.id.as_str());
    let seen = events.json()[0]["sequence"].as_u64().unwrap();
    assert!(seen > sequence && number(&events, "Mezz-Index") >= seen);
    let resumed = Request::new("GET", "/v1/events")
        .header("Accept", "text/event-stream")
        .header("Last-Event-ID", &(seen - 1).to_string());
    let mut stream = master.client().open(&resumed).unwrap();
    let first = String::from_utf8(stream.next_bytes().unwrap().unwrap()).unwrap();
    assert!(
        first.starts_with(&format!("id: {seen}\nevent: agent_added\n")),
        "{first}"
    );
}

#[test]
fn events_that_are_no_longer_kept_are_refused_with_where_to_begin() {
    let master = TestMaster::start();
    let _agent = FakeAgent::register(&master, "cpus:4;mem:4096");
    master.wait_for("/v1/events", |events| {
        !events.as_array().unwrap().is_empty()
    });
    let gone = master.client().get("/v1/events?after=1").unwrap();
    assert_eq!(gone.status, 410, "{}", gone.text());
    assert_eq!(
        gone.header("Content-Type"),
        Some("application/problem+json")
    );
    let hint = gone.json()["hint"].as_str().unwrap().to_owned();
    let begin = hint
        .split("?after=")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let begun = master
        .client()
        .get(&format!("/v1/events?after={begin}"))
        .unwrap();
    assert_eq!(begun.json()[0]["type"], "agent_added", "{}", begun.text());
}

#[test]
fn lists_are_filtered_and_read_page_by_page() {
    let master = TestMaster::start();
    for (id, team) in [("a", "x"), ("b", "y"), ("c", "x"), ("d", "x")] {
        run(&master, id, team);
    }
    let get = |path: &str| master.client().get(path).unwrap();
    assert_eq!(ids(&get("/v1/tasks?label=team=x").json()), ["a", "c", "d"]);
    assert_eq!(ids(&get("/v1/tasks?label=team=z").json()), [""; 0]);
    assert_eq!(ids(&get("/v1/tasks?state=TASK_RUNNING").json()), [""; 0]);
    let mut seen = Vec::new();
    let mut path = "/v1/tasks?label=team&limit=3".to_owned();
    loop {
        let page = get(&path);
        seen.extend(ids(&page.json()).iter().map(|id| (*id).to_owned()));
        let Some(cursor) = page.header("Mezz-Next-Cursor") else {
            break;
        };
        path = format!("/v1/tasks?label=team&limit=3&cursor={cursor}");
    }
    assert_eq!(seen, ["a", "b", "c", "d"]);
    for path in ["/v1/roles?role=*", "/v1/roles/*"] {
        assert_eq!(get(path).status, 200, "{path}");
    }
    assert_eq!(get("/v1/agents/none").status, 404);
    assert_eq!(get("/v1/tasks?cursor=x").status, 400);
}
