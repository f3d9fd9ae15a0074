//! Errors in Marathon's words.

use mezz_workload::call::{Applied, Refusal, Reply};
use serde_json::{Value, json};

use super::deployments;
use crate::answer::Answer;
pub(super) use crate::invalid::{invalid, invalid_at};
use crate::world::World;

/// Clients look for these words.
const LOCKED: &str = "App is locked by one or more deployments. Override with the option '?force=true'. View details at '/v2/deployments/<DEPLOYMENT_ID>'.";

/// 400: the text is no JSON.
pub(super) fn no_json(error: &serde_json::Error) -> Answer {
    Answer::of(
        400,
        json!({ "message": "Invalid JSON", "details": error.to_string() }),
    )
}

pub(super) fn no_app(id: &str) -> Answer {
    Answer::message(404, format!("App '{id}' does not exist"))
}

/// What became of the objects of a call, or why nothing did.
pub(super) fn applied<'r>(reply: &'r Reply, world: &World<'_>) -> Result<&'r [Applied], Answer> {
    match reply {
        Reply::Applied(applied) => Ok(applied),
        Reply::Done | Reply::Started { .. } => Ok(&[]),
        Reply::Refused(refusal) => Err(refused(refusal, world)),
    }
}

fn refused(refusal: &Refusal, world: &World<'_>) -> Answer {
    match refusal {
        Refusal::Invalid {
            name,
            path,
            message,
            ..
        } => {
            let path = path.replacen("/spec/after", "/dependencies", 1);
            invalid_at(&path, format!("{name}: {message}"))
        }
        Refusal::NotFound { name, .. } => no_app(name),
        Refusal::Conflict { rollouts, .. } if !rollouts.is_empty() => {
            let mut ids: Vec<String> = rollouts
                .iter()
                .map(|rollout| deployments::id_of_rollout(world, rollout))
                .collect();
            ids.dedup();
            let deployments: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
            Answer::of(
                409,
                json!({ "message": LOCKED, "deployments": deployments }),
            )
        }
        Refusal::Conflict { message, .. } => Answer::message(409, message.as_str()),
    }
}
