//! `/v2/groups`: the tree of apps. A group that is written is an object of its own; one that only lies in the names of
//! apps is shown as well.

mod written;

use std::collections::BTreeSet;

use mezz_spec::{Kind, Name, Spec};
use mezz_state::time::Wall;
use mezz_workload::call::{Call, Reply};
use mezz_workload::records::ObjectRecord;
use serde_json::{Value, json};

use super::info::{Embed, full, with_defaults};
use super::standing::Standing;
use super::{allow, apps, deployments, errors, roles};
use crate::answer::Answer;
use crate::instant::zulu;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::World;
use written::Plan;
pub use written::unknown_members as unknown_members_of_group;

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
        [id @ .., "versions", version] => {
            allow(request, &["GET", "PUT"])?;
            let group = group_of(id)?;
            if request.method == "PUT" {
                // One client goes back so; Marathon itself takes the version in a body.
                let conflict = apps::conflict(request, false)?;
                let plan = Plan::back(world, group.as_ref(), version)?;
                return Ok(deployments::replace(plan.objects, plan.ends, conflict, 200));
            }
            past(world, group.as_ref(), version).map(|tree| Answer::json(tree).into())
        }
        [id @ .., "apps"] if request.method == "GET" => {
            let group = group_of(id)?;
            let embed = Embed::new(request);
            let standing = Standing::of_all(world);
            let apps: Vec<Value> = services(world, group.as_ref())
                .filter_map(|record| full(world, &standing, record, embed))
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
        "PATCH" if exists(world, group.as_ref()) => roles::patch(request, world, group.as_ref()),
        _ => {
            allow(request, &["GET", "POST", "PUT", "PATCH", "DELETE"])?;
            if !exists(world, group.as_ref()) {
                return Err(no_group(path_of(group.as_ref())));
            }
            let embed = Embed::new(request);
            let standing = Standing::of_all(world);
            Ok(Answer::json(tree(world, &standing, group.as_ref(), embed)).into())
        }
    }
}

/// Whether there is a group, if only in the names of apps.
pub(super) fn exists(world: &World<'_>, group: Option<&Name>) -> bool {
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
fn tree(world: &World<'_>, standing: &Standing<'_>, group: Option<&Name>, embed: Embed) -> Value {
    let shown = |record: &ObjectRecord| full(world, standing, record, embed);
    let mut tree = json!({
        "id": path_of(group),
        "version": zulu(versions(world, group).first().copied().unwrap_or(world.now)),
        "dependencies": dependencies(world, group),
    });
    let outermost = group.filter(|group| group.components().count() == 1);
    if let Some(enforced) = outermost.and_then(|group| roles::enforced(world, group)) {
        tree["enforceRole"] = enforced.into();
    }
    if embed.group_apps() {
        tree["apps"] = apps_of(world, group, shown);
    }
    if embed.group_pods() {
        tree["pods"] = json!([]);
    }
    if embed.groups() {
        tree["groups"] = children(world, group)
            .iter()
            .map(|child| self::tree(world, standing, Some(child), embed))
            .collect();
    }
    tree
}

/// A group as it was at a version: what was there then and still is.
fn past(world: &World<'_>, group: Option<&Name>, version: &str) -> Result<Value, Answer> {
    let known = versions(world, group);
    let Some(at) = known.iter().find(|at| zulu(**at) == version) else {
        return Err(written::no_version(group, version));
    };
    Ok(tree_at(world, group, *at))
}

fn tree_at(world: &World<'_>, group: Option<&Name>, at: Wall) -> Value {
    let then = |record: &ObjectRecord| {
        let versions = apps::versions_of(record);
        let own = versions.into_iter().find(|own| *own <= at)?;
        let (_, app) = apps::at_version(record, &zulu(own)).ok()?;
        let mut app = with_defaults(app, record);
        app["version"] = zulu(own).into();
        Some(app)
    };
    let groups: Vec<Value> = children(world, group)
        .iter()
        .map(|child| tree_at(world, Some(child), at))
        .collect();
    json!({
        "id": path_of(group),
        "version": zulu(at),
        "apps": apps_of(world, group, then),
        "groups": groups,
        "pods": [],
        "dependencies": dependencies(world, group),
    })
}

/// The apps directly in a group.
fn apps_of(
    world: &World<'_>,
    group: Option<&Name>,
    shown: impl Fn(&ObjectRecord) -> Option<Value>,
) -> Value {
    services(world, group)
        .filter(|record| record.name.parent().as_ref() == group)
        .filter_map(shown)
        .collect()
}

fn dependencies(world: &World<'_>, group: Option<&Name>) -> Vec<Value> {
    let own = group.and_then(|group| world.object(Kind::Group, group));
    match own.map(|own| &*own.spec) {
        Some(Spec::Group(spec)) => spec.after.iter().map(|name| name.as_str().into()).collect(),
        _ => Vec::new(),
    }
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
    all.extend(own.into_iter().flat_map(apps::versions_of));
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
    let plan = Plan::new(world, group, &body, is_new)?;
    if dry_run {
        return Ok(Answer::json(json!({ "steps": steps(world, &plan) })).into());
    }
    let status = if is_new { 201 } else { 200 };
    Ok(deployments::replace(
        plan.objects,
        plan.ends,
        conflict,
        status,
    ))
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
        return Ok(deployments::replace(
            Vec::new(),
            names.collect(),
            conflict,
            200,
        ));
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
