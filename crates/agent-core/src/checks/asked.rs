//! All checks that a task asks for: its own two, and those of its terms.

use super::terms::{Pace, Target, completion_ns, grace_ns};
use crate::model::Task;
use mezz_proto::agent_protocol::InstanceTerms;
use mezz_proto::v1::{CheckInfo, HealthCheck, TaskInfo};

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Purpose {
    /// Of a health check: interpreted here. The task's own is 0.
    Health(u8),
    /// Of a check: interpreted by the framework. The task's own is 0.
    Status(u8),
}

/// What a task says of its checks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    info: &'a TaskInfo,
    terms: Option<&'a InstanceTerms>,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(task: &'a Task) -> Self {
        Self {
            info: &task.info,
            terms: task.terms.as_deref(),
        }
    }

    /// The health checks in order.
    pub(super) fn health_checks(self) -> impl Iterator<Item = &'a HealthCheck> {
        let more = self.terms.map_or(&[][..], |terms| &terms.health_checks);
        self.info.health_check.as_deref().into_iter().chain(more)
    }

    /// The checks in order.
    pub(super) fn checks(self) -> impl Iterator<Item = &'a CheckInfo> {
        let more = self.terms.map_or(&[][..], |terms| &terms.checks);
        self.info.check.as_deref().into_iter().chain(more)
    }

    pub(super) fn health_check(self, index: u8) -> Option<&'a HealthCheck> {
        self.health_checks().nth(usize::from(index))
    }

    pub(super) fn check(self, index: u8) -> Option<&'a CheckInfo> {
        self.checks().nth(usize::from(index))
    }

    /// The time after the start in which failures of each health check do not count.
    pub(super) fn graces_ns(self) -> impl Iterator<Item = u64> {
        self.health_checks().map(grace_ns)
    }

    /// What is probed. Masters refuse more checks than can be counted here.
    pub(crate) fn purposes(self) -> impl Iterator<Item = Purpose> {
        let health = (0..=u8::MAX).zip(self.health_checks());
        let status = (0..=u8::MAX).zip(self.checks());
        let health = health.map(|(index, _)| Purpose::Health(index));
        health.chain(status.map(|(index, _)| Purpose::Status(index)))
    }

    /// Whether there is anything about the task that needs a clock.
    pub(super) fn is_watched(self) -> bool {
        self.purposes().next().is_some() || completion_ns(self.info).is_some()
    }

    /// When probes happen.
    pub(super) fn pace(self, purpose: Purpose) -> Option<Pace> {
        let (delay, interval, timeout) = match purpose {
            Purpose::Health(index) => self.health_check(index).map(|check| {
                (
                    check.delay_seconds(),
                    check.interval_seconds(),
                    check.timeout_seconds(),
                )
            })?,
            Purpose::Status(index) => self.check(index).map(|check| {
                (
                    check.delay_seconds(),
                    check.interval_seconds(),
                    check.timeout_seconds(),
                )
            })?,
        };
        Some(Pace::of(delay, interval, timeout))
    }

    /// What a probe tries; none for a check that says no kind or lacks its content, which masters refuse.
    pub(super) fn target(self, purpose: Purpose) -> Option<Target<'a>> {
        match purpose {
            Purpose::Health(index) => Target::of_health_check(self.health_check(index)?),
            Purpose::Status(index) => {
                let number = u32::from(index);
                let is_https = self
                    .terms
                    .is_some_and(|terms| terms.https_checks.contains(&number));
                let scheme = if is_https { "https" } else { "http" };
                Target::of_check(self.check(index)?, scheme)
            }
        }
    }

    /// The only statuses that a health check over HTTP takes for good ones, if the task names them and means it.
    pub(super) fn only_statuses(self, index: u8) -> &'a [u32] {
        let is_exact = self.terms.is_some_and(InstanceTerms::exact_statuses);
        let http = self
            .health_check(index)
            .and_then(|check| check.http.as_ref());
        http.filter(|_| is_exact).map_or(&[], |http| &http.statuses)
    }
}
