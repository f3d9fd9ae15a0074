//! Errors in Metronome's words.

use mezz_workload::call::{Applied, Refusal, Reply};
use serde_json::json;

use crate::answer::Answer;
pub(super) use crate::invalid::{invalid, invalid_at};
use crate::request::Request;

pub(super) fn no_route(request: &Request) -> Answer {
    Answer::of(
        404,
        json!({ "message": "Unknown route.", "requestPath": request.path }),
    )
}

pub(super) fn bad_request(request: &Request, message: impl Into<String>) -> Answer {
    Answer::of(
        400,
        json!({ "message": message.into(), "requestPath": request.path }),
    )
}

pub(super) fn no_job(id: &str) -> Answer {
    Answer::of(404, json!({ "id": id, "message": "Job not found" }))
}

pub(super) fn no_schedule(id: &str) -> Answer {
    Answer::of(404, json!({ "id": id, "message": "Schedule not found" }))
}

pub(super) fn no_run(job: &str, id: &str) -> Answer {
    Answer::of(
        404,
        json!({ "jobSpec": job, "id": id, "message": "Job Run not found" }),
    )
}

/// What became of the objects of a call, or why nothing did.
pub(super) fn applied<'r>(reply: &'r Reply, id: &str) -> Result<&'r [Applied], Answer> {
    match reply {
        Reply::Applied(applied) => Ok(applied),
        Reply::Done | Reply::Started { .. } => Ok(&[]),
        Reply::Refused(refusal) => Err(refused(refusal, id)),
    }
}

pub(super) fn refused(refusal: &Refusal, id: &str) -> Answer {
    match refusal {
        Refusal::Invalid { path, message, .. } if path.starts_with("/spec/after") => {
            Answer::message(422, message.as_str())
        }
        Refusal::Invalid { path, message, .. } => invalid_at(path, message.as_str()),
        Refusal::NotFound { .. } => no_job(id),
        Refusal::Conflict { message, .. } => Answer::message(409, message.as_str()),
    }
}
