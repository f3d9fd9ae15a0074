//! Ends of instances: shown as draining first, then told to end, and never too many at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_state::time::{SECOND_NS, Wall};
use serde::{Deserialize, Serialize};

use crate::effect::{Effect, Effects};
use crate::event::TimerKey;
use crate::key::InstanceKey;
use crate::records::{Ending, InstanceRecord, Owner, Phase};
use crate::workloads::{Stage, Workloads};
use crate::{job, service};

/// How many instances may be told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillLimits {
    pub per_second: u32,
    /// So many at once after a time of rest.
    pub burst: u32,
}

impl Default for KillLimits {
    fn default() -> Self {
        Self {
            per_second: 100,
            burst: 200,
        }
    }
}

/// A kill that was told is told again when nothing has come of it so long after its grace.
const REPEAT_NS: u64 = 10 * SECOND_NS;

/// What is to be told to end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Doomed {
    Instance(InstanceKey),
    /// A task that nobody here knows.
    Stray(Arc<str>),
}

/// How long a task that nobody knows may take to end.
const STRAY_GRACE_NS: u64 = 3 * SECOND_NS;

/// How an instance is ended.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::struct_field_names, reason = "units stand last")]
pub(crate) struct KillTerms {
    pub(crate) drain_ns: u64,
    pub(crate) grace_ns: u64,
    /// What its agent runs before the polite signal may take so long.
    pub(crate) pre_stop_ns: u64,
}

/// Instances that are to be told, in order, and how many may be now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kills {
    limits: KillLimits,
    /// By arrival.
    queue: BTreeMap<u64, Doomed>,
    arrivals: BTreeMap<Doomed, u64>,
    next_arrival: u64,
    /// What has been used up of the burst, in nanoseconds of refilling.
    used_ns: u64,
    counted_at: Wall,
    is_armed: bool,
}

impl Kills {
    fn cost_ns(&self) -> u64 {
        SECOND_NS / u64::from(self.limits.per_second.max(1))
    }

    fn push(&mut self, doomed: Doomed) {
        if !self.arrivals.contains_key(&doomed) {
            self.arrivals.insert(doomed.clone(), self.next_arrival);
            self.queue.insert(self.next_arrival, doomed);
            self.next_arrival += 1;
        }
    }

    /// Whether the instance waits because too many end already.
    pub(crate) fn holds(&self, key: InstanceKey) -> bool {
        self.arrivals.contains_key(&Doomed::Instance(key))
    }

    pub(crate) fn remove(&mut self, doomed: &Doomed) {
        if let Some(arrival) = self.arrivals.remove(doomed) {
            self.queue.remove(&arrival);
        }
    }

    fn take(&mut self, now: Wall) -> bool {
        let rested = now.0.saturating_sub(self.counted_at.0);
        self.used_ns = self.used_ns.saturating_sub(rested);
        self.counted_at = now;
        let room = self.cost_ns() * u64::from(self.limits.burst.max(1));
        if self.used_ns + self.cost_ns() > room {
            return false;
        }
        self.used_ns += self.cost_ns();
        true
    }
}

impl Workloads {
    /// Sets how fast instances may be told to end.
    pub fn limit_kills(&mut self, limits: KillLimits) {
        self.kills.limits = limits;
    }

    /// Begins to end an instance; one that is being ended already is left to that.
    pub(crate) fn end_instance(&mut self, key: InstanceKey, ending: Ending, effects: &mut Effects) {
        let terms = self.kill_terms(key);
        let now = self.wall();
        let Some(instance) = self.instance_mut(key) else {
            return;
        };
        if instance.ending.is_some() {
            return;
        }
        instance.ending = Some(ending);
        instance.ready = false;
        match instance.phase {
            Phase::Unreachable => {}
            Phase::Running if terms.drain_ns > 0 => {
                instance.phase = Phase::Draining;
                effects.push(Effect::SetTimer {
                    key: TimerKey::Instance(key),
                    at: Wall(now.0.saturating_add(terms.drain_ns)),
                });
            }
            _ => {
                instance.phase = Phase::Draining;
                self.queue_kill(Doomed::Instance(key), effects);
            }
        }
        self.note_instance(key);
        self.tell_change(key, effects);
        service::recount(self, key);
    }

