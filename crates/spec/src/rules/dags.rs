//! Dags: nodes that exist, edges without a cycle.

use std::collections::BTreeMap;

use super::templates::{is_word, positive};
use super::{Faults, counted, jobs};
use crate::cron::Target;
use crate::dag::{Dag, Node};
use crate::fault::below;
use crate::job::Start;
use crate::nearest::nearest;

const MAX_NODES: usize = 10_000;

pub(super) fn check(dag: &Dag, out: &mut Faults) {
    let path = "/spec/nodes";
    if dag.nodes.is_empty() || dag.nodes.len() > MAX_NODES {
        let message = format!("a dag has 1 to {MAX_NODES} nodes, not {}", dag.nodes.len());
        out.tell(path, message, "write nodes: {first: {run: …}}");
    }
    jobs::parameters(&dag.parameters, "/spec/parameters", out);
    if dag.max_parallel == Some(0) {
        out.tell(
            "/spec/max_parallel",
            "no node could ever run",
            "leave it out for no bound",
        );
    }
    if let Some(deadline) = dag.deadline {
        positive(deadline, "/spec/deadline", out);
    }
    for (name, node) in &dag.nodes {
        let path = below(path, name);
        if !is_word(name) {
            let message = "a node's name is of letters, digits, '-' and '_', at most 63";
            out.tell(&path, message, "name it like load");
        }
        self::node(dag, name, node, &path, out);
    }
    if let Some(cycle) = cycle(&dag.nodes) {
        let path = format!("{path}/{}/after", crate::fault::escaped(&cycle[0]));
        let told = cycle.join(" waits for ");
        out.tell(
            path,
            format!("the nodes wait for each other: {told}"),
            "remove one of the edges",
        );
    }
}

fn node(dag: &Dag, name: &str, node: &Node, path: &str, out: &mut Faults) {
    super::check_target(&node.run, &below(path, "run"), out);
    match &node.run {
        Target::DagRef(_) => {
            out.missing(
                format!("{path}/run/dag_ref"),
                "dags within dags are",
                "write its nodes here",
            );
        }
        Target::Job(job) if job.start != Start::Once => {
            let message = "a job in a dag starts when its edges hold";
            out.tell(format!("{path}/run/job/start"), message, "leave it out");
        }
        Target::Job(_) | Target::JobRef(_) => {}
    }
    for (index, edge) in node.after.iter().enumerate() {
        let at = format!("{path}/after/{index}/node");
        if edge.node == name {
            out.tell(
                at,
                format!("'{name}' would wait for itself"),
                "remove the edge",
            );
        } else if !dag.nodes.contains_key(&edge.node) {
            let names = dag.nodes.keys().map(String::as_str);
            let hint = match nearest(&edge.node, names) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("there are {}", counted(dag.nodes.len(), "node")),
            };
            out.tell(at, format!("there is no node '{}'", edge.node), hint);
        } else if node.after[..index]
            .iter()
            .any(|other| other.node == edge.node)
        {
            out.tell(
                at,
                format!("'{}' is waited for twice", edge.node),
                "keep one of the edges",
            );
        }
    }
}

/// The nodes of a cycle, the first again at the end. Edges to a node itself or to none are others' faults.
fn cycle(nodes: &BTreeMap<String, Node>) -> Option<Vec<String>> {
    let edges = |name: &String| {
        let after = nodes
            .get(name)
            .map(|node| node.after.as_slice())
            .unwrap_or_default();
        let others = after.iter().map(|edge| edge.node.clone());
        others
            .filter(|other| other != name && nodes.contains_key(other))
            .collect()
    };
    super::together::find_cycle(nodes.keys().cloned(), edges)
}
