//! How many agents stand where, kept beside the records so that nobody counts them again.
//! Owns every change of an agent's state; what follows from a change is its caller's business.

use crate::key::AgentKey;
use crate::master::Master;
use crate::records::{AgentRecord, AgentState};

/// The number of agents in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct AgentStates([u32; 6]);

impl AgentStates {
    pub(crate) fn of(&self, state: AgentState) -> u32 {
        self.0[state as usize]
    }

    /// Counts from the records, for those that check.
    pub(crate) fn counted<'a>(agents: impl Iterator<Item = &'a AgentRecord>) -> Self {
        let mut states = Self::default();
        for agent in agents {
            states.0[agent.state as usize] += 1;
        }
        states
    }
}

impl Master {
    pub(crate) fn set_agent_state(&mut self, agent: AgentKey, state: AgentState) {
        let before = std::mem::replace(&mut self.agent_mut(agent).state, state);
        self.agent_states.0[before as usize] -= 1;
        self.agent_states.0[state as usize] += 1;
    }

    /// Keeps a new agent, or one in the slot of an agent that nothing refers to any longer.
    pub(crate) fn insert_agent_record(&mut self, record: AgentRecord) {
        let (index, state) = (record.key.index(), record.state);
        if let Some(before) = self.records.agents.insert(index, record) {
            self.agent_states.0[before.state as usize] -= 1;
        }
        self.agent_states.0[state as usize] += 1;
    }
}
