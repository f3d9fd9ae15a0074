//! What crons and nodes of dags run: a job of their own, or an object by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_spec::cron::{Reference, Target};
use mezz_spec::job::Parameter;
use mezz_spec::{Kind, Name, Object, Spec};

use super::Begins;
use super::parameters::{Extra, Values, complete};
use crate::call::Refusal;
use crate::dag;
use crate::effect::Effects;
use crate::job::{Order, check_job, start_run};
use crate::key::{ObjectKey, RunKey};
use crate::objects::apply::invalid;
use crate::objects::staged::Staged;
use crate::records::Cause;
use crate::workloads::Workloads;

/// A target that was found, with all that its run gets.
pub(crate) struct Found {
    /// Whose run it will be.
    pub(crate) object: ObjectKey,
    spec: Arc<Spec>,
    parameters: Values,
}

/// How a run of a target begins.
pub(crate) struct Opening {
    pub(crate) id: Option<String>,
    pub(crate) cause: Cause,
    pub(crate) begins: Begins,
}

/// The kind and name that a target refers to; none for a job of its own.
pub(crate) fn reference(target: &Target) -> Option<(Kind, &Reference)> {
    match target {
        Target::Job(_) => None,
        Target::JobRef(reference) => Some((Kind::Job, reference)),
        Target::DagRef(reference) => Some((Kind::Dag, reference)),
    }
}

fn declared(spec: &Spec) -> Option<&BTreeMap<String, Parameter>> {
    match spec {
        Spec::Job(job) => Some(&job.parameters),
        Spec::Dag(dag) => Some(&dag.parameters),
        _ => None,
    }
}

impl Workloads {
    /// Finds what `owner` wants to run, and completes its parameters with what is given: by a dag, whose own go before it,
    /// or by hand, which wins.
    pub(crate) fn find_target(
        &self,
        owner: ObjectKey,
        target: &Target,
        given: &Values,
        extra: Extra,
    ) -> Result<Found, String> {
        let (object, spec, mut values) = match (target, reference(target)) {
            (Target::Job(job), _) => (owner, Arc::new(Spec::Job(job.clone())), Values::new()),
            (_, Some((kind, reference))) => {
                let key = self
                    .key_of(kind, &reference.name)
                    .ok_or_else(|| format!("there is no {kind} '{}'", reference.name))?;
                let object = self.object_at(key).expect("the index knows what is there");
                (key, Arc::clone(&object.spec), reference.parameters.clone())
            }
            (_, None) => unreachable!("what is no job of its own is a reference"),
        };
        match extra {
            // A dag's parameters go first, the target's own win.
            Extra::Passed => {
                let own = std::mem::replace(&mut values, given.clone());
                values.extend(own);
            }
            // What somebody gives by hand wins.
            Extra::Refused => values.extend(given.clone()),
        }
        let declared = declared(&spec).ok_or("it is neither a job nor a dag")?;
        let parameters = complete(declared, &values, extra).map_err(|fault| fault.message)?;
        Ok(Found {
            object,
            spec,
            parameters,
        })
    }

    /// Makes a run of a target.
    pub(crate) fn start_target(
        &mut self,
        found: Found,
        opening: Opening,
        effects: &mut Effects,
    ) -> RunKey {
        let order = Order {
            object: found.object,
            spec: found.spec,
            id: opening.id,
            parameters: found.parameters,
            cause: opening.cause,
            begins: opening.begins,
        };
        match &*order.spec {
            Spec::Dag(_) => dag::start_run(self, order, effects),
            _ => start_run(self, order, effects),
        }
    }
}

/// Whether a target can be run as things will be: what it names is there, and takes its parameters. A dag passes its own
/// to its nodes; what values these will have, only a run can tell.
pub(crate) fn check(
    object: &Object,
    staged: &Staged<'_>,
    path: &str,
    target: &Target,
    passed: Option<&BTreeMap<String, Parameter>>,
) -> Result<(), Refusal> {
    if let Target::Job(job) = target {
        check_job(object, &format!("{path}/job"), job)?;
    }
    let none = Values::new();
    let (wanted, own, at) = match (target, reference(target)) {
        (Target::Job(job), _) => (Some(&job.parameters), &none, format!("{path}/job")),
        (_, Some((kind, reference))) => {
            let at = format!("{path}/{kind}_ref");
            let spec = staged
                .spec(kind, &reference.name)
                .ok_or_else(|| missing(object, &at, kind, &reference.name))?;
            (declared(spec), &reference.parameters, at)
        }
        (_, None) => unreachable!("what is no job of its own is a reference"),
    };
    let is_passed = |name: &String| {
        !own.contains_key(name) && passed.is_some_and(|passed| passed.contains_key(name))
    };
    let left: BTreeMap<String, Parameter> = wanted
        .into_iter()
        .flatten()
        .filter(|(name, _)| !is_passed(name))
        .map(|(name, parameter)| (name.clone(), parameter.clone()))
        .collect();
    let extra = if passed.is_some() {
        Extra::Passed
    } else {
        Extra::Refused
    };
    complete(&left, own, extra).map(|_| ()).map_err(|fault| {
        let path = format!("{at}/parameters/{}", fault.parameter);
        invalid(object, &path, fault.message)
    })
}

fn missing(object: &Object, at: &str, kind: Kind, name: &Name) -> Refusal {
    invalid(
        object,
        &format!("{at}/name"),
        format!("there is no {kind} '{name}'; apply it before, or in the same call"),
    )
}
