//! Hashes of states and effects: the same for the same content, on every machine.

use mezz_core::effect::Effect;
use mezz_core::key::Token;
use mezz_core::pages::Pages;
use mezz_core::records::Records;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What is recorded of the effects of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The hash of all that they say.
    Whole(u64),
    /// The hash of their kinds, their order and whom they reach: all that a busy master has time for.
    Outline(u64),
}

impl Outcome {
    /// The hash of everything. The scratch space is reused.
    pub fn whole(effects: &[Effect], scratch: &mut Vec<u8>) -> Self {
        encode(&effects, scratch);
        Self::Whole(xxh3_64(scratch))
    }

    /// The hash of the outline.
    pub fn outline(effects: &[Effect], scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        for effect in effects {
            for number in outline(effect) {
                scratch.extend_from_slice(&number.to_le_bytes());
            }
        }
        Self::Outline(xxh3_64(scratch))
    }

    /// Whether these effects come to the same, as far as was recorded.
    pub fn agrees(self, effects: &[Effect], scratch: &mut Vec<u8>) -> bool {
        self == match self {
            Self::Whole(_) => Self::whole(effects, scratch),
            Self::Outline(_) => Self::outline(effects, scratch),
        }
    }
}

fn outline(effect: &Effect) -> [u64; 3] {
    let wait = |after: &Option<Token>| after.map_or(0, |token| token.0);
    match effect {
        Effect::Reply { request, after, .. } => [1, request.0, wait(after)],
        Effect::ToFramework { stream, after, .. } => [2, stream.0, wait(after)],
        Effect::CloseStream(stream) => [3, stream.0, 0],
        Effect::ToAgent { session, after, .. } => [4, session.0, wait(after)],
        Effect::CloseSession { session, after } => [5, session.0, wait(after)],
        Effect::Persist { token, operations } => [6, token.0, operations.len() as u64],
        Effect::SetTimer { generation, at, .. } => [7, generation.0, at.0],
        Effect::CancelTimer(_) => [8, 0, 0],
        Effect::Fact { sequence, .. } => [9, *sequence, 0],
        Effect::StepDown(_) => [10, 0, 0],
        Effect::Offers { stream, after, .. } => [11, stream.0, wait(after)],
    }
}

/// The hash of records, carried on from one state to the next: each step costs what changed between them.
#[derive(Debug, Default)]
pub struct RecordsHash {
    records: Records,
    /// The sum over the hashes of all records with their slots: no order in it.
    sum: u64,
    scratch: Vec<u8>,
}

impl RecordsHash {
    /// Goes on to the next state and tells its hash.
    pub fn update(&mut self, records: &Records) -> u64 {
        self.update_in_steps(records, &mut || {})
    }

    /// The same, with a call between any two small steps.
    pub fn update_in_steps(&mut self, records: &Records, step: &mut dyn FnMut()) -> u64 {
        let before = std::mem::replace(&mut self.records, records.clone());
        self.add_changes(1, &before.agents, &records.agents, step);
        self.add_changes(2, &before.frameworks, &records.frameworks, step);
        self.add_changes(3, &before.tasks, &records.tasks, step);
        self.add_changes(4, &before.executors, &records.executors, step);
        self.add_changes(5, &before.offers, &records.offers, step);
        self.add_changes(6, &before.pending, &records.pending, step);
        let rest = (
            &records.master,
            &records.roles,
            &records.metrics,
            records.fact_sequence,
        );
        encode(&rest, &mut self.scratch);
        xxh3_64_with_seed(&self.scratch, self.sum)
    }

    fn add_changes<T: Serialize>(
        &mut self,
        kind: u64,
        before: &Pages<T>,
        after: &Pages<T>,
        step: &mut dyn FnMut(),
    ) {
        for change in after.changes_since(before) {
            step();
            let seed = kind << 32 | change.slot as u64;
            if let Some(record) = change.before {
                self.sum = self.sum.wrapping_sub(self.hash(seed, &**record));
            }
            if let Some(record) = change.after {
                self.sum = self.sum.wrapping_add(self.hash(seed, &**record));
            }
        }
    }

    fn hash<T: Serialize>(&mut self, seed: u64, record: &T) -> u64 {
        encode(record, &mut self.scratch);
        xxh3_64_with_seed(&self.scratch, seed)
    }
}

fn encode(value: &impl Serialize, scratch: &mut Vec<u8>) {
    let mut buffer = std::mem::take(scratch);
    buffer.clear();
    *scratch = postcard::to_extend(value, buffer).expect("a vector grows as needed");
}
