//! Jobs: listed, written, run, ended, deleted.

use std::collections::BTreeMap;

use mezz_spec::{Kind, Name, Object};
use mezz_state::time::SECOND_NS;
use mezz_workload::call::{ApplyMode, Call, Conflict, Refusal, Reply};
use serde_json::Value;

use super::job::{Written, objects_of};
use super::kept::Kept;
use super::schedule::{Parts, Times};
use super::shown::{Activity, all, cron_of, find, job, standing};
use super::{allow, errors, names};
use crate::answer::Answer;
use crate::instant::zulu;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::{World, as_cron};

const SEARCHED: usize = 10;

/// Which jobs a path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Scheduled,
    Dependent,
}

/// All jobs.
pub(super) fn list(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    allow(request, &["GET"])?;
    let activity = Activity::of(world);
    let jobs: Vec<Value> = all(world)
        .iter()
        .map(|kept| job(world, kept, &activity))
        .collect();
    Ok(Answer::json(jobs.into()).into())
}

/// Jobs by parts of their names and commands.
pub(super) fn search(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    allow(request, &["GET"])?;
    let wanted = |key: &str| {
        let text = request.parameter(key).unwrap_or_default();
        text.to_lowercase()
    };
    let count = |key: &str, default: usize| match request.parameter(key) {
        None | Some("") => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|_| errors::bad(format!("{key}: '{text}' is no number from 0 on"))),
    };
    let (name, command, any) = (wanted("name"), wanted("command"), wanted("any"));
    let (limit, offset) = (count("limit", SEARCHED)?, count("offset", 0)?);
    let activity = Activity::of(world);
    let jobs: Vec<Value> = all(world)
        .iter()
        .map(|kept| job(world, kept, &activity))
        .filter(|job| {
            let text = |key: &str| job[key].as_str().unwrap_or_default().to_lowercase();
            let (own, runs) = (text("name"), text("command"));
            if name.is_empty() && command.is_empty() && !any.is_empty() {
                return own.contains(&any) || runs.contains(&any);
            }
            let is_found = own.contains(&name) && runs.contains(&command);
            is_found || !any.is_empty() && (own.contains(&any) || runs.contains(&any))
        })
        .skip(offset)
        .take(limit)
        .collect();
    Ok(Answer::json(jobs.into()).into())
}

/// One job.
pub(super) fn one(request: &Request, world: &World<'_>, name: &str) -> Result<Outcome, Answer> {
    match request.method.as_str() {
        "PUT" => run(request, world, name),
        "DELETE" => delete(world, name),
        _ => {
            allow(request, &["GET", "PUT", "DELETE"])?;
            let kept = find(world, name)?;
            Ok(Answer::json(job(world, &kept, &Activity::of(world))).into())
        }
    }
}

/// Creates or replaces a job.
pub(super) fn put(request: &Request, world: &World<'_>, sort: Sort) -> Result<Outcome, Answer> {
    allow(request, &["POST", "PUT"])?;
    let body = request
        .json()
        .map_err(|error| errors::bad(format!("the body is no JSON: {error}")))?;
    let body = body.ok_or_else(|| errors::bad("the body is empty; send a job"))?;
    let mut written = Written::new(body).map_err(|faults| errors::faults(&faults))?;
    match sort {
        Sort::Scheduled if !written.parents.is_empty() => {
            let message = "a job with parents goes to /v1/scheduler/dependency";
            return Err(errors::bad(message));
        }
        Sort::Dependent if written.parents.is_empty() => {
            return Err(errors::bad("Error, parent does not exist"));
        }
        Sort::Scheduled if written.schedule.is_none() => {
            schedule_now(&mut written, world);
        }
        Sort::Scheduled | Sort::Dependent => {}
    }
    for parent in &written.parents {
        if find(world, parent).is_err() {
            return Err(errors::bad(format!(
                "Error, parent '{parent}' does not exist"
            )));
        }
    }
    let objects = objects(&written, world)?;
    Ok(store(
        &names::name_of(&written.name),
        objects,
        world,
        |_| Answer::empty(204).into(),
    ))
}

/// What has neither schedule nor parents runs once, now.
fn schedule_now(written: &mut Written, world: &World<'_>) {
    let soon = mezz_state::time::Wall((world.now.0 / SECOND_NS + 2) * SECOND_NS);
    let schedule = format!("R1/{}/PT24H", zulu(soon));
    if let Some(members) = written.body.as_object_mut() {
        members.insert("schedule".into(), schedule.as_str().into());
    }
    written.schedule = Some(schedule);
}

