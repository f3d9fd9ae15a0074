//! The interpretation of a health check: what a row of passed and failed probes means. Pure counting.

/// What has been found out about a task's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// A probe has passed at least once: the grace period is over.
    pub(crate) ever_healthy: bool,
    /// Failures since the last probe that passed.
    pub(crate) failures: u32,
}

/// A health check, and until when its failures do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watch {
    pub(crate) health: Health,
    /// On the monotonic clock of this life.
    pub(crate) grace_ends_ns: u64,
}

/// What several health checks mean together: all must pass, and one that fails is enough.
pub(crate) fn verdict(all: &[Watch]) -> Option<bool> {
    let mut told = all.iter().map(|watch| watch.health.told());
    if told.clone().any(|told| told == Some(false)) {
        return Some(false);
    }
    told.all(|told| told == Some(true)).then_some(true)
}

/// When failures count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grace {
    Running,
    Over,
}

/// What follows from one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing that the framework should hear of.
    Silent,
    /// The task has become healthy.
    Healthy,
    /// The task is not healthy, and may go on.
    Unhealthy,
    /// The task is not healthy, and has been so too often.
    Hopeless,
}

impl Health {
    /// What is known: nothing until a probe passed, or failed when that counts.
    pub(crate) fn told(self) -> Option<bool> {
        match self.failures {
            0 => self.ever_healthy.then_some(true),
            _ => Some(false),
        }
    }

    /// Counts one probe. A limit of zero kills at the first failure, as in Mesos.
    pub(crate) fn judge(&mut self, passed: bool, grace: Grace, limit: u32) -> Verdict {
        if passed {
            let news = !self.ever_healthy || self.failures > 0;
            *self = Self {
                ever_healthy: true,
                failures: 0,
            };
            return if news {
                Verdict::Healthy
            } else {
                Verdict::Silent
            };
        }
        if !self.ever_healthy && grace == Grace::Running {
            return Verdict::Silent;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= limit {
            Verdict::Hopeless
        } else {
            Verdict::Unhealthy
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(health: &mut Health, passed: &[bool]) -> Vec<Verdict> {
        passed
            .iter()
            .map(|passed| health.judge(*passed, Grace::Over, 3))
            .collect()
    }

    #[test]
    fn health_is_told_when_it_changes_and_failures_each_time() {
        use Verdict::{Healthy, Silent, Unhealthy};
        let told = judge(
            &mut Health::default(),
            &[true, true, false, false, true, false, true],
        );
        assert_eq!(
            told,
            [
                Healthy, Silent, Unhealthy, Unhealthy, Healthy, Unhealthy, Healthy
            ]
        );
    }

    #[test]
    fn failures_in_a_row_end_a_task_and_a_pass_begins_the_row_anew() {
        let mut health = Health::default();
        judge(&mut health, &[false, false, true, false, false]);
        assert_eq!(health.judge(false, Grace::Over, 3), Verdict::Hopeless);
    }

    #[test]
    fn failures_in_the_grace_period_count_only_after_a_pass() {
        let mut health = Health::default();
        assert_eq!(health.judge(false, Grace::Running, 1), Verdict::Silent);
        assert_eq!(health.judge(true, Grace::Running, 2), Verdict::Healthy);
        assert_eq!(health.judge(false, Grace::Running, 2), Verdict::Unhealthy);
    }

    #[test]
    fn several_are_healthy_when_all_have_passed_and_not_when_one_fails() {
        let of = |ever_healthy, failures| Watch {
            health: Health {
                ever_healthy,
                failures,
            },
            grace_ends_ns: 0,
        };
        let (unknown, good, bad) = (of(false, 0), of(true, 0), of(true, 1));
        assert_eq!(verdict(&[good, good]), Some(true));
        assert_eq!(verdict(&[good, unknown]), None);
        assert_eq!(verdict(&[bad, unknown]), Some(false));
        assert_eq!(verdict(&[good, bad]), Some(false));
    }

    #[test]
    fn a_limit_of_zero_ends_a_task_at_its_first_failure() {
        assert_eq!(
            Health::default().judge(false, Grace::Over, 0),
            Verdict::Hopeless
        );
    }
}
