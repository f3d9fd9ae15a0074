//! `/v2/apps`.

use mezz_spec::{Kind, Name, Object};
use mezz_state::time::Wall;
use mezz_workload::call::{ApplyMode, Call, Conflict, Reply};
use mezz_workload::records::ObjectRecord;
use serde_json::{Map, Value, json};

use super::app::{ServicePorts, Written, object_of, resolve, shown};
use super::info::{Embed, full, with_defaults};
use super::selectors::Selectors;
use super::standing::Standing;
use super::{allow, deployments, errors, groups, roles, tasks};
use crate::answer::Answer;
use crate::instant::zulu;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::World;

/// What comes after `/v2/apps`.
pub(super) fn handle(
    request: &Request,
    world: &World<'_>,
    parts: &[&str],
) -> Result<Outcome, Answer> {
    match parts {
        [] => all(request, world),
        [id @ .., "restart"] if !id.is_empty() && request.method == "POST" => {
            restart(request, world, id)
        }
        [id @ .., "tasks"] if !id.is_empty() => tasks::of_app(request, world, id, None),
        [id @ .., "tasks", task] if !id.is_empty() && request.method == "DELETE" => {
            tasks::of_app(request, world, id, Some(task))
        }
        [id @ .., "versions"] if !id.is_empty() => versions(request, world, id),
        [id @ .., "versions", version] if !id.is_empty() => {
            allow(request, &["GET"])?;
            let record = find(world, id)?;
            let (at, app) = at_version(record, version)?;
            let mut app = with_defaults(app, record);
            app["version"] = zulu(at).into();
            Ok(Answer::json(app).into())
        }
        [group @ .., "*"] => below(request, world, group),
        id => one(request, world, id),
    }
}

fn name_of(id: &[&str]) -> Result<Name, Answer> {
    let path = format!("/{}", id.join("/"));
    Name::new(&path).map_err(|_| errors::no_app(&path))
}

fn find<'w>(world: &World<'w>, id: &[&str]) -> Result<&'w ObjectRecord, Answer> {
    let name = name_of(id)?;
    world
        .object(Kind::Service, &name)
        .ok_or_else(|| errors::no_app(name.as_str()))
}

/// Whether a rollout in the way is to be driven out.
pub(super) fn conflict(request: &Request, default: bool) -> Result<Conflict, Answer> {
    Ok(if request.flag("force", default)? {
        Conflict::Supersede
    } else {
        Conflict::Reject
    })
}

fn all(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    match request.method.as_str() {
        "POST" => create(request, world),
        "PUT" | "PATCH" => change_many(request, world),
        _ => {
            allow(request, &["GET", "POST", "PUT", "PATCH"])?;
            list(request, world)
        }
    }
}

fn list(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    let embed = Embed::new(request);
    let selectors = Selectors::parse(request.parameter("label").unwrap_or_default())
        .map_err(|error| Answer::message(400, error))?;
    let id = request.parameter("id").map(str::to_lowercase);
    let command = request.parameter("cmd").map(str::to_lowercase);
    let standing = Standing::of_all(world);
    let apps: Vec<Value> = world
        .of_kind(Kind::Service)
        .filter(|record| selectors.pass(&record.labels))
        .filter(|record| {
            id.as_ref()
                .is_none_or(|id| record.name.as_str().contains(id.as_str()))
        })
        .filter_map(|record| full(world, &standing, record, embed))
        .filter(|app| {
            command.as_ref().is_none_or(|part| {
                app["cmd"]
                    .as_str()
                    .is_some_and(|cmd| cmd.to_lowercase().contains(part))
            })
        })
        .collect();
    Ok(Answer::json(json!({ "apps": apps })).into())
}

fn below(request: &Request, world: &World<'_>, group: &[&str]) -> Result<Outcome, Answer> {
    allow(request, &["GET"])?;
    let embed = Embed::new(request);
    let group = (!group.is_empty()).then(|| name_of(group)).transpose()?;
    let standing = Standing::of_all(world);
    let apps: Vec<Value> = world
        .of_kind(Kind::Service)
        .filter(|record| {
            group
                .as_ref()
                .is_none_or(|group| record.name.is_within(group))
        })
        .filter_map(|record| full(world, &standing, record, embed))
        .collect();
    Ok(Answer::json(json!({ "*": apps })).into())
}

/// The members of a body about one app.
fn written(request: &Request) -> Result<Written, Answer> {
    let body = request.json().map_err(|error| errors::no_json(&error))?;
    let body = body.ok_or_else(|| errors::invalid_at("/", "the body is empty; send an app"))?;
    Written::new(body).map_err(|faults| errors::invalid(&faults))
}

