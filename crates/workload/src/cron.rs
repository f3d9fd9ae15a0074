//! Crons.

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
pub(crate) struct Crons {}

/// Rules that need other objects.
pub(crate) fn check(object: &Object, _staged: &Staged<'_>) -> Result<(), Refusal> {
    Err(crate::objects::apply::invalid(
        object,
        "/kind",
        "crons are not built yet",
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

/// A fire-time has come.
pub(crate) fn on_timer(_: &mut Workloads, _: ObjectKey, _: &mut Effects) {}

/// No fire-time is honoured until `resume`.
pub(crate) fn pause(w: &mut Workloads, key: ObjectKey, _: &mut Effects) -> Result<Reply, Refusal> {
    absent(&w.object_at(key).expect("it was just found").name)
}

/// Fire-times are honoured again.
pub(crate) fn resume(w: &mut Workloads, key: ObjectKey, _: &mut Effects) -> Result<Reply, Refusal> {
    absent(&w.object_at(key).expect("it was just found").name)
}

fn absent<T>(name: &Name) -> Result<T, Refusal> {
    Err(Refusal::NotFound {
        kind: "cron",
        name: name.to_string(),
    })
}
