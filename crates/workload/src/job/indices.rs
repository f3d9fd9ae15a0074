//! How far the indices of one run have come: up to a million of them as one object.
//!
//! What has ended is a bit in a block of 256, what was never started is a number, and only what runs or waits to be
//! started again is an entry of its own. It decides which index starts next; it knows nothing of agents or records.

use std::collections::{BTreeMap, BTreeSet};

use mezz_spec::service::Backoff;
use mezz_state::time::Wall;

use super::backoff;
use crate::key::InstanceKey;
use crate::records::Counts;

#[cfg(test)]
mod model;
mod restored;

/// So many indices are written under one key.
pub(crate) const BLOCK: u32 = 256;
const WORDS: usize = BLOCK as usize / 64;

/// Where the indices of a run stand.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Indices {
    total: u32,
    /// From here on nothing was ever started.
    fresh: u32,
    /// Ended indices below `fresh`.
    blocks: Vec<Block>,
    running: BTreeMap<u32, Running>,
    waiting: BTreeMap<u32, Waiting>,
    /// Of those waiting: whose back-off is over, and when that of the others is.
    ready: BTreeSet<u32>,
    due: BTreeSet<(Wall, u32)>,
    succeeded: u32,
    failed: u32,
    retried: u32,
    /// Blocks that differ from what was written last.
    changed: BTreeSet<u32>,
}

/// What ended for good, one bit for each index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Block {
    pub(super) succeeded: [u64; WORDS],
    pub(super) failed: [u64; WORDS],
}

/// What an index has been through before its present or next attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Past {
    /// The number of the present or next attempt, from 0.
    pub attempt: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// Attempts in a row whose end was nobody's fault.
    pub lost: u32,
}

/// An attempt that was started and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Running {
    pub past: Past,
    pub instance: InstanceKey,
}

/// An index that is to be started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Waiting {
    pub past: Past,
    pub not_before: Wall,
}

/// What starts next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub index: u32,
    pub past: Past,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Success,
    /// Counts against the retries.
    Failure,
    /// The index is not started again, whatever retries are left.
    Hopeless,
    /// Nobody's fault, such as a lost agent: does not count.
    Infrastructure,
}

/// What the end of an attempt means for its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeded,
    Failed,
    /// It is started again, not before this moment.
    Again(Wall),
}

/// The rule by which an index is started again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry<'a> {
    pub retries: u32,
    pub backoff: &'a Backoff,
}

impl Indices {
    /// None started.
    pub(crate) fn new(total: u32) -> Self {
        Self {
            total,
            fresh: 0,
            blocks: Vec::new(),
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            ready: BTreeSet::new(),
            due: BTreeSet::new(),
            succeeded: 0,
            failed: 0,
            retried: 0,
            changed: BTreeSet::new(),
        }
    }

    /// How many may start now, bounds of parallelism aside.
    pub(crate) fn startable(&self) -> u32 {
        let ready = u32::try_from(self.ready.len()).expect("a million at most");
        ready + (self.total - self.fresh)
    }

    /// Lets those start whose back-off is over; says whether there are any.
    pub(crate) fn wake(&mut self, now: Wall) -> bool {
        let mut any = false;
        while let Some(&(at, index)) = self.due.first() {
            if at > now {
                break;
            }
            self.due.pop_first();
            self.ready.insert(index);
            any = true;
        }
        any
    }

    /// Ends all back-offs; says whether there were any.
    pub(crate) fn forget_backoffs(&mut self) -> bool {
        self.wake(Wall(u64::MAX))
    }

    /// When the next back-off is over.
    pub(crate) fn next_wake(&self) -> Option<Wall> {
        self.due.first().map(|(at, _)| *at)
    }

    /// How many wait for the end of their back-off.
    pub(crate) fn backed_off(&self) -> usize {
        self.due.len()
    }

    /// What starts next: first what is started again, then the lowest that never was.
    pub(crate) fn next(&self) -> Option<Next> {
        if let Some(&index) = self.ready.first() {
            let past = self.waiting[&index].past;
            return Some(Next { index, past });
        }
        (self.fresh < self.total).then(|| Next {
            index: self.fresh,
            past: Past::default(),
        })
    }

    /// What [`Self::next`] said is started.
    pub(crate) fn started(&mut self, next: Next, instance: InstanceKey) {
        let Next { index, past } = next;
        if self.ready.remove(&index) {
            self.waiting.remove(&index);
        } else {
            debug_assert_eq!(index, self.fresh, "fresh indices start in order");
            self.fresh += 1;
        }
        self.retried += u32::from(past.failures > 0 && past.lost == 0);
        self.running.insert(index, Running { past, instance });
        self.changed.insert(index / BLOCK);
    }

