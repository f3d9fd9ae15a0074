//! Services.
#![allow(clippy::unnecessary_wraps, clippy::unused_self)]

use std::collections::BTreeMap;

use mezz_spec::{Name, Object};
use serde::{Deserialize, Serialize};

use crate::call::{Conflict, Refusal, Reply};
use crate::effect::Effects;
use crate::event::{Placed, Status};
use crate::instances::kills::KillTerms;
use crate::key::{InstanceKey, ObjectKey, RolloutKey};
use crate::objects::staged::Staged;
use crate::restore::Sections;
use crate::workloads::Workloads;

/// The state that only this controller knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Services {}

pub(crate) fn check(object: &Object, _: &Staged<'_>) -> Result<(), Refusal> {
    Err(crate::objects::apply::invalid(
        object,
        "/kind",
        "services are not built yet",
    ))
}
pub(crate) fn check_ports(_: &Staged<'_>) -> Result<(), Refusal> {
    Ok(())
}
pub(crate) fn on_apply(_: &mut Workloads, _: ObjectKey, _: &mut Effects) -> Option<String> {
    None
}
pub(crate) fn on_delete(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    w.forget_object(key, effects);
}
pub(crate) fn on_placed(
    _: &mut Workloads,
    _: ObjectKey,
    _: u32,
    _: &Placed,
    effects: &mut Effects,
) {
    Workloads::decline(effects);
}
pub(crate) fn on_status(_: &mut Workloads, _: InstanceKey, _: &Status, _: &mut Effects) {}
pub(crate) fn on_timer(_: &mut Workloads, _: ObjectKey) {}
pub(crate) fn on_rollout_timer(_: &mut Workloads, _: RolloutKey) {}
pub(crate) fn on_metrics(_: &mut Workloads, _: ObjectKey, _: &[Option<u64>]) {}
pub(crate) fn on_material(_: &mut Workloads) {}
pub(crate) fn on_agents(_: &mut Workloads) {}
pub(crate) fn wake_all(_: &mut Workloads) {}
pub(crate) fn wake(_: &mut Workloads, _: ObjectKey) {}
fn absent<T>(name: &Name) -> Result<T, Refusal> {
    Err(Refusal::NotFound {
        kind: "service",
        name: name.to_string(),
    })
}
pub(crate) fn restart(
    _: &mut Workloads,
    name: &Name,
    _: Conflict,
    _: &mut Effects,
) -> Result<Reply, Refusal> {
    absent(name)
}
pub(crate) fn abort(_: &mut Workloads, name: &Name, _: &mut Effects) -> Result<Reply, Refusal> {
    absent(name)
}
pub(crate) fn pause(w: &mut Workloads, key: ObjectKey, _: &mut Effects) -> Result<Reply, Refusal> {
    absent(&w.object_at(key).expect("it was just found").name)
}
pub(crate) fn resume(w: &mut Workloads, key: ObjectKey, _: &mut Effects) -> Result<Reply, Refusal> {
    absent(&w.object_at(key).expect("it was just found").name)
}
pub(crate) fn reset_backoff(
    w: &mut Workloads,
    key: ObjectKey,
    _: &mut Effects,
) -> Result<Reply, Refusal> {
    absent(&w.object_at(key).expect("it was just found").name)
}
pub(crate) fn kill_terms(_: &Workloads, _: InstanceKey) -> KillTerms {
    KillTerms::default()
}
pub(crate) fn scale_down_by(
    _: &mut Workloads,
    _: &[InstanceKey],
    _: &mut Effects,
) -> Result<(), Refusal> {
    Ok(())
}
pub(crate) fn restore(_: &mut Workloads, _: &Sections, _: &BTreeMap<String, ObjectKey>) {}
pub(crate) fn adopt_instances(_: &mut Workloads, _: &mut Effects) {}

impl Workloads {
    pub(crate) fn settle_services(&mut self, _: &mut Effects) {}
    pub(crate) fn refuse_rollouts(&self, _: &[ObjectKey]) -> Result<(), Refusal> {
        Ok(())
    }
    pub(crate) fn write_service(&self, _: ObjectKey, _: &mut Effects) {}
    pub(crate) fn write_rollout(&self, _: RolloutKey, _: &mut Effects) {}
}
