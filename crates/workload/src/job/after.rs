//! Jobs that come after others: each runs when all that it comes after have succeeded since its own last run was
//! started. What has succeeded so far is part of how the job stands, and written together with the run that it leads to.

use std::collections::BTreeSet;
use std::sync::Arc;

use mezz_spec::cron::Overlap;
use mezz_spec::job::{After, Job};
use mezz_spec::{Kind, Name, Object, Spec};

use super::{Order, Stop, begin_stop, start_run};
use crate::call::Refusal;
use crate::effect::Effects;
use crate::key::ObjectKey;
use crate::objects::apply::invalid;
use crate::objects::staged::Staged;
use crate::records::{Cause, RunState, Status};
use crate::runs::Begins;
use crate::runs::parameters::{self, Extra, Values};
use crate::workloads::{Stage, Workloads};

/// Whether what a job comes after will be there.
pub(crate) fn check(object: &Object, staged: &Staged<'_>, job: &Job) -> Result<(), Refusal> {
    let Some(after) = &job.after else {
        return Ok(());
    };
    for (index, name) in after.jobs.iter().enumerate() {
        if staged.spec(Kind::Job, name).is_none() {
            let path = format!("/spec/after/jobs/{index}");
            let message = format!("there is no job '{name}'; apply it before, or in the same call");
            return Err(invalid(object, &path, message));
        }
    }
    Ok(())
}

fn job_of(w: &Workloads, key: ObjectKey) -> Option<(&Name, &Arc<Spec>, &Job)> {
    let object = w.object_at(key).filter(|one| one.deleted_at.is_none())?;
    match &*object.spec {
        Spec::Job(job) => Some((&object.name, &object.spec, job)),
        _ => None,
    }
}

fn after_of(w: &Workloads, key: ObjectKey) -> Option<&After> {
    job_of(w, key)?.2.after.as_ref()
}

/// A run has ended: what comes after its job may start now, and so may its job, if it was held by this run.
pub(crate) fn on_run_ended(
    w: &mut Workloads,
    key: ObjectKey,
    state: RunState,
    effects: &mut Effects,
) {
    let Some((name, _, job)) = job_of(w, key) else {
        return;
    };
    let counts = match state {
        RunState::Succeeded => true,
        RunState::Failed => job.ignore_failure,
        _ => false,
    };
    if counts {
        let name = name.clone();
        for child in children(w, &name) {
            note(w, child, &name, effects);
            look(w, child, effects);
        }
    }
    look(w, key, effects);
}

/// The jobs that come after one.
fn children(w: &Workloads, name: &Name) -> Vec<ObjectKey> {
    let is_child =
        |key: &ObjectKey| after_of(w, *key).is_some_and(|after| after.jobs.contains(name));
    w.of_kind(Kind::Job)
        .map(|(_, key)| key)
        .filter(is_child)
        .collect()
}

fn note(w: &mut Workloads, key: ObjectKey, name: &Name, effects: &mut Effects) {
    change(w, key, |fulfilled| {
        fulfilled.insert(name.clone());
    });
    w.write_status(key, effects);
}

fn change(w: &mut Workloads, key: ObjectKey, how: impl FnOnce(&mut BTreeSet<Name>)) {
    if let Some(status) = w.status_of_runs(key) {
        how(&mut status.fulfilled);
    }
}

/// What of that which a job comes after has succeeded since its last run was started.
fn fulfilled(w: &Workloads, key: ObjectKey) -> Option<&BTreeSet<Name>> {
    match &w.object_at(key)?.status {
        Status::Job(status) => Some(&status.fulfilled),
        _ => None,
    }
}

/// A run of a job is started: what has succeeded before counts no more.
pub(super) fn on_start(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    if fulfilled(w, key).is_some_and(|fulfilled| !fulfilled.is_empty()) {
        change(w, key, BTreeSet::clear);
        w.write_status(key, effects);
    }
}

/// A job was changed: what it comes after no more is forgotten.
pub(super) fn on_apply(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    let jobs = after_of(w, key).map_or_else(Vec::new, |after| after.jobs.clone());
    let has_others = fulfilled(w, key)
        .is_some_and(|fulfilled| fulfilled.iter().any(|name| !jobs.contains(name)));
    if has_others {
        change(w, key, |fulfilled| {
            fulfilled.retain(|name| jobs.contains(name));
        });
        w.write_status(key, effects);
    }
    look(w, key, effects);
}

/// All jobs look whether they may start now.
pub(super) fn wake_all(w: &mut Workloads, effects: &mut Effects) {
    let all: Vec<ObjectKey> = w.of_kind(Kind::Job).map(|(_, key)| key).collect();
    for key in all {
        look(w, key, effects);
    }
}

/// Starts a job when all that it comes after has succeeded.
fn look(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    if w.records.is_frozen() || w.stage == Stage::Loading {
        return;
    }
    let Some(after) = after_of(w, key) else {
        return;
    };
    let overlap = after.overlap;
    let is_complete = fulfilled(w, key)
        .is_some_and(|fulfilled| after.jobs.iter().all(|name| fulfilled.contains(name)));
    if !is_complete {
        return;
    }
    let active = w.active_runs(key);
    match overlap {
        _ if active.is_empty() => start(w, key, effects),
        Overlap::Allow => start(w, key, effects),
        Overlap::Forbid => on_start(w, key, effects),
        Overlap::Queue => {}
        Overlap::Replace => {
            for run in active {
                let stop = Stop::stopped("a later run of its job takes its place");
                begin_stop(w, run, stop, effects);
            }
        }
    }
}

fn start(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    let Some((_, spec, job)) = job_of(w, key) else {
        return;
    };
    // What has a parameter without a default cannot start by itself; `why` says so.
    let values = parameters::complete(&job.parameters, &Values::new(), Extra::Refused);
    let spec = Arc::clone(spec);
    match values {
        Ok(parameters) => {
            let order = Order {
                object: key,
                spec,
                id: None,
                parameters,
                cause: Cause::After,
                begins: Begins::Now,
            };
            start_run(w, order, effects);
        }
        Err(_) => on_start(w, key, effects),
    }
}

/// What a job still waits for, in words.
pub(super) fn why(w: &Workloads, key: ObjectKey) -> Option<String> {
    let after = after_of(w, key)?;
    let fulfilled = fulfilled(w, key);
    let left: Vec<String> = after
        .jobs
        .iter()
        .filter(|name| fulfilled.is_none_or(|fulfilled| !fulfilled.contains(*name)))
        .map(|name| match w.key_of(Kind::Job, name) {
            Some(_) => name.to_string(),
            None => format!("{name} (which is not there)"),
        })
        .collect();
    Some(if left.is_empty() {
        "all that it comes after has succeeded; it starts when its present run has ended".into()
    } else {
        format!("it starts when these have succeeded: {}", left.join(", "))
    })
}
