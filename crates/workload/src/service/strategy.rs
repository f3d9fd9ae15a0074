//! What a strategy makes of a rollout: how many instances are to be new and old now, how many more may be there, and how
//! many must serve.

use mezz_spec::service::{Rolling, Service as Spec, Strategy};
use mezz_state::time::Wall;

use crate::records::{Pause, RolloutRecord, RolloutState};
use crate::service::moves::Position;
use crate::service::state::Tally;

/// How a service stands, as far as strategies look at it.
pub(crate) struct Scene<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) rollout: Option<&'a RolloutRecord>,
    pub(crate) wanted: u32,
    pub(crate) is_per_node: bool,
    /// After a rollout that ended half-way: so many are new.
    pub(crate) hold: Option<u32>,
    pub(crate) new: Tally,
    pub(crate) old: Tally,
    pub(crate) now: Wall,
}

impl Scene<'_> {
    pub(crate) fn position(&self) -> Position {
        let mut position = self.plain();
        let rollout = self.rollout.filter(|rollout| rollout.state.is_active());
        if let Some(rollout) = rollout
            && self.old.present > 0
        {
            self.shape(rollout, &mut position);
        }
        if self.is_per_node {
            self.on_each_node(&mut position);
        }
        if self.spec.update.strategy != Strategy::Recreate {
            position.floor = position.floor.max(self.undisturbed());
        }
        position
    }

    /// Without a rollout, or with one that has nothing to replace.
    fn plain(&self) -> Position {
        let new_goal = match self.rollout {
            Some(rollout) if rollout.state == RolloutState::Waiting => {
                self.new.staying().min(self.wanted)
            }
            Some(RolloutRecord {
                pause: Some(Pause::Asked { new, .. }),
                ..
            }) => *new,
            _ => self.hold.unwrap_or(self.wanted).min(self.wanted),
        };
        Position {
            cap: self.wanted,
            floor: self.wanted,
            new_goal,
            old_goal: self
                .hold
                .map_or(0, |_| self.wanted.saturating_sub(new_goal)),
            new: self.new,
            old: self.old,
        }
    }

    fn shape(&self, rollout: &RolloutRecord, position: &mut Position) {
        let wanted = self.wanted;
        position.new_goal = self.share(rollout).min(wanted);
        position.old_goal = wanted - position.new_goal;
        match &self.spec.update.strategy {
            Strategy::Rolling(rolling) => self.roll(rolling, position),
            Strategy::Canary(canary) => self.roll(&canary.rolling, position),
            Strategy::Recreate => {
                if rollout.state != RolloutState::Waiting && rollout.pause.is_none() {
                    position.new_goal = 0;
                    position.old_goal = 0;
                    position.floor = 0;
                }
            }
            Strategy::BlueGreen(colours) => {
                position.cap = wanted.saturating_mul(2);
                if rollout.state == RolloutState::RollingBack {
                    return;
                }
                let keeps_old = rollout.moved_at.is_none_or(|moved| {
                    moved.0.saturating_add(colours.keep_old.nanoseconds()) > self.now.0
                });
                if keeps_old && rollout.state != RolloutState::Waiting {
                    position.new_goal = wanted;
                    position.old_goal = wanted;
                }
            }
        }
    }

    /// So many are to be new.
    fn share(&self, rollout: &RolloutRecord) -> u32 {
        if rollout.state == RolloutState::Waiting {
            return self.new.staying();
        }
        if let Some(Pause::Asked { new, .. }) = rollout.pause {
            return new;
        }
        match &self.spec.update.strategy {
            Strategy::Canary(canary) if rollout.state != RolloutState::RollingBack => canary
                .steps
                .get(rollout.step as usize)
                .map_or(self.wanted, |step| step.new.of_rounded_up(self.wanted)),
            _ => self.wanted,
        }
    }

    fn roll(&self, rolling: &Rolling, position: &mut Position) {
        let surge = rolling.max_surge.of_rounded_up(self.wanted);
        let mut missing = rolling.max_unavailable.of_rounded_down(self.wanted);
        if surge == 0 && missing == 0 {
            missing = 1;
        }
        position.cap = self.wanted.saturating_add(surge);
        position.floor = self.wanted.saturating_sub(missing);
    }

    /// On a node there is room for one only, so what else would be a surge has to be missing.
    fn on_each_node(&self, position: &mut Position) {
        let staying = self.new.staying() + self.old.staying();
        let beyond = position.cap.saturating_sub(self.wanted);
        let missing = (self.wanted - position.floor.min(self.wanted))
            .max(beyond)
            .max(1);
        position.cap = self.wanted;
        position.floor = staying.saturating_sub(missing);
        // Agents that cannot be reached at the moment do not count as wanted, but may still have theirs.
        position.new_goal = position.new_goal.max(self.new.staying());
        if self
            .rollout
            .is_none_or(|rollout| !rollout.state.is_active())
        {
            position.floor = 0;
        }
    }

    /// What voluntary acts must leave serving.
    fn undisturbed(&self) -> u32 {
        let least = self
            .spec
            .disruption
            .as_ref()
            .map_or(0, |rule| rule.min_available.of_rounded_up(self.wanted));
        least.min(self.wanted)
    }
}
