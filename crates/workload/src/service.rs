//! Services: so many instances of a template, kept up, and moved from one generation to the next.
//!
//! Each event ends with the services that it touched looking at themselves (`reconcile`): what is due, how far the rollout
//! is, and how many instances are to be started and ended next (`strategy`, `moves`).

mod autoscale;
mod backoff;
mod ending;
mod gates;
mod materials;
mod moves;
mod orders;
mod progress;
mod reconcile;
mod revisions;
mod rollouts;
mod rules;
mod standing;
mod starting;
mod state;
mod statuses;
mod stored;
mod strategy;
mod unreachable;
mod why;

use std::sync::Arc;

use mezz_spec::{Kind, Spec};

use crate::call::{ApplyMode, Conflict, Refusal, Reply};
use crate::effect::Effects;
use crate::key::{InstanceKey, ObjectKey, RolloutKey};
use crate::records::RolloutState;
use crate::workloads::Workloads;

pub(crate) use autoscale::on_metrics;
pub(crate) use materials::on_material;
pub(crate) use orders::{abort, pause, restart, resume};
pub(crate) use rules::{check, check_ports};
pub(crate) use starting::on_placed;
pub(crate) use state::Services;
pub(crate) use statuses::{kill_terms, on_status};
pub(crate) use stored::{adopt_instances, restore};
pub(crate) use why::{why, why_instance, why_rollout};

/// A service, or what it has from its groups, was created or changed. The id of the rollout that takes it there.
pub(crate) fn on_apply(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) -> Option<String> {
    let count_before = w.services.states.entry(key).or_default().durable.count;
    autoscale::begin(w, key, count_before);
    let count = autoscale::count(w, key);
    let object = w.object_at(key)?;
    let (name, generation) = (object.name.clone(), object.generation);
    let spec = Arc::clone(&object.spec);
    let inherited = w.inherited(&name);
    let materials = w.materials(revisions::as_service(&spec));
    let state = w.service_mut(key)?;
    let before = state.durable.target;
    let target = state
        .durable
        .revision_for(generation, &spec, &inherited, materials, &name);
    state.durable.target = target;
    if let Some(revision) = state.durable.revisions.get_mut(&target) {
        revision.materials = revision.materials.or(materials);
    }
    state.durable.count = count;
    for stated in state.stated.values_mut() {
        stated.rules_version = u64::MAX;
    }
    let from = state
        .durable
        .stable
        .as_ref()
        .map(|stable| stable.generation);
    let rolls = target != before || state.durable.hold.is_some();
    let scales = count != count_before;
    let active = w.active_rollout(key).map(|rollout| rollout.id.clone());
    let rollout = match active {
        Some(id) if !rolls => {
            if let Some(rollout) = w.rollout_mut(key) {
                rollout.to = generation;
            }
            Some(id)
        }
        _ if rolls || scales => {
            let message = format!("generation {generation} took over");
            w.end_rollout(key, RolloutState::Superseded, &message, effects);
            let rollout = w.begin_rollout(key, from, effects);
            rollout
                .and_then(|key| w.rollout(key))
                .map(|rollout| rollout.id.clone())
        }
        _ => None,
    };
    w.write_service(key, effects);
    labels_changed(w);
    wake(w, key);
    rollout.map(Into::into)
}

/// A service left the index: all of it ends.
pub(crate) fn on_delete(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    w.end_rollout(
        key,
        RolloutState::Superseded,
        "the service was deleted",
        effects,
    );
    labels_changed(w);
    wake(w, key);
}

/// Labels may mean other objects now; who looks at labels and waits for places says anew where it may go.
fn labels_changed(w: &mut Workloads) {
    w.services.rules_version += 1;
    let Workloads { services, .. } = w;
    let waiting = services
        .states
        .iter()
        .filter(|(_, state)| {
            state
                .stated
                .values()
                .any(|stated| stated.rules_version != 0)
        })
        .map(|(key, _)| *key);
    services.agenda.extend(waiting);
}

/// Agents came or went.
pub(crate) fn on_agents(w: &mut Workloads) {
    let per_node: Vec<ObjectKey> = w
        .of_kind(Kind::Service)
        .map(|(_, key)| key)
        .filter(|key| {
            w.service_spec(*key)
                .is_some_and(|spec| reconcile::count_of(&spec).is_none())
        })
        .collect();
    w.services.agenda.extend(per_node);
}

