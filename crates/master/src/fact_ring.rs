//! The last facts, in their order, so that a reader that was away can go on where it was. Bounded: what is too old
//! is dropped, and a reader that needs it is told so.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use mezz_core::fact::Fact;
use mezz_core::key::{AgentKey, FrameworkKey};
use mezz_core::time::Wall;
use tokio::sync::watch;

use crate::indexes::base;
use crate::view::View;
use crate::work_facts::WorkFact;

/// Facts that are kept.
const KEPT: usize = 8_192;

/// A fact with the names that its keys had when it became visible.
#[derive(Debug)]
pub(crate) struct KeptFact {
    /// Larger than that of every earlier fact, also over a change of the leader.
    pub(crate) sequence: u64,
    pub(crate) fact: Arc<Fact>,
    pub(crate) agent_id: Option<Arc<str>>,
    pub(crate) framework_id: Option<Arc<str>>,
    /// Of a fact about an object of a user, whose names the fact itself does not hold.
    pub(crate) work: Option<Box<WorkFact>>,
}

/// Facts that became visible together.
#[derive(Debug)]
pub(crate) struct KeptBatch {
    pub(crate) at: Wall,
    pub(crate) facts: Vec<KeptFact>,
    /// All of them as text, made once for all readers of a format that want everything.
    pub(crate) lines: OnceLock<Bytes>,
    pub(crate) server_sent: OnceLock<Bytes>,
}

impl KeptBatch {
    /// The sequence of its last fact.
    pub(crate) fn last(&self) -> u64 {
        self.facts.last().map_or(0, |fact| fact.sequence)
    }
}

/// What a reader asked for is no longer, or not yet, there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfReach {
    /// The sequence after which a reader can begin at the oldest fact that is kept.
    pub(crate) begin: u64,
    pub(crate) newest: u64,
}

#[derive(Debug, Default)]
struct Kept {
    batches: VecDeque<Arc<KeptBatch>>,
    count: usize,
    /// The sequence before the oldest fact that is kept.
    begin: u64,
}

/// The ring.
#[derive(Debug)]
pub(crate) struct FactRing {
    kept: RwLock<Kept>,
    newest: watch::Sender<u64>,
}

impl Default for FactRing {
    fn default() -> Self {
        Self {
            kept: RwLock::default(),
            newest: watch::Sender::new(0),
        }
    }
}

impl FactRing {
    /// Keeps facts that have become visible.
    pub(crate) fn push(&self, view: &View, facts: &[(u64, Arc<Fact>)]) {
        let base = base(&view.records);
        let facts: Vec<KeptFact> = facts
            .iter()
            .map(|(number, fact)| kept(base + number, fact, view))
            .collect();
        let Some(last) = facts.last().map(|fact| fact.sequence) else {
            return;
        };
        let batch = Arc::new(KeptBatch {
            at: crate::clock::wall_now(),
            facts,
            lines: OnceLock::new(),
            server_sent: OnceLock::new(),
        });
        let mut dropped = Vec::new();
        {
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            if kept.batches.is_empty() {
                kept.begin = batch.facts[0].sequence.saturating_sub(1);
            }
            kept.count += batch.facts.len();
            kept.batches.push_back(batch);
            while kept.count > KEPT && kept.batches.len() > 1 {
                let Some(oldest) = kept.batches.pop_front() else {
                    break;
                };
                kept.count -= oldest.facts.len();
                kept.begin = oldest.last();
                dropped.push(oldest);
            }
        }
        // Readers need not wait while what is forgotten is freed.
        drop(dropped);
        self.newest.send_replace(last);
    }

