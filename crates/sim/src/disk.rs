//! The master's disk: writes become durable in order, after a while; a crash loses those that were not.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use mezz_core::effect::StoreOperation;
use mezz_core::key::Token;

use crate::rng::Rng;

/// The store under the master.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    durable: BTreeMap<String, Bytes>,
    waiting: VecDeque<(Token, Vec<StoreOperation>)>,
    pub(crate) last_sync_ns: u64,
    /// The next write fails.
    pub(crate) fails: bool,
}

impl Disk {
    pub(crate) fn write(&mut self, token: Token, operations: Vec<StoreOperation>) {
        self.waiting.push_back((token, operations));
    }

    pub(crate) fn sync(&mut self, token: Token) {
        while self.waiting.front().is_some_and(|(next, _)| *next <= token) {
            self.sync_one();
        }
    }

    fn sync_one(&mut self) {
        for operation in self
            .waiting
            .pop_front()
            .map(|(_, operations)| operations)
            .unwrap_or_default()
        {
            match operation {
                StoreOperation::Put { key, value } => drop(self.durable.insert(key, value)),
                StoreOperation::Delete { key } => drop(self.durable.remove(&key)),
            }
        }
    }

    /// Some of what was under way may have become durable without anybody having heard of it.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        for _ in 0..rng.below(self.waiting.len() as u64 + 1) {
            self.sync_one();
        }
        self.waiting.clear();
        self.fails = false;
    }

    pub(crate) fn snapshot(&self) -> Vec<(String, Bytes)> {
        self.durable
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}
