//! Launch tokens seen: what makes a repeated delivery of a launch harmless.

use rustc_hash::FxHashSet;
use std::collections::VecDeque;

/// How many are remembered.
const CAPACITY: usize = 32_768;

/// The tokens of the newest launches; a token counts within its epoch only.
#[derive(Clone, Debug, Default)]
pub(crate) struct LaunchTokens {
    /// Looked up, never iterated.
    seen: FxHashSet<(u64, u64)>,
    order: VecDeque<(u64, u64)>,
}

impl LaunchTokens {
    /// Remembers a token; false if it was there already.
    pub(crate) fn insert(&mut self, epoch: u64, token: u64) -> bool {
        if !self.seen.insert((epoch, token)) {
            return false;
        }
        self.order.push_back((epoch, token));
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}
