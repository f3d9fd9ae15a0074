//! Recordings that were frozen (`tests/recordings`): they replay to the same effects, or their version is refused; and
//! what agents of a frozen protocol say is understood.
//!
//! `MEZZ_FREEZE=1 cargo test -p mezz-sim --test frozen` makes those of the present version anew.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mezz_core::effect::Effect;
use mezz_core::event::Event;
use mezz_core::time::Now;
use mezz_proto::agent_protocol::{Frame, frame::Body};
use mezz_proto::decode_binary;
use mezz_recording::{Left, Outcome, ReadError, Replay, Segment, VERSION, Watcher};
use mezz_sim::{End, Recorded, Recording, Settings, Users, World};
use prost::Message;

const SETTINGS: Settings = Settings {
    chaos_s: 45,
    verbose: false,
    restore_every: 0,
    recording: Recording::On,
    users: Users::Nobody,
};
/// The version of the agent protocol whose frames are frozen now.
const PROTOCOL: u32 = 1;

fn recordings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/recordings")
}

/// The first run that is small and in which there is a good deal: several lives of the master, these kinds of events.
fn run_with_a_good_deal() -> Recorded {
    (0..1000)
        .map(|seed| World::new(seed, SETTINGS).run_recorded().1)
        .find(|recorded| {
            let mut kinds = Kinds::default();
            for bytes in &recorded.lives {
                replay(bytes, &mut kinds).unwrap();
            }
            let bytes: usize = recorded.lives.iter().map(Vec::len).sum();
            recorded.lives.len() > 1 && bytes < 300_000 && kinds.0.iter().eq(KINDS)
        })
        .expect("chance is not that mean")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The kinds of events that the frozen lives have taken.
const KINDS: &[&str] = &[
    "Agent",
    "Call",
    "Elected",
    "Native",
    "Operator",
    "PersistFailed",
    "Persisted",
    "StreamClosed",
    "Subscribe",
    "Timer",
];

/// What kinds of events a recording has.
#[derive(Default)]
struct Kinds(BTreeSet<String>);

impl Watcher for Kinds {
    fn before(&mut self, _: u64, _: Now, event: &Event, _: Option<Outcome>) {
        let told = format!("{event:?}");
        let name = told.split(['(', ' ', '{']).next().unwrap_or_default();
        self.0.insert(name.to_owned());
    }

    fn after(&mut self, _: &[Effect]) {}
}

fn replay(bytes: &[u8], kinds: &mut Kinds) -> Result<Left, String> {
    let mut segment = Segment::open(bytes).map_err(|error| error.to_string())?;
    let mut replay = Replay::begin(segment.header()).map_err(|error| error.to_string())?;
    replay
        .run(&mut segment, u64::MAX, kinds)
        .map_err(|error| error.to_string())
}

#[test]
fn every_life_of_a_master_under_faults_replays_to_the_same() {
    for seed in 0..12 {
        let (outcome, recorded) = World::new(seed, SETTINGS).run_recorded();
        outcome.unwrap();
        assert!(!recorded.lives.is_empty());
        for bytes in &recorded.lives {
            let left = replay(bytes, &mut Kinds::default());
            assert_eq!(left, Ok(Left::AtEnd), "seed {seed}");
        }
    }
}

#[test]
fn frozen_recordings_replay_to_the_same_effects_or_their_version_is_refused() {
    let own = recordings().join(format!("master-v{VERSION}"));
    if std::env::var_os("MEZZ_FREEZE").is_some() {
        let _ = std::fs::remove_dir_all(&own);
        std::fs::create_dir_all(&own).unwrap();
        for (life, bytes) in (1..).zip(run_with_a_good_deal().lives) {
            std::fs::write(own.join(format!("{life:020}-000000.mezzrec")), bytes).unwrap();
        }
    }
    let mut kinds = Kinds::default();
    for folder in files(&recordings()) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(version) = name.strip_prefix("master-v") else {
            continue;
        };
        let version: u32 = version.parse().unwrap();
        for file in files(&folder) {
            let bytes = std::fs::read(&file).unwrap();
            if version < VERSION {
                let refused = Segment::open(&bytes).map(|_| ());
                assert_eq!(refused, Err(ReadError::OlderVersion { found: version }));
                continue;
            }
            let left = replay(&bytes, &mut kinds);
            assert_eq!(
                left,
                Ok(Left::AtEnd),
                "{}: what this program makes of the frozen recording differs. If that is meant: was version {VERSION} \
                 released already, then raise VERSION; in both cases freeze one anew \
                 (MEZZ_FREEZE=1 cargo test -p mezz-sim --test frozen)",
                file.display()
            );
        }
    }
    let seen: Vec<&str> = kinds.0.iter().map(String::as_str).collect();
    assert_eq!(seen, KINDS, "the frozen recording of this version");
}

