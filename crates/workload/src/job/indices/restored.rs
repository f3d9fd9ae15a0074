//! Indices by blocks: which have to be written, what is in them, and how they are put back.

use std::collections::BTreeSet;

use mezz_state::time::Wall;

use super::{BLOCK, Block, Indices, Past, Running, WORDS, Waiting};

impl Indices {
    /// Takes the numbers of the blocks that have to be written.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.changed)
    }

    /// How many blocks were ever written.
    pub(crate) fn blocks_written(&self) -> u32 {
        self.fresh.div_ceil(BLOCK)
    }

    pub(in crate::job) fn block(&self, number: u32) -> Block {
        self.blocks
            .get(number as usize)
            .copied()
            .unwrap_or_default()
    }

    pub(in crate::job) fn running_in(&self, number: u32) -> impl Iterator<Item = (u32, &Running)> {
        self.running
            .range(number * BLOCK..(number + 1) * BLOCK)
            .map(|(index, running)| (*index, running))
    }

    pub(in crate::job) fn waiting_in(&self, number: u32) -> impl Iterator<Item = (u32, &Waiting)> {
        self.waiting
            .range(number * BLOCK..(number + 1) * BLOCK)
            .map(|(index, waiting)| (*index, waiting))
    }

    /// Puts back what was written of one block.
    pub(in crate::job) fn restore_block(&mut self, number: u32, block: Block) {
        if number >= self.total.div_ceil(BLOCK) {
            return;
        }
        let start = number * BLOCK;
        *self.block_of(start) = block;
        let ones = |bits: &[u64; WORDS]| bits.iter().map(|word| word.count_ones()).sum::<u32>();
        self.succeeded += ones(&block.succeeded);
        self.failed += ones(&block.failed);
        let ended = (start..self.total.min(start + BLOCK))
            .rev()
            .find(|index| self.has_succeeded(*index) || self.has_failed(*index));
        self.fresh = self.fresh.max(ended.map_or(0, |index| index + 1));
    }

    /// Puts back an attempt that ran when its block was written.
    pub(in crate::job) fn restore_running(&mut self, index: u32, running: Running) {
        if index < self.total {
            self.running.insert(index, running);
            self.fresh = self.fresh.max(index + 1);
        }
    }

    /// Puts back what waited to be started again.
    pub(in crate::job) fn restore_waiting(&mut self, index: u32, waiting: Waiting, now: Wall) {
        if index < self.total {
            self.wait(index, waiting, now);
            self.fresh = self.fresh.max(index + 1);
        }
    }

    /// Puts back how many were retried, of which the blocks of ended indices tell nothing.
    pub(in crate::job) fn restore_retried(&mut self, retried: u32) {
        self.retried = retried;
    }

    /// After all blocks: what no block tells of, below the highest that one does, was never started.
    pub(in crate::job) fn restore_gaps(&mut self, now: Wall) {
        for index in 0..self.fresh {
            let is_known = self.has_succeeded(index)
                || self.has_failed(index)
                || self.running.contains_key(&index)
                || self.waiting.contains_key(&index);
            if !is_known {
                let waiting = Waiting {
                    past: Past::default(),
                    not_before: Wall(0),
                };
                self.wait(index, waiting, now);
            }
        }
        self.changed.clear();
    }
}
