//! Rollouts: begun, paused, failed, taken back and ended. How instances move meanwhile is the strategy's.

use std::sync::Arc;

use mezz_spec::service::Strategy;
use mezz_spec::{Kind, Spec};
use mezz_state::time::Wall;

use crate::call::Refusal;
use crate::effect::Effects;
use crate::fact::Fact;
use crate::key::{ObjectKey, RolloutKey};
use crate::naming;
use crate::records::{Pause, RolloutRecord, RolloutState};
use crate::service::revisions::as_service;
use crate::service::state::Stable;
use crate::workloads::Workloads;

/// So many rollouts that are over are kept for each service.
const ENDED_LIMIT: usize = 10;

impl Workloads {
    /// The rollout with this key.
    pub fn rollout(&self, key: RolloutKey) -> Option<&Arc<RolloutRecord>> {
        self.records.rollouts.get(key.index())
    }

    /// The rollout that a service is in the middle of.
    pub fn active_rollout(&self, service: ObjectKey) -> Option<&Arc<RolloutRecord>> {
        let key = self.service(service)?.durable.rollout?;
        self.rollout(key)
            .filter(|rollout| rollout.state.is_active())
    }

    pub(crate) fn rollout_mut(&mut self, service: ObjectKey) -> Option<&mut RolloutRecord> {
        let key = self.active_rollout(service)?.key;
        self.note_rollout(key);
        self.records.rollouts.get_mut(key.index())
    }

    /// Refuses when one of these is in the middle of a rollout.
    pub(crate) fn refuse_rollouts(&self, services: &[ObjectKey]) -> Result<(), Refusal> {
        let rollouts: Vec<String> = services
            .iter()
            .filter_map(|key| self.active_rollout(*key))
            .map(|rollout| rollout.id.to_string())
            .collect();
        if rollouts.is_empty() {
            return Ok(());
        }
        Err(Refusal::Conflict {
            message: format!(
                "a rollout is in progress ({}); wait for it, abort it, or let this change take over",
                rollouts.join(", ")
            ),
            rollouts,
        })
    }

    pub(crate) fn begin_rollout(
        &mut self,
        service: ObjectKey,
        from: Option<u64>,
        effects: &mut Effects,
    ) -> Option<RolloutKey> {
        let now = self.wall();
        let object = self.object_at(service)?;
        let (uid, to) = (object.uid.clone(), object.generation);
        let key = RolloutKey(self.free_rollouts.take());
        let state = self.service_mut(service)?;
        state.durable.rollouts += 1;
        state.durable.rollout = Some(key);
        state.durable.hold = None;
        let number = state.durable.rollouts;
        let record = RolloutRecord {
            key,
            id: naming::uuid(&[uid.as_bytes(), b"rollout", &number.to_le_bytes()]).into(),
            object: service,
            number,
            from,
            to,
            state: RolloutState::Waiting,
            step: 0,
            pause: None,
            moved_at: None,
            started_at: now,
            progressed_at: now,
            ended_at: None,
            new_ready: 0,
            old_left: 0,
            wanted: 0,
            failures: 0,
            message: Box::default(),
        };
        self.records.rollouts.insert(key.index(), record);
        self.services.waiting.insert(service);
        self.write_rollout(key, effects);
        effects.fact(Fact::RolloutStarted { rollout: key });
        Some(key)
    }

    pub(crate) fn end_rollout(
        &mut self,
        service: ObjectKey,
        state: RolloutState,
        message: &str,
        effects: &mut Effects,
    ) {
        let now = self.wall();
        let Some(rollout) = self.rollout_mut(service) else {
            return;
        };
        rollout.state = state;
        rollout.pause = None;
        rollout.ended_at = Some(now);
        rollout.message = message.into();
        let key = rollout.key;
        self.services.waiting.remove(&service);
        self.write_rollout(key, effects);
        effects.fact(Fact::RolloutEnded { rollout: key });
        let Some(state) = self.service_mut(service) else {
            return;
        };
        state.durable.rollout = None;
        state.durable.ended_rollouts.push(key);
        if state.durable.ended_rollouts.len() > ENDED_LIMIT {
            let oldest = state.durable.ended_rollouts.remove(0);
            self.forget_rollout(oldest, effects);
        }
        self.write_service(service, effects);
    }

