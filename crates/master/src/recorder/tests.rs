//! What is in the ring when the state of the master takes much of it.

use std::path::Path;

use mezz_core::config::Config;
use mezz_core::effect::Effects;
use mezz_core::event::{Elected, OperatorAction, OperatorCall, Subscribe};
use mezz_core::key::{RequestKey, StreamKey};
use mezz_core::time::{Mono, Wall};
use mezz_proto::v1;
use mezz_recording::{Left, Outcome, Replay, Segment, Snapshot, Watcher};

use super::*;

/// So many frameworks make a state of about 120 kB, packed.
const LARGE: u64 = 400;

/// A core whose state grows and shrinks, and its recorder.
struct Recorded {
    core: Master,
    recorder: Recorder,
    events: u64,
}

impl Recorded {
    fn start(folder: &Path, max_bytes: u64) -> Self {
        let core = Master::new(Config {
            max_completed_frameworks: 0,
            ..Config::default()
        });
        let options = RecorderOptions {
            folder: folder.to_owned(),
            max_bytes,
        };
        let recorder = Recorder::start(&options, 1, &core).unwrap();
        let mut recorded = Self {
            core,
            recorder,
            events: 0,
        };
        recorded.take(Event::Elected(Box::new(Elected {
            epoch: 1,
            master_id: "m".into(),
            seed: 1,
            snapshot: Vec::new(),
        })));
        recorded
    }

    fn take(&mut self, event: Event) {
        self.events += 1;
        let now = Now {
            mono: Mono(self.events),
            wall: Wall(self.events),
        };
        let mut effects = Effects::default();
        self.recorder.begin(now, &event);
        self.core.handle(now, event, &mut effects);
        self.recorder.end(&effects.list);
        self.recorder.settle(&self.core);
        if self.events.is_multiple_of(20) {
            self.wait_until_written();
        }
    }

    /// A framework comes, with a name that takes room.
    fn subscribe(&mut self, number: u64) {
        let framework_info = v1::FrameworkInfo {
            user: "u".into(),
            name: noise(number),
            ..v1::FrameworkInfo::default()
        };
        let subscribe = v1::scheduler::call::Subscribe {
            framework_info,
            ..Default::default()
        };
        self.take(Event::Subscribe(Box::new(Subscribe {
            stream: StreamKey(number),
            stream_id: number.to_string(),
            principal: None,
            subscribe,
        })));
    }

    /// A framework goes, and is forgotten.
    fn leave(&mut self, number: u64) {
        self.take(Event::StreamClosed(StreamKey(number)));
    }

    /// Something that leaves the state as large as it is.
    fn weigh(&mut self, weight: u64) {
        self.take(Event::Operator(Box::new(OperatorCall {
            request: RequestKey(1),
            principal: None,
            action: OperatorAction::UpdateWeights(vec![v1::WeightInfo {
                role: Some(noise(0)),
                weight: (1 + weight) as f64,
            }]),
        })));
    }

    fn stands(&mut self, standing: Standing) {
        for weight in 0..2000 {
            if self.recorder.standing == standing {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
            self.weigh(weight);
        }
        panic!("it is {:?}", self.recorder.standing);
    }

    fn wait_until_written(&self) {
        while !self.recorder.queue.is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// A text that does not pack well.
fn noise(number: u64) -> String {
    let mut state = number + 1;
    let digits = (0..60).map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(9);
        format!("{:06x}", state >> 40)
    });
    digits.collect()
}

struct Unwatched;

impl Watcher for Unwatched {
    fn before(&mut self, _: u64, _: Now, _: &Event, _: Option<Outcome>) {}

    fn after(&mut self, _: &[Effect]) {}
}

/// Replays what is there: for each stretch without a gap its first and its last event.
fn replay(folder: &Path) -> Vec<(u64, u64)> {
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    let mut replay: Option<Replay> = None;
    for path in segments(folder).unwrap() {
        let bytes = std::fs::read(path).unwrap();
        let mut segment = Segment::open(&bytes).unwrap();
        let begin = segment.header().events_before;
        match &mut replay {
            Some(replay) if replay.continues_in(segment.header()).unwrap() => {}
            _ => {
                replay = Some(Replay::begin(segment.header()).unwrap());
                stretches.push((begin + 1, begin));
            }
        }
        let core = replay.as_mut().unwrap();
        let left = core.run(&mut segment, u64::MAX, &mut Unwatched).unwrap();
        assert_eq!(left, Left::AtEnd);
        stretches.last_mut().unwrap().1 = core.event();
    }
    stretches
}

fn size(folder: &Path) -> u64 {
    let sizes = segments(folder).unwrap().into_iter();
    sizes.map(|path| path.metadata().unwrap().len()).sum()
}

#[test]
fn a_state_of_more_than_a_quarter_of_the_ring_is_recorded_on() {
    const RING: u64 = 400 << 10;
    let folder = tempfile::tempdir().unwrap();
    let mut recorded = Recorded::start(folder.path(), RING);
    for number in 1..=LARGE {
        recorded.subscribe(number);
    }
    let packed = Snapshot::of(&recorded.core).packed.len() as u64;
    assert!((RING / 4..RING * 2 / 5).contains(&packed), "{packed}");
    for weight in 0..1500 {
        recorded.weigh(weight);
    }
    let Recorded {
        core,
        recorder,
        events,
    } = recorded;
    recorder.finish(core);
    let stretches = replay(folder.path());
    assert_eq!(stretches.len(), 1, "{stretches:?}");
    let (first, last) = stretches[0];
    assert!(first > 1 && last == events, "{first} to {last} of {events}");
    assert!(size(folder.path()) <= RING);
}

#[test]
fn a_state_that_does_not_fit_makes_a_gap_until_it_has_shrunk() {
    const RING: u64 = 200 << 10;
    let folder = tempfile::tempdir().unwrap();
    let mut recorded = Recorded::start(folder.path(), RING);
    for number in 1..=LARGE {
        recorded.subscribe(number);
    }
    let packed = Snapshot::of(&recorded.core).packed.len() as u64;
    assert!(packed > RING / 2, "{packed}");
    recorded.stands(Standing::TooLarge);
    let gap = recorded.events;
    assert!(size(folder.path()) > 0, "what was recorded stays");
    for number in 1..LARGE {
        recorded.leave(number);
    }
    recorded.stands(Standing::Recording);
    recorded.weigh(3);
    let Recorded {
        core,
        recorder,
        events,
    } = recorded;
    recorder.finish(core);
    let stretches = replay(folder.path());
    let (_, last_before) = stretches[0];
    let (first_after, last) = *stretches.last().unwrap();
    assert!(last_before < gap && gap < first_after, "{stretches:?}");
    assert_eq!(last, events);
}
