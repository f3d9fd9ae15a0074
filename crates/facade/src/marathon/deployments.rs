//! Rollouts as deployments. What one request began and ended is one deployment: its rollouts and ends are of one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_spec::service::Service;
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_state::time::Wall;
use mezz_workload::call::{Applied, Call, Change, Conflict, Reply};
use mezz_workload::key::ObjectKey;
use mezz_workload::records::{ObjectRecord, RolloutRecord};
use serde_json::{Value, json};

use super::info::version_of;
use super::standing::Standing;
use super::{allow, errors, nothing_here, readiness};
use crate::answer::Answer;
use crate::identity::uuid;
use crate::instant::zulu;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::{World, as_service};

/// One app's part in a deployment.
#[derive(Clone, Debug)]
pub(super) struct Part {
    object: ObjectKey,
    pub(super) name: Name,
    /// The generation before; none of an app that is new.
    from: Option<u64>,
    is_end: bool,
    pub(super) version: Wall,
    /// The version before.
    pub(super) before: Option<Wall>,
    actions: Vec<&'static str>,
}

/// All deployments, by id.
pub(super) fn all(world: &World<'_>) -> BTreeMap<String, Vec<Part>> {
    let mut found: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    for rollout in world.active_rollouts() {
        let Some(record) = world.object_at(rollout.object) else {
            continue;
        };
        found
            .entry(id_of(rollout))
            .or_default()
            .push(part(record, rollout));
    }
    for (_, record) in world.work.objects.iter() {
        if let Some(at) = record.deleted_at
            && as_service(record).is_some()
        {
            found.entry(id_of_moment(at)).or_default().push(Part {
                object: record.key,
                name: record.name.clone(),
                from: None,
                is_end: true,
                version: at,
                before: Some(record.changed_at),
                actions: vec!["StopApplication"],
            });
        }
    }
    found
}

/// The part that a rollout is of its deployment.
pub(super) fn part(record: &ObjectRecord, rollout: &RolloutRecord) -> Part {
    Part {
        object: record.key,
        name: record.name.clone(),
        from: rollout.from,
        is_end: false,
        version: record.changed_at,
        before: rollout.from.map(|from| version_of(record, from)),
        actions: actions(record, rollout),
    }
}

pub(super) fn id_of(rollout: &RolloutRecord) -> String {
    id_of_moment(rollout.started_at)
}

/// Changes of one moment are of one request.
pub(super) fn id_of_moment(at: Wall) -> String {
    uuid(&[&at.0.to_le_bytes(), b"deployment"])
}

/// The deployment that a rollout belongs to.
pub(super) fn id_of_rollout(world: &World<'_>, rollout: &str) -> String {
    world
        .active_rollouts()
        .find(|record| *record.id == *rollout)
        .map_or_else(|| rollout.to_owned(), |record| id_of(record))
}

/// The deployment that an app is in.
pub(super) fn of_object(world: &World<'_>, object: ObjectKey) -> Option<String> {
    world
        .active_rollouts()
        .find(|rollout| rollout.object == object)
        .map(|rollout| id_of(rollout))
}

/// The deployment that a call began; when it began none, one that is over already.
pub(super) fn began(world: &World<'_>, applied: &[Applied]) -> String {
    for one in applied {
        if let Some(rollout) = &one.rollout {
            let rollouts = world.work.rollouts.iter().map(|(_, rollout)| rollout);
            let found = rollouts.into_iter().find(|own| *own.id == **rollout);
            return found.map_or_else(|| rollout.clone(), |rollout| id_of(rollout));
        }
        let ended = world.work.objects.iter().filter(|(_, record)| {
            one.change == Change::Deleted && record.name == one.name && one.kind == Kind::Service
        });
        if let Some(at) = ended.filter_map(|(_, record)| record.deleted_at).max() {
            return id_of_moment(at);
        }
    }
    fresh(world, "")
}

/// An id that nothing has.
pub(super) fn fresh(world: &World<'_>, what: &str) -> String {
    uuid(&[&world.now.0.to_le_bytes(), what.as_bytes()])
}

/// `{version, deploymentId}`, as changes are answered.
pub(super) fn answer(status: u16, id: &str, version: Wall) -> Answer {
    Answer::of(
        status,
        json!({ "version": zulu(version), "deploymentId": id }),
    )
    .header("marathon-deployment-id", id)
}

fn actions(record: &ObjectRecord, rollout: &RolloutRecord) -> Vec<&'static str> {
    let Some(from) = rollout.from else {
        return vec!["StartApplication", "ScaleApplication"];
    };
    let former = record
        .former
        .iter()
        .find(|former| former.generation == from)
        .and_then(|former| match &*former.spec {
            mezz_spec::Spec::Service(service) => Some(&**service),
            _ => None,
        });
    let same = |one: &Service, other: &Service| {
        one.template == other.template && one.placement == other.placement
    };
    let scales = from != rollout.to
        && former
            .zip(as_service(record))
            .is_some_and(|(one, other)| same(one, other));
    if scales {
        vec!["ScaleApplication"]
    } else {
        vec!["RestartApplication"]
    }
}

