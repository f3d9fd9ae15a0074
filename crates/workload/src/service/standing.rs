//! How a service stands, as readers see it.

use crate::effect::Effects;
use crate::key::ObjectKey;
use crate::records::{Failure, ServiceStatus, Status};
use crate::workloads::Workloads;

impl Workloads {
    /// Puts counts and conditions into the record, and lets those go on that waited for this service.
    pub(crate) fn stand(&mut self, key: ObjectKey, _effects: &mut Effects) {
        let Some(state) = self.service(key) else {
            return;
        };
        let (new, old) = state.sides();
        let all = new.plus(old);
        let target = state.durable.revisions.get(&state.durable.target);
        let failures = target.map(|revision| revision.failures.clone());
        let failures = failures.unwrap_or_default();
        let wanted = self.least(key);
        let was_settled = state.is_settled;
        let status = ServiceStatus {
            wanted,
            staged: all.staged,
            running: all.running,
            ready: all.ready,
            healthy: all.healthy,
            unhealthy: all.unhealthy,
            stable_generation: state
                .durable
                .stable
                .as_ref()
                .map(|stable| stable.generation),
            rollout: state.durable.rollout,
            failures: failures.count,
            backoff_until: failures.until.filter(|until| *until > self.wall()),
            last_failure: self.last_failure(key).cloned(),
        };
        let is_ready = all.serving >= wanted;
        self.set_status(key, status);
        self.set_conditions(key, is_ready);
        let is_settled = is_ready && self.active_rollout(key).is_none();
        if let Some(state) = self.service_mut(key) {
            state.is_settled = is_settled;
        }
        if is_settled && !was_settled {
            let waiting = self.services.waiting.clone();
            self.services.agenda.extend(waiting);
        }
    }

    fn set_conditions(&mut self, key: ObjectKey, is_ready: bool) {
        let reason = if is_ready {
            "all_ready"
        } else {
            "not_all_ready"
        };
        self.set_condition(key, "ready", is_ready, reason, "");
        let (is_rolling, why) = match self.active_rollout(key) {
            Some(rollout) => (true, rollout.message.clone()),
            None => (false, Box::default()),
        };
        let reason = if is_rolling { "rollout" } else { "none" };
        self.set_condition(key, "progressing", is_rolling, reason, &why);
        let is_crash_loop = self.service(key).is_some_and(|state| {
            let revision = state.durable.revisions.get(&state.durable.target);
            revision.is_some_and(|revision| {
                let rules = &revision.service().restart;
                revision.failures.is_crash_loop(rules)
            })
        });
        let reason = if is_crash_loop { "failures" } else { "none" };
        self.set_condition(key, "crash_looping", is_crash_loop, reason, "");
        let blocked = self.blocked(key);
        let reason = if blocked.is_some() {
            "material"
        } else {
            "none"
        };
        let message = blocked.unwrap_or_default();
        self.set_condition(key, "blocked", reason != "none", reason, &message);
    }

    /// Why no instance can be started, as far as configs and secrets go.
    pub(crate) fn blocked(&self, key: ObjectKey) -> Option<String> {
        let target = self.service(key)?.durable.target;
        let container = self.revision(key, target)?.container()?;
        self.missing_material(container)
            .map(|error| error.to_string())
    }

    fn set_status(&mut self, key: ObjectKey, status: ServiceStatus) {
        let status = Status::Service(status);
        let changed = self
            .object_at(key)
            .is_some_and(|object| object.status != status);
        if changed {
            if let Some(object) = self.object_mut(key) {
                object.status = status;
            }
            self.note_object(key);
        }
    }

    pub(crate) fn last_failure(&self, key: ObjectKey) -> Option<&Failure> {
        match &self.object_at(key)?.status {
            Status::Service(status) => status.last_failure.as_ref(),
            _ => None,
        }
    }

    pub(crate) fn set_last_failure(&mut self, key: ObjectKey, failure: Failure) {
        let Some(object) = self.object_mut(key) else {
            return;
        };
        match &mut object.status {
            Status::Service(status) => status.last_failure = Some(failure),
            status => {
                *status = Status::Service(ServiceStatus {
                    last_failure: Some(failure),
                    ..ServiceStatus::default()
                });
            }
        }
        self.note_object(key);
    }
}
