//! `/state-summary`: agents and frameworks with counts instead of tasks.

use std::collections::{BTreeMap, BTreeSet};

use mezz_core::key::{AgentKey, FrameworkKey};
use mezz_core::records::FrameworkState;
use mezz_proto::v1::TaskState;

use super::{agents, frameworks};
use crate::json::Json;
use crate::shared::Shared;
use crate::view::View;

const STATES: [TaskState; 10] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskFinished,
    TaskState::TaskKilled,
    TaskState::TaskFailed,
    TaskState::TaskLost,
    TaskState::TaskError,
    TaskState::TaskUnreachable,
];

#[derive(Default)]
struct Counts([u64; STATES.len()]);

impl Counts {
    fn add(&mut self, state: TaskState) {
        if let Some(index) = STATES.iter().position(|known| *known == state) {
            self.0[index] += 1;
        }
    }

    fn write(&self, json: &mut Json) {
        for (state, count) in STATES.iter().zip(self.0) {
            json.key(state.as_str_name()).integer(count);
        }
    }
}

pub(super) fn summary(shared: &Shared, view: &View) -> Vec<u8> {
    let mut by_agent: BTreeMap<AgentKey, (Counts, BTreeSet<FrameworkKey>)> = BTreeMap::new();
    let mut by_framework: BTreeMap<FrameworkKey, (Counts, BTreeSet<AgentKey>)> = BTreeMap::new();
    for (_, task) in view.records.tasks.iter() {
        let agent = by_agent.entry(task.agent).or_default();
        agent.0.add(task.state);
        agent.1.insert(task.framework);
        let framework = by_framework.entry(task.framework).or_default();
        framework.0.add(task.state);
        framework.1.insert(task.agent);
    }
    let mut json = Json::new();
    json.object(|json| {
        json.key("hostname").string(&shared.options.config.hostname);
        json.key("slaves").array(|json| {
            for (_, agent) in view.records.agents.iter() {
                if !matches!(
                    agent.state,
                    mezz_core::records::AgentState::Connected
                        | mezz_core::records::AgentState::Disconnected
                ) {
                    continue;
                }
                let (counts, keys) = by_agent.remove(&agent.key).unwrap_or_default();
                json.object(|json| {
                    agents::write_agent(json, agent);
                    counts.write(json);
                    let ids = keys
                        .iter()
                        .filter_map(|key| view.records.frameworks.get(key.index()));
                    json.key("framework_ids")
                        .strings(ids.map(|framework| framework.id.clone()));
                });
            }
        });
        json.key("frameworks").array(|json| {
            for (_, framework) in view.records.frameworks.iter() {
                if framework.state == FrameworkState::Completed {
                    continue;
                }
                let (counts, keys) = by_framework.remove(&framework.key).unwrap_or_default();
                json.object(|json| {
                    frameworks::write_head(json, framework);
                    counts.write(json);
                    let ids = keys.iter().map(|key| frameworks::agent_id(view, *key));
                    json.key("slave_ids").strings(ids);
                });
            }
        });
    });
    json.finish()
}
