//! Going on with a run by hand: from a node on, or with a node taken for succeeded.

use std::collections::BTreeSet;
use std::sync::Arc;

use mezz_spec::{Name, Spec};

use super::{ActiveDag, dag_of, nodes, progress};
use crate::call::{Refusal, Reply};
use crate::effect::Effects;
use crate::job::{self, Plan, Stop};
use crate::key::RunKey;
use crate::records::NodeState;
use crate::workloads::Workloads;

/// Runs an ended run again: from a node on, or without one whatever did not succeed. It runs what the dag says now, so
/// that a mistake can be corrected first.
pub(crate) fn resume_run(
    w: &mut Workloads,
    name: &Name,
    run: &str,
    from: Option<&str>,
    effects: &mut Effects,
) -> Result<Reply, Refusal> {
    let key = dag_run(w, name, run)?;
    if w.dags.active.contains_key(&key) {
        return Err(conflict(format!(
            "run {run} of {name} still goes on; stop it, or wait for its end"
        )));
    }
    let spec = present_spec(w, key);
    if let Some(from) = from.filter(|from| !dag_of(&spec).nodes.contains_key(*from)) {
        return Err(no_node(name, from));
    }
    let again = again(w, key, &spec, from);
    if again.is_empty() {
        return Err(conflict(format!(
            "every node of run {run} of {name} has succeeded; name the node to resume from"
        )));
    }
    reopen(w, key, spec, effects);
    for name in again {
        nodes::set(w, key, &name, NodeState::Waiting);
    }
    Ok(Reply::Done)
}

/// Says that a run, or one of its nodes, has succeeded, whatever it did; what waited for that goes on.
pub(crate) fn mark_succeeded(
    w: &mut Workloads,
    name: &Name,
    run: &str,
    node: Option<&str>,
    effects: &mut Effects,
) -> Result<Reply, Refusal> {
    let Some(node) = node else {
        let key = w.find_run(name, run)?;
        job::mark_run(w, key, effects);
        return Ok(Reply::Done);
    };
    let key = dag_run(w, name, run)?;
    let state = w
        .run(key)
        .and_then(|record| record.nodes.get(node))
        .cloned();
    let Some(state) = state else {
        return Err(no_node(name, node));
    };
    if matches!(state, NodeState::Succeeded { .. }) {
        return Ok(Reply::Done);
    }
    if !w.dags.active.contains_key(&key) {
        let spec = present_spec(w, key);
        reopen(w, key, spec, effects);
    }
    let part = match state {
        NodeState::Running { run, .. } => Some(run),
        NodeState::Failed { run } => run,
        _ => None,
    };
    nodes::set(w, key, node, NodeState::Succeeded { run: part });
    unskip_after(w, key, node);
    if let NodeState::Running { run, .. } = state {
        job::begin_stop(
            w,
            run,
            Stop::stopped("its node was marked as succeeded"),
            effects,
        );
    }
    w.dags.dirty.insert(key);
    Ok(Reply::Done)
}

fn dag_run(w: &Workloads, name: &Name, run: &str) -> Result<RunKey, Refusal> {
    let object = w.key_or_refusal(mezz_spec::Kind::Dag, name)?;
    let key = w.run_named(object, run);
    let is_dag = |key: &RunKey| w.run(*key).is_some_and(|record| !record.nodes.is_empty());
    key.filter(is_dag).ok_or_else(|| Refusal::NotFound {
        kind: "run",
        name: format!("{name} {run}"),
    })
}

fn present_spec(w: &Workloads, key: RunKey) -> Arc<Spec> {
    let object = w.run(key).map(|record| record.object);
    let object = object.and_then(|object| w.object_at(object));
    Arc::clone(&object.expect("it was found by its object").spec)
}

/// The nodes that run again.
fn again(w: &Workloads, key: RunKey, spec: &Spec, from: Option<&str>) -> BTreeSet<String> {
    let dag = dag_of(spec);
    if let Some(from) = from {
        return progress::downstream(dag, from);
    }
    let record = w.run(key).expect("it was just found");
    let mut again = BTreeSet::new();
    for name in dag.nodes.keys() {
        if !matches!(record.nodes.get(name), Some(NodeState::Succeeded { .. })) {
            again.extend(progress::downstream(dag, name));
        }
    }
    again
}

/// What was skipped because of this node may run now.
fn unskip_after(w: &mut Workloads, key: RunKey, node: &str) {
    let spec = Arc::clone(&w.dags.active[&key].spec);
    for name in progress::downstream(dag_of(&spec), node) {
        let state = w.run(key).and_then(|record| record.nodes.get(&name));
        if state == Some(&NodeState::Skipped) {
            nodes::set(w, key, &name, NodeState::Waiting);
        }
    }
}

/// Lets an ended run go on, with the nodes that its dag has now.
fn reopen(w: &mut Workloads, key: RunKey, spec: Arc<Spec>, effects: &mut Effects) {
    w.reopen_run(key);
    if let Some(record) = w.run_mut(key) {
        let dag = dag_of(&spec);
        record.nodes.retain(|name, _| dag.nodes.contains_key(name));
        for name in dag.nodes.keys() {
            record
                .nodes
                .entry(name.clone())
                .or_insert(NodeState::Waiting);
        }
    }
    let object = w.run(key).map(|record| record.object);
    if let (Some(place), Some(object)) = (w.plan_key(key), object) {
        let plan = Plan::of(w, object, Arc::clone(&spec));
        effects.put(place, &plan);
    }
    w.dags.active.insert(key, ActiveDag::new(spec));
    w.dags.dirty.insert(key);
    w.write_run(key, effects);
}

fn conflict(message: String) -> Refusal {
    Refusal::Conflict {
        message,
        rollouts: Vec::new(),
    }
}

fn no_node(name: &Name, node: &str) -> Refusal {
    Refusal::NotFound {
        kind: "node",
        name: format!("{node} of dag {name}"),
    }
}