    /// Tells of every push from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Batches with facts after a sequence, at most about `most` facts.
    pub(crate) fn after(
        &self,
        sequence: u64,
        most: usize,
    ) -> Result<Vec<Arc<KeptBatch>>, OutOfReach> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let Some(newest) = kept.batches.back().map(|batch| batch.last()) else {
            return Ok(Vec::new());
        };
        if sequence < kept.begin || sequence > newest {
            let begin = kept.begin;
            return Err(OutOfReach { begin, newest });
        }
        let from = kept
            .batches
            .partition_point(|batch| batch.last() <= sequence);
        let mut found = Vec::new();
        let mut count = 0;
        for batch in kept.batches.iter().skip(from) {
            if count >= most {
                break;
            }
            count += batch.facts.len();
            found.push(batch.clone());
        }
        Ok(found)
    }

    /// The sequence after which a reader has everything that is kept from a time on; `None` when nothing is kept.
    pub(crate) fn since(&self, at: Wall) -> Option<u64> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let from = kept.batches.partition_point(|batch| batch.at < at);
        kept.batches.front()?;
        Some(match from.checked_sub(1) {
            Some(before) => kept.batches[before].last(),
            None => kept.begin,
        })
    }
}

fn kept(sequence: u64, fact: &Arc<Fact>, view: &View) -> KeptFact {
    let (agent, framework) = keys(fact);
    let records = &view.records;
    let agent = agent.and_then(|key| records.agents.get(key.index()));
    let framework = framework.and_then(|key| records.frameworks.get(key.index()));
    KeptFact {
        sequence,
        fact: fact.clone(),
        agent_id: agent.map(|agent| agent.id.clone()),
        framework_id: framework.map(|framework| framework.id.clone()),
        work: match &**fact {
            Fact::Work(fact) => Some(Box::new(WorkFact::of(fact, &records.work))),
            _ => None,
        },
    }
}

/// Whom a fact is about, where it does not name them itself.
fn keys(fact: &Fact) -> (Option<AgentKey>, Option<FrameworkKey>) {
    match fact {
        Fact::AgentAdded { agent }
        | Fact::AgentReregistered { agent }
        | Fact::AgentDisconnected { agent }
        | Fact::AgentUnreachable { agent } => (Some(*agent), None),
        Fact::FrameworkAdded { framework }
        | Fact::FrameworkUpdated { framework }
        | Fact::FrameworkDisconnected { framework } => (None, Some(*framework)),
        Fact::OfferSent {
            framework, agent, ..
        }
        | Fact::OfferEnded {
            framework, agent, ..
        } => (Some(*agent), Some(*framework)),
        Fact::TaskAdded { .. }
        | Fact::TaskUpdated { .. }
        | Fact::AgentRemoved { .. }
        | Fact::FrameworkRemoved { .. }
        | Fact::WeightsUpdated { .. }
        | Fact::Work(_) => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ring: &FactRing, numbers: std::ops::Range<u64>) {
        let fact = Arc::new(Fact::AgentAdded { agent: AgentKey(0) });
        let facts: Vec<_> = numbers.map(|number| (number, fact.clone())).collect();
        ring.push(&View::default(), &facts);
    }

    fn sequences(ring: &FactRing, after: u64) -> Vec<u64> {
        let batches = ring.after(after, usize::MAX).unwrap();
        let facts = batches.iter().flat_map(|batch| &batch.facts);
        facts
            .map(|fact| fact.sequence)
            .filter(|sequence| *sequence > after)
            .collect()
    }

    #[test]
    fn a_reader_goes_on_after_what_it_saw() {
        let ring = FactRing::default();
        push(&ring, 1..4);
        push(&ring, 4..6);
        assert_eq!(sequences(&ring, 0), [1, 2, 3, 4, 5]);
        assert_eq!(sequences(&ring, 4), [5]);
        assert_eq!(*ring.watch().borrow(), 5);
        assert!(ring.after(6, 1).is_err());
    }

    #[test]
    fn what_is_too_old_is_forgotten_and_a_late_reader_told_where_to_begin() {
        let ring = FactRing::default();
        for number in 1..=KEPT as u64 + 10 {
            push(&ring, number..number + 1);
        }
        let late = ring.after(3, 1).unwrap_err();
        assert_eq!((late.begin, late.newest), (10, KEPT as u64 + 10));
        assert_eq!(sequences(&ring, late.begin).len(), KEPT);
    }
}
