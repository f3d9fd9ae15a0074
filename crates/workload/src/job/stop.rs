//! The end of a run before its time: nothing more is started, what runs is ended, and then the run is over.

use mezz_spec::Name;
use serde::{Deserialize, Serialize};

use crate::call::{Refusal, Reply};
use crate::dag;
use crate::effect::Effects;
use crate::key::{InstanceKey, RunKey};
use crate::records::{Ending, RunState};
use crate::workloads::Workloads;

/// How a run that is being ended will have ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stop {
    pub(crate) state: RunState,
    pub(crate) message: Box<str>,
}

impl Stop {
    pub(crate) fn asked() -> Self {
        Self::stopped("somebody stopped it")
    }

    pub(crate) fn deleted() -> Self {
        Self::stopped("its object was deleted")
    }

    pub(crate) fn stopped(message: &str) -> Self {
        Self {
            state: RunState::Stopped,
            message: message.into(),
        }
    }

    pub(crate) fn failed(message: impl Into<Box<str>>) -> Self {
        Self {
            state: RunState::Failed,
            message: message.into(),
        }
    }
}

/// Begins to end a run of a job or dag. What is being ended already keeps its reason.
pub(crate) fn begin_stop(w: &mut Workloads, run: RunKey, stop: Stop, effects: &mut Effects) {
    let Some(active) = w.jobs.active.get_mut(&run) else {
        return dag::begin_stop(w, run, stop, effects);
    };
    if active.stop.is_some() {
        return;
    }
    let instances: Vec<InstanceKey> = active
        .indices
        .running()
        .map(|(_, running)| running.instance)
        .collect();
    active.stop = Some(stop.clone());
    w.jobs.dirty.insert(run);
    w.note_stop(run, &stop, effects);
    for instance in instances {
        w.end_instance(instance, Ending::Stopped, effects);
    }
}

/// A user's call.
pub(crate) fn stop_run(
    w: &mut Workloads,
    name: &Name,
    run: &str,
    effects: &mut Effects,
) -> Result<Reply, Refusal> {
    let key = w.find_run(name, run)?;
    match super::state_of(w, key) {
        Some(state) if state.is_over() => Err(Refusal::Conflict {
            message: format!("run {run} of {name} has ended already: {}", words(state)),
            rollouts: Vec::new(),
        }),
        _ => {
            begin_stop(w, key, Stop::asked(), effects);
            Ok(Reply::Done)
        }
    }
}

/// A user says that a run has succeeded, whatever it did.
pub(crate) fn mark_run(w: &mut Workloads, run: RunKey, effects: &mut Effects) {
    let stop = Stop {
        state: RunState::Succeeded,
        message: "somebody marked it as succeeded".into(),
    };
    if w.run(run).is_some_and(|record| record.state.is_over()) {
        return w.overrule(run, &stop.message, effects);
    }
    begin_stop(w, run, stop, effects);
}

/// A state in words.
pub(crate) const fn words(state: RunState) -> &'static str {
    match state {
        RunState::Pending => "pending",
        RunState::Running => "running",
        RunState::Succeeded => "succeeded",
        RunState::Failed => "failed",
        RunState::Stopped => "stopped",
    }
}
