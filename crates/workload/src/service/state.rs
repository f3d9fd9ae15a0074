//! What only the controller of services knows of a service: its revisions, who holds which ordinal, and counts that are
//! kept up as instances change, so that no event costs a look at all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mezz_spec::Spec;
use mezz_state::time::Wall;
use serde::{Deserialize, Serialize};

use crate::key::{InstanceKey, ObjectKey, RolloutKey};
use crate::objects::inheritance::Inherited;
use crate::records::{InstanceRecord, Phase};
use crate::service::backoff::Failures;

/// All services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Services {
    pub(crate) states: BTreeMap<ObjectKey, Service>,
    /// These look at themselves before the event is over.
    pub(crate) agenda: BTreeSet<ObjectKey>,
    /// Their rollouts wait for other services.
    pub(crate) waiting: BTreeSet<ObjectKey>,
    /// Goes up when rules of placement may have come to mean something else.
    pub(crate) rules_version: u64,
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) durable: Durable,
    /// Who holds an ordinal, by ordinal and revision: instances that are there or may still be.
    pub(crate) claims: BTreeMap<(u32, u32), InstanceKey>,
    /// Ordinals that nobody holds, and those that nobody of a revision holds.
    pub(crate) vacant: Ordinals,
    pub(crate) vacant_of: BTreeMap<u32, Ordinals>,
    pub(crate) tallies: BTreeMap<u32, Tally>,
    classes: BTreeMap<InstanceKey, Class>,
    /// Passing, but not yet for long enough.
    pub(crate) ripening: BTreeSet<(Wall, InstanceKey)>,
    /// On agents that cannot be reached.
    pub(crate) away: BTreeSet<InstanceKey>,
    /// What the ledger was told, by revision.
    pub(crate) stated: BTreeMap<u32, Stated>,
    pub(crate) wake_at: Option<Wall>,
    /// Whether those that wait for it may go on.
    pub(crate) is_settled: bool,
}

/// What a later master has to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Durable {
    pub(crate) revisions: BTreeMap<u32, Revision>,
    pub(crate) last_revision: u32,
    /// The revision that all instances are to have; 0 before the first.
    pub(crate) target: u32,
    /// What was fully rolled out last.
    pub(crate) stable: Option<Stable>,
    pub(crate) rollout: Option<RolloutKey>,
    pub(crate) rollouts: u32,
    /// Rollouts that are over, oldest first.
    pub(crate) ended_rollouts: Vec<RolloutKey>,
    /// After a rollout that ended half-way: so many instances are new.
    pub(crate) hold: Option<u32>,
    pub(crate) scaling: Scaling,
    /// How many instances the last apply wanted.
    pub(crate) count: Count,
}

/// How many instances an apply wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Count {
    #[default]
    Nothing,
    Fixed(u32),
    PerNode,
    /// As many as there were, to begin with.
    Scaled(u32),
}

/// What instances are made of. Specs that differ only in what needs no new instances share one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Revision {
    /// The generation that brought it.
    pub(crate) generation: u64,
    pub(crate) spec: Arc<Spec>,
    pub(crate) inherited: Inherited,
    /// What its configs and secrets hold; of a service that is to be restarted when that changes.
    pub(crate) materials: Option<u64>,
    pub(crate) failures: Failures,
}

/// What was fully rolled out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stable {
    pub(crate) generation: u64,
    pub(crate) revision: u32,
    pub(crate) spec: Arc<Spec>,
}

/// Where automatic scaling stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scaling {
    pub(crate) count: Option<u32>,
    pub(crate) up_at: Option<Wall>,
    pub(crate) down_at: Option<Wall>,
    /// What was measured last, in the order of the metrics.
    pub(crate) averages: Vec<Option<u64>>,
}

/// What the ledger was told of a revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stated {
    pub(crate) count: u64,
    pub(crate) rules_version: u64,
}

/// Numbers from 0 of which some are held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ordinals {
    gaps: BTreeSet<u32>,
    next: u32,
}

impl Ordinals {
    pub(crate) fn lowest(&self) -> u32 {
        self.gaps.first().copied().unwrap_or(self.next)
    }

    pub(crate) fn take(&mut self, ordinal: u32) {
        if ordinal >= self.next {
            self.gaps.extend(self.next..ordinal);
            self.next = ordinal + 1;
        } else {
            self.gaps.remove(&ordinal);
        }
    }

    pub(crate) fn give(&mut self, ordinal: u32) {
        if ordinal + 1 == self.next {
            self.next = ordinal;
            while self.next > 0 && self.gaps.remove(&(self.next - 1)) {
                self.next -= 1;
            }
        } else {
            self.gaps.insert(ordinal);
        }
    }
}

/// How many instances of a revision are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// All that hold an ordinal.
    pub(crate) present: u32,
    /// Of these, on their way out.
    pub(crate) leaving: u32,
    pub(crate) staged: u32,
    pub(crate) running: u32,
    pub(crate) ready: u32,
    /// Ready, and of the colour that gets traffic.
    pub(crate) serving: u32,
    pub(crate) healthy: u32,
    pub(crate) unhealthy: u32,
    /// Nothing heard of since the restart of the master.
    pub(crate) unconfirmed: u32,
}