/// A frame to one side, as it stands in a frozen file: whom it is for, its length, its bytes.
fn parse(bytes: &[u8]) -> Vec<(End, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while let Some(([to, length @ ..], after)) = rest.split_first_chunk::<5>() {
        let (frame, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        let to = if *to == b'm' { End::Master } else { End::Peer };
        frames.push((to, frame.to_vec()));
        rest = after;
    }
    assert!(rest.is_empty());
    frames
}

/// Of each kind of body at most some frames, so that the file stays small.
fn write(frames: &[(End, Vec<u8>)]) -> Vec<u8> {
    let mut count: BTreeMap<&str, u32> = BTreeMap::new();
    let mut bytes = Vec::new();
    for (to, frame) in frames {
        let body = decode_binary::<Frame>(frame).unwrap().body.unwrap();
        let count = count.entry(kind(&body)).or_default();
        *count += 1;
        if *count <= 6 {
            bytes.push(if *to == End::Master { b'm' } else { b'a' });
            bytes.extend(u32::try_from(frame.len()).unwrap().to_be_bytes());
            bytes.extend(frame);
        }
    }
    bytes
}

fn kind(body: &Body) -> &'static str {
    match body {
        Body::Hello(_) => "Hello",
        Body::Admitted(_) => "Admitted",
        Body::Refused(_) => "Refused",
        Body::Ping(_) => "Ping",
        Body::Pong(_) => "Pong",
        Body::Part(_) => "Part",
        Body::Register(_) => "Register",
        Body::Reregister(_) => "Reregister",
        Body::StatusUpdate(_) => "StatusUpdate",
        Body::ExecutorMessage(_) => "ExecutorMessage",
        Body::ExecutorExited(_) => "ExecutorExited",
        Body::Unregister(_) => "Unregister",
        Body::Registered(_) => "Registered",
        Body::RunTasks(_) => "RunTasks",
        Body::RunGroup(_) => "RunGroup",
        Body::KillTask(_) => "KillTask",
        Body::AcknowledgeUpdate(_) => "AcknowledgeUpdate",
        Body::FrameworkMessage(_) => "FrameworkMessage",
        Body::ShutdownExecutor(_) => "ShutdownExecutor",
        Body::ShutdownFramework(_) => "ShutdownFramework",
        Body::UpdateFramework(_) => "UpdateFramework",
        Body::ShutdownAgent(_) => "ShutdownAgent",
    }
}

/// Bodies that only a real shell makes, and those that nobody simulated when the protocol was frozen.
const NOT_SIMULATED: &[&str] = &["Part", "ExecutorMessage", "RunGroup"];

#[test]
fn frames_of_the_frozen_agent_protocol_are_understood_whole() {
    let own = recordings().join(format!("agent-protocol-v{PROTOCOL}.frames"));
    if std::env::var_os("MEZZ_FREEZE").is_some() {
        let mut frames = Vec::new();
        for seed in 0..40 {
            let settings = Settings {
                chaos_s: 120,
                ..SETTINGS
            };
            frames.extend(World::new(seed, settings).run_recorded().1.frames);
        }
        std::fs::write(&own, write(&frames)).unwrap();
    }
    let mut kinds = BTreeSet::new();
    for (_, bytes) in parse(&std::fs::read(&own).unwrap()) {
        let frame = decode_binary::<Frame>(&bytes).unwrap();
        let body = frame.body.as_ref().unwrap();
        kinds.insert(kind(body));
        assert_eq!(
            frame.encode_to_vec(),
            bytes,
            "something is lost of {body:?}"
        );
    }
    assert_eq!(kinds.len() + NOT_SIMULATED.len(), 22, "{kinds:?}");
}