impl Workloads {
    /// The revision that all instances of a service are to have.
    pub fn target_revision(&self, key: ObjectKey) -> Option<u32> {
        Some(self.service(key)?.durable.target)
    }
}

/// A moment has come that a service waited for.
pub(crate) fn on_timer(w: &mut Workloads, key: ObjectKey) {
    if let Some(state) = w.service_mut(key) {
        state.wake_at = None;
        wake(w, key);
    }
}

/// A moment has come that a rollout waited for.
pub(crate) fn on_rollout_timer(w: &mut Workloads, key: RolloutKey) {
    if let Some(service) = w.rollout(key).map(|rollout| rollout.object) {
        wake(w, service);
    }
}

/// The service looks at itself before the event is over.
pub(crate) fn wake(w: &mut Workloads, key: ObjectKey) {
    if w.services.states.contains_key(&key) {
        w.services.agenda.insert(key);
    }
}

/// All services look at themselves.
pub(crate) fn wake_all(w: &mut Workloads) {
    let all = w.services.states.keys().copied();
    w.services.agenda.extend(all);
}

/// Things go on; the time that they stood still is nobody's delay.
pub(crate) fn on_thaw(w: &mut Workloads) {
    let now = w.wall();
    let all: Vec<ObjectKey> = w.services.states.keys().copied().collect();
    for key in all {
        if let Some(rollout) = w.rollout_mut(key) {
            rollout.progressed_at = now;
        }
        wake(w, key);
    }
}

/// Forgets the failures of a service: it starts again at once.
pub(crate) fn reset_backoff(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) -> Reply {
    if let Some(state) = w.service_mut(key) {
        for revision in state.durable.revisions.values_mut() {
            revision.failures = backoff::Failures::default();
        }
    }
    w.write_service(key, effects);
    wake(w, key);
    Reply::Done
}

/// Counts an instance as what it is now; whether that has changed anything.
pub(crate) fn recount(w: &mut Workloads, key: InstanceKey) -> bool {
    let Some(record) = w.instance(key).cloned() else {
        return false;
    };
    w.service_mut(record.object)
        .is_some_and(|state| state.recount(key, Some(&record)))
}

/// Fewer instances are wanted of the services of these.
pub(crate) fn scale_down_by(
    w: &mut Workloads,
    instances: &[InstanceKey],
    effects: &mut Effects,
) -> Result<(), Refusal> {
    let mut by_service = std::collections::BTreeMap::<ObjectKey, u32>::new();
    for key in instances {
        if let Some(instance) = w.instance(*key)
            && instance.ending.is_none()
        {
            *by_service.entry(instance.object).or_default() += 1;
        }
    }
    let mut objects = Vec::new();
    for (key, less) in by_service {
        objects.push(scaled_down(w, key, less)?);
    }
    w.apply(objects, ApplyMode::Commit, Conflict::Supersede, effects)?;
    Ok(())
}

fn scaled_down(w: &Workloads, key: ObjectKey, less: u32) -> Result<mezz_spec::Object, Refusal> {
    let refusal = |message: String| Refusal::Conflict {
        message,
        rollouts: Vec::new(),
    };
    let object = w
        .object_at(key)
        .filter(|object| object.deleted_at.is_none())
        .ok_or_else(|| refusal("the object of an instance is being deleted".into()))?;
    let Spec::Service(service) = &*object.spec else {
        return Err(refusal(format!(
            "{} {} is no service, so that its instances cannot be scaled down; stop the run instead",
            object.spec.kind(),
            object.name
        )));
    };
    let Some(count) = reconcile::count_of(&object.spec) else {
        return Err(refusal(format!(
            "the number of instances of service {} is not a plain number; kill without scaling down",
            object.name
        )));
    };
    let mut service = service.clone();
    service.replicas = mezz_spec::service::Replicas::Count(count.saturating_sub(less));
    Ok(mezz_spec::Object {
        name: object.name.clone(),
        labels: object.labels.clone(),
        spec: Spec::Service(service),
        generation: None,
    })
}
