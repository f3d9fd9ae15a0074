//! Lists of agents, frameworks, roles and offers.

use mezz_core::records::{AgentState, FrameworkState};
use mezz_resource::Resources;
use serde_json::{Value, json};

use super::{resources_json, rfc3339};
use crate::metrics::dominant_share;
use crate::unversioned::{framework_ids, holdings, write_attributes};
use crate::view::View;

pub(super) fn agents(view: &View) -> Value {
    let agents = view
        .records
        .agents
        .iter()
        .filter(|(_, agent)| agent.state != AgentState::Removed);
    agents
        .map(|(_, agent)| {
            let mut attributes = crate::json::Json::new();
            attributes.object(|json| write_attributes(json, &agent.info.attributes));
            let attributes: Value =
                serde_json::from_slice(&attributes.finish()).unwrap_or_default();
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
        })
        .collect()
}

fn agent_state(state: AgentState) -> &'static str {
    match state {
        AgentState::Recovered => "recovered",
        AgentState::Connected => "connected",
        AgentState::Disconnected => "disconnected",
        AgentState::Unreachable => "unreachable",
        AgentState::Gone => "gone",
        AgentState::Removed => "removed",
    }
}

pub(super) fn frameworks(view: &View) -> Value {
    let mut tasks = std::collections::BTreeMap::<_, u64>::new();
    for (_, task) in view.records.tasks.iter() {
        if task.list != mezz_core::records::TaskList::Completed {
            *tasks.entry(task.framework).or_default() += 1;
        }
    }
    view.records
        .frameworks
        .iter()
        .map(|(_, framework)| {
            json!({
                "id": &*framework.id,
                "name": framework.info.name,
                "user": framework.info.user,
                "state": framework_state(framework.state),
                "roles": framework.roles(),
                "principal": framework.info.principal,
                "webui_url": framework.info.webui_url,
                "registered_at": rfc3339(framework.registered_at),
                "tasks": tasks.get(&framework.key).copied().unwrap_or_default(),
                "resources": {
                    "used": resources_json(&framework.used),
                    "offered": resources_json(&framework.offered),
                },
                "checkpoint": framework.info.checkpoint(),
                "failover_timeout_secs": framework.info.failover_timeout(),
            })
        })
        .collect()
}

fn framework_state(state: FrameworkState) -> &'static str {
    match state {
        FrameworkState::Active => "active",
        FrameworkState::Disconnected => "disconnected",
        FrameworkState::Recovered => "recovered",
        FrameworkState::Completed => "completed",
    }
}

pub(super) fn roles(view: &View) -> Value {
    let mut total = Resources::default();
    for (_, agent) in view.records.agents.iter() {
        if matches!(
            agent.state,
            AgentState::Connected | AgentState::Disconnected
        ) {
            agent
                .total
                .iter()
                .for_each(|resource| total.push(resource.clone()));
        }
    }
    let mut held = holdings(view);
    view.records
        .roles
        .iter()
        .map(|(name, role)| {
            let held = held.remove(name).unwrap_or_default();
            json!({
                "name": name,
                "weight": role.weight.unwrap_or(1.0),
                "frameworks": framework_ids(view, role),
                "resources": {
                    "used": resources_json(&held.allocated),
                    "offered": resources_json(&held.offered),
                },
                "share": dominant_share(&held, &total),
            })
        })
        .collect()
}

pub(super) fn offers(view: &View) -> Value {
    view.records
        .offers
        .iter()
        .map(|(_, offer)| {
            let agent = view.records.agents.get(offer.agent.index());
            json!({
                "id": &*offer.id,
                "framework_id": view.records.frameworks.get(offer.framework.index()).map(|one| one.id.to_string()),
                "role": &*offer.role,
                "agent_id": agent.map(|agent| agent.id.to_string()),
                "hostname": agent.map(|agent| agent.info.hostname.clone()),
                "resources": resources_json(&offer.resources),
                "created_at": rfc3339(offer.created_at),
            })
        })
        .collect()
}
