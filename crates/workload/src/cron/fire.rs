//! Fire-times: each is decided upon once. Its run's record and the mark up to which all is decided are written together,
//! before anything starts.

use mezz_spec::Spec;
use mezz_spec::cron::{Cron, Overlap};
use mezz_state::time::{MILLISECOND_NS, Wall};

use super::due::{Decision, Missed, Rule, decide};
use super::times;
use crate::call::Refusal;
use crate::effect::{Effect, Effects};
use crate::event::TimerKey;
use crate::fact::Fact;
use crate::job::{self, Stop, begin_stop};
use crate::key::{ObjectKey, RunKey};
use crate::records::{Cause, CronStatus, Status};
use crate::runs::parameters::{Extra, Values};
use crate::runs::targets::{Found, Opening};
use crate::runs::{Begins, ids};
use crate::workloads::{Stage, Workloads};

/// So many runs may wait for those before them.
const QUEUE_LIMIT: usize = 100;

/// Looks whether a cron has something to decide, and arms its timer for the next time.
pub(super) fn look(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    if w.records.is_frozen() || w.stage == Stage::Loading {
        return arm(w, key, None, effects);
    }
    end_pause(w, key, effects);
    let Some((cron, status)) = parts(w, key) else {
        return;
    };
    if let Some(paused) = status.paused {
        arm(w, key, None, effects);
        return wake_at(w, key, paused.until, effects);
    }
    if !cron.enabled {
        return arm(w, key, None, effects);
    }
    let object = w.object_at(key).expect("its parts were just read");
    let name = object.name.clone();
    let schedule = times::of(&cron, object.created_at);
    let rule = Rule {
        next_after: &|after| times::next_after(schedule.as_ref(), after),
        jitter: &|fire_at| times::jitter_ns(&cron, &name, fire_at),
        starting_deadline_ns: cron.starting_deadline.0.saturating_mul(MILLISECOND_NS),
        catch_up: cron.catch_up,
    };
    let decision = decide(w.wall(), status.decided_until, &rule);
    carry_out(w, key, &cron, &decision, effects);
    arm(w, key, decision.next, effects);
}

/// Ends a pause whose time is over. What has come due since then counts as missed by nobody's wish.
fn end_pause(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    let now = w.wall();
    let paused = parts(w, key).and_then(|(_, status)| status.paused);
    let until = paused.and_then(|paused| paused.until);
    let Some(until) = until.filter(|until| *until <= now) else {
        return;
    };
    change(w, key, |status| {
        status.paused = None;
        status.decided_until = status.decided_until.max(until);
    });
    w.write_status(key, effects);
}

/// A cron's spec and how it stands; none once it is deleted.
pub(super) fn parts(w: &Workloads, key: ObjectKey) -> Option<(Cron, CronStatus)> {
    let object = w.object_at(key).filter(|one| one.deleted_at.is_none())?;
    let Spec::Cron(cron) = &*object.spec else {
        return None;
    };
    let status = match &object.status {
        Status::Cron(status) => status.clone(),
        _ => CronStatus::default(),
    };
    Some(((**cron).clone(), status))
}

/// Changes how a cron stands.
pub(super) fn change(w: &mut Workloads, key: ObjectKey, how: impl FnOnce(&mut CronStatus)) {
    let Some(object) = w.object_mut(key) else {
        return;
    };
    if !matches!(object.status, Status::Cron(_)) {
        object.status = Status::Cron(CronStatus::default());
    }
    if let Status::Cron(status) = &mut object.status {
        how(status);
    }
    w.note_object(key);
}

fn carry_out(
    w: &mut Workloads,
    key: ObjectKey,
    cron: &Cron,
    decision: &Decision,
    effects: &mut Effects,
) {
    for (reason, count, last) in &decision.missed {
        miss(w, key, *reason, *count, *last, effects);
    }
    for fire_at in &decision.fire {
        fire(w, key, cron, *fire_at, effects);
    }
    let until = decision.decided_until;
    let before = parts(w, key).map(|(_, status)| status.decided_until);
    if before != Some(until) {
        change(w, key, |status| status.decided_until = until);
        w.write_status(key, effects);
    }
}

fn miss(
    w: &mut Workloads,
    key: ObjectKey,
    reason: Missed,
    count: u64,
    last: Wall,
    effects: &mut Effects,
) {
    change(w, key, |status| {
        status.missed += count;
        status.last_missed = Some((last, reason));
    });
    effects.fact(Fact::CronMissed {
        object: key,
        count,
        last,
        reason,
    });
}

/// Honours one fire-time, if overlap lets it.
fn fire(w: &mut Workloads, key: ObjectKey, cron: &Cron, fire_at: Wall, effects: &mut Effects) {
    let Ok(found) = w.find_target(key, &cron.run, &Values::new(), Extra::Refused) else {
        return miss(w, key, Missed::Target, 1, fire_at, effects);
    };
    let is_same = |cause: &Cause| matches!(cause, Cause::Cron { object, fire_at: at } if *object == key && *at == fire_at);
    let is_known = w
        .runs_of(found.object)
        .any(|run| w.run(run).is_some_and(|run| is_same(&run.cause)));
    if is_known {
        return;
    }
    let Some(begins) = make_room(w, key, cron.overlap, effects) else {
        return miss(w, key, Missed::Overlap, 1, fire_at, effects);
    };
    let stamp = ids::stamp(fire_at);
    let name = &w.object_at(key).expect("it fires").name;
    let id = if found.object == key {
        stamp
    } else {
        format!("{}-{stamp}", name.last())
    };
    let opening = Opening {
        id: Some(id),
        cause: Cause::Cron {
            object: key,
            fire_at,
        },
        begins,
    };
    let run = w.start_target(found, opening, effects);
    let id = w.run(run).map(|run| run.id.clone());
    change(w, key, |status| status.last_run = id);
    effects.fact(Fact::CronFired {
        object: key,
        run: Some(run),
    });
}