    /// All instances are as the object says.
    pub(crate) fn succeed(&mut self, service: ObjectKey, effects: &mut Effects) {
        self.mark_stable(service);
        let is_back = self
            .active_rollout(service)
            .is_some_and(|rollout| rollout.state == RolloutState::RollingBack);
        if is_back {
            let message = self
                .active_rollout(service)
                .map(|rollout| rollout.message.clone())
                .unwrap_or_default();
            self.end_rollout(service, RolloutState::RolledBack, &message, effects);
        } else {
            self.end_rollout(service, RolloutState::Succeeded, "", effects);
        }
    }

    pub(crate) fn mark_stable(&mut self, service: ObjectKey) {
        let Some(object) = self.object_at(service) else {
            return;
        };
        let (generation, spec) = (object.generation, Arc::clone(&object.spec));
        if let Some(state) = self.service_mut(service) {
            state.durable.hold = None;
            state.durable.stable = Some(Stable {
                generation,
                revision: state.durable.target,
                spec,
            });
            state.forget_revisions();
        }
        self.note_object(service);
    }

    /// The rollout does not succeed: it goes back, if it may and there is something to go back to, or ends where it is.
    pub(crate) fn fail(&mut self, service: ObjectKey, why: &str, effects: &mut Effects) {
        let Some(rollout) = self.active_rollout(service) else {
            return;
        };
        let was_going_back = rollout.state == RolloutState::RollingBack;
        let Some(spec) = self.service_spec(service) else {
            return;
        };
        let Some(state) = self.service(service) else {
            return;
        };
        let durable = &state.durable;
        let back = durable.stable.clone().filter(|stable| {
            stable.revision != durable.target && durable.revisions.contains_key(&stable.revision)
        });
        match back {
            Some(stable) if as_service(&spec).update.auto_rollback && !was_going_back => {
                self.go_back(service, stable, why, effects);
            }
            _ => {
                self.hold(service);
                self.end_rollout(service, RolloutState::Failed, why, effects);
            }
        }
    }

    /// Makes a new generation of what was stable, and lets the rollout go back to it.
    fn go_back(&mut self, service: ObjectKey, stable: Stable, why: &str, effects: &mut Effects) {
        let now = self.wall();
        let is_blue_green = self.service_spec(service).is_some_and(|spec| {
            matches!(as_service(&spec).update.strategy, Strategy::BlueGreen(_))
        });
        self.keep_former(service, effects);
        let Some(object) = self.object_mut(service) else {
            return;
        };
        object.generation += 1;
        object.changed_at = now;
        object.spec = Arc::clone(&stable.spec);
        let (name, generation) = (object.name.clone(), object.generation);
        self.write_object(service, effects);
        effects.fact(Fact::ObjectApplied {
            object: service,
            kind: Kind::Service,
            name,
            generation,
            is_new: false,
            by: self.caller.clone(),
        });
        if let Some(state) = self.service_mut(service) {
            state.durable.target = stable.revision;
        }
        if is_blue_green {
            self.serve_only(service, stable.revision, effects);
        }
        if let Some(rollout) = self.rollout_mut(service) {
            rollout.state = RolloutState::RollingBack;
            rollout.pause = None;
            rollout.moved_at = None;
            rollout.progressed_at = now;
            rollout.new_ready = 0;
            rollout.message = why.into();
            let key = rollout.key;
            self.write_rollout(key, effects);
            effects.fact(Fact::RolloutStepped { rollout: key });
        }
        self.write_service(service, effects);
        super::wake(self, service);
    }

