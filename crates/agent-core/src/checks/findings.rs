//! What follows from a finding: an update where there is news, the end of a task that fails too often or takes too long.

use super::health::{Grace, Health, Verdict, Watch, verdict};
use super::terms::{Found, check_status};
use super::{Asked, Checks, Purpose};
use crate::agent::{AgentCore, Turn};
use crate::journal::{CheckState, HealthState, Record};
use crate::killing::KillOrder;
use crate::model::TaskKey;
use crate::status::state_of;
use mezz_proto::check_labels::{self, HealthFound};
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{CheckStatusInfo, Labels, TaskState, TaskStatus};
use std::collections::BTreeMap;

impl AgentCore {
    pub(super) fn on_found(
        &mut self,
        turn: &mut Turn<'_>,
        task: TaskKey,
        purpose: Purpose,
        found: Found,
    ) {
        self.probe_again(turn, task, purpose);
        match purpose {
            Purpose::Health(index) => self.judge_health(turn, task, index, found),
            Purpose::Status(index) => self.judge_status(turn, task, index, found),
        }
    }

    fn judge_health(&mut self, turn: &mut Turn<'_>, task: TaskKey, index: u8, found: Found) {
        let Some(entry) = self.tasks.get_mut(task) else {
            return;
        };
        let asked = Asked::of(entry);
        let is_healthy = found.is_healthy(asked.only_statuses(index));
        let limit = asked
            .health_check(index)
            .map(mezz_proto::v1::HealthCheck::consecutive_failures);
        let watch = entry
            .checks
            .as_mut()
            .and_then(|checks| checks.health.get_mut(usize::from(index)));
        let (Some(watch), Some(limit)) = (watch, limit) else {
            return;
        };
        let grace = if turn.now.mono_ns <= watch.grace_ends_ns {
            Grace::Running
        } else {
            Grace::Over
        };
        let before = watch.health;
        let judged = watch.health.judge(is_healthy, grace, limit);
        let is_news = watch.health != before;
        let executor = entry.executor;
        let told = entry
            .checks
            .as_ref()
            .and_then(|checks| verdict(&checks.health));
        if is_news {
            self.record_checks(turn, task);
        }
        if judged == Verdict::Silent {
            return;
        }
        self.tell_health(turn, task, told);
        if let (Verdict::Hopeless, Some(executor)) = (judged, executor) {
            self.kill_command_task(turn, executor, KillOrder::UNHEALTHY);
        }
    }

    fn judge_status(&mut self, turn: &mut Turn<'_>, task: TaskKey, index: u8, found: Found) {
        let Some(entry) = self.tasks.get_mut(task) else {
            return;
        };
        let Some(status) = Asked::of(entry)
            .check(index)
            .map(|check| check_status(check, found))
        else {
            return;
        };
        let known = entry
            .checks
            .as_mut()
            .and_then(|checks| checks.statuses.get_mut(usize::from(index)));
        let Some(known) = known.filter(|known| **known != status) else {
            return;
        };
        *known = status;
        self.record_checks(turn, task);
        self.tell_status(turn, task, (index == 0).then_some(status));
    }

    fn tell_health(&mut self, turn: &mut Turn<'_>, task: TaskKey, healthy: Option<bool>) {
        let reason = Reason::TaskHealthCheckStatusUpdated;
        self.tell(turn, task, reason, |status| status.healthy = healthy);
    }

    /// A status has room for what the first check found; labels tell of the others.
    fn tell_status(&mut self, turn: &mut Turn<'_>, task: TaskKey, first: Option<CheckStatusInfo>) {
        let reason = Reason::TaskCheckStatusUpdated;
        self.tell(turn, task, reason, |status| {
            status.check_status = first.or(status.check_status);
        });
    }

    /// What the last update said stays said: a check does not hide what is known of the health, nor the other way round.
    fn tell(
        &mut self,
        turn: &mut Turn<'_>,
        task: TaskKey,
        reason: Reason,
        change: impl FnOnce(&mut TaskStatus),
    ) {
        let Some(entry) = self.tasks.get(task) else {
            return;
        };
        let last = entry.history.last();
        let Some(last) = last.filter(|last| state_of(last) == TaskState::TaskRunning) else {
            return;
        };
        let labels = entry.checks.as_ref().and_then(|checks| checks.labels());
        let mut status = TaskStatus {
            uuid: None,
            timestamp: None,
            reason: Some(reason.into()),
            labels: labels.or_else(|| last.labels.clone()),
            ..TaskStatus::clone(last)
        };
        change(&mut status);
        self.take_update(turn, task, status);
    }

    /// The task has run for as long as it may.
    pub(crate) fn on_completion_time_over(&mut self, turn: &mut Turn<'_>, task: TaskKey) {
        if let Some(executor) = self.tasks.get(task).and_then(|entry| entry.executor) {
            self.kill_command_task(turn, executor, KillOrder::OVERDUE);
        }
    }

    pub(super) fn record_checks(&mut self, turn: &mut Turn<'_>, task: TaskKey) {
        let Some(entry) = self.tasks.get(task) else {
            return;
        };
        let Some(checks) = &entry.checks else { return };
        let (framework, serial, state) = (entry.framework, entry.serial, checks.state());
        self.checkpoint(turn, framework, Record::Checked { serial, state });
    }
}

impl Checks {
    /// What each check has found, where a status has not room enough for all.
    fn labels(&self) -> Option<Labels> {
        let mut labels = Vec::new();
        if self.health.len() > 1 {
            for (index, watch) in self.health.iter().enumerate() {
                let told = watch.health.told().map(|alive| HealthFound {
                    alive,
                    failures: watch.health.failures,
                });
                labels.push(check_labels::of_health(index, told));
            }
        }
        for (index, status) in self.statuses.iter().enumerate().skip(1) {
            labels.extend(check_labels::of_check(index, status));
        }
        (self.health.len() > 1 || self.statuses.len() > 1).then_some(Labels { labels })
    }

    /// What the next life must know.
    pub(crate) fn state(&self) -> CheckState {
        let health = self.health.iter().map(|watch| HealthState {
            ever_healthy: watch.health.ever_healthy,
            failures: watch.health.failures,
        });
        CheckState {
            started_wall_ns: self.started_wall_ns,
            health: health.collect(),
            statuses: self.statuses.clone(),
        }
    }

    /// As an earlier life left it; [`AgentCore::resume_checks`] sets the clocks.
    pub(crate) fn recovered(state: CheckState) -> Self {
        let health = state.health.iter().map(|known| Watch {
            health: Health {
                ever_healthy: known.ever_healthy,
                failures: known.failures,
            },
            grace_ends_ns: 0,
        });
        Self {
            started_wall_ns: state.started_wall_ns,
            health: health.collect(),
            statuses: state.statuses,
            under_way: BTreeMap::new(),
        }
    }
}
