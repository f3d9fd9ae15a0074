//! The calls of a framework recorded from Apache Mesos, sent again to `mezz master`.

#![allow(clippy::unwrap_used)]

mod recorded;

use mezz_testkit::captures::{Capture, Dialogue, RecordedBody};
use mezz_testkit::compare::{self, Intended};
use mezz_testkit::framework::framework_info;
use mezz_testkit::replay::Replay;
use mezz_testkit::replay::recorded as ids;
use mezz_testkit::{Daemon, Framework, TempCluster};
use recorded::Recorded;
use serde_json::Value;

/// What differs from Mesos on purpose.
const INTENDED: &[Intended] = &[];

/// Dialogues that need offers and agents, or that stand for the whole stream: replayed by the tests below.
const NOT_REPLAYED: &[&str] = &[
    "ACCEPT *",
    "ACKNOWLEDGE",
    "The whole stream of the framework",
];

fn master() -> (TempCluster, Daemon) {
    let mut cluster = TempCluster::new(env!("CARGO_BIN_EXE_mezz")).unwrap();
    let master = cluster.master(&[]).unwrap();
    (cluster, master)
}

fn is_replayed(dialogue: &Dialogue) -> bool {
    let skipped = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(start) => dialogue.title.starts_with(start),
        None => dialogue.title == *pattern,
    };
    !NOT_REPLAYED.iter().any(skipped)
}

#[test]
fn calls_are_answered_as_by_mesos() {
    let (_cluster, master) = master();
    let framework = Framework::subscribe(&master.client(), &framework_info("capture", &["dev"]));
    let replay = Replay::default()
        .with(ids::STREAM, framework.stream_id())
        .with(ids::FRAMEWORK, framework.id());
    let mut found = Vec::new();
    for dialogue in Capture::Scheduler
        .dialogues()
        .iter()
        .filter(|dialogue| is_replayed(dialogue))
    {
        found.extend(replay.differences(&master.client(), dialogue).unwrap());
    }
    compare::judge(found, INTENDED).assert_clean();
}

#[test]
fn refused_subscriptions_get_the_error_event_of_mesos_and_no_more() {
    let (_cluster, master) = master();
    let replay = Replay::default();
    let dialogues = Capture::Scheduler.dialogues();
    let refused =
        |dialogue: &&Dialogue| matches!(dialogue.body, RecordedBody::Chunks { ended: true, .. });
    for dialogue in dialogues.iter().filter(refused) {
        let mut stream = master.client().open(&replay.request(dialogue)).unwrap();
        let mut events = Vec::new();
        while let Some(event) = stream.next_json().unwrap() {
            events.push(event);
        }
        assert_eq!(events, dialogue.events().unwrap(), "{}", dialogue.title);
    }
}

/// What of the recorded stream does not happen here.
const STREAM_INTENDED: &[Intended] = &[Intended {
    dialogue: "*",
    at: "/update/status/container_status/executor_pid",
    reason: "the process of a task starts after TASK_STARTING; its id comes with TASK_RUNNING",
}];

/// The recorded event that tells of the same: its type, and for an update its source, state and reason.
fn kind_of(event: &Value) -> [String; 4] {
    let status = &event["update"]["status"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    [
        text(&event["type"]),
        text(&status["source"]),
        text(&status["state"]),
        text(&status["reason"]),
    ]
}

const RESERVED_VOLUME: &str = "ACCEPT with RESERVE, CREATE and a LAUNCH that uses the volume";

/// Sends the recorded ACCEPT and RECONCILE calls and returns all events of the stream.
fn replay_stream() -> (Vec<Value>, Recorded) {
    let (mut recorded, offer) = Recorded::subscribed();
    recorded.launch(
        &offer,
        "ACCEPT with two command tasks, one with a health check",
    );
    while recorded.framework.updates_of("run-1").len() < 3 {
        recorded.framework.next_event();
    }
    recorded.framework.wait_for("fin-1", "TASK_FAILED");
    let replay = recorded.replay();
    for title in [
        "RECONCILE implicit",
        "RECONCILE explicit of an unknown task",
        "KILL unknown task",
    ] {
        let request = replay.request(&Capture::Scheduler.dialogue(title));
        assert_eq!(recorded.client().send(&request).unwrap().status, 202);
    }
    let offer = recorded.framework.next_offer();
    recorded.launch(&offer, "ACCEPT of an unknown offer");
    recorded.launch(&offer, "ACCEPT asking more than the offer");
    recorded.framework.wait_for("big-1", "TASK_ERROR");
    let offer = recorded.framework.next_offer();
    let title = "ACCEPT with a duplicate task id and an id with a slash";
    recorded.launch(&offer, title);
    recorded.framework.wait_for("a/b", "TASK_ERROR");
    let offer = recorded.framework.next_offer();
    recorded.launch(&offer, RESERVED_VOLUME);
    recorded.framework.wait_for("vol-task", "TASK_ERROR");
    (recorded.framework.seen().to_vec(), recorded)
}

#[test]
fn the_stream_of_a_framework_tells_what_mesos_tells() {
    let (seen, recorded) = replay_stream();
    let stream = Capture::Scheduler.dialogue("The whole stream of the framework");
    let expected = stream.events().unwrap();
    let mut found = Vec::new();
    for event in &seen {
        let alike: Vec<&Value> = expected
            .iter()
            .filter(|one| kind_of(one) == kind_of(event))
            .collect();
        assert!(!alike.is_empty(), "not in the recording: {event}");
        // The recording holds events of pods too; one of the examples must fit.
        let differences = alike
            .iter()
            .map(|one| compare::event_differences(&stream.title, one, event))
            .min_by_key(Vec::len);
        found.extend(differences.unwrap_or_default());
    }
    compare::judge(found, STREAM_INTENDED).assert_clean();
    drop(recorded);
}

#[test]
fn refused_launches_and_reconciliations_are_told_in_the_words_of_mesos() {
    let (seen, _recorded) = replay_stream();
    let stream = Capture::Scheduler.dialogue("The whole stream of the framework");
    let words = |events: &[Value], task: &str| -> Vec<String> {
        let of_master = events.iter().map(|event| &event["update"]["status"]);
        of_master
            .filter(|status| status["task_id"]["value"] == task)
            .filter(|status| status["source"] == "SOURCE_MASTER")
            // What is offered at the moment depends on the speed of offers.
            .map(|status| status["message"].as_str().unwrap_or_default())
            .map(|message| {
                message
                    .split(" is more than available")
                    .next()
                    .unwrap_or_default()
            })
            .map(str::to_owned)
            .collect()
    };
    // Of the volume it says the same here, where RESERVE and CREATE are not built, as there, where the disk was short.
    for task in ["nobody", "lost-1", "big-1", "run-1", "a/b", "vol-task"] {
        assert_eq!(
            words(&seen, task),
            words(&stream.events().unwrap(), task),
            "{task}"
        );
    }
    let states = |task: &str| -> Vec<String> {
        let statuses = seen.iter().map(|event| &event["update"]["status"]);
        statuses
            .filter(|status| status["task_id"]["value"] == task && status.get("uuid").is_some())
            .map(|status| status["state"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(
        states("fin-1"),
        ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]
    );
    assert_eq!(
        states("run-1"),
        ["TASK_STARTING", "TASK_RUNNING", "TASK_RUNNING"]
    );
}