fn create(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    let conflict = conflict(request, false)?;
    let written = written(request)?;
    let id = written.id.as_deref().unwrap_or_default();
    let name = Name::new(id).map_err(|error| errors::invalid_at("/id", error.to_string()))?;
    if world.object(Kind::Service, &name).is_some() || groups::exists(world, Some(&name)) {
        let message = format!("An app with id [{name}] already exists.");
        return Err(Answer::message(409, message));
    }
    let mut ports = ServicePorts::new(world);
    let enforced = roles::enforced(world, &name);
    let mut object = make(&name, &written, None, enforced, &mut ports)?;
    // Not there before, and not there by the time that this is done either.
    object.generation = Some(0);
    Ok(apply(vec![object], conflict, move |world, id, _| {
        let Some(record) = world.object(Kind::Service, &name) else {
            return errors::no_app(name.as_str());
        };
        let standing = Standing::of_one(world, record.key);
        let embed = Embed::default().single();
        let mut app = full(world, &standing, record, embed).unwrap_or_default();
        // Clients read the first one, also of an app that is through with it already.
        app["deployments"] = json!([{ "id": id }]);
        Answer::of(201, app)
            .header("location", format!("/v2/apps{name}"))
            .header("marathon-deployment-id", id)
    }))
}

/// The object of an app, over the one that is there when only some members are told; `enforced` is what its group says
/// about its role.
pub(super) fn make(
    name: &Name,
    written: &Written,
    present: Option<&ObjectRecord>,
    enforced: Option<bool>,
    ports: &mut ServicePorts,
) -> Result<Object, Answer> {
    let present =
        present.and_then(|record| shown(&record.name, &record.spec).map(|app| (record, app)));
    let mut app: Map<String, Value> = written.over(present.as_ref().map(|(_, app)| app));
    if let Some((record, _)) = &present
        && !written.app.contains_key("labels")
        && !record.labels.is_empty()
    {
        app.insert("labels".into(), json!(record.labels));
    }
    roles::settle(name, &mut app, enforced)?;
    absolute(name, &mut app);
    ports.give(&mut app, present.as_ref().map(|(_, app)| app));
    object_of(name, &Value::Object(app)).map_err(|faults| errors::invalid(&faults))
}

/// Dependencies are answered with their whole paths, however they were given.
fn absolute(name: &Name, app: &mut Map<String, Value>) {
    let given = app.get_mut("dependencies").and_then(Value::as_array_mut);
    for path in given.into_iter().flatten() {
        let found = path
            .as_str()
            .and_then(|text| resolve(text, name.parent().as_ref()).ok());
        if let Some(found) = found {
            *path = found.as_str().into();
        }
    }
}

/// Applies objects; `then` answers, given the deployment and the version.
pub(super) fn apply(
    objects: Vec<Object>,
    conflict: Conflict,
    then: impl FnOnce(&World<'_>, &str, Wall) -> Answer + Send + 'static,
) -> Outcome {
    let call = Call::Apply {
        objects,
        mode: ApplyMode::Commit,
        conflict,
    };
    Outcome::call(call, move |reply: &Reply, world: &World<'_>| {
        let applied = match errors::applied(reply, world) {
            Ok(applied) => applied,
            Err(answer) => return answer.into(),
        };
        let id = deployments::began(world, applied);
        then(world, &id, deployments::changed_at(world, applied)).into()
    })
}

fn one(request: &Request, world: &World<'_>, id: &[&str]) -> Result<Outcome, Answer> {
    match request.method.as_str() {
        "PUT" | "PATCH" => change(request, world, id),
        "DELETE" => {
            let record = find(world, id)?;
            let at = world.now;
            let call = Call::Delete {
                kind: Kind::Service,
                name: record.name.clone(),
                generation: None,
                conflict: conflict(request, true)?,
            };
            Ok(Outcome::call(
                call,
                move |reply, world| match errors::applied(reply, world) {
                    Err(answer) => answer.into(),
                    Ok(applied) => {
                        let id = deployments::began(world, applied);
                        deployments::answer(200, &id, at).into()
                    }
                },
            ))
        }
        _ => {
            allow(request, &["GET", "PUT", "PATCH", "DELETE"])?;
            let record = find(world, id)?;
            let standing = Standing::of_one(world, record.key);
            let app = full(world, &standing, record, Embed::new(request).single());
            Ok(Answer::json(json!({ "app": app })).into())
        }
    }
}

