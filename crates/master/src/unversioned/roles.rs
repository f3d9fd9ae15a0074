//! `/roles` and `/weights`.

use std::collections::BTreeMap;

use mezz_core::records::FrameworkState;
use mezz_resource::{Quantities, Resources};

use crate::json::Json;
use crate::view::View;

/// What a role holds, summed over frameworks.
#[derive(Default)]
pub(crate) struct RoleHoldings {
    pub(crate) allocated: Resources,
    pub(crate) offered: Resources,
    pub(crate) reserved: Resources,
}

/// What every role holds.
pub(crate) fn holdings(view: &View) -> BTreeMap<String, RoleHoldings> {
    let mut by_role: BTreeMap<String, RoleHoldings> = BTreeMap::new();
    for (_, agent) in view.records.agents.iter() {
        for (role, resources) in agent.used.by_allocation_role() {
            add(
                &mut by_role.entry(role.to_string()).or_default().allocated,
                &resources,
            );
        }
        for (role, resources) in agent.offered.by_allocation_role() {
            add(
                &mut by_role.entry(role.to_string()).or_default().offered,
                &resources,
            );
        }
        for (role, resources) in agent.total.reserved_by_role() {
            add(&mut by_role.entry(role).or_default().reserved, &resources);
        }
    }
    by_role
}

fn add(sum: &mut Resources, more: &Resources) {
    for resource in more {
        sum.push(resource.clone());
    }
}

pub(super) fn roles(view: &View) -> Vec<u8> {
    let mut held = holdings(view);
    let mut json = Json::new();
    json.object(|json| {
        json.key("roles").array(|json| {
            for (name, role) in view.records.roles.iter() {
                let held = held.remove(name).unwrap_or_default();
                let mut together = held.allocated.clone();
                add(&mut together, &held.offered);
                json.object(|json| {
                    json.key("name").string(name);
                    json.key("weight").double(role.weight.unwrap_or(1.0));
                    json.key("quota").object(|json| {
                        json.key("role").string(name);
                        json.key("guarantee").object(|_| {});
                        json.key("limit").object(|_| {});
                        json.key("consumed");
                        write_quantities(json, &held.allocated.quantities());
                    });
                    for (key, resources) in [
                        ("resources", &together),
                        ("allocated", &held.allocated),
                        ("offered", &held.offered),
                        ("reserved", &held.reserved),
                    ] {
                        json.key(key);
                        write_quantities(json, &resources.quantities());
                    }
                    json.key("frameworks").strings(framework_ids(view, role));
                });
            }
        });
    });
    json.finish()
}

/// The ids of the frameworks that are subscribed to a role.
pub(crate) fn framework_ids(view: &View, role: &mezz_core::records::RoleRecord) -> Vec<String> {
    role.frameworks
        .iter()
        .filter_map(|key| view.records.frameworks.get(key.index()))
        .filter(|framework| framework.state != FrameworkState::Completed)
        .map(|framework| framework.id.to_string())
        .collect()
}

fn write_quantities(json: &mut Json, quantities: &Quantities) {
    json.object(|json| {
        for (name, scalar) in quantities.iter() {
            json.key(name.as_str()).double(scalar.to_f64());
        }
    });
}

/// `/weights`: the roles whose weight was set.
pub(crate) fn weights_json(view: &View) -> Vec<u8> {
    let mut json = Json::new();
    json.array(|json| write_weights(json, view));
    json.finish()
}

pub(super) fn write_weights(json: &mut Json, view: &View) {
    for (name, role) in view.records.roles.iter() {
        if let Some(weight) = role.weight {
            json.object(|json| {
                json.key("role").string(name);
                json.key("weight").double(weight);
            });
        }
    }
}
