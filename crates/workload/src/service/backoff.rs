//! Failures in a row, and how long the next start waits because of them.

use mezz_spec::service::Backoff;
use mezz_state::time::Wall;
use serde::{Deserialize, Serialize};

/// Failures of one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failures {
    /// In a row. Instances that had been started before the last one failed belong to its round.
    pub(crate) count: u32,
    pub(crate) until: Option<Wall>,
    last_at: Option<Wall>,
}

impl Failures {
    /// An instance failed that was started, and perhaps ran, then.
    pub(crate) fn add(
        &mut self,
        rules: &Backoff,
        now: Wall,
        created_at: Wall,
        started_at: Option<Wall>,
    ) {
        let ran_ns = started_at.map_or(0, |at| now.0.saturating_sub(at.0));
        if ran_ns >= rules.reset_after.nanoseconds() {
            self.count = 0;
            self.last_at = None;
        }
        if self.last_at.is_some_and(|last| created_at <= last) {
            return;
        }
        self.count = self.count.saturating_add(1);
        self.last_at = Some(now);
        self.until = Some(Wall(now.0.saturating_add(delay_ns(rules, self.count))));
    }

    /// Its start never reached its agent, or the agent went: nobody's fault, but not to be repeated at once without end.
    pub(crate) fn pause(&mut self, rules: &Backoff, now: Wall) {
        let until = Wall(now.0.saturating_add(rules.initial.nanoseconds()));
        self.until = self.until.max(Some(until));
    }

    /// Whether starts wait now.
    pub(crate) fn waits(&self, now: Wall) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    pub(crate) fn is_crash_loop(&self, rules: &Backoff) -> bool {
        rules.crash_loop > 0 && self.count >= rules.crash_loop
    }
}

/// The delay after so many failures in a row.
pub(crate) fn delay_ns(rules: &Backoff, failures: u32) -> u64 {
    let mut delay = u128::from(rules.initial.nanoseconds());
    let max = u128::from(rules.max.nanoseconds());
    for _ in 1..failures.min(1_000) {
        delay = delay * u128::from(rules.factor.0) / 1_000;
        if delay >= max {
            break;
        }
    }
    u64::try_from(delay.min(max)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mezz_state::time::SECOND_NS;

    #[test]
    fn each_failure_in_a_row_doubles_the_delay_up_to_the_largest() {
        let rules = Backoff::default();
        let delays: Vec<u64> = (1..12)
            .map(|failures| delay_ns(&rules, failures) / SECOND_NS)
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn instances_that_fail_together_count_once() {
        let rules = Backoff::default();
        let mut failures = Failures::default();
        for _ in 0..10 {
            failures.add(&rules, Wall(100), Wall(50), None);
        }
        assert_eq!(failures.count, 1);
        failures.add(&rules, Wall(200), Wall(150), None);
        assert_eq!(failures.count, 2);
    }
}
