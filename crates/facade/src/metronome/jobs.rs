//! `/v1/jobs` and `/v0/scheduled-jobs`.

use std::collections::BTreeSet;

use mezz_spec::{Kind, Name, Object};
use mezz_workload::call::{ApplyMode, Call, Conflict, Refusal, Reply};
use mezz_workload::records::ObjectRecord;
use serde_json::Value;

use super::job::{self, Written};
use super::{allow, errors, history, ids, runs, schedule, schedules, shown};
use crate::answer::Answer;
use crate::doings::Doings;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::{World, as_job};

/// What may be embedded into a job.
const EMBEDS: [&str; 4] = ["activeRuns", "schedules", "history", "historySummary"];

/// What is asked to be embedded.
#[derive(Clone, Copy, Debug, Default)]
struct Embed {
    active_runs: bool,
    schedules: bool,
    history: bool,
    summary: bool,
}

impl Embed {
    fn new(request: &Request) -> Result<Self, Answer> {
        let asked: BTreeSet<&str> = request
            .parameters("embed")
            .flat_map(|text| text.split(','))
            .filter(|text| !text.is_empty())
            .collect();
        if let Some(unknown) = asked.iter().find(|one| !EMBEDS.contains(one)) {
            let message = format!(
                "Unknown embed option: {unknown}. Valid options are: {}",
                EMBEDS.join(", ")
            );
            return Err(errors::bad_request(request, message));
        }
        Ok(Self {
            active_runs: asked.contains("activeRuns"),
            schedules: asked.contains("schedules"),
            history: asked.contains("history"),
            summary: asked.contains("historySummary"),
        })
    }
}

fn alone(world: &World<'_>, record: &ObjectRecord, embed: Embed) -> Option<Value> {
    full(world, &Doings::of_one(world, record.key), record, embed)
}

fn full(
    world: &World<'_>,
    doings: &Doings<'_>,
    record: &ObjectRecord,
    embed: Embed,
) -> Option<Value> {
    let mut members = shown::shown(record)?;
    let id = ids::id_of(&record.name)?;
    if embed.schedules {
        members.insert("schedules".into(), schedules::list(world, record).into());
    }
    if embed.active_runs {
        let active = runs::active(doings, record, &id);
        members.insert("activeRuns".into(), active.into());
    }
    if embed.history {
        members.insert("history".into(), history::full(doings, record));
    }
    if embed.summary {
        members.insert("historySummary".into(), history::summary(record));
    }
    Some(Value::Object(members))
}

/// All jobs, or a new one.
pub(super) fn all(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    if request.method == "POST" {
        return create(request, world);
    }
    allow(request, &["GET", "POST"])?;
    let embed = Embed::new(request)?;
    let doings = if embed.active_runs || embed.history {
        Doings::of_all(world)
    } else {
        Doings::default()
    };
    let jobs: Vec<Value> = world
        .of_kind(Kind::Job)
        .filter_map(|record| full(world, &doings, record, embed))
        .collect();
    Ok(Answer::json(jobs.into()).into())
}

/// One job.
pub(super) fn one(request: &Request, world: &World<'_>, id: &str) -> Result<Outcome, Answer> {
    match request.method.as_str() {
        "PUT" => replace(request, world, id, Schedules::Kept),
        "DELETE" => delete(request, world, id),
        _ => {
            allow(request, &["GET", "PUT", "DELETE"])?;
            let embed = Embed::new(request)?;
            let job = alone(world, ids::find(world, id)?, embed);
            Ok(Answer::json(job.ok_or_else(|| errors::no_job(id))?).into())
        }
    }
}

/// `POST /v0/scheduled-jobs`.
pub(super) fn create_scheduled(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    allow(request, &["POST"])?;
    create(request, world)
}

/// `PUT /v0/scheduled-jobs/{id}`.
pub(super) fn replace_scheduled(
    request: &Request,
    world: &World<'_>,
    id: &str,
) -> Result<Outcome, Answer> {
    allow(request, &["PUT"])?;
    replace(request, world, id, Schedules::Replaced)
}

/// What a change means for the schedule of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schedules {
    Kept,
    Replaced,
}

fn written(request: &Request) -> Result<Written, Answer> {
    let body = request
        .json()
        .map_err(|error| errors::bad_request(request, format!("Invalid Json: {error}")))?;
    let body =
        body.ok_or_else(|| errors::bad_request(request, "Invalid Json: the body is empty"))?;
    Written::new(body).map_err(|faults| errors::invalid(&faults))
}

/// The job and, where the body has a schedule, its cron.
fn objects(name: &Name, written: &Written, world: &World<'_>) -> Result<Vec<Object>, Answer> {
    let objects = written
        .objects(name)
        .map_err(|faults| errors::invalid(&faults))?;
    known_dependencies(&objects, world)?;
    Ok(objects)
}

fn known_dependencies(objects: &[Object], world: &World<'_>) -> Result<(), Answer> {
    let after = objects.iter().filter_map(|object| match &object.spec {
        mezz_spec::Spec::Job(job) => job.after.as_ref(),
        _ => None,
    });
    let unknown: Vec<String> = after
        .flat_map(|after| &after.jobs)
        .filter(|name| world.object(Kind::Job, name).is_none())
        .filter_map(ids::id_of)
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Dependencies contain unknown jobs. unknown=[{}]",
        unknown.join(", ")
    );
    Err(Answer::message(422, message))
}

