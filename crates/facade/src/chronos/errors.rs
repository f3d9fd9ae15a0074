//! Errors as Chronos shapes them: 400 for nearly all, with a status in words and a message.

use mezz_workload::call::{Refusal, Reply};
use serde_json::json;

use crate::answer::Answer;
use crate::reading::Fault;
use crate::request::Request;

fn of(status: u16, words: &str, message: impl Into<String>) -> Answer {
    Answer::of(
        status,
        json!({ "status": words, "message": message.into() }),
    )
}

pub(super) fn bad(message: impl Into<String>) -> Answer {
    of(400, "Bad Request", message)
}

pub(super) fn no_job(name: &str) -> Answer {
    bad(format!("JobSchedule '{name}' not found"))
}

pub(super) fn no_path(request: &Request) -> Answer {
    of(404, "Not Found", format!("there is no {}", request.path))
}

pub(super) fn no_method(request: &Request, methods: &[&str]) -> Answer {
    let message = format!(
        "{} takes {}, not {}",
        request.path,
        methods.join(" and "),
        request.method
    );
    of(405, "Method Not Allowed", message).header("allow", methods.join(", "))
}

pub(super) fn faults(faults: &[Fault]) -> Answer {
    let told: Vec<String> = faults
        .iter()
        .map(|fault| match fault.path.as_str() {
            "" => fault.message.clone(),
            path => format!("{path}: {}", fault.message),
        })
        .collect();
    bad(told.join("; "))
}

pub(super) fn refused(refusal: &Refusal) -> Answer {
    match refusal {
        Refusal::Invalid { message, path, .. } => {
            let path = path.replacen("/spec/after", "/parents", 1);
            bad(format!("{path}: {message}"))
        }
        other => bad(other.to_string()),
    }
}

/// Whether a call was taken.
pub(super) fn done(reply: &Reply) -> Result<(), Answer> {
    match reply {
        Reply::Refused(refusal) => Err(refused(refusal)),
        _ => Ok(()),
    }
}
