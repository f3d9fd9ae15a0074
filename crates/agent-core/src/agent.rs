//! The state machine's entry: owns the whole state and hands each event to the part it belongs to.

use crate::config::Config;
use crate::effect::Effect;
use crate::event::{Event, Now};
use crate::journal::Record;
use crate::records::AgentRecords;
use std::sync::Arc;

/// The agent.
#[derive(Clone, Debug)]
pub struct AgentCore {
    config: Config,
}

impl AgentCore {
    /// An agent that waits for [`Event::Recovered`].
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// Takes in one event and appends what is to be done.
    pub fn handle(&mut self, _now: Now, _event: Event, _effects: &mut Vec<Effect>) {}

    /// The shortest journal that leads to the present state, for compaction.
    pub fn snapshot(&self) -> Vec<Record> {
        Vec::new()
    }

    /// What the agent shows of itself; cached until something changes.
    pub fn records(&mut self) -> Arc<AgentRecords> {
        Arc::new(AgentRecords {
            agent: Arc::new(self.config.agent.clone()),
            registration: crate::records::RegistrationState::Recovering,
            master: None,
            frameworks: Vec::new(),
            completed_frameworks: Vec::new(),
            counters: crate::records::Counters::default(),
        })
    }
}
