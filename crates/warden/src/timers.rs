//! What is to happen later, in order of time.
//!
//! A timer is never cancelled: who receives one that has become pointless does nothing.

use mezz_launch_plan::LaunchId;
use rustix::event::Timespec;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A step between clone and exec takes too long.
    Step(LaunchId),
    /// Another attempt at a tree.
    Ending(LaunchId),
    /// Another look at a process that has ended, but nobody knows how.
    Unclear(LaunchId),
    /// Reaping of children that are nobody's main process.
    Orphans,
    /// Nobody is in control any more: is there anything to stay for?
    Idle,
    /// Nobody has connected yet.
    FirstConnection,
    /// The new binary takes too long to look at the state.
    Validation,
    /// The warden is to end, but something does not die.
    GiveUp,
}

/// All timers.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Instant, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let due = self.heap.peek().is_some_and(|Reverse((at, _))| *at <= now);
        if due {
            self.heap.pop().map(|Reverse((_, timer))| timer)
        } else {
            None
        }
    }

    /// How long to wait for events; `None` without end.
    pub(crate) fn until_next(&self, now: Instant) -> Option<Timespec> {
        let Reverse((at, _)) = self.heap.peek()?;
        let wait = at.saturating_duration_since(now);
        Some(Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        })
    }
}
