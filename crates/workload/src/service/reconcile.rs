//! A service looks at itself: what is due, how far its rollout is, and what is to be started and ended next.

use std::sync::Arc;

use mezz_spec::Spec;
use mezz_spec::service::{Replicas, Service as ServiceSpec};
use mezz_state::time::{SECOND_NS, Wall};

use crate::effect::{Effect, Effects};
use crate::event::TimerKey;
use crate::key::ObjectKey;
use crate::records::Ending;
use crate::service::moves::Moves;
use crate::service::revisions::as_service;
use crate::service::strategy::Scene;
use crate::workloads::{Stage, Workloads};

impl Workloads {
    /// All services with something new look at themselves.
    pub(crate) fn settle_services(&mut self, effects: &mut Effects) {
        if self.stage == Stage::Loading {
            return;
        }
        while let Some(key) = self.services.agenda.pop_first() {
            self.reconcile(key, effects);
        }
    }

    fn reconcile(&mut self, key: ObjectKey, effects: &mut Effects) {
        let Some(object) = self.object_at(key) else {
            return;
        };
        if !self.services.states.contains_key(&key) {
            return;
        }
        if object.deleted_at.is_some() {
            return self.wind_up(key, effects);
        }
        let spec = Arc::clone(&object.spec);
        self.ripen(key, effects);
        self.give_up_unreachable(key, as_service(&spec), effects);
        if !self.records.is_frozen() && !self.is_unsure(key) {
            self.advance_rollout(key, effects);
            // It may have become another one.
            let spec = self.service_spec(key).unwrap_or(spec);
            let moves = self
                .scene(key, as_service(&spec))
                .map(|scene| scene.position().moves());
            self.do_moves(key, moves.unwrap_or_default(), effects);
        } else {
            self.state_demands(key, Moves::default(), effects);
        }
        self.stand(key, effects);
        self.arm_wake(key, effects);
    }

    /// Whether instances may still be alive of which nothing was heard since the restart.
    fn is_unsure(&self, key: ObjectKey) -> bool {
        self.stage != Stage::Live
            && self.service(key).is_some_and(|state| {
                let (new, old) = state.sides();
                new.unconfirmed + old.unconfirmed > 0
            })
    }

    /// How many instances are wanted.
    pub(crate) fn wanted(&self, key: ObjectKey) -> u32 {
        let Some(spec) = self.service_spec(key) else {
            return 0;
        };
        match &as_service(&spec).replicas {
            Replicas::Count(count) => *count,
            Replicas::PerNode(_) => u32::try_from(self.agents.len()).unwrap_or(u32::MAX),
            Replicas::Autoscale(bounds) => self
                .service(key)
                .and_then(|state| state.durable.scaling.count)
                .unwrap_or(bounds.min)
                .clamp(bounds.min, bounds.max.max(bounds.min)),
        }
    }

    pub(crate) fn scene<'a>(&'a self, key: ObjectKey, spec: &'a ServiceSpec) -> Option<Scene<'a>> {
        let state = self.service(key)?;
        let (new, old) = state.sides();
        Some(Scene {
            spec,
            rollout: self.active_rollout(key).map(|rollout| &**rollout),
            wanted: self.wanted(key),
            is_per_node: matches!(spec.replicas, Replicas::PerNode(_)),
            // Without anything old to start there is nothing to hold back for.
            hold: state
                .durable
                .hold
                .filter(|_| state.old_revision().is_some()),
            new,
            old,
            now: self.wall(),
        })
    }

    fn do_moves(&mut self, key: ObjectKey, moves: Moves, effects: &mut Effects) {
        if self.stage == Stage::Live && moves.end_new + moves.end_old > 0 {
            self.end_surplus(key, moves, effects);
        }
        self.state_demands(key, moves, effects);
    }

    /// A deleted service: everything ends, then nothing of it is left.
    fn wind_up(&mut self, key: ObjectKey, effects: &mut Effects) {
        self.withdraw_demands(key, effects);
        if let Some(spec) = self.service_spec(key) {
            self.give_up_unreachable(key, as_service(&spec), effects);
        }
        if self.stage == Stage::Live && !self.records.is_frozen() {
            let staying: Vec<_> = self
                .all_of(key)
                .filter(|instance| instance.ending.is_none())
                .map(|instance| instance.key)
                .collect();
            for instance in staying {
                self.end_instance(instance, Ending::Deleted, effects);
            }
        }
        if self.all_of(key).next().is_none() {
            return self.forget_service(key, effects);
        }
        self.arm_wake(key, effects);
    }

    fn forget_service(&mut self, key: ObjectKey, effects: &mut Effects) {
        let Some(state) = self.services.states.remove(&key) else {
            return;
        };
        let rollouts = state.durable.ended_rollouts.into_iter();
        for rollout in rollouts.chain(state.durable.rollout) {
            self.forget_rollout(rollout, effects);
        }
        self.services.waiting.remove(&key);
        if state.wake_at.is_some() {
            effects.push(Effect::CancelTimer(TimerKey::Service(key)));
        }
        self.unwrite_service(key, effects);
        self.forget_object(key, effects);
    }

    /// Sets the timer for the next moment at which something is due, unless one goes off sooner anyway.
    fn arm_wake(&mut self, key: ObjectKey, effects: &mut Effects) {
        let Some(at) = self.next_due(key) else {
            return;
        };
        let now = self.wall();
        let Some(state) = self.service_mut(key) else {
            return;
        };
        if state.wake_at.is_some_and(|set| set <= at && set > now) {
            return;
        }
        state.wake_at = Some(at);
        effects.push(Effect::SetTimer {
            key: TimerKey::Service(key),
            at,
        });
    }

    fn next_due(&self, key: ObjectKey) -> Option<Wall> {
        let state = self.service(key)?;
        let now = self.wall();
        let ripe = state.ripening.first().map(|(at, _)| *at);
        let backoff = state
            .durable
            .revisions
            .values()
            .filter_map(|revision| revision.failures.until)
            .filter(|until| *until > now)
            .min();
        let unreachable = self.next_unreachable(key);
        let may_act = !self.records.is_frozen() && !self.is_unsure(key);
        let rollout = self.next_of_rollout(key).filter(|_| may_act);
        let due = [ripe, backoff, unreachable, rollout]
            .into_iter()
            .flatten()
            .min()?;
        // What was due and could not be done yet is not tried again and again.
        Some(if due <= now {
            Wall(now.0.saturating_add(SECOND_NS))
        } else {
            due
        })
    }
}

/// The number of replicas of a spec, where it is a number.
pub(crate) fn count_of(spec: &Spec) -> Option<u32> {
    match as_service(spec).replicas {
        Replicas::Count(count) => Some(count),
        _ => None,
    }
}
