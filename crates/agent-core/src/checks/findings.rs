//! What follows from a finding: an update where there is news, the end of a task that fails too often or takes too long.

use super::health::{Grace, Health, Verdict};
use super::terms::{Found, check_status};
use super::{Checks, Purpose};
use crate::agent::{AgentCore, Turn};
use crate::journal::{CheckState, Record};
use crate::killing::KillOrder;
use crate::model::TaskKey;
use crate::status::state_of;
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{CheckStatusInfo, TaskState, TaskStatus};
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
            Purpose::Health => self.judge_health(turn, task, found),
            Purpose::Status => self.judge_status(turn, task, found),
        }
    }

    fn judge_health(&mut self, turn: &mut Turn<'_>, task: TaskKey, found: Found) {
        let Some(entry) = self.tasks.get_mut(task) else {
            return;
        };
        let (Some(checks), Some(check)) = (&mut entry.checks, &entry.info.health_check) else {
            return;
        };
        let grace = if turn.now.mono_ns <= checks.grace_ends_ns {
            Grace::Running
        } else {
            Grace::Over
        };
        let before = checks.health;
        let http = check.http.as_ref().filter(|_| {
            let terms = entry.terms.as_ref();
            terms.is_some_and(|terms| terms.exact_statuses())
        });
        let only = http.map_or(&[][..], |http| &http.statuses);
        let verdict =
            checks
                .health
                .judge(found.is_healthy(only), grace, check.consecutive_failures());
        let executor = entry.executor;
        if checks.health != before {
            self.record_checks(turn, task);
        }
        let healthy = match verdict {
            Verdict::Silent => return,
            Verdict::Healthy => true,
            Verdict::Unhealthy | Verdict::Hopeless => false,
        };
        self.tell_health(turn, task, healthy);
        if let (Verdict::Hopeless, Some(executor)) = (verdict, executor) {
            self.kill_command_task(turn, executor, KillOrder::UNHEALTHY);
        }
    }

    fn judge_status(&mut self, turn: &mut Turn<'_>, task: TaskKey, found: Found) {
        let Some(entry) = self.tasks.get_mut(task) else {
            return;
        };
        let (Some(checks), Some(check)) = (&mut entry.checks, &entry.info.check) else {
            return;
        };
        let status = check_status(check, found);
        if checks.status.as_ref() == Some(&status) {
            return;
        }
        checks.status = Some(status);
        self.record_checks(turn, task);
        self.tell_status(turn, task, status);
    }

    fn tell_health(&mut self, turn: &mut Turn<'_>, task: TaskKey, healthy: bool) {
        let reason = Reason::TaskHealthCheckStatusUpdated;
        self.tell(turn, task, reason, |status| status.healthy = Some(healthy));
    }

    fn tell_status(&mut self, turn: &mut Turn<'_>, task: TaskKey, check: CheckStatusInfo) {
        let reason = Reason::TaskCheckStatusUpdated;
        self.tell(turn, task, reason, |status| {
            status.check_status = Some(check);
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
        let last = self.tasks.get(task).and_then(|entry| entry.history.last());
        let Some(last) = last.filter(|last| state_of(last) == TaskState::TaskRunning) else {
            return;
        };
        let mut status = TaskStatus {
            uuid: None,
            timestamp: None,
            reason: Some(reason.into()),
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
    /// What the next life must know.
    pub(crate) fn state(&self) -> CheckState {
        CheckState {
            started_wall_ns: self.started_wall_ns,
            ever_healthy: self.health.ever_healthy,
            failures: self.health.failures,
            status: self.status,
        }
    }

    /// As an earlier life left it; [`AgentCore::resume_checks`] sets the clocks.
    pub(crate) fn recovered(state: CheckState) -> Self {
        Self {
            started_wall_ns: state.started_wall_ns,
            grace_ends_ns: 0,
            health: Health {
                ever_healthy: state.ever_healthy,
                failures: state.failures,
            },
            status: state.status,
            under_way: BTreeMap::new(),
        }
    }
}
