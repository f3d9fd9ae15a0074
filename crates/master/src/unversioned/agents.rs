//! `/slaves` and the agents of `/state`.

use std::sync::Arc;

use mezz_core::records::{AgentRecord, AgentState};
use mezz_http::query::Query;
use mezz_proto::v1;
use mezz_resource::Resources;

use crate::json::Json;
use crate::pieces::Pieces;
use crate::view::View;

pub(super) fn slaves(view: &View, query: &Query) -> Vec<u8> {
    let wanted = query.get("slave_id");
    let keep = |agent: &AgentRecord| wanted.is_none_or(|id| *agent.id == *id);
    let mut json = Json::new();
    json.object(|json| {
        json.key("slaves")
            .array(|json| write_agents(json, view, keep));
        json.key("recovered_slaves")
            .array(|json| write_recovered(json, view, keep));
    });
    json.finish()
}

/// Agents that are registered, connected or not, with full resource objects.
fn write_agents(json: &mut Json, view: &View, keep: impl Fn(&AgentRecord) -> bool) {
    for (_, agent) in view.records.agents.iter() {
        if is_registered(agent) && keep(agent) {
            json.object(|json| {
                write_agent(json, agent);
                write_full_resources(json, agent);
            });
        }
    }
}

/// Adds all of them as the items of a list.
pub(super) fn add_registered(pieces: &mut Pieces, view: &Arc<View>) {
    let agents: Vec<Arc<AgentRecord>> = view
        .records
        .agents
        .iter()
        .map(|(_, agent)| agent)
        .filter(|agent| is_registered(agent))
        .cloned()
        .collect();
    pieces.list(&agents, |json, agents| {
        for agent in agents {
            json.object(|json| write_agent(json, agent));
        }
    });
}

fn is_registered(agent: &AgentRecord) -> bool {
    matches!(
        agent.state,
        AgentState::Connected | AgentState::Disconnected
    )
}

/// Agents known from the store that are not back yet.
pub(super) fn write_recovered(json: &mut Json, view: &View, keep: impl Fn(&AgentRecord) -> bool) {
    for (_, agent) in view.records.agents.iter() {
        if agent.state == AgentState::Recovered && keep(agent) {
            json.object(|json| {
                json.key("id").string(&agent.id);
                json.key("hostname").string(&agent.info.hostname);
                json.key("port").integer(agent.info.port());
                json.key("attributes")
                    .object(|json| write_attributes(json, &agent.info.attributes));
                json.key("resources").resources(&agent.total);
                json.key("version").string(&agent.version);
            });
        }
    }
}

/// The fields of an agent without the enclosing braces.
pub(super) fn write_agent(json: &mut Json, agent: &AgentRecord) {
    json.key("id").string(&agent.id);
    json.key("hostname").string(&agent.info.hostname);
    json.key("port").integer(agent.info.port());
    json.key("attributes")
        .object(|json| write_attributes(json, &agent.info.attributes));
    if let Some(domain) = &agent.info.domain {
        json.key("domain").message(domain);
    }
    json.key("pid").string(&agent.pid());
    json.key("registered_time")
        .double(agent.registered_at.seconds());
    if let Some(at) = agent.reregistered_at {
        json.key("reregistered_time").double(at.seconds());
    }
    json.key("resources").resources(&agent.total);
    json.key("used_resources").resources(&agent.used);
    json.key("offered_resources").resources(&agent.offered);
    json.key("reserved_resources").object(|json| {
        for (role, resources) in agent.total.reserved_by_role() {
            json.key(&role).resources(&resources);
        }
    });
    json.key("unreserved_resources")
        .resources(&agent.total.unreserved());
    json.key("active").boolean(agent.is_active());
    json.key("deactivated").boolean(agent.deactivated);
    json.key("version").string(&agent.version);
    json.key("capabilities").strings(agent.capabilities.iter());
}

fn write_full_resources(json: &mut Json, agent: &AgentRecord) {
    json.key("reserved_resources_full").object(|json| {
        for (role, resources) in agent.total.reserved_by_role() {
            json.key(&role)
                .array(|json| write_resources(json, &resources));
        }
    });
    json.key("unreserved_resources_full")
        .array(|json| write_resources(json, &agent.total.unreserved()));
    json.key("used_resources_full")
        .array(|json| write_resources(json, &agent.used));
    json.key("offered_resources_full")
        .array(|json| write_resources(json, &agent.offered));
}

fn write_resources(json: &mut Json, resources: &Resources) {
    for resource in resources.to_proto_endpoint() {
        json.message(&resource);
    }
}

/// Attributes by name: numbers as numbers, everything else as text.
pub(crate) fn write_attributes(json: &mut Json, attributes: &[v1::Attribute]) {
    for attribute in attributes {
        json.key(&attribute.name);
        match (
            attribute.r#type(),
            &attribute.scalar,
            &attribute.ranges,
            &attribute.set,
            &attribute.text,
        ) {
            (v1::value::Type::Scalar, Some(scalar), ..) => json.double(scalar.value),
            (v1::value::Type::Ranges, _, Some(ranges), ..) => {
                let parts: Vec<String> = ranges
                    .range
                    .iter()
                    .map(|range| format!("{}-{}", range.begin, range.end))
                    .collect();
                json.string(&format!("[{}]", parts.join(", ")));
            }
            (v1::value::Type::Set, _, _, Some(set), _) => {
                json.string(&format!("{{{}}}", set.item.join(", ")));
            }
            (.., text) => json.string(text.as_ref().map_or("", |text| &text.value)),
        }
    }
}
