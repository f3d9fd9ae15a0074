//! Agents, frameworks, roles and offers as the native API shows them.

use mezz_core::records::{
    AgentRecord, AgentState, FrameworkRecord, FrameworkState, OfferRecord, RoleRecord,
};
use mezz_resource::Resources;
use serde_json::{Value, json};

use super::values::{resources_json, rfc3339};
use crate::metrics::dominant_share;
use crate::unversioned::{RoleHoldings, framework_ids, write_attributes};
use crate::view::View;

pub(super) fn agent_json(agent: &AgentRecord) -> Value {
    let mut attributes = crate::json::Json::new();
    attributes.object(|json| write_attributes(json, &agent.info.attributes));
    let attributes: Value = serde_json::from_slice(&attributes.finish()).unwrap_or_default();
    json!({
        "id": &*agent.id,
        "hostname": agent.info.hostname,
        "address": format!("{}:{}", agent.ip, agent.info.port()),
        "state": agent_state(agent.state),
        "active": agent.is_active(),
        "registered_at": rfc3339(agent.registered_at),
        "version": &*agent.version,
        "attributes": attributes,
        "resources": {
            "total": resources_json(&agent.total),
            "used": resources_json(&agent.used),
            "offered": resources_json(&agent.offered),
        },
        "tasks": agent.task_count,
    })
}

pub(super) fn agent_state(state: AgentState) -> &'static str {
    match state {
        AgentState::Recovered => "recovered",
        AgentState::Connected => "connected",
        AgentState::Disconnected => "disconnected",
        AgentState::Unreachable => "unreachable",
        AgentState::Gone => "gone",
        AgentState::Removed => "removed",
    }
}

pub(super) fn framework_json(framework: &FrameworkRecord, tasks: u64) -> Value {
    json!({
        "id": &*framework.id,
        "name": framework.info.name,
        "user": framework.info.user,
        "state": framework_state(framework.state),
        "roles": framework.roles(),
        "principal": framework.info.principal,
        "webui_url": framework.info.webui_url,
        "registered_at": rfc3339(framework.registered_at),
        "tasks": tasks,
        "resources": {
            "used": resources_json(&framework.used),
            "offered": resources_json(&framework.offered),
        },
        "checkpoint": framework.info.checkpoint(),
        "failover_timeout_secs": framework.info.failover_timeout(),
    })
}

pub(super) fn framework_state(state: FrameworkState) -> &'static str {
    match state {
        FrameworkState::Active => "active",
        FrameworkState::Disconnected => "disconnected",
        FrameworkState::Recovered => "recovered",
        FrameworkState::Completed => "completed",
    }
}

pub(super) fn role_json(
    view: &View,
    name: &str,
    role: &RoleRecord,
    held: &RoleHoldings,
    total: &Resources,
) -> Value {
    json!({
        "name": name,
        "weight": role.weight.unwrap_or(1.0),
        "frameworks": framework_ids(view, role),
        "resources": {
            "used": resources_json(&held.allocated),
            "offered": resources_json(&held.offered),
        },
        "share": dominant_share(held, total),
    })
}

pub(super) fn offer_json(view: &View, offer: &OfferRecord) -> Value {
    let records = &view.records;
    let agent = records.agents.get(offer.agent.index());
    json!({
        "id": &*offer.id,
        "framework_id": records.frameworks.get(offer.framework.index()).map(|one| one.id.to_string()),
        "role": &*offer.role,
        "agent_id": agent.map(|agent| agent.id.to_string()),
        "hostname": agent.map(|agent| agent.info.hostname.clone()),
        "resources": resources_json(&offer.resources),
        "created_at": rfc3339(offer.created_at),
    })
}