    /// An attempt has ended. None when it is not the one that runs.
    pub(crate) fn ended(
        &mut self,
        now: Wall,
        index: u32,
        attempt: u32,
        end: End,
        retry: Retry<'_>,
    ) -> Option<Outcome> {
        let running = *self.running.get(&index)?;
        if running.past.attempt != attempt {
            return None;
        }
        self.running.remove(&index);
        self.changed.insert(index / BLOCK);
        let mut past = running.past;
        past.attempt += 1;
        let delay = match end {
            End::Success => return Some(self.closed(index, Outcome::Succeeded)),
            End::Hopeless => return Some(self.closed(index, Outcome::Failed)),
            End::Failure if past.failures >= retry.retries => {
                return Some(self.closed(index, Outcome::Failed));
            }
            End::Failure => {
                past.failures += 1;
                past.lost = 0;
                backoff::delay(retry.backoff, past.failures)
            }
            End::Infrastructure => {
                past.lost += 1;
                backoff::delay(retry.backoff, past.lost - 1)
            }
        };
        let not_before = backoff::after(now, delay);
        self.wait(index, Waiting { past, not_before }, now);
        Some(Outcome::Again(not_before))
    }

    fn wait(&mut self, index: u32, waiting: Waiting, now: Wall) {
        self.waiting.insert(index, waiting);
        if waiting.not_before <= now {
            self.ready.insert(index);
        } else {
            self.due.insert((waiting.not_before, index));
        }
    }

    fn closed(&mut self, index: u32, outcome: Outcome) -> Outcome {
        let block = self.block_of(index);
        let (word, bit) = place_in_block(index);
        match outcome {
            Outcome::Succeeded => {
                block.succeeded[word] |= bit;
                self.succeeded += 1;
            }
            Outcome::Failed | Outcome::Again(_) => {
                block.failed[word] |= bit;
                self.failed += 1;
            }
        }
        outcome
    }

    fn block_of(&mut self, index: u32) -> &mut Block {
        let number = (index / BLOCK) as usize;
        if self.blocks.len() <= number {
            // Exactly so many: a million indices must not leave half of a doubled allocation unused.
            let blocks = self.total.div_ceil(BLOCK) as usize;
            self.blocks.reserve_exact(blocks - self.blocks.len());
            self.blocks.resize(number + 1, Block::default());
        }
        &mut self.blocks[number]
    }

    /// How many there are.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// How many are where.
    pub(crate) fn counts(&self) -> Counts {
        let running = u32::try_from(self.running.len()).expect("a million at most");
        Counts {
            waiting: self.total - self.succeeded - self.failed - running,
            running,
            succeeded: self.succeeded,
            failed: self.failed,
            retried: self.retried,
        }
    }

    /// Whether nothing runs or is to be started any more.
    pub(crate) fn is_over(&self) -> bool {
        self.succeeded + self.failed == self.total
    }

    /// What runs, by index.
    pub(crate) fn running(&self) -> impl Iterator<Item = (u32, &Running)> {
        self.running
            .iter()
            .map(|(index, running)| (*index, running))
    }

    /// The attempt of an index that runs.
    pub(crate) fn running_of(&self, index: u32) -> Option<&Running> {
        self.running.get(&index)
    }

    /// Whether an index has succeeded.
    pub(crate) fn has_succeeded(&self, index: u32) -> bool {
        self.bit(index, |block| &block.succeeded)
    }

    /// Whether an index has failed for good.
    pub(crate) fn has_failed(&self, index: u32) -> bool {
        self.bit(index, |block| &block.failed)
    }

    /// Indices that have failed for good, ascending.
    pub(crate) fn failed(&self) -> impl Iterator<Item = u32> + '_ {
        self.blocks.iter().zip(0_u32..).flat_map(|(block, number)| {
            let is_any = block.failed != [0; WORDS];
            let range = if is_any { 0..BLOCK } else { 0..0 };
            range
                .map(move |offset| number * BLOCK + offset)
                .filter(move |index| {
                    let (word, bit) = place_in_block(*index);
                    block.failed[word] & bit != 0
                })
        })
    }

    fn bit(&self, index: u32, bits: impl Fn(&Block) -> &[u64; WORDS]) -> bool {
        let (word, bit) = place_in_block(index);
        self.blocks
            .get((index / BLOCK) as usize)
            .is_some_and(|block| bits(block)[word] & bit != 0)
    }
}

fn place_in_block(index: u32) -> (usize, u64) {
    let offset = index % BLOCK;
    ((offset / 64) as usize, 1 << (offset % 64))
}
