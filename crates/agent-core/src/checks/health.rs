//! The interpretation of a health check: what a row of passed and failed probes means. Pure counting.

/// What has been found out about a task's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// A probe has passed at least once: the grace period is over.
    pub(crate) ever_healthy: bool,
    /// Failures since the last probe that passed.
    pub(crate) failures: u32,
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
    fn a_limit_of_zero_ends_a_task_at_its_first_failure() {
        assert_eq!(
            Health::default().judge(false, Grace::Over, 0),
            Verdict::Hopeless
        );
    }
}
