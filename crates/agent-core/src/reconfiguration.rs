//! What of an agent's description may change between two of its lives.

use mezz_proto::v1::{AgentInfo, Attribute, Resource};
use mezz_resource::Resources;

use crate::config::{Config, ReconfigurationPolicy};

/// The change that the policy does not allow, if there is one: "resources changed".
pub(crate) fn refused(was: &AgentInfo, config: &Config) -> Option<String> {
    let now = &config.agent;
    match config.reconfiguration {
        ReconfigurationPolicy::Any => None,
        ReconfigurationPolicy::Equal => {
            let field = if was.hostname != now.hostname {
                "hostname"
            } else if was.resources != now.resources {
                "resources"
            } else if was.attributes != now.attributes {
                "attributes"
            } else if was.domain != now.domain {
                "domain"
            } else {
                return None;
            };
            Some(format!("{field} changed"))
        }
        ReconfigurationPolicy::Additive => taken_away(was, now),
    }
}

fn taken_away(was: &AgentInfo, now: &AgentInfo) -> Option<String> {
    if was.hostname != now.hostname {
        return Some("hostname changed".to_owned());
    }
    if was.domain.is_some() && was.domain != now.domain {
        return Some("domain changed".to_owned());
    }
    let lacking = was
        .resources
        .iter()
        .find(|resource| !has_resource(now, resource));
    if let Some(resource) = lacking {
        return Some(format!(
            "resource '{}' became less, which the policy 'additive' does not allow,",
            resource.name
        ));
    }
    let changed = was
        .attributes
        .iter()
        .find(|old| !now.attributes.iter().any(|new| extends(new, old)));
    changed.map(|attribute| {
        format!(
            "attribute '{}' was changed or taken away, which the policy 'additive' does not allow,",
            attribute.name
        )
    })
}

fn has_resource(now: &AgentInfo, wanted: &Resource) -> bool {
    let parse = |list: &[Resource]| Resources::from_proto(list).ok();
    // What cannot be read was refused before it came here; then it must not change at all.
    match (parse(&now.resources), parse(std::slice::from_ref(wanted))) {
        (Some(now), Some(wanted)) => now.contains(&wanted),
        _ => now.resources.contains(wanted),
    }
}

/// Ranges and sets may grow; numbers and texts stay as they are.
fn extends(new: &Attribute, old: &Attribute) -> bool {
    if new.name != old.name || new.r#type != old.r#type {
        return false;
    }
    let ranges = match (&new.ranges, &old.ranges) {
        (Some(new), Some(old)) => old.range.iter().all(|old| {
            new.range
                .iter()
                .any(|new| new.begin <= old.begin && old.end <= new.end)
        }),
        (new, old) => new == old,
    };
    let set = match (&new.set, &old.set) {
        (Some(new), Some(old)) => old.item.iter().all(|item| new.item.contains(item)),
        (new, old) => new == old,
    };
    ranges && set && new.scalar == old.scalar && new.text == old.text
}
