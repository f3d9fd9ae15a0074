//! Jobs and their runs.

use std::collections::BTreeMap;

use mezz_spec::{Name, Object};
use serde::{Deserialize, Serialize};

use crate::call::{Change, Refusal, Reply};
use crate::effect::Effects;
use crate::event::{Placed, Status};
use crate::instances::kills::KillTerms;
use crate::key::{InstanceKey, ObjectKey, RunKey};
use crate::objects::staged::Staged;
use crate::restore::Sections;
use crate::workloads::Workloads;

/// The state that only this controller knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Jobs {}

/// Rules that need other objects.
pub(crate) fn check(object: &Object, _staged: &Staged<'_>) -> Result<(), Refusal> {
    Err(crate::objects::apply::invalid(
        object,
        "/kind",
        "jobs are not built yet",
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

/// Ends a run of a job or dag.
pub(crate) fn stop_run(
    _: &mut Workloads,
    name: &Name,
    _run: &str,
    _: &mut Effects,
) -> Result<Reply, Refusal> {
    absent(name)
}

/// Forgets the failures of a run.
pub(crate) fn reset_backoff(
    _: &mut Workloads,
    name: &Name,
    _: &mut Effects,
) -> Result<Reply, Refusal> {
    absent(name)
}

/// A place for an index: answered with one `launch`, or with `decline`.
pub(crate) fn on_placed(
    _: &mut Workloads,
    _run: RunKey,
    _part: u32,
    _: &Placed,
    effects: &mut Effects,
) {
    Workloads::decline(effects);
}

/// A status of an attempt.
pub(crate) fn on_status(
    _: &mut Workloads,
    _run: RunKey,
    _: InstanceKey,
    _: &Status,
    _: &mut Effects,
) {
}

/// A run looks at itself again.
pub(crate) fn on_timer(_: &mut Workloads, _run: RunKey, _: &mut Effects) {}

/// Nothing is started or killed any more.
pub(crate) fn on_freeze(_: &mut Workloads, _: &mut Effects) {}

/// It goes on.
pub(crate) fn on_thaw(_: &mut Workloads, _: &mut Effects) {}

/// How an attempt is ended.
pub(crate) fn kill_terms(_: &Workloads, _: InstanceKey) -> KillTerms {
    KillTerms::default()
}

fn absent<T>(name: &Name) -> Result<T, Refusal> {
    Err(Refusal::NotFound {
        kind: "job",
        name: name.to_string(),
    })
}
