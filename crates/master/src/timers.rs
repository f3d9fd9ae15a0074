//! Timers as the core sets them: one per key, each with a generation.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use mezz_core::event::{Event, TimerKey};
use mezz_core::key::Generation;
use mezz_core::time::Mono;
use rustc_hash::FxHashMap;

/// Armed timers, the next first.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Mono, Generation, TimerKey)>>,
    armed: FxHashMap<TimerKey, Generation>,
}

impl Timers {
    /// Arms a timer, replacing one of the same key.
    pub(crate) fn set(&mut self, key: TimerKey, generation: Generation, at: Mono) {
        self.armed.insert(key, generation);
        self.heap.push(Reverse((at, generation, key)));
        if self.heap.len() > 64 && self.heap.len() > 4 * self.armed.len() {
            let armed = &self.armed;
            self.heap
                .retain(|Reverse((_, generation, key))| armed.get(key) == Some(generation));
        }
    }

    /// Disarms a timer.
    pub(crate) fn cancel(&mut self, key: TimerKey) {
        self.armed.remove(&key);
    }

    /// When the next timer is due.
    pub(crate) fn next_due(&mut self) -> Option<Mono> {
        loop {
            let Reverse((at, generation, key)) = self.heap.peek()?;
            if self.armed.get(key) == Some(generation) {
                return Some(*at);
            }
            self.heap.pop();
        }
    }

    /// The event of a timer that is due.
    pub(crate) fn take_due(&mut self, now: Mono) -> Option<Event> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse((_, generation, key)) = self.heap.pop()?;
        self.armed.remove(&key);
        Some(Event::Timer { key, generation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_or_cancelled_timer_does_not_fire() {
        let mut timers = Timers::default();
        timers.set(TimerKey::Allocate, Generation(1), Mono(10));
        timers.set(TimerKey::Allocate, Generation(2), Mono(20));
        timers.set(TimerKey::OfferTimeout, Generation(3), Mono(5));
        timers.cancel(TimerKey::OfferTimeout);
        assert_eq!(timers.next_due(), Some(Mono(20)));
        assert!(timers.take_due(Mono(19)).is_none());
        let fired = timers.take_due(Mono(20));
        assert_eq!(
            fired,
            Some(Event::Timer {
                key: TimerKey::Allocate,
                generation: Generation(2)
            })
        );
        assert_eq!(timers.next_due(), None);
    }
}
