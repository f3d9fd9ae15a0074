//! Facts as the native API tells them.

use std::borrow::Cow;

use mezz_core::fact::{AgentRemoval, Fact, OfferEnd, decoded};
use mezz_core::time::Wall;
use mezz_proto::v1;
use serde_json::{Value, json};

use super::values::rfc3339;
use crate::fact_ring::KeptFact;

/// The type of every event.
pub(super) const TYPES: &[&str] = &[
    "task_added",
    "task_updated",
    "agent_added",
    "agent_reregistered",
    "agent_disconnected",
    "agent_unreachable",
    "agent_removed",
    "framework_added",
    "framework_updated",
    "framework_disconnected",
    "framework_removed",
    "offer_sent",
    "offer_ended",
    "weights_updated",
    "object_applied",
    "object_deleted",
    "rollout_started",
    "rollout_stepped",
    "rollout_ended",
    "instance_changed",
    "instance_ended",
    "run_started",
    "run_ended",
    "cron_fired",
    "cron_missed",
];

/// The type of an event; one of [`TYPES`].
pub(super) fn kind(fact: &Fact) -> &'static str {
    match fact {
        Fact::TaskAdded { .. } => "task_added",
        Fact::TaskUpdated { .. } => "task_updated",
        Fact::AgentAdded { .. } => "agent_added",
        Fact::AgentReregistered { .. } => "agent_reregistered",
        Fact::AgentDisconnected { .. } => "agent_disconnected",
        Fact::AgentUnreachable { .. } => "agent_unreachable",
        Fact::AgentRemoved { .. } => "agent_removed",
        Fact::FrameworkAdded { .. } => "framework_added",
        Fact::FrameworkUpdated { .. } => "framework_updated",
        Fact::FrameworkDisconnected { .. } => "framework_disconnected",
        Fact::FrameworkRemoved { .. } => "framework_removed",
        Fact::OfferSent { .. } => "offer_sent",
        Fact::OfferEnded { .. } => "offer_ended",
        Fact::WeightsUpdated { .. } => "weights_updated",
        Fact::Work(fact) => crate::work_facts::kind(fact),
    }
}

/// The task that an event is about.
pub(super) fn task_id(fact: &Fact) -> Option<String> {
    match fact {
        Fact::TaskAdded { wire, .. } => decoded(wire).map(|task: v1::Task| task.task_id.value),
        Fact::TaskUpdated { status, .. } => {
            decoded(status).map(|status: v1::TaskStatus| status.task_id.value)
        }
        _ => None,
    }
}

/// The framework that an event is about.
pub(super) fn framework_id(kept: &KeptFact) -> Option<Cow<'_, str>> {
    match &*kept.fact {
        Fact::TaskAdded { wire, .. } => {
            decoded(wire).map(|task: v1::Task| task.framework_id.value.into())
        }
        Fact::TaskUpdated { framework_id, .. } => Some((&**framework_id).into()),
        Fact::FrameworkRemoved { info, .. } => info.id.as_ref().map(|id| id.value.as_str().into()),
        _ => kept.framework_id.as_deref().map(Cow::from),
    }
}

/// The agent that an event is about.
pub(super) fn agent_id(kept: &KeptFact) -> Option<Cow<'_, str>> {
    match &*kept.fact {
        Fact::TaskAdded { wire, .. } => {
            decoded(wire).map(|task: v1::Task| task.agent_id.value.into())
        }
        Fact::TaskUpdated { status, .. } => decoded(status)
            .and_then(|status: v1::TaskStatus| status.agent_id)
            .map(|id| id.value.into()),
        Fact::AgentRemoved { agent_id, .. } => Some(agent_id.as_str().into()),
        _ => kept.agent_id.as_deref().map(Cow::from),
    }
}

/// An event as JSON.
pub(super) fn event(kept: &KeptFact, at: Wall) -> Value {
    let mut event = details(kept);
    event["sequence"] = kept.sequence.into();
    event["type"] = kind(&kept.fact).into();
    event["at"] = rfc3339(at);
    event
}

fn task_added(task: &v1::Task) -> Value {
    json!({
        "task_id": task.task_id.value,
        "framework_id": task.framework_id.value,
        "agent_id": task.agent_id.value,
        "name": task.name,
        "state": task.state().as_str_name(),
    })
}

fn task_updated(framework_id: &str, status: &v1::TaskStatus, state: v1::TaskState) -> Value {
    json!({
        "task_id": status.task_id.value,
        "framework_id": framework_id,
        "agent_id": status.agent_id.as_ref().map(|id| &id.value),
        "state": state.as_str_name(),
        "message": status.message,
        "reason": status.reason.map(|_| status.reason().as_str_name()),
    })
}

fn details(kept: &KeptFact) -> Value {
    match &*kept.fact {
        Fact::TaskAdded { wire, .. } => task_added(&decoded(wire).unwrap_or_default()),
        Fact::TaskUpdated {
            framework_id,
            status,
            state,
            ..
        } => task_updated(framework_id, &decoded(status).unwrap_or_default(), *state),
        Fact::AgentAdded { .. }
        | Fact::AgentReregistered { .. }
        | Fact::AgentDisconnected { .. }
        | Fact::AgentUnreachable { .. } => json!({ "agent_id": agent_id(kept) }),
        Fact::AgentRemoved { reason, .. } => {
            let reason = match reason {
                AgentRemoval::Unreachable => "unreachable",
                AgentRemoval::Unregistered => "unregistered",
                AgentRemoval::MarkedGone => "marked_gone",
            };
            json!({ "agent_id": agent_id(kept), "reason": reason })
        }
        Fact::FrameworkAdded { .. }
        | Fact::FrameworkUpdated { .. }
        | Fact::FrameworkDisconnected { .. }
        | Fact::FrameworkRemoved { .. } => json!({ "framework_id": framework_id(kept) }),
        Fact::OfferSent { offer_id, .. } => json!({
            "offer_id": offer_id,
            "framework_id": framework_id(kept),
            "agent_id": agent_id(kept),
        }),
        Fact::OfferEnded { offer_id, end, .. } => json!({
            "offer_id": offer_id,
            "framework_id": framework_id(kept),
            "agent_id": agent_id(kept),
            "end": match end {
                OfferEnd::Accepted => "accepted",
                OfferEnd::Declined => "declined",
                OfferEnd::Rescinded => "rescinded",
                OfferEnd::Discarded => "discarded",
            },
        }),
        Fact::WeightsUpdated { weights } => {
            let weights: serde_json::Map<String, Value> = weights
                .iter()
                .map(|(role, weight)| (role.clone(), Value::from(*weight)))
                .collect();
            json!({ "weights": weights })
        }
        Fact::Work(_) => kept.work.as_ref().map_or(Value::Null, |work| work.json()),
    }
}
