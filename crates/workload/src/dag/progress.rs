//! How a dag's run goes on: which nodes may start, which are skipped, and how it has ended. It starts nothing itself.

use std::collections::{BTreeMap, BTreeSet};

use mezz_spec::dag::{Dag, Edge, When};

use crate::records::NodeState;

/// Where every node of a run stands.
pub(super) type Nodes = BTreeMap<String, NodeState>;

/// What the nodes that have ended make of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    GoesOn,
    Succeeded,
    /// With the nodes whose failure nothing was to follow.
    Failed(Vec<String>),
}

/// Whether what an edge asks for is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Yes,
    NotYet,
    Never,
}

fn holds(edge: &Edge, nodes: &Nodes) -> Holds {
    let is_as_wanted = match nodes.get(&edge.node) {
        None | Some(NodeState::Waiting | NodeState::Running { .. }) => return Holds::NotYet,
        Some(NodeState::Succeeded { .. }) => edge.when != When::Failure,
        Some(NodeState::Failed { .. }) => edge.when != When::Success,
        Some(NodeState::Skipped) => edge.when == When::Always,
    };
    if is_as_wanted {
        Holds::Yes
    } else {
        Holds::Never
    }
}

/// All nodes, waiting.
pub(super) fn begin(dag: &Dag) -> Nodes {
    dag.nodes
        .keys()
        .map(|name| (name.clone(), NodeState::Waiting))
        .collect()
}

/// Skips every node whose edges cannot hold any more, and those after them.
pub(super) fn skip(dag: &Dag, nodes: &mut Nodes) {
    loop {
        let hopeless: Vec<String> = waiting(dag, nodes)
            .filter(|(_, edges)| edges.iter().any(|edge| holds(edge, nodes) == Holds::Never))
            .map(|(name, _)| name.clone())
            .collect();
        if hopeless.is_empty() {
            return;
        }
        for name in hopeless {
            nodes.insert(name, NodeState::Skipped);
        }
    }
}

fn waiting<'a>(
    dag: &'a Dag,
    nodes: &'a Nodes,
) -> impl Iterator<Item = (&'a String, &'a Vec<Edge>)> {
    dag.nodes
        .iter()
        .filter(|(name, _)| matches!(nodes.get(*name), Some(NodeState::Waiting)))
        .map(|(name, node)| (name, &node.after))
}

/// The nodes that start now, by name.
pub(super) fn startable(dag: &Dag, nodes: &Nodes) -> Vec<String> {
    let running = nodes
        .values()
        .filter(|state| matches!(state, NodeState::Running { .. }))
        .count();
    let room = dag.max_parallel.map_or(usize::MAX, |most| {
        (most.max(1) as usize).saturating_sub(running)
    });
    waiting(dag, nodes)
        .filter(|(_, edges)| edges.iter().all(|edge| holds(edge, nodes) == Holds::Yes))
        .map(|(name, _)| name.clone())
        .take(room)
        .collect()
}

/// How the run stands. A node's failure is the run's, unless another node comes after it with `when: failure`.
pub(super) fn verdict(dag: &Dag, nodes: &Nodes) -> Verdict {
    let goes_on =
        |state: &NodeState| matches!(state, NodeState::Waiting | NodeState::Running { .. });
    if nodes.values().any(goes_on) {
        return Verdict::GoesOn;
    }
    let is_caught = |failed: &str| {
        dag.nodes.values().any(|node| {
            node.after
                .iter()
                .any(|edge| edge.node == failed && edge.when == When::Failure)
        })
    };
    let failed: Vec<String> = nodes
        .iter()
        .filter(|(name, state)| matches!(state, NodeState::Failed { .. }) && !is_caught(name))
        .map(|(name, _)| name.clone())
        .collect();
    if failed.is_empty() {
        Verdict::Succeeded
    } else {
        Verdict::Failed(failed)
    }
}

/// A node and everything that comes after it, directly or not.
pub(super) fn downstream(dag: &Dag, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::from([from.to_owned()]);
    loop {
        let more: Vec<String> = dag
            .nodes
            .iter()
            .filter(|(name, node)| {
                !found.contains(*name) && node.after.iter().any(|edge| found.contains(&edge.node))
            })
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// What a node still waits for, in words.
pub(super) fn waits_for(dag: &Dag, nodes: &Nodes, name: &str) -> Vec<String> {
    let edges = dag.nodes.get(name).map_or(&[][..], |node| &node.after);
    let words = |edge: &Edge| match edge.when {
        When::Success => format!("'{}' to succeed", edge.node),
        When::Failure => format!("'{}' to fail", edge.node),
        When::Always => format!("'{}' to end", edge.node),
    };
    edges
        .iter()
        .filter(|edge| holds(edge, nodes) == Holds::NotYet)
        .map(words)
        .collect()
}