impl Tally {
    /// Those that nobody is ending.
    pub(crate) const fn staying(self) -> u32 {
        self.present - self.leaving
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            present: self.present + other.present,
            leaving: self.leaving + other.leaving,
            staged: self.staged + other.staged,
            running: self.running + other.running,
            ready: self.ready + other.ready,
            serving: self.serving + other.serving,
            healthy: self.healthy + other.healthy,
            unhealthy: self.unhealthy + other.unhealthy,
            unconfirmed: self.unconfirmed + other.unconfirmed,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            present: self.present - other.present,
            leaving: self.leaving - other.leaving,
            staged: self.staged - other.staged,
            running: self.running - other.running,
            ready: self.ready - other.ready,
            serving: self.serving - other.serving,
            healthy: self.healthy - other.healthy,
            unhealthy: self.unhealthy - other.unhealthy,
            unconfirmed: self.unconfirmed - other.unconfirmed,
        }
    }
}

/// As what an instance was counted last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Class {
    revision: u32,
    counted: Tally,
}

fn class_of(record: &InstanceRecord) -> Class {
    let is_leaving = record.ending.is_some();
    let is_running = matches!(record.phase, Phase::Running) && !is_leaving;
    let is_staged = record.phase == Phase::Starting && !is_leaving;
    let is_ready = record.ready && !is_leaving;
    Class {
        revision: record.revision,
        counted: Tally {
            present: 1,
            leaving: u32::from(is_leaving),
            staged: u32::from(is_staged),
            running: u32::from(is_running),
            ready: u32::from(is_ready),
            serving: u32::from(is_ready && !record.parked),
            healthy: u32::from(is_running && record.healthy == Some(true)),
            unhealthy: u32::from(is_running && record.healthy == Some(false)),
            unconfirmed: u32::from(!record.confirmed),
        },
    }
}

impl Service {
    /// A service of which no instance is known yet.
    pub(crate) fn of(durable: Durable) -> Self {
        Self {
            durable,
            ..Self::default()
        }
    }

    /// Counts an instance as what it is now; whether that has changed.
    pub(crate) fn recount(&mut self, key: InstanceKey, record: Option<&InstanceRecord>) -> bool {
        let class = record.filter(|record| self.holds(record)).map(class_of);
        let before = match class {
            Some(class) => self.classes.insert(key, class),
            None => self.classes.remove(&key),
        };
        if before == class {
            return false;
        }
        if let Some(before) = before {
            let tally = self.tallies.entry(before.revision).or_default();
            *tally = tally.minus(before.counted);
        }
        if let Some(class) = class {
            let tally = self.tallies.entry(class.revision).or_default();
            *tally = tally.plus(class.counted);
        }
        true
    }

    /// Whether the instance holds its ordinal.
    pub(crate) fn holds(&self, record: &InstanceRecord) -> bool {
        ordinal_of(record).is_some_and(|ordinal| {
            self.claims.get(&(ordinal, record.revision)) == Some(&record.key)
        })
    }

    pub(crate) fn claim(&mut self, ordinal: u32, revision: u32, key: InstanceKey) {
        self.claims.insert((ordinal, revision), key);
        self.vacant.take(ordinal);
        self.vacant_of.entry(revision).or_default().take(ordinal);
    }

    /// Lets go of the ordinal of an instance that has ended or was given up.
    pub(crate) fn release(&mut self, record: &InstanceRecord) {
        let Some(ordinal) = ordinal_of(record).filter(|_| self.holds(record)) else {
            return;
        };
        self.claims.remove(&(ordinal, record.revision));
        if let Some(vacant) = self.vacant_of.get_mut(&record.revision) {
            vacant.give(ordinal);
        }
        let mut others = self.claims.range((ordinal, 0)..=(ordinal, u32::MAX));
        if others.next().is_none() {
            self.vacant.give(ordinal);
        }
    }

    /// The ordinal of the next instance of a revision: one that nobody holds while there is one below `wanted`,
    /// otherwise one whose holder it is going to replace.
    pub(crate) fn next_ordinal(&self, revision: u32, wanted: u32) -> u32 {
        let vacant = self.vacant.lowest();
        if vacant < wanted {
            return vacant;
        }
        self.vacant_of.get(&revision).map_or(0, Ordinals::lowest)
    }

    /// The counts of the target revision, and of all others together.
    pub(crate) fn sides(&self) -> (Tally, Tally) {
        let mut new = Tally::default();
        let mut old = Tally::default();
        for (revision, tally) in &self.tallies {
            let side = if *revision == self.durable.target {
                &mut new
            } else {
                &mut old
            };
            *side = side.plus(*tally);
        }
        (new, old)
    }
}

/// The ordinal of a service's instance.
pub(crate) fn ordinal_of(record: &InstanceRecord) -> Option<u32> {
    match record.owner {
        crate::records::Owner::Service { ordinal, .. } => Some(ordinal),
        crate::records::Owner::Run { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_ordinal_that_nobody_holds_comes_first() {
        let mut ordinals = Ordinals::default();
        for wanted in 0..4 {
            assert_eq!(ordinals.lowest(), wanted);
            ordinals.take(wanted);
        }
        ordinals.give(1);
        ordinals.give(2);
        assert_eq!(ordinals.lowest(), 1);
        ordinals.give(3);
        assert_eq!(ordinals, {
            let mut one = Ordinals::default();
            one.take(0);
            one
        });
    }
}
