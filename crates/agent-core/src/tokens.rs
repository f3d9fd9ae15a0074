//! Launch tokens seen: what makes a repeated delivery of a launch harmless.

use rustc_hash::FxHashSet;
use std::collections::VecDeque;

/// How many are remembered.
const CAPACITY: usize = 32_768;

/// The number that a master gave to one launch; each master counts from one in its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LaunchToken {
    /// The master's epoch.
    pub(crate) epoch: u64,
    /// Its count.
    pub(crate) number: u64,
}

/// The tokens of the newest launches.
#[derive(Clone, Debug, Default)]
pub(crate) struct LaunchTokens {
    /// Looked up, never iterated.
    seen: FxHashSet<LaunchToken>,
    order: VecDeque<LaunchToken>,
}

impl LaunchTokens {
    /// Remembers a token; false if it was there already.
    pub(crate) fn insert(&mut self, token: LaunchToken) -> bool {
        if !self.seen.insert(token) {
            return false;
        }
        self.order.push_back(token);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}
