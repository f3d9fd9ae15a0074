//! A run looks at itself: which nodes start, which are skipped, whether it is over.

use std::sync::Arc;

use mezz_state::time::Wall;

use super::progress::{self, Verdict};
use super::{begin_stop, dag_of, nodes};
use crate::effect::{Effect, Effects};
use crate::event::TimerKey;
use crate::job::{Stop, backoff};
use crate::key::RunKey;
use crate::records::{Counts, NodeState, RunRecord, RunState};
use crate::workloads::Workloads;

/// Lets one run look at itself; says whether there was one.
pub(crate) fn settle_next(w: &mut Workloads, effects: &mut Effects) -> bool {
    let Some(key) = w.dags.dirty.pop_first() else {
        return false;
    };
    settle(w, key, effects);
    true
}

fn settle(w: &mut Workloads, key: RunKey, effects: &mut Effects) {
    let (Some(active), Some(before)) = (w.dags.active.get(&key), w.run(key)) else {
        return;
    };
    let before = Arc::clone(before);
    let is_stopping = active.stop.is_some();
    if is_stopping {
        skip_waiting(w, key);
    } else if before.begun_at.is_some() && !w.records.is_frozen() {
        advance(w, key, effects);
    }
    count(w, key);
    if w.run(key).is_some_and(|run| **run != *before) {
        w.write_run(key, effects);
    }
    if let Some(stop) = verdict(w, key) {
        return finish(w, key, stop, effects);
    }
    arm(w, key, effects);
}

fn advance(w: &mut Workloads, key: RunKey, effects: &mut Effects) {
    let spec = Arc::clone(&w.dags.active[&key].spec);
    loop {
        nodes::skip(w, key);
        let startable = w
            .run(key)
            .map(|run| progress::startable(dag_of(&spec), &run.nodes))
            .unwrap_or_default();
        if startable.is_empty() {
            return;
        }
        for name in startable {
            nodes::start(w, key, &name, effects);
        }
        let now = w.wall();
        if let Some(run) = w.run_mut(key)
            && run.state == RunState::Pending
        {
            run.state = RunState::Running;
            run.started_at = Some(now);
        }
    }
}

fn skip_waiting(w: &mut Workloads, key: RunKey) {
    if let Some(run) = w.run_mut(key) {
        for state in run.nodes.values_mut() {
            if *state == NodeState::Waiting {
                *state = NodeState::Skipped;
            }
        }
    }
}

/// Of a dag the counts are of nodes.
fn count(w: &mut Workloads, key: RunKey) {
    let Some(run) = w.run_mut(key) else {
        return;
    };
    let mut counts = Counts::default();
    for state in run.nodes.values() {
        match state {
            NodeState::Waiting => counts.waiting += 1,
            NodeState::Running { .. } => counts.running += 1,
            NodeState::Succeeded { .. } => counts.succeeded += 1,
            NodeState::Failed { .. } => counts.failed += 1,
            NodeState::Skipped => {}
        }
    }
    run.counts = counts;
}

fn verdict(w: &mut Workloads, key: RunKey) -> Option<Stop> {
    let active = w.dags.active.get(&key)?;
    let run = w.run(key)?;
    let goes_on = run
        .nodes
        .values()
        .any(|state| matches!(state, NodeState::Running { .. }));
    if let Some(stop) = &active.stop {
        return (!goes_on).then(|| stop.clone());
    }
    match progress::verdict(dag_of(&active.spec), &run.nodes) {
        Verdict::GoesOn => None,
        Verdict::Succeeded => Some(Stop {
            state: RunState::Succeeded,
            message: Box::default(),
        }),
        Verdict::Failed(failed) => Some(Stop::failed(failure(w, run, &failed))),
    }
}

fn failure(w: &Workloads, run: &RunRecord, failed: &[String]) -> String {
    let reason = |name: &String| {
        let part = match run.nodes.get(name) {
            Some(NodeState::Failed { run: Some(part) }) => w.run(*part),
            _ => None,
        };
        match part.filter(|part| !part.message.is_empty()) {
            Some(part) => format!("node '{name}' has failed: {}", part.message),
            None if run.message.is_empty() => format!("node '{name}' has failed"),
            None => run.message.to_string(),
        }
    };
    let reasons: Vec<String> = failed.iter().map(reason).collect();
    reasons.join("; ")
}

fn arm(w: &mut Workloads, key: RunKey, effects: &mut Effects) {
    let (Some(active), Some(run)) = (w.dags.active.get(&key), w.run(key)) else {
        return;
    };
    let deadline = dag_of(&active.spec)
        .deadline
        .filter(|_| active.stop.is_none());
    let next = match (deadline, run.begun_at) {
        (Some(span), Some(begun)) => Some(backoff::after(begun, span)),
        _ => None,
    };
    if next.is_some_and(|at: Wall| at <= w.wall()) {
        return begin_stop(
            w,
            key,
            Stop::failed("it took longer than its deadline"),
            effects,
        );
    }
    if active.timer == next {
        return;
    }
    effects.push(match next {
        Some(at) => Effect::SetTimer {
            key: TimerKey::Run(key),
            at,
        },
        None => Effect::CancelTimer(TimerKey::Run(key)),
    });
    w.dags.active.get_mut(&key).expect("just seen").timer = next;
}

fn finish(w: &mut Workloads, key: RunKey, stop: Stop, effects: &mut Effects) {
    let Some(active) = w.dags.active.remove(&key) else {
        return;
    };
    if active.timer.is_some() {
        effects.push(Effect::CancelTimer(TimerKey::Run(key)));
    }
    if let Some(place) = w.plan_key(key) {
        effects.delete(place);
    }
    w.end_run(key, stop.state, &stop.message, effects);
}
