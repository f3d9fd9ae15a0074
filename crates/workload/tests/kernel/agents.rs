//! The kernel's agents: where there is room, and their comings and goings.

use std::sync::Arc;

use mezz_proto::v1::TaskState;
use mezz_sched::{Demand, PlaceKey};
use mezz_workload::event::{AgentInfo, AgentNews, Event, Placed};

use super::{Agent, Kernel};

impl Kernel {
    pub fn add_agent(&mut self, number: usize) {
        let info = AgentInfo {
            id: format!("agent-{number:03}").into(),
            hostname: format!("host-{number:03}").into(),
            ip: "10.0.0.1".into(),
            region: None,
            zone: None,
        };
        let agent = Agent {
            info: info.clone(),
            cpus: 100_000,
            next_port: 31_000,
            is_up: true,
        };
        self.agents.insert(Arc::clone(&info.id), agent);
    }

    pub fn tell_agents(&mut self) {
        let up: Vec<AgentInfo> = self
            .agents
            .values()
            .filter(|agent| agent.is_up)
            .map(|agent| agent.info.clone())
            .collect();
        for info in up {
            self.send(Event::Agent(AgentNews::Up(info)));
        }
        for id in self.unreachable.clone() {
            self.send(Event::Agent(AgentNews::Unreachable(id)));
        }
    }

    /// Places one instance of the demand of highest priority that fits somewhere.
    pub fn place_one(&mut self) -> bool {
        if self.is_full {
            return false;
        }
        let mut keys: Vec<_> = self
            .demands
            .iter()
            .map(|(key, demand)| (-demand.priority, *key))
            .collect();
        keys.sort_unstable();
        for (_, key) in keys {
            let demand = self.demands[&key].clone();
            let Some(agent) = self.find_room(&demand) else {
                continue;
            };
            if demand.count == 1 {
                self.demands.remove(&key);
            } else if let Some(demand) = self.demands.get_mut(&key) {
                demand.count -= 1;
            }
            let agent = self.agents.get_mut(&agent).unwrap();
            let mut ports: Vec<u16> = demand.ports.fixed.iter().copied().collect();
            for _ in 0..demand.ports.any {
                ports.push(agent.next_port);
                agent.next_port += 1;
            }
            ports.sort_unstable();
            let placed = Placed {
                demand: key,
                agent: agent.info.clone(),
                ports,
                resources: demand.request.allocated_to(&demand.role).to_proto(),
            };
            self.last_role = Some(demand.role.to_string());
            self.placing = Some((demand.group.0, demand.request.scalar("cpus").0));
            self.send(Event::Placed(placed));
            return true;
        }
        false
    }

    fn find_room(&self, demand: &Demand) -> Option<Arc<str>> {
        let needed = demand.request.scalar("cpus").0;
        let alone = demand
            .rules
            .spread
            .iter()
            .filter(|spread| matches!(spread.key, PlaceKey::Agent | PlaceKey::Hostname))
            .filter_map(|spread| spread.max_per)
            .min();
        self.agents
            .values()
            .filter(|agent| agent.is_up && !self.unreachable.contains(&agent.info.id))
            .map(|agent| {
                let here = || {
                    self.tasks
                        .values()
                        .filter(|task| task.agent == agent.info.id)
                };
                let used: i64 = here().map(|task| task.cpus).sum();
                let own = here().filter(|task| task.group == demand.group.0).count();
                (own, agent, used)
            })
            .filter(|(own, agent, used)| {
                agent.cpus - used >= needed && alone.is_none_or(|most| *own < most as usize)
            })
            .min_by_key(|(own, agent, _)| (*own, Arc::clone(&agent.info.id)))
            .map(|(_, agent, _)| Arc::clone(&agent.info.id))
    }

    /// The agent cannot be reached; its tasks go on.
    pub fn lose_agent(&mut self, id: &str) {
        self.unreachable.insert(id.into());
        self.send(Event::Agent(AgentNews::Unreachable(id.into())));
        self.settle();
    }

    /// The agent is back, and tells of its tasks.
    pub fn regain_agent(&mut self, id: &str) {
        self.unreachable.remove(id);
        let info = self.agents[id].info.clone();
        self.send(Event::Agent(AgentNews::Up(info)));
        let there: Vec<String> = self
            .tasks
            .iter()
            .filter(|(_, task)| *task.agent == *id)
            .map(|(id, _)| id.clone())
            .collect();
        for task in there {
            self.tell(&task);
        }
        self.settle();
    }

    /// The agent and its tasks are gone for good.
    pub fn drop_agent(&mut self, id: &str) {
        self.unreachable.remove(id);
        self.agents.get_mut(id).unwrap().is_up = false;
        let there: Vec<String> = self
            .tasks
            .iter()
            .filter(|(_, task)| *task.agent == *id)
            .map(|(id, _)| id.clone())
            .collect();
        for task in there {
            self.tasks.get_mut(&task).unwrap().state = TaskState::TaskGone;
            self.tasks.remove(&task);
        }
        self.send(Event::Agent(AgentNews::Gone(id.into())));
        self.settle();
    }
}