fn create(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    let written = written(request)?;
    let Some(id) = written.id.clone() else {
        return Err(errors::invalid_at("/id", "it is missing"));
    };
    let name = ids::name_of(&id).map_err(|message| errors::invalid_at("/id", message))?;
    let exists = || Answer::message(409, "Job with this id already exists");
    if world.object(Kind::Job, &name).is_some() {
        return Err(exists());
    }
    let mut objects = objects(&name, &written, world)?;
    for object in &mut objects {
        object.generation = Some(0);
    }
    let embed = embedded(&written);
    Ok(apply(objects, move |reply, world| match reply {
        Reply::Refused(Refusal::Conflict { .. }) => exists().into(),
        reply => answer(reply, world, &id, embed, 201),
    }))
}

/// A schedule is answered to whoever wrote one.
fn embedded(written: &Written) -> Embed {
    Embed {
        schedules: !written.schedules.is_empty(),
        ..Embed::default()
    }
}

fn apply(
    objects: Vec<Object>,
    then: impl FnOnce(&Reply, &World<'_>) -> Outcome + Send + 'static,
) -> Outcome {
    let call = Call::Apply {
        objects,
        mode: ApplyMode::Commit,
        conflict: Conflict::Supersede,
    };
    Outcome::call(call, then)
}

fn answer(reply: &Reply, world: &World<'_>, id: &str, embed: Embed, status: u16) -> Outcome {
    let job = errors::applied(reply, id)
        .and_then(|_| ids::find(world, id))
        .and_then(|record| alone(world, record, embed).ok_or_else(|| errors::no_job(id)));
    match job {
        Ok(job) => Answer::of(status, job).into(),
        Err(answer) => answer.into(),
    }
}

fn replace(
    request: &Request,
    world: &World<'_>,
    id: &str,
    kept: Schedules,
) -> Result<Outcome, Answer> {
    let mut written = written(request)?;
    let name = ids::find(world, id)?.name.clone();
    if kept == Schedules::Kept {
        written.schedules.clear();
    }
    let objects = objects(&name, &written, world)?;
    let has_schedule = schedule::of_job(world, &name).is_some();
    let is_after = objects
        .iter()
        .any(|object| matches!(&object.spec, mezz_spec::Spec::Job(job) if job.after.is_some()));
    if kept == Schedules::Kept && has_schedule && is_after {
        return Err(errors::invalid_at("/", job::BOTH));
    }
    let embed = embedded(&written);
    let is_unscheduled =
        kept == Schedules::Replaced && has_schedule && written.schedules.is_empty();
    let id = id.to_owned();
    Ok(apply(objects, move |reply, world| {
        if !is_unscheduled || matches!(reply, Reply::Refused(_)) {
            return answer(reply, world, &id, embed, 200);
        }
        Outcome::call(deletion(Kind::Cron, &name), move |reply, world| {
            answer(reply, world, &id, embed, 200)
        })
    }))
}

fn deletion(kind: Kind, name: &Name) -> Call {
    Call::Delete {
        kind,
        name: name.clone(),
        generation: None,
        conflict: Conflict::Supersede,
    }
}

fn delete(request: &Request, world: &World<'_>, id: &str) -> Result<Outcome, Answer> {
    let stops = request
        .flag("stopCurrentJobRuns", false)
        .map_err(|_| errors::bad_request(request, "stopCurrentJobRuns is true or false"))?;
    let record = ids::find(world, id)?;
    let mut active = world.runs(record.key).into_iter();
    if !stops && active.any(|run| !run.state.is_over()) {
        let message = "There are active job runs. Override with stopCurrentJobRuns=true";
        return Err(Answer::message(409, message));
    }
    let name = record.name.clone();
    let comes_after = |other: &ObjectRecord| {
        as_job(other)
            .and_then(|job| job.after.as_ref())
            .is_some_and(|after| after.jobs.contains(&name))
    };
    let children: Vec<String> = world
        .of_kind(Kind::Job)
        .filter(|other| comes_after(other))
        .map(|other| ids::id_of(&other.name).unwrap_or_else(|| other.name.to_string()))
        .collect();
    if !children.is_empty() {
        let message = format!(
            "There are jobs with a dependency on {id}. children=[{}]",
            children.join(", ")
        );
        return Err(Answer::message(409, message));
    }
    let shown = alone(world, record, Embed::default()).ok_or_else(|| errors::no_job(id))?;
    let id = id.to_owned();
    if schedule::of_job(world, &name).is_none() {
        return Ok(delete_job(name, id, shown));
    }
    let cron = deletion(Kind::Cron, &name);
    Ok(Outcome::call(cron, move |reply, _| match reply {
        Reply::Refused(refusal) if !matches!(refusal, Refusal::NotFound { .. }) => {
            errors::refused(refusal, &id).into()
        }
        _ => delete_job(name, id, shown),
    }))
}

fn delete_job(name: Name, id: String, shown: Value) -> Outcome {
    Outcome::call(
        deletion(Kind::Job, &name),
        move |reply, _| match errors::applied(reply, &id) {
            Ok(_) => Answer::json(shown).into(),
            Err(answer) => answer.into(),
        },
    )
}
