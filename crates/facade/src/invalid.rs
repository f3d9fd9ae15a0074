//! The answer to bad documents that Marathon and Metronome share.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::reading::Fault;

/// 422 with all faults, gathered by path.
pub(crate) fn invalid(faults: &[Fault]) -> Answer {
    let mut details: Vec<(String, Vec<String>)> = Vec::new();
    for fault in faults {
        let path = if fault.path.is_empty() {
            "/"
        } else {
            &fault.path
        };
        match details.iter_mut().find(|(known, _)| known == path) {
            Some((_, errors)) => errors.push(fault.message.clone()),
            None => details.push((path.to_owned(), vec![fault.message.clone()])),
        }
    }
    let details: Vec<Value> = details
        .into_iter()
        .map(|(path, errors)| json!({ "path": path, "errors": errors }))
        .collect();
    Answer::of(
        422,
        json!({ "message": "Object is not valid", "details": details }),
    )
}

/// 422 with one fault.
pub(crate) fn invalid_at(path: &str, message: impl Into<String>) -> Answer {
    invalid(&[Fault {
        path: path.into(),
        message: message.into(),
    }])
}
