//! Requests that are refused, each with the place and a word of the reason, and with nothing changed.

#![allow(clippy::unwrap_used, reason = "tests")]

mod asking;

use asking::{Facade, Server};
use mezz_facade::{chronos, marathon, metronome};
use serde_json::{Value, json};

/// One line of a corpus.
struct Case<'a> {
    method: &'a str,
    path: &'a str,
    place: &'a str,
    words: String,
    body: &'a str,
}

impl<'a> Case<'a> {
    fn of(line: &'a str) -> Self {
        let parts: Vec<&str> = line.splitn(4, " | ").collect();
        let &[request, place, words, body] = parts.as_slice() else {
            panic!("{line}");
        };
        let (method, path) = request.split_once(' ').unwrap();
        Self {
            method,
            path,
            place,
            words: words.to_lowercase(),
            body,
        }
    }

    /// Whether a refusal says what it is to say, where it is to say it.
    fn is_told(&self, answer: &Value) -> bool {
        let has = |text: &Value| {
            text.as_str()
                .unwrap_or_default()
                .to_lowercase()
                .contains(&self.words)
        };
        let message = &answer["message"];
        let details = answer["details"].as_array();
        if self.place.is_empty() {
            return has(message);
        }
        let Some(details) = details else {
            let text = message.as_str().unwrap_or_default();
            return text.contains(&format!("{}: ", self.place)) && has(message);
        };
        let mut there = details.iter().filter(|one| one["path"] == self.place);
        there.any(|one| one["errors"].as_array().unwrap().iter().any(has))
    }
}

fn all_are_refused(
    facade: Facade,
    corpus: &str,
    least: usize,
    prepare: &[(&str, Value)],
    lists: &[&str],
) {
    let mut server = Server::new(facade);
    for (path, body) in prepare {
        let (status, told) = server.send("POST", path, body);
        assert!(status < 300, "{path}: {status} {told}");
    }
    let state = |server: &mut Server| -> Vec<(u16, Value)> {
        lists.iter().map(|path| server.get(path)).collect()
    };
    let before = state(&mut server);
    let mut wrong = Vec::new();
    let lines = corpus.lines().filter(|line| !line.starts_with('#'));
    let cases: Vec<Case<'_>> = lines.map(Case::of).collect();
    for case in &cases {
        let (status, answer) = server.parted(case.method, case.path, case.body);
        if !(400..500).contains(&status) || !case.is_told(&answer) {
            let Case {
                method,
                path,
                place,
                words,
                body,
            } = case;
            wrong.push(format!(
                "{method} {path} | {place} | {words} | {body}\n    {status} {answer}"
            ));
        }
        let is_same = state(&mut server) == before;
        assert!(is_same, "{} {} has changed something", case.path, case.body);
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert!(cases.len() >= least, "{} cases", cases.len());
}

#[test]
fn every_bad_request_to_marathon_is_refused_at_its_place_and_changes_nothing() {
    let prepare = [
        ("/v2/apps", json!({ "id": "/g/a", "cmd": "sleep 9" })),
        ("/v2/apps", json!({ "id": "/g/b", "cmd": "sleep 9" })),
    ];
    let lists = ["/v2/groups", "/v2/tasks", "/v2/deployments"];
    let corpus = include_str!("corpus/marathon.txt");
    all_are_refused(marathon::handle, corpus, 60, &prepare, &lists);
}

#[test]
fn every_bad_request_to_metronome_is_refused_at_its_place_and_changes_nothing() {
    let prepare = [
        ("/v1/jobs", json!({ "id": "a", "run": { "cmd": "x" } })),
        ("/v1/jobs", json!({ "id": "b", "run": { "cmd": "x" } })),
        (
            "/v1/jobs/a/schedules",
            json!({ "id": "s", "cron": "0 3 * * *" }),
        ),
    ];
    let lists = ["/v1/jobs?embed=schedules,activeRuns,history"];
    let corpus = include_str!("corpus/metronome.txt");
    all_are_refused(metronome::handle, corpus, 30, &prepare, &lists);
}

#[test]
fn every_bad_request_to_chronos_is_refused_at_its_place_and_changes_nothing() {
    let prepare = [
        (
            "/v1/scheduler/iso8601",
            json!({ "name": "a", "command": "x", "schedule": "R/2030-01-01T00:00:00Z/PT1H" }),
        ),
        (
            "/v1/scheduler/dependency",
            json!({ "name": "b", "command": "x", "parents": ["a"] }),
        ),
    ];
    let lists = ["/v1/scheduler/jobs", "/v1/scheduler/jobs/summary"];
    let corpus = include_str!("corpus/chronos.txt");
    all_are_refused(chronos::handle, corpus, 30, &prepare, &lists);
}
