//! What only shows when objects are applied at once: names that stand twice, waiting in circles, references between them.

use std::collections::{BTreeMap, BTreeSet};

use crate::cron::{Reference, Target};
use crate::fault::{Fault, MAX_FAULTS, below, escaped};
use crate::job::Parameter;
use crate::name::Name;
use crate::object::{Kind, Object, Spec};

/// Faults of objects among each other.
pub fn together(objects: &[Object]) -> Vec<Fault> {
    let mut faults = twice(objects);
    faults.extend(circles(objects));
    for object in objects {
        references(object, objects, &mut faults);
    }
    faults.truncate(MAX_FAULTS);
    faults
}

fn of(object: &Object, fault: Fault) -> Fault {
    let title = format!("{} {}", object.spec.kind(), object.name);
    Fault {
        object: Some(title),
        ..fault
    }
}

fn twice(objects: &[Object]) -> Vec<Fault> {
    let mut seen = BTreeSet::new();
    let doubled = objects
        .iter()
        .filter(|object| !seen.insert((object.spec.kind(), &object.name)));
    doubled
        .map(|object| {
            let message = format!("the {} {} stands twice", object.spec.kind(), object.name);
            of(
                object,
                Fault::new("/name", message).hint("keep one of them, or rename it"),
            )
        })
        .collect()
}

/// A step in the order of starting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// What has this name may start.
    Start(Name),
    /// What has this name, and all below it, is healthy.
    Done(Name),
}

/// Services and groups that wait for each other.
fn circles(objects: &[Object]) -> Option<Fault> {
    let mut waits: BTreeMap<Step, BTreeSet<Step>> = BTreeMap::new();
    for object in objects {
        let after = match &object.spec {
            Spec::Group(group) => &group.after,
            Spec::Service(service) => &service.after,
            _ => continue,
        };
        let start = Step::Start(object.name.clone());
        let own = waits.entry(start.clone()).or_default();
        own.extend(after.iter().cloned().map(Step::Done));
        waits
            .entry(Step::Done(object.name.clone()))
            .or_default()
            .insert(start);
        let mut inner = object.name.clone();
        while let Some(parent) = inner.parent() {
            let start = Step::Start(inner.clone());
            waits
                .entry(start)
                .or_default()
                .insert(Step::Start(parent.clone()));
            let done = Step::Done(inner.clone());
            waits
                .entry(Step::Done(parent.clone()))
                .or_default()
                .insert(done);
            inner = parent;
        }
    }
    let edges = |step: &Step| {
        let next = waits.get(step).into_iter().flatten();
        next.cloned().collect()
    };
    let cycle = find_cycle(waits.keys().cloned(), edges)?;
    let mut names: Vec<&Name> = Vec::new();
    for step in &cycle {
        if let Step::Start(name) = step
            && names.last() != Some(&name)
        {
            names.push(name);
        }
    }
    let told: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    let message = format!("these wait for each other: {}", told.join(", "));
    let fault = Fault::new("/spec/after", message).hint("remove one of the waits");
    let first = objects
        .iter()
        .find(|object| names.contains(&&object.name) && waits_itself(object));
    Some(match first {
        Some(object) => of(object, fault),
        None => fault,
    })
}

fn waits_itself(object: &Object) -> bool {
    match &object.spec {
        Spec::Group(group) => !group.after.is_empty(),
        Spec::Service(service) => !service.after.is_empty(),
        _ => false,
    }
}

/// The first cycle from the given nodes, the first of it again at the end. Without recursion: a chain may be long.
pub(super) fn find_cycle<T, E>(nodes: impl Iterator<Item = T>, edges: E) -> Option<Vec<T>>
where
    T: Ord + Clone,
    E: Fn(&T) -> Vec<T>,
{
    let mut done: BTreeSet<T> = BTreeSet::new();
    for root in nodes {
        if done.contains(&root) {
            continue;
        }
        let mut open: BTreeSet<T> = BTreeSet::from([root.clone()]);
        let mut trail: Vec<(T, Vec<T>)> = vec![(root.clone(), edges(&root))];
        while let Some((node, next)) = trail.last_mut() {
            let Some(other) = next.pop() else {
                open.remove(node);
                done.insert(node.clone());
                trail.pop();
                continue;
            };
            if open.contains(&other) {
                let path = trail.into_iter().map(|(node, _)| node);
                let mut cycle: Vec<T> = path.skip_while(|node| *node != other).collect();
                cycle.push(other);
                return Some(cycle);
            }
            if !done.contains(&other) {
                open.insert(other.clone());
                let next = edges(&other);
                trail.push((other, next));
            }
        }
    }
    None
}

/// Parameters against the jobs and dags that are applied, too. What is not among them is checked against the cluster.
fn references(object: &Object, objects: &[Object], faults: &mut Vec<Fault>) {
    match &object.spec {
        Spec::Cron(cron) => target(object, &cron.run, "/spec/run", None, objects, faults),
        Spec::Dag(dag) => {
            for (name, node) in &dag.nodes {
                let path = format!("/spec/nodes/{}/run", escaped(name));
                target(
                    object,
                    &node.run,
                    &path,
                    Some(&dag.parameters),
                    objects,
                    faults,
                );
            }
        }
        _ => {}
    }
}

fn target(
    object: &Object,
    target: &Target,
    path: &str,
    given: Option<&BTreeMap<String, Parameter>>,
    objects: &[Object],
    faults: &mut Vec<Fault>,
) {
    let (reference, kind, word) = match target {
        Target::Job(_) => return,
        Target::JobRef(reference) => (reference, Kind::Job, "job_ref"),
        Target::DagRef(reference) => (reference, Kind::Dag, "dag_ref"),
    };
    let found = objects
        .iter()
        .find(|other| other.spec.kind() == kind && other.name == reference.name);
    let parameters = match found.map(|other| &other.spec) {
        Some(Spec::Job(job)) => &job.parameters,
        Some(Spec::Dag(dag)) => &dag.parameters,
        _ => return,
    };
    let path = format!("{path}/{word}/parameters");
    for fault in arguments(reference, parameters, given, &path) {
        faults.push(of(object, fault));
    }
}

fn arguments(
    reference: &Reference,
    known: &BTreeMap<String, Parameter>,
    given: Option<&BTreeMap<String, Parameter>>,
    path: &str,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, value) in &reference.parameters {
        match known.get(name) {
            None => {
                let message = format!("{} has no parameter '{name}'", reference.name);
                faults.push(
                    Fault::new(below(path, name), message).hint("remove it, or declare it there"),
                );
            }
            Some(parameter)
                if !parameter.one_of.is_empty() && !parameter.one_of.contains(value) =>
            {
                let message = format!("'{value}' is not allowed");
                let hint = format!("write one of {}", parameter.one_of.join(", "));
                faults.push(Fault::new(below(path, name), message).hint(hint));
            }
            Some(_) => {}
        }
    }
    for (name, parameter) in known {
        let inherited = given.is_some_and(|given| given.contains_key(name));
        if parameter.default.is_none() && !reference.parameters.contains_key(name) && !inherited {
            let message = format!("{} needs a value for '{name}'", reference.name);
            faults.push(Fault::new(path, message).hint(format!("write {name}: …")));
        }
    }
    faults
}
