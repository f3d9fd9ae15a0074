//! `enforceRole` of the outermost groups: whether apps must have the role of their group, or have that of nobody by default.
//! Where it was never said, an app has the role that its name gives it and may name another.

use mezz_spec::group::Group;
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_workload::call::{Call, Conflict, Reply};
use serde_json::{Map, Value};

use super::errors;
use crate::answer::Answer;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::World;

/// Where it is kept with a group.
const ENFORCE: &str = "marathon/enforceRole";

/// What the outermost group of a name says.
pub(super) fn enforced(world: &World<'_>, name: &Name) -> Option<bool> {
    let outermost = Name::new(&format!("/{}", name.components().next()?)).ok()?;
    match &*world.object(Kind::Group, &outermost)?.spec {
        Spec::Group(group) => of_group(group),
        _ => None,
    }
}

/// What a group itself says.
pub(super) fn of_group(group: &Group) -> Option<bool> {
    group.annotations.get(ENFORCE).map(|text| text == "true")
}

/// Makes a group say it, or nothing.
pub(super) fn set(group: &mut Group, enforced: Option<bool>) {
    match enforced {
        Some(enforced) => group
            .annotations
            .insert(ENFORCE.to_owned(), enforced.to_string()),
        None => group.annotations.remove(ENFORCE),
    };
}

/// Gives an app its role, or refuses one that its group does not allow.
pub(super) fn settle(
    name: &Name,
    app: &mut Map<String, Value>,
    enforced: Option<bool>,
) -> Result<(), Answer> {
    let outermost = name.components().next().unwrap_or_default();
    let is_in_group = name.components().count() > 1;
    let Some(enforced) = enforced.filter(|_| is_in_group) else {
        return Ok(());
    };
    let given = app.get("role").and_then(Value::as_str);
    match (given, enforced) {
        (Some(role), true) if role != outermost => {
            let message = format!(
                "must be {outermost}: the group /{outermost} enforces its role on its apps"
            );
            return Err(errors::invalid_at("/role", message));
        }
        (Some(_), _) => return Ok(()),
        (None, _) => {}
    }
    let role = if enforced { outermost } else { "*" };
    app.insert("role".into(), role.into());
    Ok(())
}

/// Only the outermost groups have roles.
pub(super) fn check_place(name: Option<&Name>) -> Result<(), Answer> {
    if name.is_some_and(|name| name.components().count() == 1) {
        return Ok(());
    }
    let message = "only a group directly below / enforces a role; say it there";
    Err(errors::invalid_at("/enforceRole", message))
}

/// `PATCH /v2/groups/ID`: says it of a group. Apps that are there keep their roles until they are changed.
pub(super) fn patch(
    request: &Request,
    world: &World<'_>,
    name: Option<&Name>,
) -> Result<Outcome, Answer> {
    check_place(name)?;
    let body = request.json().map_err(|error| errors::no_json(&error))?;
    if !body.as_ref().is_some_and(Value::is_object) {
        return Err(errors::invalid_at("", "an object is wanted"));
    }
    let wanted = match body.as_ref().and_then(|body| body.get("enforceRole")) {
        None | Some(Value::Null) => None,
        Some(Value::Bool(wanted)) => Some(*wanted),
        Some(_) => {
            return Err(errors::invalid_at(
                "/enforceRole",
                "true or false is wanted",
            ));
        }
    };
    let Some(name) = name else {
        return Err(errors::invalid_at("/id", "a group is wanted"));
    };
    let present = world.object(Kind::Group, name);
    let mut group = match present.map(|record| &*record.spec) {
        Some(Spec::Group(group)) => (**group).clone(),
        _ => Group::default(),
    };
    set(&mut group, wanted);
    let object = Object {
        name: name.clone(),
        labels: present
            .map(|record| record.labels.clone())
            .unwrap_or_default(),
        spec: Spec::Group(Box::new(group)),
        generation: None,
    };
    let call = Call::Apply {
        objects: vec![object],
        mode: mezz_workload::call::ApplyMode::Commit,
        conflict: Conflict::Supersede,
    };
    Ok(Outcome::call(
        call,
        |reply: &Reply, world: &World<'_>| match errors::applied(reply, world) {
            Ok(_) => Answer::empty(200).into(),
            Err(answer) => answer.into(),
        },
    ))
}
