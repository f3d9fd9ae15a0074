//! Rollouts as deployments. Those that one request began are one deployment, as are the ends of a deleted app.

use std::collections::BTreeMap;

use mezz_spec::service::Service;
use mezz_spec::{Kind, Name};
use mezz_state::time::Wall;
use mezz_workload::call::{Applied, Call, Conflict, Reply};
use mezz_workload::key::ObjectKey;
use mezz_workload::records::{ObjectRecord, RolloutRecord};
use serde_json::{Value, json};

use super::app::DEPLOYMENT;
use super::{allow, errors, nothing_here};
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
    name: Name,
    rollout: Option<String>,
    from: Option<u64>,
    version: Wall,
    actions: Vec<&'static str>,
}

/// All deployments, by id.
pub(super) fn all(world: &World<'_>) -> BTreeMap<String, Vec<Part>> {
    let mut found: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    for rollout in world.active_rollouts() {
        let Some(record) = world.object_at(rollout.object) else {
            continue;
        };
        found.entry(id_of(record, rollout)).or_default().push(Part {
            object: record.key,
            name: record.name.clone(),
            rollout: Some(rollout.id.to_string()),
            from: rollout.from,
            version: record.changed_at,
            actions: actions(record, rollout),
        });
    }
    for (_, record) in world.work.objects.iter() {
        if let Some(at) = record.deleted_at
            && as_service(record).is_some()
        {
            found.entry(id_of_end(&record.uid)).or_default().push(Part {
                object: record.key,
                name: record.name.clone(),
                rollout: None,
                from: None,
                version: at,
                actions: vec!["StopApplication"],
            });
        }
    }
    found
}

pub(super) fn id_of(record: &ObjectRecord, rollout: &RolloutRecord) -> String {
    as_service(record)
        .and_then(|service| service.annotations.get(DEPLOYMENT))
        .map_or_else(|| rollout.id.to_string(), String::clone)
}

fn id_of_end(uid: &str) -> String {
    uuid(&[uid.as_bytes(), b"end"])
}

/// The deployment that a rollout belongs to.
pub(super) fn id_of_rollout(world: &World<'_>, rollout: &str) -> String {
    world
        .active_rollouts()
        .find(|record| *record.id == *rollout)
        .and_then(|record| Some(id_of(world.object_at(record.object)?, record)))
        .unwrap_or_else(|| rollout.to_owned())
}

/// The deployment that an app is in.
pub(super) fn of_object(world: &World<'_>, object: ObjectKey) -> Option<String> {
    let record = world.object_at(object)?;
    world
        .active_rollouts()
        .find(|rollout| rollout.object == object)
        .map(|rollout| id_of(record, rollout))
}

/// The deployment that a call began; when it began none, one that is over already.
pub(super) fn began(world: &World<'_>, applied: &[Applied]) -> String {
    for one in applied {
        if let Some(rollout) = &one.rollout {
            return id_of_rollout(world, rollout);
        }
        let ending = world.work.objects.iter().find(|(_, record)| {
            record.deleted_at.is_some() && record.name == one.name && one.kind == Kind::Service
        });
        if let Some((_, record)) = ending {
            return id_of_end(&record.uid);
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

/// The steps of one app's rollout.
pub(super) fn steps_of(record: &ObjectRecord, rollout: &RolloutRecord) -> Value {
    actions(record, rollout)
        .into_iter()
        .map(|action| json!({ "actions": [{ "action": action, "app": record.name.as_str() }] }))
        .collect()
}

fn shown(id: &str, parts: &[Part]) -> Value {
    let action = |part: &Part, action: &str| json!({ "action": action, "app": part.name.as_str() });
    let longest = parts.iter().map(|part| part.actions.len()).max();
    let count = longest.unwrap_or(0);
    let steps: Vec<Value> = (0..count)
        .map(|step| {
            let actions: Vec<Value> = parts
                .iter()
                .filter_map(|part| Some(action(part, part.actions.get(step)?)))
                .collect();
            json!({ "actions": actions })
        })
        .collect();
    // Starting is no more than knowing the app; what takes time is the last action of each.
    let current: Vec<Value> = parts
        .iter()
        .filter_map(|part| {
            let mut shown = action(part, part.actions.last()?);
            shown["readinessCheckResults"] = json!([]);
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
            let list: Vec<Value> = all(world)
                .iter()
                .map(|(id, parts)| shown(id, parts))
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
            if parts.iter().any(|part| part.rollout.is_none()) {
                let message = "the app is deleted, and its end cannot be taken back";
                return Err(Answer::message(409, message));
            }
            Ok(end(parts, force, Vec::new()))
        }
        _ => Err(nothing_here(request)),
    }
}

/// Ends the parts of a deployment one after the other: where they are, or back to where they came from.
fn end(mut parts: Vec<Part>, force: bool, mut done: Vec<Applied>) -> Outcome {
    let Some(part) = parts.pop() else {
        return Answer::empty(202).into();
    };
    let (name, conflict) = (part.name.clone(), Conflict::Supersede);
    let call = match (force, part.from) {
        (true, _) => Call::Abort { name },
        (false, Some(to)) => Call::Rollback {
            name,
            to: Some(to),
            conflict,
        },
        (false, None) => Call::Delete {
            kind: Kind::Service,
            name,
            generation: None,
            conflict,
        },
    };
    Outcome::call(call, move |reply: &Reply, world: &World<'_>| {
        match errors::applied(reply, world) {
            Err(answer) => return answer.into(),
            Ok(applied) => done.extend(applied.iter().cloned()),
        }
        if !parts.is_empty() {
            return end(parts, force, done);
        }
        if force {
            return Answer::empty(202).into();
        }
        let version = world
            .object_at(part.object)
            .map_or(world.now, |record| record.changed_at);
        answer(200, &began(world, &done), version).into()
    })
}