/// What a PUT lays over: the app that is there, unless the whole of it is told. A PATCH always does.
fn is_partial(request: &Request) -> Result<bool, Answer> {
    Ok(request.method == "PATCH" || request.flag("partialUpdate", true)?)
}

fn change(request: &Request, world: &World<'_>, id: &[&str]) -> Result<Outcome, Answer> {
    let conflict = conflict(request, false)?;
    let is_partial = is_partial(request)?;
    let name = name_of(id).map_err(|_| {
        errors::invalid_at("/id", format!("'/{}' is no id of an app", id.join("/")))
    })?;
    let written = written(request)?;
    if let Some(own) = &written.id
        && Name::new(own).as_ref() != Ok(&name)
    {
        return Err(errors::invalid_at("/id", format!("the path says {name}")));
    }
    let present = world.object(Kind::Service, &name);
    if present.is_none() && request.method == "PATCH" {
        return Err(errors::no_app(name.as_str()));
    }
    let status = if present.is_some() { 200 } else { 201 };
    let mut ports = ServicePorts::new(world);
    let object = match (&written.version, present) {
        (Some(version), Some(record)) if written.app.is_empty() => {
            let (_, app) = at_version(record, version)?;
            object_of(&name, &app).map_err(|faults| errors::invalid(&faults))?
        }
        (_, present) => {
            let base = present.filter(|_| is_partial);
            make(
                &name,
                &written,
                base,
                roles::enforced(world, &name),
                &mut ports,
            )?
        }
    };
    Ok(apply(vec![object], conflict, move |_, id, version| {
        deployments::answer(status, id, version)
    }))
}

fn change_many(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    let conflict = conflict(request, false)?;
    let is_partial = is_partial(request)?;
    let body = request.json().map_err(|error| errors::no_json(&error))?;
    let Some(Value::Array(list)) = body else {
        return Err(errors::invalid_at("/", "a list of apps is wanted"));
    };
    let mut ports = ServicePorts::new(world);
    let mut objects = Vec::new();
    for (index, app) in list.into_iter().enumerate() {
        let written = Written::new(app).map_err(|faults| errors::invalid(&faults))?;
        let id = written.id.as_deref().unwrap_or_default();
        let name = Name::new(id)
            .map_err(|error| errors::invalid_at(&format!("/{index}/id"), error.to_string()))?;
        let present = world.object(Kind::Service, &name);
        if present.is_none() && request.method == "PATCH" {
            return Err(errors::no_app(name.as_str()));
        }
        objects.push(make(
            &name,
            &written,
            present.filter(|_| is_partial),
            roles::enforced(world, &name),
            &mut ports,
        )?);
    }
    Ok(apply(objects, conflict, |_, id, version| {
        deployments::answer(200, id, version)
    }))
}

fn restart(request: &Request, world: &World<'_>, id: &[&str]) -> Result<Outcome, Answer> {
    let name = find(world, id)?.name.clone();
    let conflict = conflict(request, false)?;
    let call = Call::Restart { name, conflict };
    Ok(Outcome::call(call, |reply, world| {
        match errors::applied(reply, world) {
            Err(answer) => answer.into(),
            Ok(applied) => {
                let id = deployments::began(world, applied);
                deployments::answer(200, &id, world.now).into()
            }
        }
    }))
}

/// All versions of an app, newest first.
pub(super) fn versions_of(record: &ObjectRecord) -> Vec<Wall> {
    let former = record.former.iter().map(|former| former.changed_at);
    let mut versions: Vec<Wall> = former.chain([record.changed_at]).collect();
    versions.sort_unstable();
    versions.dedup();
    versions.reverse();
    versions
}

fn versions(request: &Request, world: &World<'_>, id: &[&str]) -> Result<Outcome, Answer> {
    allow(request, &["GET"])?;
    let versions: Vec<String> = versions_of(find(world, id)?)
        .into_iter()
        .map(zulu)
        .collect();
    Ok(Answer::json(json!({ "versions": versions })).into())
}

/// An app as it was.
pub(super) fn at_version(record: &ObjectRecord, version: &str) -> Result<(Wall, Value), Answer> {
    let former = record
        .former
        .iter()
        .map(|former| (former.changed_at, &former.spec));
    former
        .chain([(record.changed_at, &record.spec)])
        .rev()
        .find(|(at, _)| zulu(*at) == version)
        .and_then(|(at, spec)| Some((at, shown(&record.name, spec)?)))
        .ok_or_else(|| {
            let name = &record.name;
            Answer::message(
                404,
                format!("App '{name}' does not exist in version {version}"),
            )
        })
}
