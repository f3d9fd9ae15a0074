//! `/v2/groups`: the tree of apps. A group that is written is an object of its own; one that only lies in the names of
//! apps is shown as well.

mod written;

use std::collections::BTreeSet;

use mezz_spec::{Kind, Name, Object, Spec};
use mezz_state::time::Wall;
use mezz_workload::call::{ApplyMode, Call, Conflict, Reply};
use mezz_workload::records::ObjectRecord;
use serde_json::{Value, json};

use super::app::DEPLOYMENT;
use super::info::{Embed, full, plain};
use super::{allow, apps, deployments, errors};
use crate::answer::Answer;
use crate::instant::zulu;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::World;
use written::Plan;

/// What comes after `/v2/groups`.
pub(super) fn handle(
    request: &Request,
    world: &World<'_>,
    parts: &[&str],
) -> Result<Outcome, Answer> {
    match parts {
        [id @ .., "versions"] => {
            allow(request, &["GET"])?;
            let versions: Vec<String> = versions(world, group_of(id)?.as_ref())
                .into_iter()
                .map(zulu)
                .collect();
            Ok(Answer::json(json!(versions)).into())
        }
        [id @ .., "apps"] if request.method == "GET" => {
            let group = group_of(id)?;
            let embed = Embed::new(request);
            let apps: Vec<Value> = services(world, group.as_ref())
                .filter_map(|record| full(world, record, embed))
                .collect();
            Ok(Answer::json(apps.into()).into())
        }
        id => one(request, world, group_of(id)?),
    }
}

/// The group of a path; none is the root.
fn group_of(id: &[&str]) -> Result<Option<Name>, Answer> {
    if id.is_empty() {
        return Ok(None);
    }
    let path = format!("/{}", id.join("/"));
    Name::new(&path).map(Some).map_err(|_| no_group(&path))
}

fn no_group(path: &str) -> Answer {
    Answer::message(404, format!("Group '{path}' does not exist"))
}

fn path_of(group: Option<&Name>) -> &str {
    group.map_or("/", Name::as_str)
}

/// The services below a group.
fn services<'w>(
    world: &World<'w>,
    group: Option<&Name>,
) -> impl Iterator<Item = &'w ObjectRecord> + use<'w> {
    let group = group.cloned();
    world.of_kind(Kind::Service).filter(move |record| {
        group
            .as_ref()
            .is_none_or(|group| record.name.is_within(group))
    })
}

fn one(request: &Request, world: &World<'_>, group: Option<Name>) -> Result<Outcome, Answer> {
    match request.method.as_str() {
        "POST" | "PUT" => put(request, world, group.as_ref()),
        "DELETE" => delete(request, world, group),
        "PATCH" => Err(Answer::message(
            501,
            "enforceRole is not built: give each app its role",
        )),
        _ => {
            allow(request, &["GET", "POST", "PUT", "PATCH", "DELETE"])?;
            if !exists(world, group.as_ref()) {
                return Err(no_group(path_of(group.as_ref())));
            }
            let embed = Embed::new(request);
            Ok(Answer::json(tree(world, group.as_ref(), embed)).into())
        }
    }
}

fn exists(world: &World<'_>, group: Option<&Name>) -> bool {
    let Some(group) = group else {
        return true;
    };
    let is_service = |name: &Name| name == group;
    world.object(Kind::Group, group).is_some()
        || services(world, Some(group)).any(|record| !is_service(&record.name))
        || world
            .of_kind(Kind::Group)
            .any(|record| record.name.is_within(group))
}

/// A group with all that is below it.
fn tree(world: &World<'_>, group: Option<&Name>, embed: Embed) -> Value {
    let is_child = |name: &Name| name.parent().as_ref() == group;
    let apps: Vec<Value> = services(world, group)
        .filter(|record| is_child(&record.name))
        .filter_map(|record| full(world, record, embed))
        .collect();
    let groups: Vec<Value> = children(world, group)
        .iter()
        .map(|child| tree(world, Some(child), embed))
        .collect();
    let own = group.and_then(|group| world.object(Kind::Group, group));
    let dependencies = match own.map(|own| &*own.spec) {
        Some(Spec::Group(spec)) => spec.after.iter().map(|name| name.as_str().into()).collect(),
        _ => Vec::<Value>::new(),
    };
    json!({
        "id": path_of(group),
        "version": zulu(versions(world, group).first().copied().unwrap_or(world.now)),
        "apps": apps,
        "groups": groups,
        "pods": [],
        "dependencies": dependencies,
    })
}

/// Groups directly below a group.
fn children(world: &World<'_>, group: Option<&Name>) -> BTreeSet<Name> {
    let depth = group.map_or(0, |group| group.components().count());
    let parents = world
        .of_kind(Kind::Service)
        .filter_map(|record| record.name.parent());
    let written = world.of_kind(Kind::Group).map(|record| record.name.clone());
    parents
        .chain(written)
        .filter(|name| group.is_none_or(|group| name.is_within(group)))
        .filter_map(|name| {
            let parts: Vec<&str> = name.components().take(depth + 1).collect();
            (parts.len() == depth + 1).then(|| Name::new(&parts.join("/")).ok())?
        })
        .collect()
}

