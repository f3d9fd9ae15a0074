//! Facts about users' objects with the names that their keys stand for, read from the view that was published with them.

use std::sync::Arc;

use mezz_core::time::Wall;
use mezz_workload::fact::Fact;
use mezz_workload::key::{InstanceKey, ObjectKey, RolloutKey, RunKey};
use mezz_workload::records::{Phase, Records, RolloutState, RunState};
use serde_json::{Value, json};

use crate::native::rfc3339;

/// A fact about an object of a user, resolved.
#[derive(Debug)]
pub(crate) struct WorkFact {
    kind: &'static str,
    name: String,
    details: Details,
}

/// What a fact says beyond its object.
#[derive(Debug)]
enum Details {
    Generation(u64),
    Nothing,
    Rollout {
        id: String,
        state: &'static str,
    },
    Run {
        id: String,
        state: &'static str,
    },
    Instance {
        id: Arc<str>,
        phase: &'static str,
        state: &'static str,
    },
    Ended {
        id: Arc<str>,
        message: String,
    },
    Fired {
        run: Option<String>,
    },
    Missed {
        count: u64,
        last: Wall,
        reason: &'static str,
    },
}

/// The type of the event.
pub(crate) fn kind(fact: &Fact) -> &'static str {
    match fact {
        Fact::ObjectApplied { .. } => "object_applied",
        Fact::ObjectDeleted { .. } => "object_deleted",
        Fact::RolloutStarted { .. } => "rollout_started",
        Fact::RolloutStepped { .. } => "rollout_stepped",
        Fact::RolloutEnded { .. } => "rollout_ended",
        Fact::InstanceChanged { .. } => "instance_changed",
        Fact::InstanceEnded { .. } => "instance_ended",
        Fact::RunStarted { .. } => "run_started",
        Fact::RunEnded { .. } => "run_ended",
        Fact::CronFired { .. } => "cron_fired",
        Fact::CronMissed { .. } => "cron_missed",
    }
}

impl WorkFact {
    pub(crate) fn of(fact: &Fact, records: &Records) -> Self {
        match fact {
            Fact::ObjectApplied {
                kind,
                name,
                generation,
                ..
            } => Self {
                kind: kind.word(),
                name: name.to_string(),
                details: Details::Generation(*generation),
            },
            Fact::ObjectDeleted { kind, name } => Self {
                kind: kind.word(),
                name: name.to_string(),
                details: Details::Nothing,
            },
            Fact::RolloutStarted { rollout }
            | Fact::RolloutStepped { rollout }
            | Fact::RolloutEnded { rollout } => Self::of_rollout(*rollout, records),
            Fact::InstanceChanged {
                instance,
                id,
                object,
            } => Self::named(*object, instance_details(*instance, id, records), records),
            Fact::InstanceEnded {
                id,
                object,
                message,
            } => {
                let ended = Details::Ended {
                    id: Arc::clone(id),
                    message: message.clone(),
                };
                Self::named(*object, ended, records)
            }
            Fact::RunStarted { run } | Fact::RunEnded { run } => Self::of_run(*run, records),
            Fact::CronFired { object, run } => {
                let run = run.and_then(|run| records.runs.get(run.index()));
                let fired = Details::Fired {
                    run: run.map(|run| run.id.to_string()),
                };
                Self::named(*object, fired, records)
            }
            Fact::CronMissed {
                object,
                count,
                last,
                reason,
            } => {
                let missed = Details::Missed {
                    count: *count,
                    last: *last,
                    reason: reason.words(),
                };
                Self::named(*object, missed, records)
            }
        }
    }

    fn named(object: ObjectKey, details: Details, records: &Records) -> Self {
        let object = records.objects.get(object.index());
        Self {
            kind: object.map_or("", |object| object.spec.kind().word()),
            name: object.map_or_else(String::new, |object| object.name.to_string()),
            details,
        }
    }

    fn of_rollout(rollout: RolloutKey, records: &Records) -> Self {
        let Some(rollout) = records.rollouts.get(rollout.index()) else {
            return Self::unknown();
        };
        let details = Details::Rollout {
            id: rollout.id.to_string(),
            state: rollout_word(rollout.state),
        };
        Self::named(rollout.object, details, records)
    }

    fn of_run(run: RunKey, records: &Records) -> Self {
        let Some(run) = records.runs.get(run.index()) else {
            return Self::unknown();
        };
        let details = Details::Run {
            id: run.id.to_string(),
            state: run_word(run.state),
        };
        Self::named(run.object, details, records)
    }

    fn unknown() -> Self {
        Self {
            kind: "",
            name: String::new(),
            details: Details::Nothing,
        }
    }

    pub(crate) fn json(&self) -> Value {
        let mut event = match &self.details {
            Details::Nothing => json!({}),
            Details::Generation(generation) => json!({ "generation": generation }),
            Details::Rollout { id, state } => json!({ "rollout": id, "state": state }),
            Details::Run { id, state } => json!({ "run": id, "state": state }),
            Details::Instance { id, phase, state } => {
                json!({ "instance": **id, "phase": phase, "state": state })
            }
            Details::Ended { id, message } => json!({ "instance": **id, "message": message }),
            Details::Fired { run } => json!({ "run": run }),
            Details::Missed {
                count,
                last,
                reason,
            } => json!({ "count": count, "last": rfc3339(*last), "reason": reason }),
        };
        event["kind"] = self.kind.into();
        event["name"] = self.name.as_str().into();
        event
    }
}

fn instance_details(key: InstanceKey, id: &Arc<str>, records: &Records) -> Details {
    let instance = records.instances.get(key.index());
    let instance = instance.filter(|instance| instance.id == *id);
    Details::Instance {
        id: Arc::clone(id),
        phase: instance.map_or("ended", |instance| phase_word(instance.phase)),
        state: instance.map_or("", |instance| instance.state.as_str_name()),
    }
}

/// A phase as the API says it.
pub(crate) fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Draining => "draining",
        Phase::Stopping => "stopping",
        Phase::Unreachable => "unreachable",
    }
}

/// A rollout's state as the API says it.
pub(crate) fn rollout_word(state: RolloutState) -> &'static str {
    match state {
        RolloutState::Waiting => "waiting",
        RolloutState::Rolling => "rolling",
        RolloutState::Paused => "paused",
        RolloutState::RollingBack => "rolling_back",
        RolloutState::Succeeded => "succeeded",
        RolloutState::RolledBack => "rolled_back",
        RolloutState::Failed => "failed",
        RolloutState::Superseded => "superseded",
        RolloutState::Aborted => "aborted",
    }
}

/// A run's state as the API says it.
pub(crate) fn run_word(state: RunState) -> &'static str {
    match state {
        RunState::Pending => "pending",
        RunState::Running => "running",
        RunState::Succeeded => "succeeded",
        RunState::Failed => "failed",
        RunState::Stopped => "stopped",
    }
}
