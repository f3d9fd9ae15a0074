//! Crons: fire-times become runs, each decided upon exactly once, also across masters and clocks that jump.

pub(crate) mod due;
mod fire;
mod times;
mod why;

use std::collections::BTreeMap;

use mezz_spec::cron::Cron;
use mezz_spec::schedule::{Schedule, ScheduleError};
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_state::time::{SECOND_NS, Wall};
use serde::{Deserialize, Serialize};

use crate::call::{Change, Lasting, Refusal, Reply};
use crate::effect::{Effect, Effects};
use crate::event::TimerKey;
use crate::job::{self, Stop, begin_stop};
use crate::key::ObjectKey;
use crate::objects::apply::invalid;
use crate::objects::staged::Staged;
use crate::records::Cause;
use crate::restore::Sections;
use crate::runs::parameters::{Extra, Values};
use crate::runs::targets;
use crate::workloads::Workloads;

pub(crate) use why::why;

/// The state that only this controller knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Crons {
    /// When each looks at itself again.
    armed: BTreeMap<ObjectKey, Wall>,
}

/// Rules that need other objects: what it runs is there, and takes its parameters.
pub(crate) fn check(object: &Object, staged: &Staged<'_>) -> Result<(), Refusal> {
    let Spec::Cron(cron) = &object.spec else {
        return Ok(());
    };
    if let Err(error) = Schedule::of(cron, 0) {
        let path = match error {
            ScheduleError::Zone(_) => "/spec/time_zone",
            _ => "/spec/schedules",
        };
        return Err(invalid(object, path, error.to_string()));
    }
    targets::check(object, staged, "/spec/run", &cron.run, None)
}

/// The object was created or changed. What passed before a schedule came into being is not made up for.
pub(crate) fn on_apply(w: &mut Workloads, key: ObjectKey, change: Change, effects: &mut Effects) {
    let Some((cron, _)) = fire::parts(w, key) else {
        return;
    };
    let former = w.object_at(key).and_then(|object| object.former.last());
    let is_new_schedule = match former.map(|former| &*former.spec) {
        Some(Spec::Cron(old)) => !has_same_times(old, &cron),
        _ => true,
    };
    if change == Change::Created || is_new_schedule {
        let until = match change {
            Change::Created if begins_at_once(&cron) => just_before(w.wall()),
            _ => w.wall(),
        };
        fire::change(w, key, |status| status.decided_until = until);
        w.write_status(key, effects);
    }
    fire::look(w, key, effects);
    w.prune(key, effects);
}

/// Whether its first fire-time is its creation: an interval without a start.
fn begins_at_once(cron: &Cron) -> bool {
    let has_no_start = |text: &String| text.starts_with('R') && text.split('/').nth(1) == Some("");
    cron.schedules.iter().any(has_no_start)
}

/// Before the whole second in which a moment lies.
fn just_before(moment: Wall) -> Wall {
    let second = moment.0 / SECOND_NS * SECOND_NS;
    Wall(second.saturating_sub(1))
}

fn has_same_times(old: &Cron, new: &Cron) -> bool {
    old.schedules == new.schedules && old.time_zone == new.time_zone && old.enabled == new.enabled
}

/// The object left the index: its own runs are ended, and those of other objects that have not begun.
pub(crate) fn on_delete(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    w.crons.armed.remove(&key);
    effects.push(Effect::CancelTimer(TimerKey::Cron(key)));
    let mut doomed = w.active_runs(key);
    let elsewhere = w.records.runs.iter().filter(|(_, run)| {
        let is_ours = run.cause.of_cron().is_some_and(|(object, _)| object == key);
        is_ours && run.object != key && run.begun_at.is_none() && !run.state.is_over()
    });
    doomed.extend(elsewhere.map(|(_, run)| run.key));
    for run in doomed {
        begin_stop(w, run, Stop::deleted(), effects);
    }
    w.forget_if_done(key, effects);
}

