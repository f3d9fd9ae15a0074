//! The calls of a framework recorded from Apache Mesos, sent again to `mezz master`.

#![allow(clippy::unwrap_used)]

use mezz_testkit::captures::{Capture, Dialogue, RecordedBody};
use mezz_testkit::compare::{self, Intended};
use mezz_testkit::framework::framework_info;
use mezz_testkit::replay::{Replay, recorded};
use mezz_testkit::{Daemon, Framework, TempCluster};

/// What differs from Mesos on purpose.
const INTENDED: &[Intended] = &[];

/// Dialogues that need offers and agents, or that stand for the whole stream: tested elsewhere.
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
        .with(recorded::STREAM, framework.stream_id())
        .with(recorded::FRAMEWORK, framework.id());
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
