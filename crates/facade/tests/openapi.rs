//! The descriptions of the facades' APIs say what their routers do, no more and no less.

#![allow(clippy::unwrap_used, reason = "tests")]

mod asking;

use asking::{Facade, Server};
use mezz_facade::{chronos, marathon, metronome};
use serde_json::{Value, json};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A request to each path of a document with each method: an operation that is described is one that the router knows, and
/// what it knows is described.
fn agree(
    facade: Facade,
    document: &Value,
    prepare: &[(&str, &str, Value)],
    names: &[(&str, &str)],
) {
    for (template, item) in document["paths"].as_object().unwrap() {
        let mut path = template.clone();
        for (name, value) in names {
            path = path.replace(&format!("{{{name}}}"), value);
        }
        assert!(!path.contains('{'), "{path}");
        for method in METHODS {
            let mut server = Server::new(facade);
            for (method, path, body) in prepare {
                let (status, told) = server.send(method, path, body);
                assert!(status < 300, "{method} {path}: {status} {told}");
            }
            let status = asked(&mut server, method, &path);
            let own = item.get(method.to_lowercase()).is_some();
            assert_eq!(
                own || is_id(document, method, &path),
                status,
                "{method} {path}"
            );
        }
    }
}

/// Whether this may be meant for an app or group whose id ends in such a word, as `/v2/apps/{id}` has it.
fn is_id(document: &Value, method: &str, path: &str) -> bool {
    // What is sure to be about tasks, versions or all below a group is no id, whatever the method.
    let words = path.split('/').rev().take(2).collect::<Vec<_>>();
    let is_group = path.starts_with("/v2/groups/");
    let is_surely_not = matches!(
        words.as_slice(),
        ["tasks" | "versions" | "*", ..] | [_, "versions"]
    );
    let general = if is_group {
        "/v2/groups/{id}"
    } else {
        "/v2/apps/{id}"
    };
    !is_surely_not
        && path.starts_with(general.trim_end_matches("{id}"))
        && document["paths"][general]
            .get(method.to_lowercase())
            .is_some()
}

/// Whether the router knows this.
fn asked(server: &mut Server, method: &str, path: &str) -> bool {
    let (status, told) = server.send(method, path, &Value::Null);
    let words = told["message"].as_str().unwrap_or_default();
    // Events are refused by the same status to whoever does not take a stream.
    let is_unknown = status == 405 && !words.contains("stream") || words == "Unknown route.";
    !is_unknown
}

#[test]
fn what_is_described_of_marathon_is_what_it_does() {
    let prepare = [(
        "POST",
        "/v2/apps",
        json!({ "id": "/g/a", "cmd": "sleep 9" }),
    )];
    let names = [
        ("id", "g/a"),
        ("group", "g"),
        ("deployment", "d"),
        ("task", "g_a.instance-1._app.1"),
        ("version", "2026-01-01T00:00:00.000Z"),
    ];
    agree(marathon::handle, &marathon::openapi(), &prepare, &names);
}

#[test]
fn what_is_described_of_metronome_is_what_it_does() {
    let schedule = json!({ "id": "s", "cron": "0 3 * * *" });
    let prepare = [
        (
            "POST",
            "/v1/jobs",
            json!({ "id": "a", "run": { "cmd": "true" } }),
        ),
        ("POST", "/v1/jobs/a/schedules", schedule),
    ];
    let names = [("id", "a"), ("schedule", "s"), ("run", "r")];
    agree(metronome::handle, &metronome::openapi(), &prepare, &names);
}

#[test]
fn what_is_described_of_chronos_is_what_it_does() {
    let prepare = [(
        "POST",
        "/v1/scheduler/iso8601",
        json!({ "name": "a", "command": "true" }),
    )];
    let names = [("name", "a"), ("task", "t"), ("which", "median")];
    agree(chronos::handle, &chronos::openapi(), &prepare, &names);
}

#[test]
fn every_reference_of_a_description_leads_somewhere_and_every_schema_is_used() {
    for document in [
        marathon::openapi(),
        metronome::openapi(),
        chronos::openapi(),
    ] {
        let text = document.to_string();
        let pointers: Vec<&str> = text
            .split("\"$ref\":\"#")
            .skip(1)
            .filter_map(|part| part.split('"').next())
            .collect();
        for pointer in &pointers {
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        for name in document["components"]["schemas"]
            .as_object()
            .unwrap()
            .keys()
        {
            let pointer = format!("/components/schemas/{name}");
            assert!(pointers.contains(&pointer.as_str()), "{name} is not used");
        }
    }
}

#[test]
fn paths_that_are_not_described_are_not_there() {
    for (facade, path) in [
        (marathon::handle as Facade, "/v2/app"),
        (marathon::handle, "/v2/queue/a/b"),
        (marathon::handle, "/v1/apps"),
        (metronome::handle, "/v1/jobs/a/b/c"),
        (metronome::handle, "/v2/jobs"),
        (chronos::handle, "/v1/scheduler/job"),
        (chronos::handle, "/v1/scheduler/graph/png"),
    ] {
        let (status, told) = Server::new(facade).get(path);
        assert_eq!(status, 404, "{path}: {told}");
    }
}