/// What is made of a job that is new or replaces one of Chronos's.
fn objects(written: &Written, world: &World<'_>) -> Result<Vec<Object>, Answer> {
    let name = names::name_of(&written.name);
    let present = find(world, &written.name).ok();
    if present.is_none() && world.object(Kind::Job, &name).is_some() {
        return Err(errors::bad(format!(
            "there is a job {name} that was not made by this API; choose another name"
        )));
    }
    let times = written
        .times(world.now)
        .map_err(|faults| errors::faults(&faults))?;
    let times = match (&present, times) {
        (Some(kept), Some(times)) => Some(going_on(kept, written, world).unwrap_or(times)),
        (_, times) => times,
    };
    let mut objects =
        objects_of(written, times.as_ref()).map_err(|faults| errors::faults(&faults))?;
    for object in &mut objects {
        let kind = object.spec.kind();
        let is_ours = match kind {
            Kind::Job => present.is_some(),
            _ => cron_of(world, &name).is_some(),
        };
        if !is_ours {
            // Nothing that is not ours is replaced.
            object.generation = Some(0);
        }
    }
    Ok(objects)
}

/// The times of a job whose schedule stays as it was given: it goes on from where it is.
fn going_on(kept: &Kept<'_>, written: &Written, world: &World<'_>) -> Option<Times> {
    let schedule = written.schedule.as_deref()?;
    let zone = written.body["scheduleTimeZone"]
        .as_str()
        .unwrap_or_default();
    let is_same = kept.text("schedule") == schedule && kept.text("scheduleTimeZone") == zone;
    let is_at_once = Parts::parse(schedule, zone).is_ok_and(|parts| parts.is_at_once());
    if !is_same || is_at_once {
        return None;
    }
    let cron = as_cron(cron_of(world, &kept.record.name)?)?;
    Some(Times {
        schedules: cron.schedules.clone(),
        zone: cron.time_zone.clone(),
    })
}

