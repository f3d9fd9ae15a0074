//! How much of the core thread's time copies of the core may take. It only calculates.
//!
//! A segment begins with the whole state. While agents come back in thousands the state is large and events are many, so
//! that one segment would follow the other and the core do little but copy itself.

use std::time::{Duration, Instant};

/// Copies have one part in so many of the time.
const PARTS: u32 = 20;
/// And this much more, so that a small state is never without a recording.
const IN_HAND: Duration = Duration::from_millis(200);

/// What is left for copies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// The moment at which what was spent is earned.
    earned_at: Instant,
}

impl Allowance {
    /// All that is in hand.
    pub(super) fn from(now: Instant) -> Self {
        Self { earned_at: now }
    }

    /// Whether a copy may be made, however long it takes.
    pub(super) fn is_left(self, now: Instant) -> bool {
        self.earned_at <= now + IN_HAND * PARTS
    }

    /// Counts a copy.
    pub(super) fn spend(&mut self, started: Instant, ended: Instant) {
        self.earned_at = self.earned_at.max(started) + (ended - started) * PARTS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_take_a_twentieth_of_the_time_and_what_is_in_hand() {
        let start = Instant::now();
        let cost = Duration::from_millis(300);
        let (mut allowance, mut now, mut copies) = (Allowance::from(start), start, 0);
        while now < start + Duration::from_mins(10) {
            if allowance.is_left(now) {
                allowance.spend(now, now + cost);
                copies += 1;
            }
            now += Duration::from_millis(10);
        }
        assert!((100..=102).contains(&copies), "{copies}");
    }

    #[test]
    fn small_states_are_copied_as_often_as_need_be() {
        let now = Instant::now();
        let mut allowance = Allowance::from(now);
        for _ in 0..1_000 {
            assert!(allowance.is_left(now));
            allowance.spend(now, now + Duration::from_micros(100));
        }
    }
}