    /// Keeps what is old and what is new as it is now; of two colours the one that serves.
    pub(crate) fn hold(&mut self, service: ObjectKey) {
        let wanted = self.wanted(service);
        if self
            .active_rollout(service)
            .is_some_and(|rollout| rollout.moved_at.is_some())
        {
            return;
        }
        let parked = self.parked_old(service);
        if let Some(state) = self.service_mut(service) {
            let (_, old) = state.sides();
            let kept = old.staying().saturating_sub(parked);
            let hold = wanted - kept.min(wanted);
            state.durable.hold = (kept > 0).then_some(hold);
        }
    }

    pub(crate) fn forget_rollout(&mut self, key: RolloutKey, effects: &mut Effects) {
        if let Some(record) = self.records.rollouts.remove(key.index()) {
            self.free_rollouts.give(key.0);
            if let Some(object) = self.object_at(record.object) {
                effects.delete(rollout_key(&object.uid, record.number));
            }
        }
    }

    pub(crate) fn write_rollout(&self, key: RolloutKey, effects: &mut Effects) {
        let Some(record) = self.rollout(key) else {
            return;
        };
        if let Some(object) = self.object_at(record.object) {
            effects.put(rollout_key(&object.uid, record.number), &**record);
        }
    }
}

fn rollout_key(uid: &str, number: u32) -> String {
    format!("work/rollout/{uid}/{number:010}")
}

impl Workloads {
    /// A pause is over.
    pub(crate) fn go_on(&mut self, service: ObjectKey, pause: Pause, effects: &mut Effects) {
        let now = self.wall();
        let target = self
            .service(service)
            .map_or(0, |state| state.durable.target);
        let Some(rollout) = self.rollout_mut(service) else {
            return;
        };
        rollout.pause = None;
        rollout.state = RolloutState::Rolling;
        rollout.progressed_at = now;
        rollout.message = Box::default();
        match pause {
            // Nothing of it has begun: it may still have to wait for others.
            Pause::Asked { new: 0, .. } => rollout.state = RolloutState::Waiting,
            Pause::Asked { .. } => {}
            Pause::Step { .. } => rollout.step += 1,
            Pause::Move => rollout.moved_at = Some(now),
        }
        let (key, waits) = (rollout.key, rollout.state == RolloutState::Waiting);
        if waits {
            self.services.waiting.insert(service);
        }
        if pause == Pause::Move {
            self.serve_only(service, target, effects);
        }
        self.write_rollout(key, effects);
        effects.fact(Fact::RolloutStepped { rollout: key });
    }

    /// Traffic goes to instances of this revision only.
    pub(crate) fn serve_only(&mut self, service: ObjectKey, revision: u32, effects: &mut Effects) {
        let Some(state) = self.service(service) else {
            return;
        };
        let claims: Vec<(u32, crate::key::InstanceKey)> = state
            .claims
            .iter()
            .map(|((_, owner), key)| (*owner, *key))
            .collect();
        for (owner, key) in claims {
            let is_parked = owner != revision;
            let changes = self
                .instance(key)
                .is_some_and(|instance| instance.parked != is_parked);
            if changes {
                if let Some(instance) = self.instance_mut(key) {
                    instance.parked = is_parked;
                }
                self.note_instance(key);
                self.tell_change(key, effects);
                super::recount(self, key);
            }
        }
    }

    /// The spec of the rollout's deadline, for timers.
    pub(crate) fn deadline(&self, service: ObjectKey) -> Option<Wall> {
        let rollout = self.active_rollout(service)?;
        let spec: Arc<Spec> = self.service_spec(service)?;
        let span = as_service(&spec).update.deadline.nanoseconds();
        matches!(
            rollout.state,
            RolloutState::Rolling | RolloutState::RollingBack
        )
        .then_some(())
        .filter(|()| rollout.moved_at.is_none())
        .map(|()| Wall(rollout.progressed_at.0.saturating_add(span)))
    }
}