/// Applies a job with what belongs to it; a cron that is not wanted any more goes.
fn store(
    name: &Name,
    objects: Vec<Object>,
    world: &World<'_>,
    then: impl FnOnce(&World<'_>) -> Outcome + Send + 'static,
) -> Outcome {
    let has_cron = objects.iter().any(|one| one.spec.kind() == Kind::Cron);
    let is_left = !has_cron && cron_of(world, name).is_some();
    let call = Call::Apply {
        objects,
        mode: ApplyMode::Commit,
        conflict: Conflict::Supersede,
    };
    let name = name.clone();
    Outcome::call(call, move |reply, world| match errors::done(reply) {
        Err(answer) => answer.into(),
        Ok(()) if is_left => remove(Kind::Cron, name, then),
        Ok(()) => then(world),
    })
}

/// Deletes an object; one that is gone already counts as deleted.
fn remove(
    kind: Kind,
    name: Name,
    then: impl FnOnce(&World<'_>) -> Outcome + Send + 'static,
) -> Outcome {
    let call = Call::Delete {
        kind,
        name,
        generation: None,
        conflict: Conflict::Supersede,
    };
    Outcome::call(call, move |reply, world| match reply {
        Reply::Refused(refusal) if !matches!(refusal, Refusal::NotFound { .. }) => {
            errors::refused(refusal).into()
        }
        _ => then(world),
    })
}

/// Runs a job now; one that runs and may not run beside itself is left alone.
fn run(request: &Request, world: &World<'_>, name: &str) -> Result<Outcome, Answer> {
    let kept = find(world, name)?;
    if !kept.flag("concurrent") && Activity::of(world).is_active(kept.record.key) {
        return Ok(Answer::empty(204).into());
    }
    let call = Call::Run {
        name: kept.record.name.clone(),
        parameters: BTreeMap::new(),
        id: None,
        arguments: request.parameter("arguments").map(str::to_owned),
    };
    Ok(Outcome::call(call, |reply, _| match errors::done(reply) {
        Ok(()) => Answer::empty(204).into(),
        Err(answer) => answer.into(),
    }))
}

/// Ends all runs of a job.
pub(super) fn kill(request: &Request, world: &World<'_>, name: &str) -> Result<Outcome, Answer> {
    allow(request, &["DELETE"])?;
    let kept = find(world, name)?;
    let runs: Vec<String> = world
        .runs(kept.record.key)
        .into_iter()
        .filter(|run| !run.state.is_over())
        .map(|run| run.id.to_string())
        .collect();
    Ok(stop(kept.record.name.clone(), runs))
}

fn stop(name: Name, mut runs: Vec<String>) -> Outcome {
    let Some(run) = runs.pop() else {
        return Answer::empty(204).into();
    };
    let call = Call::StopRun {
        name: name.clone(),
        run,
    };
    Outcome::call(call, move |reply, _| match reply {
        // What has ended meanwhile needs no end.
        Reply::Refused(Refusal::Invalid { .. }) => match errors::done(reply) {
            Err(answer) => answer.into(),
            Ok(()) => stop(name, runs),
        },
        _ => stop(name, runs),
    })
}

/// Says that the last run of a job has succeeded; what depends on it starts.
pub(super) fn mark(request: &Request, world: &World<'_>, name: &str) -> Result<Outcome, Answer> {
    allow(request, &["PUT"])?;
    let told = |name: &str, success: bool| {
        let text = format!("marked job {name} as successful: {success}");
        Answer::text("text/plain; charset=utf-8", text)
    };
    let last = find(world, name).ok().and_then(|kept| {
        let runs = world.runs(kept.record.key);
        let ended = runs.into_iter().filter(|run| run.state.is_over());
        let last = ended.max_by_key(|run| (run.ended_at, run.key))?;
        Some((kept.record.name.clone(), last.id.to_string()))
    });
    let Some((own, run)) = last else {
        return Ok(told(name, false).into());
    };
    let call = Call::MarkSucceeded {
        name: own,
        run,
        node: None,
    };
    let name = name.to_owned();
    Ok(Outcome::call(call, move |reply, _| {
        told(&name, errors::done(reply).is_ok()).into()
    }))
}

/// Deletes a job. Its children come after its parents then, or have its schedule.
fn delete(world: &World<'_>, name: &str) -> Result<Outcome, Answer> {
    let kept = find(world, name)?;
    let own = kept.record.name.clone();
    let mut children = Vec::new();
    for child in all(world) {
        if child.parents.contains(&kept.name) {
            children.extend(rewired(&child, &kept, world)?);
        }
    }
    let has_cron = cron_of(world, &own).is_some();
    Ok(rewire(children, world, move |world| {
        let job = own.clone();
        let last = move |_: &World<'_>| remove(Kind::Job, job, |_| Answer::empty(204).into());
        if has_cron {
            remove(Kind::Cron, own, last)
        } else {
            last(world)
        }
    }))
}

/// A child as it is without one of its parents.
fn rewired(child: &Kept<'_>, parent: &Kept<'_>, world: &World<'_>) -> Result<Vec<Object>, Answer> {
    let mut body = child.body.clone();
    let mut parents: Vec<String> = child.parents.clone();
    parents.retain(|other| *other != parent.name);
    for grandparent in &parent.parents {
        if !parents.contains(grandparent) {
            parents.push(grandparent.clone());
        }
    }
    if parents.is_empty() {
        body.remove("parents");
        let schedule = standing(world, parent, &Activity::default()).schedule;
        let schedule = schedule.unwrap_or_else(|| "R0//P1D".into());
        body.insert("schedule".into(), schedule.into());
        if let Some(zone) = parent.body.get("scheduleTimeZone") {
            body.insert("scheduleTimeZone".into(), zone.clone());
        }
    } else {
        body.insert("parents".into(), parents.into());
    }
    let written = Written::new(body.into()).map_err(|faults| errors::faults(&faults))?;
    objects(&written, world)
}

fn rewire(
    objects: Vec<Object>,
    world: &World<'_>,
    then: impl FnOnce(&World<'_>) -> Outcome + Send + 'static,
) -> Outcome {
    if objects.is_empty() {
        return then(world);
    }
    let call = Call::Apply {
        objects,
        mode: ApplyMode::Commit,
        conflict: Conflict::Supersede,
    };
    Outcome::call(call, move |reply, world| match errors::done(reply) {
        Ok(()) => then(world),
        Err(answer) => answer.into(),
    })
}
