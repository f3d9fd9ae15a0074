//! `/v1/jobs/{id}/schedules`.

use mezz_spec::Kind;
use mezz_workload::call::{ApplyMode, Call, Conflict};
use mezz_workload::records::ObjectRecord;
use serde_json::{Value, json};

use super::{allow, errors, ids, job, schedule};
use crate::answer::Answer;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::{World, as_job};

/// All schedules of a job: one at most.
pub(super) fn all(request: &Request, world: &World<'_>, id: &str) -> Result<Outcome, Answer> {
    let record = ids::find(world, id)?;
    if request.method == "POST" {
        return create(request, world, id, record);
    }
    allow(request, &["GET", "POST"])?;
    Ok(Answer::json(list(world, record).into()).into())
}

/// The schedules of a job as they are answered.
pub(super) fn list(world: &World<'_>, job: &ObjectRecord) -> Vec<Value> {
    schedule::of_job(world, &job.name)
        .and_then(|record| schedule::shown(record, world.now))
        .into_iter()
        .collect()
}

/// One of them.
pub(super) fn one(
    request: &Request,
    world: &World<'_>,
    id: &str,
    name: &str,
) -> Result<Outcome, Answer> {
    let record = ids::find(world, id)?;
    let present = schedule::of_job(world, &record.name)
        .and_then(|cron| schedule::shown(cron, world.now))
        .filter(|shown| shown["id"] == json!(name))
        .ok_or_else(|| errors::no_schedule(name))?;
    match request.method.as_str() {
        "PUT" => {
            let written = schedule::read(&record.name, &body(request)?, Some(name))
                .map_err(|faults| errors::invalid(&faults))?;
            Ok(apply(written, id, 200))
        }
        "DELETE" => {
            let call = Call::Delete {
                kind: Kind::Cron,
                name: record.name.clone(),
                generation: None,
                conflict: Conflict::Supersede,
            };
            let id = id.to_owned();
            Ok(Outcome::call(call, move |reply, _| {
                match errors::applied(reply, &id) {
                    Ok(_) => Answer::empty(200).into(),
                    Err(answer) => answer.into(),
                }
            }))
        }
        _ => {
            allow(request, &["GET", "PUT", "DELETE"])?;
            Ok(Answer::json(present).into())
        }
    }
}

fn body(request: &Request) -> Result<Value, Answer> {
    let body = request
        .json()
        .map_err(|error| errors::bad_request(request, format!("Invalid Json: {error}")))?;
    body.ok_or_else(|| errors::bad_request(request, "Invalid Json: the body is empty"))
}

fn create(
    request: &Request,
    world: &World<'_>,
    id: &str,
    record: &ObjectRecord,
) -> Result<Outcome, Answer> {
    let mut written = schedule::read(&record.name, &body(request)?, None)
        .map_err(|faults| errors::invalid(&faults))?;
    if let Some(present) = schedule::of_job(world, &record.name) {
        let present = schedule::shown(present, world.now);
        let is_same = present.is_some_and(|present| present["id"] == json!(written.id));
        let message = if is_same {
            format!(
                "requirement failed: A schedule with id {} already exists",
                written.id
            )
        } else {
            "requirement failed: Only one schedule supported at the moment".to_owned()
        };
        return Err(Answer::message(409, message));
    }
    if as_job(record).is_some_and(|job| job.after.is_some()) {
        return Err(errors::invalid_at("/", job::BOTH));
    }
    // A cron of the same name that runs something else stays.
    written.object.generation = Some(0);
    Ok(apply(written, id, 201))
}

fn apply(written: schedule::Written, id: &str, status: u16) -> Outcome {
    let name = written.object.name.clone();
    let call = Call::Apply {
        objects: vec![written.object],
        mode: ApplyMode::Commit,
        conflict: Conflict::Supersede,
    };
    let id = id.to_owned();
    Outcome::call(call, move |reply, world| {
        if let Err(answer) = errors::applied(reply, &id) {
            return answer.into();
        }
        let shown =
            schedule::of_job(world, &name).and_then(|record| schedule::shown(record, world.now));
        match shown {
            Some(shown) => Answer::of(status, shown).into(),
            None => errors::no_schedule(&written.id).into(),
        }
    })
}
