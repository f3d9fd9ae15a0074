//! Dags and their runs.

use std::collections::BTreeMap;

use mezz_spec::{Name, Object};
use serde::{Deserialize, Serialize};

use crate::call::{Change, Refusal, Reply};
use crate::effect::Effects;
use crate::key::ObjectKey;
use crate::objects::staged::Staged;
use crate::restore::Sections;
use crate::workloads::Workloads;

/// The state that only this controller knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dags {}

/// Rules that need other objects.
pub(crate) fn check(object: &Object, _staged: &Staged<'_>) -> Result<(), Refusal> {
    Err(crate::objects::apply::invalid(
        object,
        "/kind",
        "dags are not built yet",
    ))
}

/// The object was created or changed.
pub(crate) fn on_apply(_: &mut Workloads, _: ObjectKey, _: Change, _: &mut Effects) {}

/// The object left the index; `forget_object` is called when nothing of it is left.
pub(crate) fn on_delete(workloads: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    workloads.forget_object(key, effects);
}

/// What the store held of this controller.
pub(crate) fn restore(
    _: &mut Workloads,
    _: &Sections,
    _by_uid: &BTreeMap<String, ObjectKey>,
    _: &mut Effects,
) {
}

/// Every agent has reported or was given up.
pub(crate) fn on_reconciled(_: &mut Workloads, _: &mut Effects) {}

/// Starts a run.
pub(crate) fn run(
    _: &mut Workloads,
    name: &Name,
    _parameters: BTreeMap<String, String>,
    _id: Option<String>,
    _: &mut Effects,
) -> Result<Reply, Refusal> {
    absent(name)
}

/// Runs a run again from a node.
pub(crate) fn resume_run(
    _: &mut Workloads,
    name: &Name,
    _run: &str,
    _from: Option<&str>,
    _: &mut Effects,
) -> Result<Reply, Refusal> {
    absent(name)
}

/// Says that a run, or one of its nodes, has succeeded.
pub(crate) fn mark_succeeded(
    _: &mut Workloads,
    name: &Name,
    _run: &str,
    _node: Option<&str>,
    _: &mut Effects,
) -> Result<Reply, Refusal> {
    absent(name)
}

fn absent<T>(name: &Name) -> Result<T, Refusal> {
    Err(Refusal::NotFound {
        kind: "dag",
        name: name.to_string(),
    })
}
