//! What a replay finds: the same, or the first event after which it is not.
#![allow(clippy::unwrap_used)]

use mezz_core::Master;
use mezz_core::config::Config;
use mezz_core::effect::{Effect, Effects};
use mezz_core::event::{Elected, Event, OperatorAction, OperatorCall};
use mezz_core::key::RequestKey;
use mezz_core::time::{Mono, Now, Wall};
use mezz_proto::v1;
use mezz_recording::{
    Difference, Divergence, Header, Item, Left, Outcome, RecordsHash, Replay, ReplayError, Segment,
    Snapshot, Tape, Watcher, begin_segment, checkpoint, end_segment, hash_state,
};

const ALL: u64 = u64::MAX;

/// A core that is recorded.
struct Recorded {
    core: Master,
    tape: Tape,
    hash: RecordsHash,
    bytes: Vec<u8>,
    events: u64,
}

fn header(core: &Master, events_before: u64) -> Header {
    Header {
        run: 1,
        segment: 0,
        events_before,
        program: "test".into(),
        snapshot: Snapshot::of(core),
    }
}

fn now(event: u64) -> Now {
    Now {
        mono: Mono(event),
        wall: Wall(event),
    }
}

fn weight(role: &str, weight: f64) -> Event {
    Event::Operator(Box::new(OperatorCall {
        request: RequestKey(1),
        principal: None,
        action: OperatorAction::UpdateWeights(vec![v1::WeightInfo {
            role: Some(role.into()),
            weight,
        }]),
    }))
}

impl Recorded {
    fn new() -> Self {
        let core = Master::new(Config::default());
        let bytes = begin_segment(header(&core, 0));
        let mut recorded = Self {
            core,
            tape: Tape::default(),
            hash: RecordsHash::default(),
            bytes,
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
        self.take_as(event, |_| {});
    }

    /// Takes an event whose effects are recorded otherwise than they were.
    fn take_as(&mut self, event: Event, change: impl FnOnce(&mut Vec<Effect>)) {
        self.events += 1;
        let mut effects = Effects::default();
        self.tape.begin(now(self.events), &event);
        self.core.handle(now(self.events), event, &mut effects);
        change(&mut effects.list);
        self.tape.end(&effects.list);
        self.tape.append_to(&mut self.bytes);
    }

    fn checkpoint(&mut self) {
        let hash = self.hash.update(self.core.records());
        self.bytes.extend(checkpoint(hash));
    }
}

#[derive(Default)]
struct Seen(Vec<u64>);

impl Watcher for Seen {
    fn before(&mut self, number: u64, _: Now, _: &Event, _: Option<Outcome>) {
        self.0.push(number);
    }

    fn after(&mut self, effects: &[Effect]) {
        assert!(!effects.is_empty());
    }
}

fn replay(bytes: &[u8], until: u64) -> (Result<Left, ReplayError>, Vec<u64>) {
    let mut segment = Segment::open(bytes).unwrap();
    let mut replay = Replay::begin(segment.header()).unwrap();
    let mut seen = Seen::default();
    let left = replay.run(&mut segment, until, &mut seen);
    (left, seen.0)
}

fn diverged(event: u64, difference: Difference) -> Result<Left, ReplayError> {
    Err(ReplayError::Diverged(Divergence { event, difference }))
}

#[test]
fn what_was_recorded_comes_out_the_same() {
    let mut recorded = Recorded::new();
    recorded.take(weight("a", 2.0));
    recorded.checkpoint();
    recorded.take(weight("b", 3.0));
    recorded.checkpoint();
    let state = hash_state(&recorded.core);
    recorded.bytes.extend(end_segment(state));
    let (left, seen) = replay(&recorded.bytes, ALL);
    assert_eq!((left, seen), (Ok(Left::AtEnd), vec![1, 2, 3]));
    let (left, seen) = replay(&recorded.bytes, 2);
    assert_eq!((left, seen), (Ok(Left::Reached), vec![1, 2]));
}

#[test]
fn the_first_event_with_other_effects_is_named() {
    let mut recorded = Recorded::new();
    recorded.take_as(weight("a", 2.0), |effects| drop(effects.pop()));
    recorded.take_as(weight("b", 3.0), Vec::clear);
    let (left, seen) = replay(&recorded.bytes, ALL);
    assert_eq!(left, diverged(2, Difference::Effects));
    assert_eq!(seen, [1, 2]);
}

#[test]
fn other_records_and_other_states_are_told_apart() {
    let mut recorded = Recorded::new();
    let before = recorded.core.clone();
    recorded.take(weight("a", 2.0));
    let mut ended = recorded.bytes.clone();
    ended.extend(end_segment(hash_state(&before)));
    assert_eq!(replay(&ended, ALL).0, diverged(2, Difference::State));
    let hash = RecordsHash::default().update(before.records());
    recorded.bytes.extend(checkpoint(hash));
    assert_eq!(
        replay(&recorded.bytes, ALL).0,
        diverged(2, Difference::Records)
    );
}

#[test]
fn the_event_that_killed_the_core_is_the_last() {
    let mut recorded = Recorded::new();
    recorded.tape.begin(now(2), &weight("a", 2.0));
    recorded.tape.append_to(&mut recorded.bytes);
    assert_eq!(
        replay(&recorded.bytes, ALL).0,
        diverged(2, Difference::Survived)
    );
}

#[test]
fn a_segment_goes_on_with_the_core_of_the_one_before_or_says_that_it_does_not() {
    let mut recorded = Recorded::new();
    let first = recorded.core.clone();
    recorded.take(weight("a", 2.0));
    let mut segment = Segment::open(&recorded.bytes).unwrap();
    let mut replay = Replay::begin(segment.header()).unwrap();
    replay.run(&mut segment, ALL, &mut Seen::default()).unwrap();
    assert_eq!(replay.continues_in(&header(&recorded.core, 2)), Ok(true));
    assert_eq!(replay.continues_in(&header(&recorded.core, 5)), Ok(false));
    assert_eq!(
        replay.continues_in(&header(&first, 2)),
        Err(Divergence {
            event: 2,
            difference: Difference::State
        })
    );
}

#[test]
fn of_a_busy_master_other_effects_are_found_and_an_outline_is_enough_for_most() {
    let mut recorded = Recorded::new();
    let mut effects = Effects::default();
    for event in 2..=40 {
        recorded.tape.begin(now(event), &weight("a", event as f64));
        recorded
            .core
            .handle(now(event), weight("a", event as f64), &mut effects);
        if event == 22 {
            effects.list.pop();
        }
        recorded.tape.end(&effects.list);
        effects.list.clear();
    }
    recorded.tape.append_to(&mut recorded.bytes);
    let mut segment = Segment::open(&recorded.bytes).unwrap();
    let mut whole = 0;
    while let Some(item) = segment.next_item().unwrap() {
        if let Item::Event { outcome, .. } = item {
            whole += i32::from(matches!(outcome, Some(Outcome::Whole(_))));
        }
    }
    assert_eq!(whole, 13, "the first of each batch and one in eight");
    assert_eq!(
        replay(&recorded.bytes, ALL).0,
        diverged(22, Difference::Effects)
    );
}
