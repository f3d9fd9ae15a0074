//! The queries recorded from Apache Mesos, sent again to a master and an agent in a comparable state.

#![allow(clippy::unwrap_used)]

mod recorded;

use std::collections::BTreeSet;

use mezz_testkit::captures::{Capture, Dialogue};
use mezz_testkit::compare::{self, Difference, Intended};
use mezz_testkit::{Client, Response};
use recorded::Recorded;
use serde_json::Value;

/// What differs from Mesos on purpose.
const INTENDED: &[Intended] = &[];

fn answer(recorded: &Recorded, client: &Client, dialogue: &Dialogue) -> (Response, Vec<Difference>) {
    let response = client.send(&recorded.replay().request(dialogue)).unwrap();
    let found = compare::differences(dialogue, &response);
    (response, found)
}

fn replay(capture: Capture, client: impl Fn(&Recorded) -> Client) {
    let recorded = Recorded::with_tasks();
    let client = client(&recorded);
    let mut found = Vec::new();
    for dialogue in capture.dialogues() {
        found.extend(answer(&recorded, &client, &dialogue).1);
    }
    compare::judge(found, INTENDED).assert_clean();
}

#[test]
fn calls_of_operators_are_answered_as_by_a_mesos_master() {
    replay(Capture::MasterOperator, Recorded::client);
}

#[test]
fn endpoints_answer_as_those_of_a_mesos_master() {
    replay(Capture::MasterUnversioned, Recorded::client);
}

#[test]
fn calls_of_operators_are_answered_as_by_a_mesos_agent() {
    replay(Capture::AgentOperator, |recorded| recorded.agent.client());
}

#[test]
fn endpoints_answer_as_those_of_a_mesos_agent() {
    replay(Capture::AgentUnversioned, |recorded| {
        recorded.agent.client()
    });
}

fn keys(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(|metric| metric["name"].as_str().map(str::to_owned))
            .collect(),
        _ => BTreeSet::new(),
    }
}
