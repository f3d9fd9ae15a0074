//! Replaying: the recorded events go through a bare core, and what comes of them is compared with what was recorded.

use mezz_core::Master;
use mezz_core::effect::{Effect, Effects};
use mezz_core::event::Event;
use mezz_core::time::Now;

use crate::entry::Header;
use crate::hash::{Outcome, RecordsHash};
use crate::segment::{Item, ReadError, Segment};
use crate::snapshot::{UnpackError, hash_state};

/// Invariants are checked after every event of a small core, and less often the more records there are to look at.
const RECORDS_PER_EVENT: usize = 64;

/// What the core did otherwise than when it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("its effects are not those that were recorded")]
    Effects,
    #[error("the records after it are not those that were recorded")]
    Records,
    #[error("the state of the core after it is not the one that was recorded")]
    State,
    #[error("the core did not survive it when it was recorded, and does now")]
    Survived,
    #[error("an invariant is broken after it: {0}")]
    Invariant(String),
}

/// The first event after which replay and recording differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event}: {difference}")]
pub struct Divergence {
    pub event: u64,
    pub difference: Difference,
}

/// Why a replay ends before the end of the recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Diverged(#[from] Divergence),
    #[error("after event {event}: {error}")]
    Read { event: u64, error: ReadError },
    #[error("before event {event}: {error}")]
    Restore { event: u64, error: UnpackError },
}

/// Watches a replay.
pub trait Watcher {
    /// The core is about to take an event. `outcome` is what was recorded of its effects; unset when the core did not
    /// survive it.
    fn before(&mut self, number: u64, now: Now, event: &Event, outcome: Option<Outcome>);

    /// What came of it.
    fn after(&mut self, effects: &[Effect]);
}

/// Where a segment was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// At its last entry.
    AtEnd,
    /// Within an entry: the writer was killed.
    Torn { offset: usize },
    /// At the event up to which it was to be replayed.
    Reached,
}

/// A bare core and what was seen of the recording so far.
#[derive(Debug)]
pub struct Replay {
    core: Master,
    event: u64,
    records: RecordsHash,
    effects: Effects,
    scratch: Vec<u8>,
    since_check: usize,
}

impl Replay {
    /// A core as it was before the first event of a segment.
    pub fn begin(header: &Header) -> Result<Self, ReplayError> {
        let event = header.events_before;
        let core = header
            .snapshot
            .restore()
            .map_err(|error| ReplayError::Restore { event, error })?;
        Ok(Self {
            core,
            event,
            records: RecordsHash::default(),
            effects: Effects::default(),
            scratch: Vec::new(),
            since_check: 0,
        })
    }

    /// The core as it stands.
    pub fn core(&self) -> &Master {
        &self.core
    }

    /// The number of the last event.
    pub fn event(&self) -> u64 {
        self.event
    }

    /// Whether a segment goes on just where this stands: then its snapshot has to be this core.
    pub fn continues_in(&self, header: &Header) -> Result<bool, Divergence> {
        if header.events_before != self.event {
            return Ok(false);
        }
        let same = header.snapshot.hash == hash_state(&self.core);
        self.expect(same, Difference::State)?;
        Ok(true)
    }

    /// Replays the events of a segment up to one (included).
    pub fn run(
        &mut self,
        segment: &mut Segment<'_>,
        until: u64,
        watcher: &mut impl Watcher,
    ) -> Result<Left, ReplayError> {
        loop {
            let item = segment.next_item().map_err(|error| ReplayError::Read {
                event: self.event,
                error,
            })?;
            match item {
                None => return Ok(Left::AtEnd),
                Some(Item::Torn { offset }) => return Ok(Left::Torn { offset }),
                Some(Item::Event { .. }) if self.event >= until => return Ok(Left::Reached),
                Some(Item::Event {
                    now,
                    event,
                    outcome,
                }) => {
                    watcher.before(self.event + 1, now, &event, outcome);
                    self.handle(now, *event, outcome, watcher)?;
                }
                Some(Item::Checkpoint(hash)) => {
                    let records = self.records.update(self.core.records());
                    self.expect(records == hash, Difference::Records)?;
                }
                Some(Item::End(hash)) => {
                    let state = hash_state(&self.core);
                    self.expect(state == hash, Difference::State)?;
                    self.check_invariants()?;
                }
            }
        }
    }

    fn handle(
        &mut self,
        now: Now,
        event: Event,
        outcome: Option<Outcome>,
        watcher: &mut impl Watcher,
    ) -> Result<(), Divergence> {
        self.event += 1;
        self.effects.list.clear();
        self.core.handle(now, event, &mut self.effects);
        watcher.after(&self.effects.list);
        match outcome {
            Some(recorded) => {
                let agrees = recorded.agrees(&self.effects.list, &mut self.scratch);
                self.expect(agrees, Difference::Effects)?;
            }
            None => self.expect(false, Difference::Survived)?,
        }
        self.since_check += RECORDS_PER_EVENT;
        let records = self.core.records();
        if self.since_check >= records.tasks.len() + records.offers.len() + records.agents.len() {
            self.since_check = 0;
            self.check_invariants()?;
        }
        Ok(())
    }

    fn check_invariants(&self) -> Result<(), Divergence> {
        self.core
            .check_invariants()
            .or_else(|broken| self.expect(false, Difference::Invariant(broken)))
    }

    fn expect(&self, holds: bool, difference: Difference) -> Result<(), Divergence> {
        if holds {
            return Ok(());
        }
        Err(Divergence {
            event: self.event,
            difference,
        })
    }
}