fn action(part: &Part, action: &str) -> Value {
    json!({ "action": action, "app": part.name.as_str() })
}

/// The steps of a deployment: in each, one action of every app.
pub(super) fn steps(parts: &[Part]) -> Vec<Value> {
    let longest = parts.iter().map(|part| part.actions.len()).max();
    (0..longest.unwrap_or(0))
        .map(|step| {
            let actions: Vec<Value> = parts
                .iter()
                .filter_map(|part| Some(action(part, part.actions.get(step)?)))
                .collect();
            json!({ "actions": actions })
        })
        .collect()
}

fn shown(world: &World<'_>, standing: &Standing<'_>, id: &str, parts: &[Part]) -> Value {
    let steps = steps(parts);
    let count = steps.len();
    // Starting is no more than knowing the app; what takes time is the last action of each.
    let current: Vec<Value> = parts
        .iter()
        .filter_map(|part| {
            let mut shown = action(part, part.actions.last()?);
            let record = world.object_at(part.object);
            shown["readinessCheckResults"] = record.map_or_else(
                || json!([]),
                |record| readiness::results(record, standing.instances(record.key)),
            );
            Some(shown)
        })
        .collect();
    let version = parts.iter().map(|part| part.version).max();
    json!({
        "id": id,
        "version": zulu(version.unwrap_or_default()),
        "affectedApps": parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(),
        "affectedPods": [],
        "steps": steps,
        "currentActions": current,
        "currentStep": count,
        "totalSteps": count,
    })
}

/// `/v2/deployments`.
pub(super) fn handle(
    request: &Request,
    world: &World<'_>,
    parts: &[&str],
) -> Result<Outcome, Answer> {
    match parts {
        [] => {
            allow(request, &["GET"])?;
            let standing = Standing::of_all(world);
            let list: Vec<Value> = all(world)
                .iter()
                .map(|(id, parts)| shown(world, &standing, id, parts))
                .collect();
            Ok(Answer::json(list.into()).into())
        }
        [id] => {
            allow(request, &["DELETE"])?;
            let force = request.flag("force", false)?;
            let Some(parts) = all(world).remove(*id) else {
                return Err(Answer::message(
                    404,
                    format!("DeploymentPlan {id} does not exist"),
                ));
            };
            if !force {
                return revert(world, &parts);
            }
            if parts.iter().any(|part| part.is_end) {
                let message = "an app of it is deleted, and that cannot be stopped; without force it comes back";
                return Err(Answer::message(409, message));
            }
            Ok(stop(parts))
        }
        _ => Err(nothing_here(request)),
    }
}

/// Back to what was before: a deployment of its own, as a whole.
fn revert(world: &World<'_>, parts: &[Part]) -> Result<Outcome, Answer> {
    let mut objects = Vec::new();
    let mut ends = Vec::new();
    for part in parts {
        let record = world
            .object_at(part.object)
            .ok_or_else(|| errors::no_app(part.name.as_str()))?;
        let spec = match part.from {
            Some(from) => former(record, from).ok_or_else(|| {
                let message = format!("what {} was before is not kept any more", part.name);
                Answer::message(409, message)
            })?,
            None if part.is_end => &record.spec,
            None => {
                ends.push(part.name.clone());
                continue;
            }
        };
        objects.push(Object {
            name: part.name.clone(),
            labels: record.labels.clone(),
            spec: (**spec).clone(),
            generation: None,
        });
    }
    Ok(replace(objects, ends, Conflict::Supersede, 200))
}

fn former(record: &ObjectRecord, generation: u64) -> Option<&Arc<Spec>> {
    if generation == record.generation {
        return Some(&record.spec);
    }
    let mut kept = record.former.iter();
    kept.find(|former| former.generation == generation)
        .map(|former| &former.spec)
}

/// Applies and deletes apps, all or none, and answers with the deployment.
pub(super) fn replace(
    objects: Vec<Object>,
    ends: Vec<Name>,
    conflict: Conflict,
    status: u16,
) -> Outcome {
    let call = Call::Replace {
        objects,
        ends,
        conflict,
    };
    Outcome::call(
        call,
        move |reply: &Reply, world: &World<'_>| match errors::applied(reply, world) {
            Err(answer) => answer.into(),
            Ok(applied) => {
                let version = changed_at(world, applied);
                answer(status, &began(world, applied), version).into()
            }
        },
    )
}

/// When the last of these changed.
pub(super) fn changed_at(world: &World<'_>, applied: &[Applied]) -> Wall {
    let found = applied
        .iter()
        .filter_map(|one| world.object(one.kind, &one.name))
        .map(|record| record.changed_at);
    found.max().unwrap_or(world.now)
}

/// Ends the rollouts of a deployment where they are.
fn stop(mut parts: Vec<Part>) -> Outcome {
    let Some(part) = parts.pop() else {
        return Answer::empty(202).into();
    };
    let call = Call::Abort { name: part.name };
    Outcome::call(
        call,
        move |reply: &Reply, world: &World<'_>| match errors::applied(reply, world) {
            Err(answer) => answer.into(),
            Ok(_) => stop(parts),
        },
    )
}
