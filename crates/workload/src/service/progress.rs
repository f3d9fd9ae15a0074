//! How far a rollout is: it begins when what it waits for is healthy, steps, moves traffic, succeeds, or fails.

use std::sync::Arc;

use mezz_spec::service::{Replicas, Service as ServiceSpec, Strategy};
use mezz_state::time::Wall;

use crate::effect::Effects;
use crate::fact::Fact;
use crate::key::ObjectKey;
use crate::records::{Pause, RolloutRecord, RolloutState};
use crate::service::revisions::as_service;
use crate::service::state::{Service, Tally};
use crate::workloads::Workloads;

impl Workloads {
    /// Takes all steps that the rollout can take now.
    pub(crate) fn advance_rollout(&mut self, key: ObjectKey, effects: &mut Effects) {
        let Some(rollout) = self.active_rollout(key).cloned() else {
            return self.settle_without_rollout(key);
        };
        let Some(spec) = self.service_spec(key) else {
            return;
        };
        let spec = as_service(&spec);
        if rollout.state == RolloutState::Waiting && !self.pass_gate(key, effects) {
            return;
        }
        self.note_progress(key);
        if self.end_pause(key, effects) {
            return;
        }
        let Some((new, old)) = self.service(key).map(Service::sides) else {
            return;
        };
        if self.step_canary(key, spec, new, old, effects)
            || self.move_traffic(key, spec, new, old, effects)
        {
            return;
        }
        if self.is_complete(key, spec, new, old) {
            return self.succeed(key, effects);
        }
        if let Some(why) = self.reason_to_fail(key, spec) {
            self.fail(key, &why, effects);
        }
    }

    /// Without a rollout, what is complete is stable: it may have become so after a rollout had been given up.
    fn settle_without_rollout(&mut self, key: ObjectKey) {
        let Some(object) = self.object_at(key) else {
            return;
        };
        let (generation, spec) = (object.generation, Arc::clone(&object.spec));
        let Some(state) = self.service(key) else {
            return;
        };
        let is_known = state.durable.stable.as_ref().is_some_and(|stable| {
            stable.revision == state.durable.target && stable.generation == generation
        });
        let (new, old) = state.sides();
        if !is_known
            && state.durable.hold.is_none()
            && self.is_complete(key, as_service(&spec), new, old)
        {
            self.mark_stable(key);
        }
    }

    /// Whether the rollout may begin.
    fn pass_gate(&mut self, key: ObjectKey, effects: &mut Effects) -> bool {
        let now = self.wall();
        let closed = self.closed_gate(key);
        let Some(rollout) = self.rollout_mut(key) else {
            return false;
        };
        if let Some(why) = closed {
            if *rollout.message != *why {
                rollout.message = why.into();
            }
            return false;
        }
        rollout.state = RolloutState::Rolling;
        rollout.progressed_at = now;
        rollout.message = Box::default();
        let rollout = rollout.key;
        self.services.waiting.remove(&key);
        effects.fact(Fact::RolloutStepped { rollout });
        true
    }

    fn note_progress(&mut self, key: ObjectKey) {
        let (now, wanted) = (self.wall(), self.wanted(key));
        let Some((new, old)) = self.service(key).map(Service::sides) else {
            return;
        };
        let Some(rollout) = self.active_rollout(key) else {
            return;
        };
        let seen = (rollout.new_ready, rollout.old_left, rollout.wanted);
        if seen == (new.ready, old.present, wanted) {
            return;
        }
        let is_progress = new.ready > rollout.new_ready || old.present < rollout.old_left;
        if let Some(rollout) = self.rollout_mut(key) {
            rollout.new_ready = new.ready;
            rollout.old_left = old.present;
            rollout.wanted = wanted;
            if is_progress {
                rollout.progressed_at = now;
            }
        }
    }

    /// Ends a pause whose time is over; whether the rollout still stands.
    fn end_pause(&mut self, key: ObjectKey, effects: &mut Effects) -> bool {
        let now = self.wall();
        let pause = self.active_rollout(key).and_then(|rollout| rollout.pause);
        match pause {
            None => false,
            Some(pause) if pause.until().is_some_and(|until| until <= now) => {
                self.go_on(key, pause, effects);
                super::wake(self, key);
                true
            }
            Some(_) => true,
        }
    }

