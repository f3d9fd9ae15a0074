//! Services in the store, and taking them over from there.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_spec::Kind;

use crate::effect::Effects;
use crate::instances::kills::Doomed;
use crate::key::{InstanceKey, ObjectKey};
use crate::records::{Owner, Phase, RolloutRecord, RolloutState};
use crate::restore::Sections;
use crate::service::state::{Durable, Service, ordinal_of};
use crate::workloads::Workloads;

fn service_key(uid: &str) -> String {
    format!("work/service/{uid}")
}

impl Workloads {
    pub(crate) fn write_service(&self, key: ObjectKey, effects: &mut Effects) {
        if let (Some(object), Some(state)) = (self.object_at(key), self.service(key)) {
            effects.put(service_key(&object.uid), &state.durable);
        }
    }

    pub(crate) fn unwrite_service(&self, key: ObjectKey, effects: &mut Effects) {
        if let Some(object) = self.object_at(key) {
            effects.delete(service_key(&object.uid));
        }
    }
}

/// What is not found, or cannot be read, is not there: a service without it is left alone.
pub(crate) fn restore(
    w: &mut Workloads,
    sections: &Sections,
    by_uid: &BTreeMap<String, ObjectKey>,
) {
    for (uid, durable) in w.read::<Durable>(sections, "service") {
        let Some(key) = by_uid.get(&uid) else {
            continue;
        };
        let state = Service::of(durable);
        w.services.states.insert(*key, state);
    }
    let now = w.wall();
    for (_, mut record) in w.read::<RolloutRecord>(sections, "rollout") {
        if record.state == RolloutState::Waiting {
            w.services.waiting.insert(record.object);
        }
        // The time without a master is nobody's delay.
        record.progressed_at = now;
        w.records.rollouts.insert(record.key.index(), record);
    }
    let without: Vec<ObjectKey> = w
        .of_kind(Kind::Service)
        .map(|(_, key)| key)
        .filter(|key| !w.services.states.contains_key(key))
        .collect();
    for key in without {
        let message =
            "what the store holds of it could not be read: nothing of it is started or ended";
        w.set_condition(key, "blocked", true, "unreadable", message);
    }
}

/// Gives the restored instances their ordinals again.
pub(crate) fn adopt_instances(w: &mut Workloads, effects: &mut Effects) {
    let mut instances: Vec<(bool, bool, InstanceKey)> = w
        .records
        .instances
        .iter()
        .filter(|(_, record)| matches!(record.owner, Owner::Service { .. }))
        .map(|(_, record)| {
            let is_away = record.phase == Phase::Unreachable;
            (is_away, record.ending.is_some(), record.key)
        })
        .collect();
    // An ordinal is its replacement's, not that of the one that is away or on its way out.
    instances.sort_unstable();
    for (_, _, key) in instances {
        adopt(w, key, effects);
    }
}

fn adopt(w: &mut Workloads, key: InstanceKey, effects: &mut Effects) {
    let Some(record) = w.instance(key).map(Arc::clone) else {
        return;
    };
    let ordinal = ordinal_of(&record).unwrap_or_default();
    let Some(state) = w.services.states.get_mut(&record.object) else {
        return;
    };
    if record.phase == Phase::Unreachable {
        state.away.insert(key);
    }
    if state.claims.contains_key(&(ordinal, record.revision)) {
        state.away.insert(key);
    } else {
        state.claim(ordinal, record.revision, key);
    }
    w.judge(key);
    super::recount(w, key);
    if matches!(record.phase, Phase::Draining | Phase::Stopping) {
        w.queue_kill(Doomed::Instance(key), effects);
    }
}
