//! Who waits for whom: services, groups and jobs by their `after`. Circles are refused.

use std::collections::{BTreeMap, BTreeSet};

use mezz_spec::{Kind, Name, Spec};

use crate::call::Refusal;
use crate::objects::staged::Staged;

/// Refuses services and jobs that would wait for themselves, directly or through others.
pub(crate) fn check_circles(staged: &Staged<'_>) -> Result<(), Refusal> {
    let services = staged.of_kind(Kind::Service);
    let waits: BTreeMap<&Name, BTreeSet<&Name>> = services
        .iter()
        .map(|(name, spec)| (*name, waits_for(staged, name, spec, &services)))
        .collect();
    check_kind(staged, &waits, "services")?;
    let jobs = staged.of_kind(Kind::Job);
    check_kind(staged, &runs_after(&jobs), "jobs")
}

/// Which jobs each job runs after.
fn runs_after<'a>(jobs: &BTreeMap<&'a Name, &'a Spec>) -> BTreeMap<&'a Name, BTreeSet<&'a Name>> {
    let known = |spec: &'a Spec| match spec {
        Spec::Job(job) => job.after.as_ref(),
        _ => None,
    };
    jobs.iter()
        .map(|(name, spec)| {
            let after = known(spec).into_iter().flat_map(|after| &after.jobs);
            (
                *name,
                after.filter(|other| jobs.contains_key(other)).collect(),
            )
        })
        .collect()
}

fn check_kind(
    staged: &Staged<'_>,
    waits: &BTreeMap<&Name, BTreeSet<&Name>>,
    plural: &str,
) -> Result<(), Refusal> {
    let mut done = BTreeSet::new();
    for name in waits.keys() {
        let mut path = Vec::new();
        if let Some(circle) = find_circle(name, waits, &mut path, &mut done) {
            return Err(refusal(staged, &circle, plural));
        }
    }
    Ok(())
}

fn waits_for<'a>(
    staged: &Staged<'_>,
    name: &Name,
    spec: &Spec,
    services: &BTreeMap<&'a Name, &'a Spec>,
) -> BTreeSet<&'a Name> {
    let Spec::Service(service) = spec else {
        return BTreeSet::new();
    };
    let mut after = staged.inherited(name).after;
    after.extend(service.after.iter().cloned());
    services
        .keys()
        .copied()
        .filter(|other| after.iter().any(|target| other.is_within(target)))
        .collect()
}

fn find_circle<'a>(
    name: &'a Name,
    waits: &BTreeMap<&'a Name, BTreeSet<&'a Name>>,
    path: &mut Vec<&'a Name>,
    done: &mut BTreeSet<&'a Name>,
) -> Option<Vec<&'a Name>> {
    // Depth-first with a stack of its own: names come from users, and so does the depth.
    let mut stack = vec![(name, waits[name].iter())];
    if done.contains(name) {
        return None;
    }
    path.push(name);
    while let Some((current, rest)) = stack.last_mut() {
        let current: &'a Name = current;
        let Some(next) = rest.next() else {
            done.insert(current);
            path.pop();
            stack.pop();
            continue;
        };
        if let Some(at) = path.iter().position(|on_path| on_path == next) {
            return Some(path[at..].to_vec());
        }
        if !done.contains(next) {
            path.push(next);
            stack.push((next, waits[next].iter()));
        }
    }
    None
}

fn refusal(staged: &Staged<'_>, circle: &[&Name], plural: &str) -> Refusal {
    let mut words: Vec<&str> = circle.iter().map(|name| name.as_str()).collect();
    words.push(words[0]);
    let named = staged
        .applied()
        .find(|object| circle.contains(&&object.name))
        .or_else(|| staged.applied().next());
    let (kind, name) = named.map_or((Kind::Service, circle[0].to_string()), |object| {
        (object.spec.kind(), object.name.to_string())
    });
    Refusal::Invalid {
        kind,
        name,
        path: "/spec/after".into(),
        message: format!(
            "{plural} would wait for each other in a circle: {}; take one 'after' out",
            words.join(" waits for ")
        ),
    }
}
