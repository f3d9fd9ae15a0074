//! Agents that stay away: when they become unreachable, at which pace, and when they are forgotten.

use std::sync::Arc;

use crate::config::WHOLE;
use crate::effect::{Effect, Effects};
use crate::event::TimerKey;
use crate::fact::{AgentRemoval, Fact};
use crate::key::AgentKey;
use crate::master::Master;
use crate::metrics::Counter;
use crate::records::AgentState;
use crate::time::Wall;

/// What became of an agent that is to be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    Done,
    /// Its turn comes later; until then it may still return.
    Waits,
}

impl Master {
    pub(crate) fn on_reregister_timeout(&mut self, agent: AgentKey, effects: &mut Effects) {
        let state = self
            .records
            .agents
            .get(agent.index())
            .map(|record| record.state);
        if state == Some(AgentState::Recovered) {
            if let Some(reason) = self.recovery_limit_exceeded() {
                let at = self.now.mono.after(self.config.agent_reregister_timeout_ns);
                self.set_timer(TimerKey::Reregister(agent), at, effects);
                return effects.list.push(Effect::StepDown(reason));
            }
            self.records.metrics.count(Counter::RecoverySlaveRemovals);
        }
        if matches!(
            state,
            Some(AgentState::Recovered | AgentState::Disconnected)
        ) {
            self.lose_agent(agent, effects);
        }
    }

    /// So many agents missing at once speak of a fault on this side rather than of theirs.
    fn recovery_limit_exceeded(&self) -> Option<String> {
        let limit = self.config.recovery_agent_removal_limit;
        let count = |state| u64::from(self.agent_states.of(state));
        let missing = count(AgentState::Recovered);
        let known = missing + count(AgentState::Connected) + count(AgentState::Disconnected);
        let exceeded = limit < WHOLE && missing * u64::from(WHOLE) > u64::from(limit) * known;
        exceeded.then(|| {
            format!(
                "{missing} of {known} agents did not come back after the failover, more than --recovery-agent-removal-limit allows; none was made unreachable"
            )
        })
    }

    /// Makes the agent unreachable, now or when the pace of removals lets it.
    pub(crate) fn lose_agent(&mut self, agent: AgentKey, effects: &mut Effects) -> Loss {
        let timer = TimerKey::Removal(agent);
        if self.timers.armed.contains_key(&timer) {
            return Loss::Waits;
        }
        self.records
            .metrics
            .count(Counter::SlaveUnreachableScheduled);
        if let Some(interval_ns) = self.config.agent_removal_interval_ns {
            let turn = self.timers.next_removal.max(self.now.mono);
            self.timers.next_removal = turn.after(interval_ns);
            if turn > self.now.mono {
                self.set_timer(timer, turn, effects);
                return Loss::Waits;
            }
        }
        self.mark_unreachable(agent, effects);
        Loss::Done
    }

    pub(crate) fn on_removal_due(&mut self, agent: AgentKey, effects: &mut Effects) {
        if matches!(
            self.agent(agent).state,
            AgentState::Recovered | AgentState::Disconnected | AgentState::Connected
        ) {
            self.mark_unreachable(agent, effects);
        }
    }

    /// The agent is there again before its turn came.
    pub(crate) fn cancel_removal(&mut self, agent: AgentKey, effects: &mut Effects) {
        let timer = TimerKey::Removal(agent);
        if self.timers.armed.contains_key(&timer) {
            self.records
                .metrics
                .count(Counter::SlaveUnreachableCanceled);
            self.cancel_timer(timer, effects);
        }
    }

    fn mark_unreachable(&mut self, agent: AgentKey, effects: &mut Effects) {
        self.records
            .metrics
            .count(Counter::SlaveUnreachableCompleted);
        self.take_agent_out(
            agent,
            AgentState::Unreachable,
            Counter::SlaveRemovalsUnhealthy,
            effects,
        );
        let token = self.persist_agent(agent, effects);
        let tasks: Vec<_> = self.agent_live(agent).tasks.iter().copied().collect();
        for key in tasks {
            self.make_task_unreachable(key, token, effects);
        }
        self.remove_agent_executors(agent);
        self.emit(Fact::AgentUnreachable { agent }, effects);
        self.announce_agent_loss(agent, AgentRemoval::Unreachable, token, effects);
    }

    pub(crate) fn plan_collection(&mut self, effects: &mut Effects) {
        let at = self.now.mono.after(self.config.registry_gc_interval_ns);
        self.set_timer(TimerKey::RegistryCollection, at, effects);
    }

    /// Forgets agents that were lost too long ago, and the oldest where there are too many.
    pub(crate) fn collect_lost_agents(&mut self, effects: &mut Effects) {
        for state in [AgentState::Unreachable, AgentState::Gone] {
            let mut lost: Vec<(Wall, AgentKey)> = self
                .records
                .agents
                .iter()
                .filter(|(_, agent)| agent.state == state)
                .map(|(_, agent)| (agent.lost_at.unwrap_or_default(), agent.key))
                .collect();
            lost.sort_unstable();
            let surplus = lost
                .len()
                .saturating_sub(self.config.registry_max_agent_count);
            for (position, (lost_at, agent)) in lost.into_iter().enumerate() {
                let age_ns = self.now.wall.0.saturating_sub(lost_at.0);
                if position < surplus || age_ns > self.config.registry_max_agent_age_ns {
                    self.forget_lost_agent(agent, effects);
                }
            }
        }
        self.plan_collection(effects);
    }

    /// Its tasks stay in the lists of their frameworks, and may come back with it under its old id.
    fn forget_lost_agent(&mut self, agent: AgentKey, effects: &mut Effects) {
        let id = Arc::clone(&self.agent(agent).id);
        self.forget_agent(&id, effects);
        self.index.agents.remove(&id);
        self.set_agent_state(agent, AgentState::Removed);
        // It cannot come back as the one that it was.
        self.tell_of_loss(agent);
    }
}
