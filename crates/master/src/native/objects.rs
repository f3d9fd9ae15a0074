//! Users' objects in the native API: what changes them. How they are read stands in `object_json` and `subject`.

mod answers;
mod plan;
mod secrets;
mod standstill;
mod verbs;

use http::Method;
use mezz_core::effect::Reply;
use mezz_core::event::Event;
use mezz_http::{Request, Response, respond};
use mezz_spec::read::Format;
use mezz_spec::{Kind, Name, Object};
use mezz_workload::call::{ApplyMode, Call, Conflict, Reply as WorkReply};

use super::given::Given;
use super::parameters::{self};
use super::problems::{allow, bad_request, not_found, refused, unreadable};
use crate::shared::Shared;

pub(super) use plan::plan;
pub(super) use standstill::freeze;
pub(super) use verbs::{act, is_verb};

/// The kind whose plural a path names.
pub(super) fn kind_of(plural: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.plural() == plural)
}

/// The name that the rest of a path spells.
pub(super) fn name_of(parts: &[&str]) -> Result<Name, Response> {
    Name::new(&parts.join("/")).map_err(|error| bad_request(&error.to_string()))
}

/// Hands a call to the controllers and waits for their answer.
pub(super) async fn ask(shared: &Shared, call: Call) -> Result<WorkReply, Response> {
    let reply = shared
        .call(|request| Event::Work {
            request,
            call: Box::new(call),
            by: None,
        })
        .await;
    match reply {
        Reply::Work(reply) => match *reply {
            WorkReply::Refused(refusal) => Err(answers::refusal(&refusal)),
            reply => Ok(reply),
        },
        other => Err(refused(other)),
    }
}

/// What a query says of a rollout that is in the way.
pub(super) fn conflict(given: &Given) -> Conflict {
    match given.text("conflict") {
        Some("reject") => Conflict::Reject,
        _ => Conflict::Supersede,
    }
}

/// `POST /v1/apply`: all objects of a body, or none.
pub(super) async fn apply(shared: &Shared, request: &mut Request) -> Result<Response, Response> {
    allow(request, &[Method::POST])?;
    let given = Given::check(&request.query(), &[parameters::APPLY])?;
    let mut objects = objects(request).await?;
    let mode = if given.flag("dry_run") {
        ApplyMode::DryRun
    } else {
        ApplyMode::Commit
    };
    let kept = secrets::take_values(shared, &mut objects, mode).await?;
    let call = Call::Apply {
        objects,
        mode,
        conflict: conflict(&given),
    };
    let reply = ask(shared, call).await;
    secrets::release(shared, &kept);
    let reply = reply?;
    Ok(respond::json(answers::reply(&reply).to_string()))
}

/// The objects of a body, each checked.
async fn objects(request: &mut Request) -> Result<Vec<Object>, Response> {
    let format = match request.header("content-type") {
        None => Format::Yaml,
        Some(given) => Format::of_media_type(given).ok_or_else(|| {
            bad_request(&format!(
                "Content-Type: '{given}' is not application/yaml, application/json or application/toml"
            ))
        })?,
    };
    let body = request
        .read_body()
        .await
        .map_err(|refused| unreadable(&refused))?;
    let text = std::str::from_utf8(&body)
        .map_err(|error| bad_request(&format!("the body is not UTF-8: {error}")))?;
    let objects = mezz_spec::read::read(text, format).map_err(|faults| answers::faults(&faults))?;
    if objects.is_empty() {
        return Err(bad_request("the body holds no object"));
    }
    Ok(objects)
}

/// `DELETE /v1/KIND/NAME`.
pub(super) async fn delete(
    shared: &Shared,
    request: &Request,
    kind: Kind,
    name: Name,
) -> Result<Response, Response> {
    let given = Given::check(&request.query(), &[parameters::DELETE_OBJECT])?;
    let call = Call::Delete {
        kind,
        name,
        generation: given.count("generation"),
        conflict: conflict(&given),
    };
    let reply = ask(shared, call).await?;
    if matches!(kind, Kind::Secret | Kind::Group) {
        shared.secrets.forget_deleted(&shared.view().records);
    }
    Ok(respond::json(answers::reply(&reply).to_string()))
}

/// `DELETE /v1/instances/ID`.
pub(super) async fn end_instance(
    shared: &Shared,
    request: &Request,
    id: String,
) -> Result<Response, Response> {
    let given = Given::check(&request.query(), &[parameters::END_INSTANCE])?;
    let call = Call::KillInstances {
        ids: vec![id],
        scale_down: given.flag("scale_down"),
    };
    let reply = ask(shared, call).await?;
    Ok(respond::json(answers::reply(&reply).to_string()))
}

/// The kind of a word, singular or plural.
pub(super) fn kind_named(word: &str) -> Result<Kind, Response> {
    let known = |kind: &Kind| kind.word() == word || kind.plural() == word;
    Kind::ALL.into_iter().find(known).ok_or_else(|| {
        let words = Kind::ALL.map(Kind::word).join(", ");
        not_found(
            &format!("there is no kind '{word}'"),
            &format!("the kinds are {words}"),
        )
    })
}

/// Says that there is no such object.
pub(super) fn no_object(kind: Kind, name: &str) -> Response {
    not_found(
        &format!("there is no {kind} '{name}'"),
        &format!("GET /v1/{} lists those that are known", kind.plural()),
    )
}
