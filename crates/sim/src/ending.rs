//! The end of a run: everything is made whole, and when it is quiet nothing may have been forgotten.

use std::collections::BTreeMap;

use mezz_agent_core::Role;
use mezz_core::event::OperatorAction;
use mezz_core::is_terminal;
use mezz_core::records::{AgentState, TaskList};
use mezz_proto::v1::TaskState;

use crate::network::SECOND;
use crate::schedule::Occurrence;
use crate::users::Users;
use crate::world::{Weather, World};

/// How long it may take until all is quiet.
const PATIENCE_S: u64 = 3000;

/// No probe of a check goes on for longer.
const LONGEST_PROBE_NS: u64 = 100 * SECOND;

type Held = BTreeMap<(String, String), (usize, TaskState)>;

impl World {
    pub(crate) fn end(&mut self) {
        self.note(|| "all is made whole".into());
        self.weather = Weather::Calm;
        self.disk.fails = false;
        for agent in 0..self.agents.len() {
            self.agents[agent].fuse = None;
            self.agents[agent].unreachable_until_ns = 0;
        }
        for framework in &mut self.frameworks {
            framework.unreachable_until_ns = 0;
        }
        self.soon(1, Occurrence::MasterStart);
        self.pass(100);
        for framework in 0..self.frameworks.len() {
            self.kill_half(framework);
        }
        self.reactivate_all();
        if !self.has_users() {
            return self.settle(Self::unsettled);
        }
        for framework in 0..self.frameworks.len() {
            self.kill_all(framework);
        }
        self.kill_all_native();
        self.users_calm_down();
        self.pass(100);
        self.declare_lost_agents_gone();
        self.settle(|world| world.unsettled().or_else(|| world.unsettled_objects()));
        if self.broken.is_none() && self.settings.users == Users::Crons {
            let checked = self.check_fire_times();
            checked.unwrap_or_else(|broken| self.fail(broken));
        }
        if self.broken.is_none() {
            self.users_delete_all();
            self.settle(|world| world.leftover().or_else(|| world.unsettled()));
        }
    }

    /// Waits until nothing is unsettled any more.
    fn settle(&mut self, unsettled: impl Fn(&mut Self) -> Option<String>) {
        for _ in 0..PATIENCE_S / 50 {
            self.pass(50);
            if self.broken.is_some() || unsettled(self).is_none() {
                return;
            }
        }
        if let Some(unsettled) = unsettled(self) {
            self.fail(format!("after {PATIENCE_S} s without faults: {unsettled}"));
        }
    }

    fn pass(&mut self, seconds: u64) {
        let until = self.now_ns + seconds * SECOND;
        self.run_until(until);
    }

    fn reactivate_all(&mut self) {
        let Some(core) = &self.master.core else {
            return;
        };
        let records = core.records();
        let off: Vec<String> = records
            .agents
            .iter()
            .filter(|(_, agent)| agent.deactivated)
            .map(|(_, agent)| agent.id.to_string())
            .collect();
        for agent_id in off {
            self.operator(OperatorAction::ReactivateAgent { agent_id });
        }
    }

    /// What has not come to rest yet.
    fn unsettled(&mut self) -> Option<String> {
        let mut held: Held = BTreeMap::new();
        for agent in 0..self.agents.len() {
            if self.agents[agent].core.is_none() {
                return Some(format!("agent {agent} is down"));
            }
            for (place, state) in self.held_tasks(agent) {
                if is_terminal(state) {
                    return Some(format!(
                        "agent {agent} holds {place:?}, {state:?} and not acknowledged"
                    ));
                }
                held.insert(place, (agent, state));
            }
        }
        self.unsettled_master(&held)
            .or_else(|| self.unsettled_frameworks(&held))
            .or_else(|| self.unsettled_machines())
    }

    fn unsettled_master(&self, held: &Held) -> Option<String> {
        let Some(core) = &self.master.core else {
            return Some("the master is down".into());
        };
        let records = core.records();
        for (index, agent) in self.agents.iter().enumerate() {
            let id = agent
                .core
                .as_ref()
                .and_then(|core| core.agent_id())
                .unwrap_or_default();
            let known = records
                .agents
                .iter()
                .find(|(_, record)| *record.id == *id && record.state == AgentState::Connected);
            if known.is_none() {
                return Some(format!("agent {index} ({id}) is not registered"));
            }
        }
        let mut live = 0;
        for (_, task) in records
            .tasks
            .iter()
            .filter(|(_, task)| task.list == TaskList::Live)
        {
            let framework = records.frameworks.get(task.framework.index());
            let name = (
                framework
                    .map(|record| record.id.to_string())
                    .unwrap_or_default(),
                task.id.to_string(),
            );
            match held.get(&name) {
                Some((_, state)) if *state == task.state => live += 1,
                other => {
                    return Some(format!(
                        "the master has {name:?} as {:?}, its agent says {other:?}",
                        task.state
                    ));
                }
            }
        }
        if live != held.len() {
            let known = |(framework, task): &&(String, String)| {
                records
                    .tasks
                    .iter()
                    .any(|(_, record)| *record.id == **task && record.list == TaskList::Live)
                    || framework.is_empty()
            };
            return Some(format!(
                "agents hold what the master does not know: {:?}",
                held.keys().find(|name| !known(name))
            ));
        }
        None
    }

    fn unsettled_frameworks(&self, held: &Held) -> Option<String> {
        for (index, node) in self.frameworks.iter().enumerate() {
            if node.over {
                continue;
            }
            let Some(id) = node.id.as_ref().filter(|_| node.subscribed) else {
                return Some(format!("framework {index} is not subscribed"));
            };
            for (task, view) in &node.tasks {
                let held = held
                    .get(&(id.clone(), task.clone()))
                    .map(|(_, state)| *state);
                match (held, view.state) {
                    (Some(held), Some(seen)) if held == seen => {}
                    (None, _) if view.is_over() => {}
                    // An agent that was emptied while nobody heard it never comes back under that id.
                    (None, Some(TaskState::TaskUnreachable))
                        if !self.is_an_agent(&view.agent_id) => {}
                    (held, seen) => {
                        return Some(format!(
                            "framework {index} sees {task} as {seen:?}, its agent as {held:?}"
                        ));
                    }
                }
            }
        }
        for (index, agent) in self.agents.iter().enumerate() {
            for (uuid, (framework, task)) in &agent.promised {
                if self.listens(framework) && !self.was_seen(framework, task, uuid) {
                    return Some(format!(
                        "the last update of {task} of {framework} from agent {index} was never seen"
                    ));
                }
            }
        }
        None
    }

    fn is_an_agent(&self, id: &str) -> bool {
        let mut ids = self
            .agents
            .iter()
            .filter_map(|agent| agent.core.as_ref()?.agent_id());
        ids.any(|own| own == id)
    }

    fn unsettled_machines(&mut self) -> Option<String> {
        for agent in 0..self.agents.len() {
            let known = self.known_launches(agent);
            let stray = self.agents[agent]
                .containers
                .iter()
                .find(|(launch_id, container)| match container.role {
                    Role::Main => !known.contains(launch_id),
                    Role::Probe | Role::Session => {
                        self.now_ns - container.started_ns > LONGEST_PROBE_NS
                    }
                });
            if let Some((launch_id, container)) = stray {
                return Some(format!(
                    "container {launch_id} of agent {agent} belongs to nobody: {container:?}"
                ));
            }
        }
        None
    }
}