/// Begins a run outside of the schedule, which the cron's overlap has to let begin as well.
pub(super) fn fire_now(
    w: &mut Workloads,
    key: ObjectKey,
    (cron, found): (&Cron, Found),
    id: Option<String>,
    effects: &mut Effects,
) -> Result<RunKey, Refusal> {
    let before = active(w, key);
    let begins = make_room(w, key, cron.overlap, effects);
    let begins = begins.ok_or_else(|| in_the_way(w, key, cron.overlap, &before))?;
    let opening = Opening {
        id,
        cause: Cause::Fired {
            object: key,
            at: w.wall(),
        },
        begins,
    };
    let run = w.start_target(found, opening, effects);
    let id = w.run(run).map(|run| run.id.clone());
    change(w, key, |status| status.last_run = id);
    w.write_status(key, effects);
    Ok(run)
}

fn in_the_way(w: &Workloads, key: ObjectKey, overlap: Overlap, runs: &[RunKey]) -> Refusal {
    let name = w.object_at(key).map(|object| object.name.to_string());
    let name = name.unwrap_or_default();
    let ids = runs.iter().filter_map(|run| Some(w.run(*run)?.id.as_ref()));
    let message = if overlap == Overlap::Queue {
        format!("{QUEUE_LIMIT} runs of cron {name} wait already; more are not queued")
    } else {
        let ids: Vec<&str> = ids.collect();
        format!(
            "run {} of cron {name} goes on, and its overlap is forbid: wait for its end, or stop it",
            ids.join(", ")
        )
    };
    Refusal::Conflict {
        message,
        rollouts: Vec::new(),
    }
}

/// What earlier runs mean for the next one: it begins now, later, or, with none, never.
fn make_room(
    w: &mut Workloads,
    key: ObjectKey,
    overlap: Overlap,
    effects: &mut Effects,
) -> Option<Begins> {
    let active = active(w, key);
    if active.is_empty() {
        return Some(Begins::Now);
    }
    match overlap {
        Overlap::Allow => Some(Begins::Now),
        Overlap::Forbid => None,
        Overlap::Queue => (active.len() <= QUEUE_LIMIT).then_some(Begins::Later),
        Overlap::Replace => {
            for run in active {
                let stop = Stop::stopped("a later run of its cron takes its place");
                begin_stop(w, run, stop, effects);
            }
            Some(Begins::Later)
        }
    }
}

/// The runs of a cron that go on, in the order of their fire-times.
pub(super) fn active(w: &Workloads, key: ObjectKey) -> Vec<RunKey> {
    let target = parts(w, key).and_then(|(cron, _)| {
        let (kind, reference) = crate::runs::targets::reference(&cron.run)?;
        w.key_of(kind, &reference.name)
    });
    let mut runs: Vec<(Wall, RunKey)> = [Some(key), target]
        .into_iter()
        .flatten()
        .flat_map(|object| w.active_runs(object))
        .filter_map(|run| {
            let (object, at) = w.run(run)?.cause.of_cron()?;
            (object == key).then_some((at, run))
        })
        .collect();
    runs.sort_unstable();
    runs.into_iter().map(|(_, run)| run).collect()
}

/// Lets the next run of a cron begin when none before it goes on.
pub(super) fn release(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    let active = active(w, key);
    let has_begun = |run: &RunKey| w.run(*run).is_some_and(|run| run.begun_at.is_some());
    if active.iter().any(has_begun) {
        return;
    }
    let next = active.into_iter().find(|run| !job::is_stopping(w, *run));
    if let Some(run) = next {
        job::begin_held(w, run, effects);
    }
}

fn arm(w: &mut Workloads, key: ObjectKey, next: Option<super::due::Next>, effects: &mut Effects) {
    let fire_at = next.map(|next| next.fire_at);
    if parts(w, key).is_some_and(|(_, status)| status.next_at != fire_at) {
        change(w, key, |status| status.next_at = fire_at);
    }
    wake_at(w, key, next.map(|next| next.start_at), effects);
}

/// Sets when a cron looks at itself again, or that it does not.
fn wake_at(w: &mut Workloads, key: ObjectKey, at: Option<Wall>, effects: &mut Effects) {
    if w.crons.armed.get(&key).copied() == at {
        return;
    }
    if let Some(at) = at {
        w.crons.armed.insert(key, at);
        effects.push(Effect::SetTimer {
            key: TimerKey::Cron(key),
            at,
        });
    } else {
        w.crons.armed.remove(&key);
        effects.push(Effect::CancelTimer(TimerKey::Cron(key)));
    }
}
