//! Hashes of states and effects: the same for the same content, on every machine.

use mezz_core::effect::Effect;
use mezz_core::pages::Pages;
use mezz_core::records::Records;
use serde::Serialize;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The hash of effects, in order. The scratch space is reused.
pub fn hash_effects(effects: &[Effect], scratch: &mut Vec<u8>) -> u64 {
    encode(&effects, scratch);
    xxh3_64(scratch)
}

/// The hash of a whole core by its snapshot.
pub fn hash_snapshot(snapshot: &[u8]) -> u64 {
    xxh3_64(snapshot)
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
        let before = std::mem::replace(&mut self.records, records.clone());
        self.add_changes(1, &before.agents, &records.agents);
        self.add_changes(2, &before.frameworks, &records.frameworks);
        self.add_changes(3, &before.tasks, &records.tasks);
        self.add_changes(4, &before.executors, &records.executors);
        self.add_changes(5, &before.offers, &records.offers);
        self.add_changes(6, &before.pending, &records.pending);
        let rest = (
            &records.master,
            &records.roles,
            &records.metrics,
            records.fact_sequence,
        );
        encode(&rest, &mut self.scratch);
        xxh3_64_with_seed(&self.scratch, self.sum)
    }

    fn add_changes<T: Serialize>(&mut self, kind: u64, before: &Pages<T>, after: &Pages<T>) {
        for change in after.changes_since(before) {
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