/// What the store held: a run's record is written before its fire-time is noted as decided, so it counts as such.
pub(crate) fn restore(
    w: &mut Workloads,
    _: &Sections,
    _by_uid: &BTreeMap<String, ObjectKey>,
    effects: &mut Effects,
) {
    let mut latest: BTreeMap<ObjectKey, Wall> = BTreeMap::new();
    for (_, run) in w.records.runs.iter() {
        if let Cause::Cron { object, fire_at } = run.cause {
            let at = latest.entry(object).or_default();
            *at = (*at).max(fire_at);
        }
    }
    for (key, at) in latest {
        let until = fire::parts(w, key).map(|(_, status)| status.decided_until);
        if until.is_some_and(|until| until < at) {
            fire::change(w, key, |status| status.decided_until = at);
        }
    }
    for key in all(w) {
        // Nothing before the cron was written is to be decided.
        let changed_at = w.object_at(key).map_or(Wall(0), |object| object.changed_at);
        fire::change(w, key, |status| {
            if status.decided_until == Wall(0) {
                status.decided_until = changed_at;
            }
        });
        fire::release(w, key, effects);
    }
}

fn all(w: &Workloads) -> Vec<ObjectKey> {
    w.of_kind(Kind::Cron).map(|(_, key)| key).collect()
}

/// The store has been read: crons go on from where they were.
pub(crate) fn wake_all(w: &mut Workloads, effects: &mut Effects) {
    for key in all(w) {
        fire::look(w, key, effects);
    }
}

/// Every agent has reported or was given up.
pub(crate) fn on_reconciled(w: &mut Workloads, effects: &mut Effects) {
    wake_all(w, effects);
}

/// A fire-time has come.
pub(crate) fn on_timer(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    w.crons.armed.remove(&key);
    fire::look(w, key, effects);
}

/// A run that a cron started has ended.
pub(crate) fn on_run_ended(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    fire::release(w, key, effects);
}

/// No fire-time is honoured until `resume`, or until its time is over; a pause takes the place of an earlier one.
pub(crate) fn pause(
    w: &mut Workloads,
    key: ObjectKey,
    lasts: Lasting,
    effects: &mut Effects,
) -> Result<Reply, Refusal> {
    let standstill = lasts.from(w.wall())?;
    fire::change(w, key, |status| status.paused = Some(standstill));
    w.write_status(key, effects);
    fire::look(w, key, effects);
    Ok(Reply::Done)
}

/// Fire-times are honoured again, from now on: those that passed meanwhile are not made up for.
#[expect(clippy::unnecessary_wraps, reason = "one of the calls")]
pub(crate) fn resume(
    w: &mut Workloads,
    key: ObjectKey,
    effects: &mut Effects,
) -> Result<Reply, Refusal> {
    let now = w.wall();
    fire::change(w, key, |status| {
        status.paused = None;
        status.decided_until = now;
    });
    w.write_status(key, effects);
    fire::look(w, key, effects);
    Ok(Reply::Done)
}

/// A run of what a cron runs, because somebody asked for it now; also while the cron is paused.
pub(crate) fn run_now(
    w: &mut Workloads,
    name: &Name,
    given: &Values,
    id: Option<String>,
    effects: &mut Effects,
) -> Result<Reply, Refusal> {
    let key = w.key_or_refusal(Kind::Cron, name)?;
    let (cron, _) = fire::parts(w, key).expect("the index knows only what is there");
    let found = w
        .find_target(key, &cron.run, given, Extra::Refused)
        .map_err(|message| Refusal::Invalid {
            kind: Kind::Cron,
            name: name.to_string(),
            path: "/parameters".into(),
            message,
        })?;
    if let Some(reply) = job::known_run(w, found.object, name, id.as_deref())? {
        return Ok(reply);
    }
    let run = fire::fire_now(w, key, (&cron, found), id, effects)?;
    Ok(job::started(w, run))
}
