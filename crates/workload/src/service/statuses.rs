//! What statuses mean for a service: readiness, failures, and who holds which ordinal.

use mezz_proto::v1::TaskState;
use mezz_state::time::Wall;

use crate::effect::Effects;
use crate::event::Status;
use crate::instances::checks;
use crate::instances::kills::{KillTerms, terms_of};
use crate::instances::statuses::{is_infrastructure, is_terminal};
use crate::key::{InstanceKey, ObjectKey};
use crate::records::{Failure, InstanceRecord, Phase, RolloutState};
use crate::workloads::Workloads;

pub(crate) fn on_status(
    w: &mut Workloads,
    key: InstanceKey,
    status: &Status,
    effects: &mut Effects,
) {
    let Some(object) = w.instance(key).map(|instance| instance.object) else {
        return;
    };
    if is_terminal(status.state) {
        w.on_end(key, status, effects);
        return super::wake(w, object);
    }
    let before = w.instance(key).cloned();
    w.take_status(key, status, effects);
    w.judge(key);
    let after = w.instance(key).cloned();
    if before == after {
        return;
    }
    let started = |record: &Option<std::sync::Arc<InstanceRecord>>| {
        record.as_ref().and_then(|record| record.started_at)
    };
    if started(&before) == started(&after) {
        w.note_instance(key);
    } else {
        // Whoever is told of the start is told the same by the next master.
        w.write_instance(key, effects);
    }
    w.tell_change(key, effects);
    let is_away = after.is_some_and(|after| after.phase == Phase::Unreachable)
        || !w.take_back(object, key, effects);
    if let Some(state) = w.service_mut(object) {
        let changed = if is_away {
            state.away.insert(key)
        } else {
            state.away.remove(&key)
        };
        if changed {
            super::wake(w, object);
        }
    }
    if super::recount(w, key) {
        super::wake(w, object);
    }
}

impl Workloads {
    /// Works out anew whether an instance is ready.
    pub(crate) fn judge(&mut self, key: InstanceKey) {
        let now = self.wall();
        let Some(record) = self.instance(key) else {
            return;
        };
        let (object, number) = (record.object, record.revision);
        let Some(revision) = self.revision(object, number) else {
            return;
        };
        let passes = record.phase == Phase::Running && self.passes(record);
        let ready_for_ns = revision.service().update.ready_for.nanoseconds();
        let since = if passes {
            record.passing_since.unwrap_or(now)
        } else {
            now
        };
        let due = Wall(since.0.saturating_add(ready_for_ns));
        let is_ready = passes && due <= now;
        let old_due = record
            .passing_since
            .map(|since| Wall(since.0.saturating_add(ready_for_ns)));
        if let Some(record) = self.instance_mut(key) {
            record.passing_since = passes.then_some(since);
            record.ready = is_ready && record.ending.is_none();
        }
        if let Some(state) = self.service_mut(object) {
            if let Some(old_due) = old_due {
                state.ripening.remove(&(old_due, key));
            }
            if passes && !is_ready {
                state.ripening.insert((due, key));
                super::wake(self, object);
            }
        }
    }

    /// Whether it passes all that makes it ready: its ready checks, or without one its health checks, or that it runs.
    fn passes(&self, record: &InstanceRecord) -> bool {
        let revision = self.revision(record.object, record.revision);
        let Some(container) = revision.and_then(|revision| revision.container()) else {
            return false;
        };
        let checks = &container.checks;
        match (checks.ready(), checks.health()) {
            ([_, ..], _) => checks::failing(checks, record).next().is_none(),
            ([], [_, ..]) => record.healthy == Some(true),
            ([], []) => true,
        }
    }

    /// Those that have been passing for long enough are ready.
    pub(crate) fn ripen(&mut self, object: ObjectKey, effects: &mut Effects) {
        let now = self.wall();
        while let Some((due, key)) = self
            .service(object)
            .and_then(|state| state.ripening.first().copied())
        {
            if due > now {
                return;
            }
            if let Some(state) = self.service_mut(object) {
                state.ripening.remove(&(due, key));
            }
            if let Some(record) = self.instance_mut(key) {
                record.ready = record.passing_since.is_some() && record.ending.is_none();
                self.note_instance(key);
                self.tell_change(key, effects);
                super::recount(self, key);
            }
        }
    }

    fn on_end(&mut self, key: InstanceKey, status: &Status, effects: &mut Effects) {
        let Some(record) = self.remove_instance(key, &status.message, effects) else {
            return;
        };
        Self::unwrite_instance(&record, effects);
        if let Some(state) = self.service_mut(record.object) {
            state.release(&record);
            state.recount(key, None);
            state.away.remove(&key);
            state.ripening.retain(|(_, ripening)| *ripening != key);
        }
        if record.ending.is_some() {
            return;
        }
        if is_infrastructure(status.state) {
            return self.note_lost(&record);
        }
        let was_unhealthy = status.healthy.or(record.healthy) == Some(false);
        if status.state == TaskState::TaskKilled && !was_unhealthy {
            return;
        }
        self.note_failure(&record, status);
    }

    fn note_lost(&mut self, record: &InstanceRecord) {
        let now = self.wall();
        if record.started_at.is_some() {
            return;
        }
        let Some(state) = self.service_mut(record.object) else {
            return;
        };
        if let Some(revision) = state.durable.revisions.get_mut(&record.revision) {
            let rules = revision.service().restart.clone();
            revision.failures.pause(&rules, now);
        }
    }

    fn note_failure(&mut self, record: &InstanceRecord, status: &Status) {
        let now = self.wall();
        let object = record.object;
        let Some(spec) = self.service_spec(object) else {
            return;
        };
        let rules = &crate::service::revisions::as_service(&spec).restart;
        let Some(state) = self.service_mut(object) else {
            return;
        };
        let is_new = state.durable.target == record.revision;
        let Some(revision) = state.durable.revisions.get_mut(&record.revision) else {
            return;
        };
        revision
            .failures
            .add(rules, now, record.created_at, record.started_at);
        let failure = Failure {
            instance: (*record.id).into(),
            agent: record.agent.clone(),
            state: status.state,
            message: failure_message(status).into(),
            at: now,
            generation: revision.generation,
        };
        self.set_last_failure(object, failure);
        if is_new
            && let Some(rollout) = self.rollout_mut(object)
            && rollout.state == RolloutState::Rolling
        {
            rollout.failures += 1;
        }
    }
}

/// What an end says, or what it means when it says nothing.
fn failure_message(status: &Status) -> String {
    if !status.message.is_empty() {
        return status.message.to_string();
    }
    match status.exit_status {
        Some(exit) => format!("it ended with status {exit}"),
        None => format!("it ended as {}", status.state.as_str_name()),
    }
}

pub(crate) fn kill_terms(w: &Workloads, key: InstanceKey) -> KillTerms {
    let Some(record) = w.instance(key) else {
        return KillTerms::default();
    };
    w.revision(record.object, record.revision)
        .map(|revision| terms_of(&revision.service().template))
        .unwrap_or_default()
}
