//! What has to hold of a dag among other objects: its edges lead to nodes without a circle, what its nodes name is there
//! and takes their parameters, and no dag runs itself through others.

use std::collections::BTreeSet;

use mezz_spec::cron::Target;
use mezz_spec::dag::Dag;
use mezz_spec::{Kind, Name, Object, Spec};

use crate::call::Refusal;
use crate::objects::apply::invalid;
use crate::objects::staged::Staged;
use crate::runs::targets;

/// Rules that need other objects, and those that a run relies upon.
pub(crate) fn check(object: &Object, staged: &Staged<'_>) -> Result<(), Refusal> {
    let Spec::Dag(dag) = &object.spec else {
        return Ok(());
    };
    if dag.nodes.is_empty() {
        return Err(invalid(
            object,
            "/spec/nodes",
            "a dag has at least one node",
        ));
    }
    check_edges(object, dag)?;
    for (name, node) in &dag.nodes {
        let path = format!("/spec/nodes/{name}/run");
        targets::check(object, staged, &path, &node.run, Some(&dag.parameters))?;
    }
    check_nesting(object, dag, staged)
}

fn check_edges(object: &Object, dag: &Dag) -> Result<(), Refusal> {
    for (name, node) in &dag.nodes {
        for (index, edge) in node.after.iter().enumerate() {
            if !dag.nodes.contains_key(&edge.node) {
                return Err(invalid(
                    object,
                    &format!("/spec/nodes/{name}/after/{index}/node"),
                    format!("there is no node '{}' in this dag", edge.node),
                ));
            }
        }
    }
    let mut left: BTreeSet<&String> = dag.nodes.keys().collect();
    while !left.is_empty() {
        let free: Vec<&String> = left
            .iter()
            .copied()
            .filter(|name| {
                let after = &dag.nodes[*name].after;
                after.iter().all(|edge| !left.contains(&edge.node))
            })
            .collect();
        if free.is_empty() {
            let names: Vec<&str> = left.iter().map(|name| name.as_str()).collect();
            return Err(invalid(
                object,
                "/spec/nodes",
                format!(
                    "nodes wait for each other in a circle, among: {}; take an edge out",
                    names.join(", ")
                ),
            ));
        }
        for name in free {
            left.remove(name);
        }
    }
    Ok(())
}

/// A dag that ran itself, through whatever others, would never end.
fn check_nesting(object: &Object, dag: &Dag, staged: &Staged<'_>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&Name> = nested(dag).collect();
    while let Some(name) = next.pop() {
        if *name == object.name {
            return Err(invalid(
                object,
                "/spec/nodes",
                "it would run itself through its nodes; take that dag_ref out",
            ));
        }
        if !seen.insert(name) {
            continue;
        }
        if let Some(Spec::Dag(inner)) = staged.spec(Kind::Dag, name) {
            next.extend(nested(inner));
        }
    }
    Ok(())
}

fn nested(dag: &Dag) -> impl Iterator<Item = &Name> {
    dag.nodes.values().filter_map(|node| match &node.run {
        Target::DagRef(reference) => Some(&reference.name),
        _ => None,
    })
}
