//! Why a job or a run stands where it does, in words.

use mezz_spec::Spec;
use mezz_state::time::Wall;

use super::{ActiveRun, after, settle, stop};
use crate::key::{ObjectKey, RunKey};
use crate::records::{Phase, RunRecord, RunState};
use crate::runs::{ids, parameters};
use crate::workloads::Workloads;

/// Why a job stands where it does; first what goes on.
pub(crate) fn why(w: &Workloads, key: ObjectKey) -> Vec<String> {
    let Some(object) = w.object_at(key) else {
        return Vec::new();
    };
    let mut reasons = Vec::new();
    for run in w.active_runs(key) {
        reasons.extend(why_run(w, run));
    }
    reasons.extend(after::why(w, key));
    if let Spec::Job(job) = &*object.spec {
        let needs = parameters::complete(
            &job.parameters,
            &parameters::Values::new(),
            parameters::Extra::Refused,
        );
        if w.runs_of(key).next().is_none() && job.after.is_none() {
            reasons.push(match needs {
                Err(fault) => format!("it does not start by itself: {}", fault.message),
                Ok(_) => "it has no runs; it starts when somebody runs it".into(),
            });
        }
    }
    if w.active_runs(key).is_empty() {
        reasons.extend(last_end(w, key));
    }
    reasons
}

/// How the newest of the ended runs ended.
pub(crate) fn last_end(w: &Workloads, key: ObjectKey) -> Option<String> {
    let last = w
        .runs_of(key)
        .filter_map(|run| w.run(run))
        .filter(|run| run.state.is_over())
        .max_by_key(|run| run.ended_at)?;
    Some(ended(last))
}

fn ended(run: &RunRecord) -> String {
    let text = format!("run {} has {}", run.id, past(run.state));
    if run.message.is_empty() {
        text
    } else {
        format!("{text}: {}", run.message)
    }
}

fn past(state: RunState) -> &'static str {
    match state {
        RunState::Stopped => "been stopped",
        state => stop::words(state),
    }
}

/// A moment in words.
pub(crate) fn moment(at: Wall) -> String {
    ids::written(at)
}

/// Why a run of a job stands where it does.
pub(crate) fn why_run(w: &Workloads, key: RunKey) -> Vec<String> {
    let Some(run) = w.run(key) else {
        return Vec::new();
    };
    let Some(active) = w.jobs.active.get(&key) else {
        return vec![ended(run)];
    };
    let name = &run.id;
    let mut reasons = Vec::new();
    if run.begun_at.is_none() {
        reasons.push(format!(
            "run {name} waits for an earlier run of its cron to end"
        ));
    }
    if let Some(stop) = &active.stop {
        let running = active.indices.counts().running;
        reasons.push(format!(
            "run {name} is being ended ({}); {running} of its attempts have to end first",
            stop.message
        ));
    }
    if let Some(obstacle) = &active.obstacle {
        reasons.push(format!("run {name} starts nothing: {obstacle}"));
    }
    reasons.extend(progress(active, run));
    reasons.extend(out_of_reach(w, active, key));
    reasons
}

fn progress(active: &ActiveRun, run: &RunRecord) -> Vec<String> {
    let counts = active.indices.counts();
    let mut reasons = vec![format!(
        "run {}: {} of {} indices have succeeded, {} failed for good, {} run, {} wait",
        run.id,
        counts.succeeded,
        active.indices.total(),
        counts.failed,
        counts.running,
        counts.waiting
    )];
    if active.stated > 0 {
        reasons.push(format!("{} more wait for a place", active.stated));
    }
    let parallelism = active.plan.job().parallelism;
    if counts.running >= parallelism && counts.waiting > 0 {
        reasons.push(format!(
            "no more start at once than parallelism: {parallelism}"
        ));
    }
    if let Some(at) = active.indices.next_wake() {
        let backed_off = active.indices.backed_off();
        reasons.push(format!(
            "{backed_off} indices wait before they are started again, the first until {}",
            moment(at)
        ));
    }
    if let Some(end) = run.ends.iter().rev().find(|end| end.exit_status != Some(0)) {
        reasons.push(format!(
            "the last attempt that did not succeed: index {}, attempt {}: {}",
            end.index, end.attempt, end.message
        ));
    }
    reasons
}

fn out_of_reach(w: &Workloads, active: &ActiveRun, key: RunKey) -> Option<String> {
    let unreachable = active
        .indices
        .running()
        .filter_map(|(_, running)| w.instance(running.instance))
        .filter(|instance| instance.phase == Phase::Unreachable)
        .count();
    let state = w.run(key)?.state;
    (unreachable > 0 && !state.is_over()).then(|| {
        format!(
            "{unreachable} attempts are on agents that cannot be reached: {}",
            settle::patience(active.plan.job())
        )
    })
}
