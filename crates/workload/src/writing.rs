//! Writes that may wait a second: how objects, rollouts and instances stand. What must not wait is written by who changes it.

use std::collections::BTreeSet;

use mezz_state::time::{SECOND_NS, Wall};
use serde::{Deserialize, Serialize};

use crate::effect::{Effect, Effects};
use crate::event::TimerKey;
use crate::key::{InstanceKey, ObjectKey, RolloutKey, RunKey};
use crate::records::{Condition, Owner, Status};
use crate::workloads::Workloads;

/// At most so often the standing of an object is written.
const INTERVAL_NS: u64 = SECOND_NS;

/// What has changed since it was last written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Unwritten {
    objects: BTreeSet<ObjectKey>,
    rollouts: BTreeSet<RolloutKey>,
    instances: BTreeSet<InstanceKey>,
    runs: BTreeSet<RunKey>,
    is_armed: bool,
}

/// How an object stands, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredStatus {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) status: Status,
}

impl Workloads {
    pub(crate) fn note_object(&mut self, key: ObjectKey) {
        self.unwritten.objects.insert(key);
    }

    pub(crate) fn note_rollout(&mut self, key: RolloutKey) {
        self.unwritten.rollouts.insert(key);
    }

    pub(crate) fn note_instance(&mut self, key: InstanceKey) {
        self.unwritten.instances.insert(key);
    }

    pub(crate) fn note_run(&mut self, key: RunKey) {
        self.unwritten.runs.insert(key);
    }

    /// Sets the timer of the next write when there is anything to write.
    pub(crate) fn arm_writing(&mut self, effects: &mut Effects) {
        let unwritten = &mut self.unwritten;
        let is_clean = unwritten.objects.is_empty()
            && unwritten.rollouts.is_empty()
            && unwritten.instances.is_empty()
            && unwritten.runs.is_empty();
        if is_clean || unwritten.is_armed {
            return;
        }
        unwritten.is_armed = true;
        effects.push(Effect::SetTimer {
            key: TimerKey::Write,
            at: Wall(self.now.wall.0.saturating_add(INTERVAL_NS)),
        });
    }

    /// Writes what has changed.
    pub(crate) fn write_all(&mut self, effects: &mut Effects) {
        let unwritten = std::mem::take(&mut self.unwritten);
        for key in unwritten.objects {
            self.write_status(key, effects);
        }
        for key in unwritten.rollouts {
            self.write_rollout(key, effects);
        }
        for key in unwritten.runs {
            self.write_run(key, effects);
        }
        for key in unwritten.instances {
            let is_service = self
                .instance(key)
                .is_some_and(|instance| matches!(instance.owner, Owner::Service { .. }));
            if is_service {
                self.write_instance(key, effects);
            }
        }
    }

    pub(crate) fn write_status(&self, key: ObjectKey, effects: &mut Effects) {
        let Some(object) = self.object_at(key) else {
            return;
        };
        let stored = StoredStatus {
            conditions: object.conditions.clone(),
            status: object.status.clone(),
        };
        effects.put(status_key(&object.uid), &stored);
        self.write_service(key, effects);
    }
}

pub(crate) fn status_key(uid: &str) -> String {
    format!("work/status/{uid}")
}