    pub(crate) fn queue_kill(&mut self, doomed: Doomed, effects: &mut Effects) {
        self.kills.push(doomed);
        self.release_kills(effects);
    }

    /// Tells as many instances to end as may be now.
    pub(crate) fn release_kills(&mut self, effects: &mut Effects) {
        let now = self.wall();
        if self.stage != Stage::Live || self.records.is_frozen() {
            return;
        }
        self.kills.is_armed = false;
        while let Some(doomed) = self.kills.queue.values().next().cloned() {
            if !self.kills.take(now) {
                self.kills.is_armed = true;
                return effects.push(Effect::SetTimer {
                    key: TimerKey::Kills,
                    at: Wall(now.0 + self.kills.cost_ns()),
                });
            }
            self.kills.remove(&doomed);
            match doomed {
                Doomed::Instance(key) => self.tell_to_end(key, effects),
                Doomed::Stray(id) => effects.push(Effect::Kill {
                    instance: (*id).into(),
                    grace_period_ns: STRAY_GRACE_NS,
                }),
            }
        }
    }

    fn tell_to_end(&mut self, key: InstanceKey, effects: &mut Effects) {
        let terms = self.kill_terms(key);
        let now = self.wall();
        let reached = self.instance_mut(key);
        let Some(instance) = reached.filter(|one| one.phase != Phase::Unreachable) else {
            return;
        };
        instance.phase = Phase::Stopping;
        let id = (*instance.id).into();
        let patience_ns = terms.grace_ns + terms.pre_stop_ns + REPEAT_NS;
        effects.push(Effect::Kill {
            instance: id,
            grace_period_ns: terms.grace_ns,
        });
        effects.push(Effect::SetTimer {
            key: TimerKey::Instance(key),
            at: Wall(now.0.saturating_add(patience_ns)),
        });
        self.note_instance(key);
        self.tell_change(key, effects);
        service::recount(self, key);
    }

    /// Its drain is over, or its kill has come to nothing so far.
    pub(crate) fn on_instance_timer(&mut self, key: InstanceKey, effects: &mut Effects) {
        let phase = self.instance(key).map(|instance| instance.phase);
        if matches!(phase, Some(Phase::Draining | Phase::Stopping)) {
            self.queue_kill(Doomed::Instance(key), effects);
        }
    }

    /// An instance that is being ended has come back from an agent that could not be reached, or from a restart.
    pub(crate) fn resume_ending(&mut self, key: InstanceKey, effects: &mut Effects) {
        if let Some(instance) = self.instance_mut(key) {
            instance.phase = Phase::Draining;
            self.queue_kill(Doomed::Instance(key), effects);
        }
    }

    pub(crate) fn forget_kill(&mut self, record: &InstanceRecord, effects: &mut Effects) {
        self.kills.remove(&Doomed::Instance(record.key));
        if record.ending.is_some() {
            effects.push(Effect::CancelTimer(TimerKey::Instance(record.key)));
        }
    }

    fn kill_terms(&self, key: InstanceKey) -> KillTerms {
        match self.instance(key).map(|instance| instance.owner) {
            Some(Owner::Service { .. }) => service::kill_terms(self, key),
            Some(Owner::Run { .. }) => job::kill_terms(self, key),
            None => KillTerms::default(),
        }
    }
}

/// The terms of a template.
pub(crate) fn terms_of(template: &mezz_spec::template::Template) -> KillTerms {
    let pre_stop = template
        .containers
        .first()
        .and_then(|container| container.pre_stop.as_ref());
    KillTerms {
        drain_ns: template.kill.drain.nanoseconds(),
        grace_ns: template.kill.grace.nanoseconds(),
        pre_stop_ns: pre_stop.map_or(0, |pre| pre.timeout.nanoseconds()),
    }
}