    /// Pauses when a step of a canary is reached; whether it was.
    fn step_canary(
        &mut self,
        key: ObjectKey,
        spec: &ServiceSpec,
        new: Tally,
        old: Tally,
        effects: &mut Effects,
    ) -> bool {
        let Strategy::Canary(canary) = &spec.update.strategy else {
            return false;
        };
        let (now, wanted) = (self.wall(), self.wanted(key));
        let Some(rollout) = self.active_rollout(key) else {
            return false;
        };
        let Some(step) = canary.steps.get(rollout.step as usize) else {
            return false;
        };
        let goal = step.new.of_rounded_up(wanted).min(wanted);
        let is_reached = new.serving >= goal && old.staying() <= wanted - goal;
        let has_old = rollout.from.is_some() && (old.present > 0 || rollout.step > 0);
        if rollout.state != RolloutState::Rolling || !is_reached || !has_old {
            return false;
        }
        let until = step
            .pause
            .map(|pause| Wall(now.0.saturating_add(pause.nanoseconds())));
        let message = match until {
            None => format!(
                "step {} of {} is reached: resume it to go on",
                rollout.step + 1,
                canary.steps.len()
            ),
            Some(_) => format!(
                "step {} of {} is reached: it goes on after a pause",
                rollout.step + 1,
                canary.steps.len()
            ),
        };
        self.pause_rollout(key, Pause::Step { until }, &message, effects);
        true
    }

    /// Moves traffic to the new colour when all of it is ready; whether something changed.
    fn move_traffic(
        &mut self,
        key: ObjectKey,
        spec: &ServiceSpec,
        new: Tally,
        old: Tally,
        effects: &mut Effects,
    ) -> bool {
        let Strategy::BlueGreen(colours) = &spec.update.strategy else {
            return false;
        };
        let wanted = self.wanted(key);
        let Some(rollout) = self.active_rollout(key) else {
            return false;
        };
        let is_due = rollout.state == RolloutState::Rolling
            && rollout.moved_at.is_none()
            && new.ready >= wanted;
        if !is_due || old.present == 0 && new.serving == new.ready {
            return false;
        }
        if colours.manual {
            let message = "all new instances are ready: resume it to move the traffic to them";
            self.pause_rollout(key, Pause::Move, message, effects);
        } else {
            self.go_on(key, Pause::Move, effects);
            super::wake(self, key);
        }
        true
    }

    fn pause_rollout(
        &mut self,
        key: ObjectKey,
        pause: Pause,
        message: &str,
        effects: &mut Effects,
    ) {
        if let Some(rollout) = self.rollout_mut(key) {
            rollout.state = RolloutState::Paused;
            rollout.pause = Some(pause);
            rollout.message = message.into();
            let rollout = rollout.key;
            self.write_rollout(rollout, effects);
            effects.fact(Fact::RolloutStepped { rollout });
        }
    }

    /// Whether all instances are as the object says, and serve.
    fn is_complete(&self, key: ObjectKey, spec: &ServiceSpec, new: Tally, old: Tally) -> bool {
        let is_whole = if matches!(spec.replicas, Replicas::PerNode(_)) {
            new.serving == new.present && (new.present > 0 || self.agents.is_empty())
        } else {
            let wanted = self.wanted(key);
            new.serving >= wanted && new.present == wanted
        };
        is_whole && old.present == 0
    }

    fn reason_to_fail(&self, key: ObjectKey, spec: &ServiceSpec) -> Option<String> {
        let rollout = self.active_rollout(key)?;
        let budget = spec.update.failure_budget;
        if rollout.state == RolloutState::Rolling && rollout.failures > budget {
            return Some(format!(
                "{} new instances failed, and at most {budget} may{}",
                rollout.failures,
                self.last_words(key)
            ));
        }
        let due = self.deadline(key)?;
        (due <= self.wall()).then(|| {
            format!(
                "it made no progress for {}: {} of {} instances are new and ready{}",
                spec.update.deadline.text(),
                rollout.new_ready,
                rollout.wanted,
                self.last_words(key)
            )
        })
    }

    /// What the last failure said, as the end of a sentence.
    fn last_words(&self, key: ObjectKey) -> String {
        let failure = self.object_at(key).and_then(|object| match &object.status {
            crate::records::Status::Service(status) => status.last_failure.as_ref(),
            _ => None,
        });
        failure.map_or_else(String::new, |failure| {
            format!(
                "; the last failure, on {}: {}",
                failure.agent.hostname, failure.message
            )
        })
    }

    /// When the rollout has to be looked at again.
    pub(crate) fn next_of_rollout(&self, key: ObjectKey) -> Option<Wall> {
        let rollout: &RolloutRecord = self.active_rollout(key)?;
        let pause = rollout.pause.and_then(Pause::until);
        let spec = self.service_spec(key)?;
        let keeps = match (&as_service(&spec).update.strategy, rollout.moved_at) {
            (Strategy::BlueGreen(colours), Some(moved)) => {
                Some(Wall(moved.0.saturating_add(colours.keep_old.nanoseconds())))
                    .filter(|at| *at > self.wall())
            }
            _ => None,
        };
        [pause, keeps, self.deadline(key)]
            .into_iter()
            .flatten()
            .min()
    }
}
