//! Answers of the controllers as JSON and as problems.

use http::StatusCode;
use mezz_http::{Response, respond};
use mezz_spec::fault::Fault;
use mezz_workload::call::{Applied, Change, Refusal, Reply};
use serde_json::{Value, json};

use super::super::problems::{not_found, problem};

/// An answer that is no refusal.
pub(super) fn reply(reply: &Reply) -> Value {
    match reply {
        Reply::Applied(objects) => objects.iter().map(applied).collect(),
        Reply::Started { run, is_new } => json!({ "run": run, "is_new": is_new }),
        Reply::Done => json!({}),
        Reply::Refused(refusal) => json!({ "refused": refusal.to_string() }),
    }
}

fn applied(object: &Applied) -> Value {
    json!({
        "kind": object.kind.word(),
        "name": object.name.as_str(),
        "generation": object.generation,
        "change": change(object.change),
        "rollout": object.rollout,
    })
}

/// The word for a change.
pub(super) fn change(change: Change) -> &'static str {
    match change {
        Change::Created => "created",
        Change::Updated => "updated",
        Change::Unchanged => "unchanged",
        Change::Deleted => "deleted",
    }
}

/// A refusal as a problem: 400 for what is wrong in itself, 404, or 409 against the present state.
pub(super) fn refusal(refusal: &Refusal) -> Response {
    match refusal {
        Refusal::Invalid {
            kind,
            name,
            path,
            message,
        } => faults(&[Fault {
            object: Some(format!("{kind} {name}")),
            ..Fault::new(path.as_str(), message.as_str())
        }]),
        Refusal::NotFound { kind, .. } => {
            let hint = format!("`mezz get {kind}s` lists those that are known");
            not_found(&refusal.to_string(), &hint)
        }
        Refusal::Conflict { message, rollouts } => {
            let hint = (!rollouts.is_empty())
                .then(|| format!("wait for the rollout {}, or abort it", rollouts.join(", ")));
            problem(StatusCode::CONFLICT, message, hint.as_deref())
        }
    }
}

/// All that is wrong with a body: 400 with one entry for each fault.
pub(super) fn faults(faults: &[Fault]) -> Response {
    let detail = faults.first().map_or_else(String::new, ToString::to_string);
    let body = json!({
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": detail,
        "why": [],
        "errors": faults,
    });
    respond::with_type(
        StatusCode::BAD_REQUEST,
        "application/problem+json",
        body.to_string(),
    )
}
