//! Rollouts and ends of apps as events of deployments: one deployment is announced once, and is over when all of it is.

use std::collections::BTreeMap;

use mezz_spec::Name;
use mezz_state::time::Wall;
use mezz_workload::key::{ObjectKey, RolloutKey};
use mezz_workload::records::{ObjectRecord, RolloutRecord, RolloutState};
use serde_json::{Value, json};

use super::{Event, Feed};
use crate::instant::zulu;
use crate::marathon::deployments as plans;
use crate::world::World;

/// A deployment that the reader knows of.
#[derive(Debug)]
pub(super) struct Announced {
    plan: Value,
    /// The group in which it changes something.
    group: String,
    /// Why it is no success.
    failure: Option<String>,
}

/// What goes on when a reader comes.
pub(super) fn in_progress(world: &World<'_>) -> BTreeMap<String, Announced> {
    plans::all(world)
        .iter()
        .map(|(id, parts)| (id.clone(), announced(id, parts)))
        .collect()
}

/// The light form of a plan: ids and steps; of the groups before and after only what tells them apart, on which one
/// client insists.
fn announced(id: &str, parts: &[plans::Part]) -> Announced {
    let version = parts.iter().map(|part| part.version).max();
    let parent = parts.first().and_then(|part| part.name.parent());
    let before = parts.iter().filter_map(|part| part.before).max();
    Announced {
        plan: json!({
            "id": id,
            "steps": plans::steps(parts),
            "version": zulu(version.unwrap_or_default()),
            "original": { "id": "/", "version": zulu(before.unwrap_or_default()) },
            "target": { "id": "/", "version": zulu(version.unwrap_or_default()) },
        }),
        group: parent.map_or_else(|| "/".to_owned(), |parent| parent.to_string()),
        failure: None,
    }
}

impl Feed {
    pub(super) fn rollout_started(&mut self, key: RolloutKey, world: &World<'_>) -> Vec<Event> {
        let Some((record, rollout)) = found(key, world) else {
            return Vec::new();
        };
        let id = plans::id_of(rollout);
        self.announce(id, world, || vec![plans::part(record, rollout)])
    }

    fn announce(
        &mut self,
        id: String,
        world: &World<'_>,
        alone: impl FnOnce() -> Vec<plans::Part>,
    ) -> Vec<Event> {
        if self.deployments.contains_key(&id) {
            return Vec::new();
        }
        let parts = plans::all(world).remove(&id).unwrap_or_else(alone);
        let new = announced(&id, &parts);
        let step = new.plan["steps"][0].clone();
        let step = if step.is_null() {
            json!({ "actions": [] })
        } else {
            step
        };
        let event = json!({ "plan": new.plan, "currentStep": step, "id": id });
        self.deployments.insert(id, new);
        vec![("deployment_info", event)]
    }

    pub(super) fn rollout_stepped(&mut self, key: RolloutKey, world: &World<'_>) -> Vec<Event> {
        let Some((_, rollout)) = found(key, world) else {
            return Vec::new();
        };
        let id = plans::id_of(rollout);
        let Some(known) = self.deployments.get(&id) else {
            return Vec::new();
        };
        let event = json!({ "plan": known.plan, "currentStep": known.plan["steps"][0], "id": id });
        vec![("deployment_step_success", event)]
    }

    pub(super) fn rollout_ended(&mut self, key: RolloutKey, world: &World<'_>) -> Vec<Event> {
        let Some((record, rollout)) = found(key, world) else {
            return Vec::new();
        };
        let id = plans::id_of(rollout);
        let known = self
            .deployments
            .entry(id.clone())
            .or_insert_with(|| announced(&id, &[plans::part(record, rollout)]));
        if rollout.state != RolloutState::Succeeded && known.failure.is_none() {
            known.failure = Some(reason(rollout));
        }
        self.settle(&id, world)
    }

    /// The last events of a deployment, once nothing of it goes on.
    fn settle(&mut self, id: &str, world: &World<'_>) -> Vec<Event> {
        if plans::all(world).contains_key(id) {
            return Vec::new();
        }
        let Some(known) = self.deployments.remove(id) else {
            return Vec::new();
        };
        let Announced {
            plan,
            group,
            failure,
        } = known;
        let version = plan["version"].clone();
        let step = plan["steps"]
            .as_array()
            .and_then(|steps| steps.last().cloned());
        let stepped = json!({ "plan": plan, "currentStep": step, "id": id });
        match failure {
            None => vec![
                ("deployment_step_success", stepped),
                ("deployment_success", json!({ "id": id, "plan": plan })),
                (
                    "group_change_success",
                    json!({ "groupId": group, "version": version }),
                ),
            ],
            Some(reason) => vec![
                ("deployment_step_failure", stepped),
                (
                    "deployment_failed",
                    json!({ "id": id, "plan": plan, "reason": reason }),
                ),
                (
                    "group_change_failed",
                    json!({ "groupId": group, "version": version, "reason": reason }),
                ),
            ],
        }
    }

    /// An app that was deleted: its instances end first.
    pub(super) fn deleted(&mut self, world: &World<'_>, name: &Name, at: Wall) -> Vec<Event> {
        let records = world.work.objects.iter().map(|(_, record)| record);
        let ending = records
            .filter(|record| record.name == *name)
            .filter_map(|record| Some((record.deleted_at?, record)))
            .max_by_key(|(at, _)| *at);
        let Some((deleted_at, record)) = ending else {
            let id = plans::id_of_moment(at);
            return vec![
                ("app_terminated_event", json!({ "appId": name.as_str() })),
                (
                    "deployment_success",
                    json!({ "id": id, "plan": announced(&id, &[]).plan }),
                ),
            ];
        };
        let id = plans::id_of_moment(deleted_at);
        self.endings.insert(record.key, (name.clone(), id.clone()));
        self.announce(id, world, Vec::new)
    }

    /// The last instance of a deleted app has ended.
    pub(super) fn end_of_app(&mut self, object: ObjectKey, world: &World<'_>) -> Vec<Event> {
        if !self.endings.contains_key(&object) || world.object_at(object).is_some() {
            return Vec::new();
        }
        let Some((name, id)) = self.endings.remove(&object) else {
            return Vec::new();
        };
        let mut events = vec![("app_terminated_event", json!({ "appId": name.as_str() }))];
        events.extend(self.settle(&id, world));
        events
    }
}

fn found<'w>(key: RolloutKey, world: &World<'w>) -> Option<(&'w ObjectRecord, &'w RolloutRecord)> {
    let rollout = world.work.rollouts.get(key.index())?;
    Some((world.object_at(rollout.object)?, rollout))
}

fn reason(rollout: &RolloutRecord) -> String {
    if rollout.message.is_empty() {
        format!("{:?}", rollout.state).to_lowercase()
    } else {
        rollout.message.to_string()
    }
}
