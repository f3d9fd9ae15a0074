//! What is kept of a job of Chronos beside the spec that was made of it.

use mezz_spec::job::Job;
use mezz_workload::records::ObjectRecord;
use serde_json::{Map, Value};

use super::job::JOB;
use crate::world::as_job;

/// What follows from how the job stands, and is not kept.
const COUNTED: [&str; 6] = [
    "successCount",
    "errorCount",
    "lastSuccess",
    "lastError",
    "errorsSinceLastSuccess",
    "invocationCount",
];

/// A body as it is kept.
pub(super) fn text(body: &Value) -> String {
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        members.retain(|key, _| !COUNTED.contains(&key.as_str()));
    }
    body.to_string()
}

/// The body of a job that was made here.
pub(super) fn body(job: &Job) -> Option<Map<String, Value>> {
    match serde_json::from_str(job.annotations.get(JOB)?).ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// A job of Chronos.
#[derive(Clone, Debug)]
pub(super) struct Kept<'w> {
    pub(super) name: String,
    pub(super) parents: Vec<String>,
    pub(super) body: Map<String, Value>,
    pub(super) record: &'w ObjectRecord,
    pub(super) job: &'w Job,
}

impl<'w> Kept<'w> {
    /// Of a record, when it was made here.
    pub(super) fn of(record: &'w ObjectRecord) -> Option<Self> {
        let job = as_job(record)?;
        let body = body(job)?;
        let parents = body.get("parents").and_then(Value::as_array);
        Some(Self {
            name: body.get("name")?.as_str()?.to_owned(),
            parents: parents
                .into_iter()
                .flatten()
                .filter_map(|parent| parent.as_str().map(str::to_owned))
                .collect(),
            body,
            record,
            job,
        })
    }

    pub(super) fn text(&self, key: &str) -> &str {
        self.body
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.body.get(key) == Some(&Value::Bool(true))
    }
}
