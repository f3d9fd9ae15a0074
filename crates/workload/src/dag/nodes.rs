//! Nodes of a run: how each is started, and what the end of its run means.

use mezz_spec::dag::Node;

use super::{dag_of, progress};
use crate::effect::Effects;
use crate::key::RunKey;
use crate::records::{Cause, NodeState, RunState};
use crate::runs::Begins;
use crate::runs::parameters::Extra;
use crate::runs::targets::Opening;
use crate::workloads::Workloads;

/// Starts a node. One whose target cannot be run has failed.
pub(super) fn start(w: &mut Workloads, key: RunKey, name: &str, effects: &mut Effects) {
    let Some(node) = node_of(w, key, name) else {
        return;
    };
    let record = w.run(key).expect("a run that goes on has a record").clone();
    let object = w.object_at(record.object).expect("its object is there");
    let dag_name = object.name.last().to_owned();
    let found = w.find_target(record.object, &node.run, &record.parameters, Extra::Passed);
    let state = match found {
        Ok(found) => {
            let attempt = attempts(w, key, name);
            let id = part_id(&record.id, name, attempt);
            let id = if found.object == record.object {
                id
            } else {
                format!("{dag_name}-{id}")
            };
            let opening = Opening {
                id: Some(id),
                cause: Cause::Node {
                    run: key,
                    node: name.into(),
                    attempt,
                },
                begins: Begins::Now,
            };
            let run = w.start_target(found, opening, effects);
            NodeState::Running { run, attempt }
        }
        Err(message) => {
            if let Some(record) = w.run_mut(key) {
                record.message = format!("node '{name}' could not be started: {message}").into();
            }
            NodeState::Failed { run: None }
        }
    };
    set(w, key, name, state);
}

fn part_id(run: &str, node: &str, attempt: u32) -> String {
    match attempt {
        0 => format!("{run}.{node}"),
        attempt => format!("{run}.{node}.{attempt}"),
    }
}

fn node_of(w: &Workloads, key: RunKey, name: &str) -> Option<Node> {
    let active = w.dags.active.get(&key)?;
    dag_of(&active.spec).nodes.get(name).cloned()
}

/// How many runs a node has had.
fn attempts(w: &Workloads, key: RunKey, name: &str) -> u32 {
    let last = parts(w, key, name).map(|(_, attempt)| attempt + 1).max();
    last.unwrap_or(0)
}

fn parts(w: &Workloads, key: RunKey, name: &str) -> impl Iterator<Item = (RunKey, u32)> {
    let parts = w.runs.parts_of(key);
    parts.filter_map(move |part| match &w.run(part)?.cause {
        Cause::Node { node, attempt, .. } if **node == *name => Some((part, *attempt)),
        _ => None,
    })
}

pub(super) fn set(w: &mut Workloads, key: RunKey, name: &str, state: NodeState) {
    if let Some(record) = w.run_mut(key) {
        record.nodes.insert(name.to_owned(), state);
    }
}

/// A node's run has ended.
pub(crate) fn on_node_ended(
    w: &mut Workloads,
    key: RunKey,
    name: &str,
    attempt: u32,
    part: RunKey,
    state: RunState,
) {
    let expected = NodeState::Running { run: part, attempt };
    let is_current = w
        .run(key)
        .is_some_and(|record| record.nodes.get(name) == Some(&expected));
    if !is_current {
        return;
    }
    let Some(active) = w.dags.active.get_mut(&key) else {
        return;
    };
    let retries = dag_of(&active.spec)
        .nodes
        .get(name)
        .map_or(0, |node| node.retries);
    let retried = active.retried.entry(name.to_owned()).or_default();
    let new = match state {
        RunState::Succeeded => NodeState::Succeeded { run: Some(part) },
        RunState::Failed if *retried < retries && active.stop.is_none() => {
            *retried += 1;
            NodeState::Waiting
        }
        _ => NodeState::Failed { run: Some(part) },
    };
    set(w, key, name, new);
    w.dags.dirty.insert(key);
}

/// After a restart: a node's state follows the record of its run, whichever of the two was written last.
pub(super) fn adopt_parts(w: &mut Workloads, key: RunKey) {
    let names: Vec<String> = w
        .run(key)
        .map(|record| record.nodes.keys().cloned().collect())
        .unwrap_or_default();
    for name in names {
        let known: Vec<(RunKey, u32)> = parts(w, key, &name).collect();
        let failed = known
            .iter()
            .filter(|(part, _)| {
                w.run(*part)
                    .is_some_and(|run| run.state == RunState::Failed)
            })
            .count();
        if let Some(active) = w.dags.active.get_mut(&key) {
            let failed = u32::try_from(failed).unwrap_or(u32::MAX);
            active.retried.insert(name.clone(), failed);
        }
        adopt_part(
            w,
            key,
            &name,
            known.into_iter().max_by_key(|(_, attempt)| *attempt),
        );
    }
}

fn adopt_part(w: &mut Workloads, key: RunKey, name: &str, newest: Option<(RunKey, u32)>) {
    let state = w
        .run(key)
        .and_then(|record| record.nodes.get(name))
        .cloned();
    let Some((part, attempt)) = newest else {
        if matches!(state, Some(NodeState::Running { .. })) {
            set(w, key, name, NodeState::Waiting);
        }
        return;
    };
    let part_state = w.run(part).map_or(RunState::Failed, |run| run.state);
    let is_running = matches!(state, Some(NodeState::Running { .. }));
    if !part_state.is_over() {
        set(w, key, name, NodeState::Running { run: part, attempt });
    } else if is_running {
        set(w, key, name, NodeState::Running { run: part, attempt });
        if let Some(active) = w.dags.active.get_mut(&key)
            && part_state == RunState::Failed
        {
            // It is counted when its end is told, which it is here.
            let retried = active.retried.entry(name.to_owned()).or_default();
            *retried = retried.saturating_sub(1);
        }
        on_node_ended(w, key, name, attempt, part, part_state);
    }
}

/// The nodes as they would be with nothing that cannot start any more waiting.
pub(super) fn skip(w: &mut Workloads, key: RunKey) {
    let Some(active) = w.dags.active.get(&key) else {
        return;
    };
    let spec = std::sync::Arc::clone(&active.spec);
    if let Some(record) = w.run_mut(key) {
        progress::skip(dag_of(&spec), &mut record.nodes);
    }
}
