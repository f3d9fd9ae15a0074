//! `/registrar(1)/registry`: what the store holds, in the form of Mesos's registry.

use mezz_core::records::{AgentRecord, AgentState};

use super::roles::write_weights;
use crate::json::Json;
use crate::view::View;

pub(super) fn registry(view: &View) -> Vec<u8> {
    let mut json = Json::new();
    json.object(|json| {
        json.key("master").object(|json| {
            json.key("info").message(&view.records.master.info);
        });
        json.key("slaves").object(|json| {
            json.key("slaves").array(|json| write_admitted(json, view));
        });
        for (name, state) in [
            ("unreachable", AgentState::Unreachable),
            ("gone", AgentState::Gone),
        ] {
            json.key(name).object(|json| {
                json.key("slaves")
                    .array(|json| write_lost(json, view, state));
            });
        }
        json.key("machines").object(|json| {
            json.key("machines").array(|_| {});
        });
        json.key("weights").array(|json| write_weights(json, view));
        json.key("quotas").array(|_| {});
        json.key("schedules").array(|_| {});
    });
    json.finish()
}

fn write_admitted(json: &mut Json, view: &View) {
    let is_admitted = |agent: &&AgentRecord| {
        matches!(
            agent.state,
            AgentState::Recovered | AgentState::Connected | AgentState::Disconnected
        )
    };
    let agents = view.records.agents.iter().map(|(_, agent)| &**agent);
    for agent in agents.filter(is_admitted) {
        json.object(|json| {
            json.key("info").message(&*agent.info);
            if agent.deactivated {
                json.key("deactivated").boolean(true);
            }
        });
    }
}

fn write_lost(json: &mut Json, view: &View, state: AgentState) {
    for (_, agent) in view.records.agents.iter() {
        if agent.state != state {
            continue;
        }
        json.object(|json| {
            json.key("id")
                .object(|json| json.key("value").string(&agent.id));
            json.key("timestamp").object(|json| {
                let at = agent.lost_at.unwrap_or_default();
                json.key("nanoseconds").integer(at.nanoseconds());
            });
        });
    }
}