/// When something below a group changed, newest first.
fn versions(world: &World<'_>, group: Option<&Name>) -> Vec<Wall> {
    let mut all: Vec<Wall> = services(world, group).flat_map(apps::versions_of).collect();
    let own = group.and_then(|group| world.object(Kind::Group, group));
    all.extend(own.map(|own| own.changed_at));
    all.sort_unstable();
    all.dedup();
    all.reverse();
    all
}

fn put(request: &Request, world: &World<'_>, group: Option<&Name>) -> Result<Outcome, Answer> {
    let conflict = apps::conflict(request, false)?;
    let dry_run = request.flag("dryRun", false)?;
    let body = request.json().map_err(|error| errors::no_json(&error))?;
    let body = body.ok_or_else(|| errors::invalid_at("/", "the body is empty; send a group"))?;
    let is_new = request.method == "POST";
    let mut plan = Plan::new(world, group, &body, is_new)?;
    join(&mut plan.objects, world);
    if dry_run {
        return Ok(Answer::json(json!({ "steps": steps(world, &plan) })).into());
    }
    let status = if is_new { 201 } else { 200 };
    let ends = plan.ends;
    if plan.objects.is_empty() {
        return Ok(end(ends, conflict, status, None));
    }
    let call = Call::Apply {
        objects: plan.objects,
        mode: ApplyMode::Commit,
        conflict,
    };
    Ok(Outcome::call(
        call,
        move |reply: &Reply, world: &World<'_>| match errors::applied(reply, world) {
            Err(answer) => answer.into(),
            Ok(applied) => {
                let id = deployments::began(world, applied);
                end(ends, conflict, status, Some(id))
            }
        },
    ))
}

/// Deletes apps one after the other, then answers.
fn end(mut names: Vec<Name>, conflict: Conflict, status: u16, id: Option<String>) -> Outcome {
    let Some(name) = names.pop() else {
        return Outcome::Explain(
            Vec::new(),
            Box::new(move |_, world| {
                let id = id.unwrap_or_else(|| deployments::fresh(world, "group"));
                deployments::answer(status, &id, world.now).into()
            }),
        );
    };
    let call = Call::Delete {
        kind: Kind::Service,
        name,
        generation: None,
        conflict,
    };
    Outcome::call(
        call,
        move |reply: &Reply, world: &World<'_>| match errors::applied(reply, world) {
            Err(answer) => answer.into(),
            Ok(applied) => {
                let id = id.or_else(|| Some(deployments::began(world, applied)));
                end(names, conflict, status, id)
            }
        },
    )
}

fn steps(world: &World<'_>, plan: &Plan) -> Value {
    let mut actions = Vec::new();
    for object in &plan.objects {
        let Spec::Service(spec) = &object.spec else {
            continue;
        };
        let action = match world.object(Kind::Service, &object.name) {
            None => "StartApplication",
            Some(record) => match &*record.spec {
                Spec::Service(old) if **old == **spec && record.labels == object.labels => continue,
                Spec::Service(old) if old.template == spec.template => "ScaleApplication",
                _ => "RestartApplication",
            },
        };
        actions.push(json!({ "action": action, "app": object.name.as_str() }));
    }
    for name in &plan.ends {
        actions.push(json!({ "action": "StopApplication", "app": name.as_str() }));
    }
    if actions.is_empty() {
        json!([])
    } else {
        json!([{ "actions": actions }])
    }
}

fn delete(request: &Request, world: &World<'_>, group: Option<Name>) -> Result<Outcome, Answer> {
    let conflict = apps::conflict(request, false)?;
    if !exists(world, group.as_ref()) {
        return Err(no_group(path_of(group.as_ref())));
    }
    let Some(name) = group else {
        let names = services(world, None).map(|record| record.name.clone());
        return Ok(end(names.collect(), conflict, 200, None));
    };
    let call = Call::Delete {
        kind: Kind::Group,
        name,
        generation: None,
        conflict,
    };
    Ok(Outcome::call(
        call,
        |reply: &Reply, world: &World<'_>| match errors::applied(reply, world) {
            Err(answer) => answer.into(),
            Ok(applied) => {
                let id = deployments::began(world, applied);
                deployments::answer(200, &id, world.now).into()
            }
        },
    ))
}

/// Makes several apps of one request one deployment; those that do not change stay as they are.
pub(super) fn join(objects: &mut [Object], world: &World<'_>) {
    let names: Vec<&str> = objects.iter().map(|object| object.name.as_str()).collect();
    let id = deployments::fresh(world, &names.join(","));
    for object in objects {
        let Spec::Service(spec) = &mut object.spec else {
            continue;
        };
        let present = world.object(Kind::Service, &object.name);
        if let Some(record) = present
            && let Spec::Service(old) = &*record.spec
        {
            let mut like_old = spec.clone();
            like_old.annotations.clone_from(&old.annotations);
            let same_app = plain(record).is_some()
                && old.annotations.get(super::app::APP) == spec.annotations.get(super::app::APP);
            if like_old == *old && record.labels == object.labels && same_app {
                *spec = like_old;
                continue;
            }
        }
        spec.annotations.insert(DEPLOYMENT.to_owned(), id.clone());
    }
}
