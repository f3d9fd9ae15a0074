//! Why a dag or a run of it stands where it does, in words.

use super::{dag_of, progress};
use crate::job::why::{last_end, why_run as why_any};
use crate::key::{ObjectKey, RunKey};
use crate::records::NodeState;
use crate::workloads::Workloads;

/// Why a dag stands where it does; first what goes on.
pub(crate) fn why(w: &Workloads, key: ObjectKey) -> Vec<String> {
    let mut reasons: Vec<String> = w
        .active_runs(key)
        .into_iter()
        .filter(|run| w.dags.active.contains_key(run))
        .flat_map(|run| why_run(w, run).unwrap_or_default())
        .collect();
    if reasons.is_empty() {
        reasons.extend(last_end(w, key));
    }
    if reasons.is_empty() {
        reasons.push("it has no runs; it starts when somebody, or a cron, runs it".into());
    }
    reasons
}

/// Why a run of a dag stands where it does; none once it has ended.
pub(crate) fn why_run(w: &Workloads, key: RunKey) -> Option<Vec<String>> {
    let active = w.dags.active.get(&key)?;
    let run = w.run(key)?;
    let dag = dag_of(&active.spec);
    let mut reasons = Vec::new();
    if run.begun_at.is_none() {
        reasons.push(format!(
            "run {} waits for an earlier run of its cron to end",
            run.id
        ));
    }
    if let Some(stop) = &active.stop {
        reasons.push(format!("run {} is being ended: {}", run.id, stop.message));
    }
    let mut can_start = 0;
    for (name, state) in &run.nodes {
        match state {
            NodeState::Running { run: part, .. } => {
                reasons.push(format!("node '{name}' runs"));
                reasons.extend(why_any(w, *part));
            }
            NodeState::Failed { .. } => reasons.push(format!("node '{name}' has failed")),
            NodeState::Waiting => {
                let waits = progress::waits_for(dag, &run.nodes, name);
                if waits.is_empty() {
                    can_start += 1;
                } else {
                    reasons.push(format!("node '{name}' waits for {}", waits.join(" and ")));
                }
            }
            NodeState::Succeeded { .. } | NodeState::Skipped => {}
        }
    }
    if let (1.., Some(most)) = (can_start, dag.max_parallel) {
        reasons.push(format!(
            "{can_start} nodes wait because of max_parallel: {most}"
        ));
    }
    Some(reasons)
}
