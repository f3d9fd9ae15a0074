//! What has become of a job's runs.

use mezz_workload::records::{ObjectRecord, RunRecord, RunState};
use serde_json::{Value, json};

use crate::doings::Doings;
use crate::instant::with_offset;
use crate::world::job_status;

/// Counts and last times.
pub(super) fn summary(record: &ObjectRecord) -> Value {
    let status = job_status(record);
    json!({
        "successCount": status.succeeded,
        "failureCount": status.failed,
        "lastSuccessAt": status.last_success_at.map(with_offset),
        "lastFailureAt": status.last_failure_at.map(with_offset),
    })
}

/// With the runs that are kept, newest first.
pub(super) fn full(doings: &Doings<'_>, record: &ObjectRecord) -> Value {
    let mut ended: Vec<_> = doings
        .runs(record.key)
        .iter()
        .copied()
        .filter(|run| run.state.is_over())
        .collect();
    ended.sort_by_key(|run| std::cmp::Reverse((run.ended_at, run.key)));
    let (successes, failures): (Vec<_>, Vec<_>) = ended
        .into_iter()
        .partition(|run| run.state == RunState::Succeeded);
    let list = |runs: Vec<&std::sync::Arc<RunRecord>>| -> Vec<Value> {
        runs.into_iter().map(|run| finished(run)).collect()
    };
    let mut history = summary(record);
    history["successfulFinishedRuns"] = list(successes).into();
    history["failedFinishedRuns"] = list(failures).into();
    history
}

fn finished(run: &RunRecord) -> Value {
    let tasks: Vec<&str> = run.ends.iter().map(|end| &*end.instance).collect();
    json!({
        "id": &*run.id,
        "createdAt": with_offset(run.created_at),
        "finishedAt": run.ended_at.map(with_offset),
        "tasks": tasks,
    })
}
