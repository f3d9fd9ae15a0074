//! Agent sessions: hello, permits, pings, loss of the connection. Registration itself is in [`crate::registration`].

use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::refused::Action;
use mezz_proto::v1;
use v1::task_status::Reason;

use crate::accounts::agent_sched_key;
use crate::agent_loss::Loss;
use crate::effect::{Effect, Effects};
use crate::event::TimerKey;
use crate::fact::{AgentRemoval, Fact};
use crate::key::{AgentKey, SessionKey};
use crate::master::Master;
use crate::metrics::Counter;
use crate::records::AgentState;
use crate::state::SessionState;
use crate::time::{Mono, SECOND_NS};

/// Unacknowledged frames that this master accepts from one agent.
const WINDOW: u32 = 4096;
/// Pings of the time between two of one agent go out together in so many lots.
const PING_STEPS: u64 = 128;
const RETRY_AFTER_MS: u64 = SECOND_NS / 1_000_000;

impl Master {
    pub(crate) fn on_agent_body(&mut self, session: SessionKey, body: Body, effects: &mut Effects) {
        match (self.index.sessions.get(&session).copied(), body) {
            (None, Body::Hello(hello)) => self.on_hello(session, &hello, effects),
            (Some(SessionState::Admitted), Body::Register(register)) => {
                self.on_register(session, register, effects);
            }
            (Some(SessionState::Admitted), Body::Reregister(register)) => {
                self.on_reregister(session, register, effects);
            }
            (Some(SessionState::Registered(agent)), body) => {
                self.on_registered_body(agent, body, effects);
            }
            // A frame out of its place: the peer does not speak this protocol.
            (state, _) => {
                self.records.metrics.count(Counter::DroppedMessages);
                if state == Some(SessionState::Admitted) {
                    self.return_permit(effects);
                }
                self.index.sessions.remove(&session);
                effects.list.push(Effect::CloseSession {
                    session,
                    after: None,
                });
            }
        }
    }

    fn on_registered_body(&mut self, agent: AgentKey, body: Body, effects: &mut Effects) {
        match body {
            Body::Pong(agent::Pong {}) => {
                self.agent_live(agent).missed_pings = 0;
                self.cancel_removal(agent, effects);
            }
            Body::StatusUpdate(update) => self.on_status_update(agent, update, effects),
            Body::ExecutorMessage(message) => self.on_executor_message(agent, message, effects),
            Body::ExecutorExited(exited) => self.on_executor_exited(agent, exited, effects),
            Body::Unregister(unregister) => self.on_unregister(agent, unregister, effects),
            _ => self.records.metrics.count(Counter::DroppedMessages),
        }
    }

    fn on_hello(&mut self, session: SessionKey, hello: &agent::Hello, effects: &mut Effects) {
        if let Some((action, message)) = self.refusal(hello) {
            let refused = agent::Refused {
                action: action as i32,
                message,
                retry_after_ms: Some(RETRY_AFTER_MS),
            };
            effects.to_agent(session, Body::Refused(refused));
            effects.list.push(Effect::CloseSession {
                session,
                after: None,
            });
            return;
        }
        if self.permits_taken < self.config.registration_permits {
            self.admit(session, effects);
        } else {
            self.index.sessions.insert(session, SessionState::Waiting);
            self.waiting_sessions.push_back(session);
        }
    }

    fn refusal(&self, hello: &agent::Hello) -> Option<(Action, String)> {
        let master = &self.records.master;
        if master.elected_at.is_none() {
            return Some((Action::Retry, "this master does not lead yet".into()));
        }
        if let Some(cluster) = hello
            .cluster_id
            .as_ref()
            .filter(|cluster| **cluster != master.cluster_id)
        {
            return Some((
                Action::Exit,
                format!(
                    "this agent belongs to cluster {cluster}, and this master leads cluster {}; use another --work-dir or another --master",
                    master.cluster_id
                ),
            ));
        }
        if hello.epoch.is_some_and(|epoch| epoch > master.epoch) {
            return Some((
                Action::Retry,
                "this master's epoch is behind the agent's: another master leads".into(),
            ));
        }
        let known = hello
            .agent_id
            .as_ref()
            .and_then(|id| self.index.agents.get(id.value.as_str()));
        if known.is_some_and(|key| self.agent(*key).state == AgentState::Gone) {
            return Some((Action::Shutdown, "Agent has been marked gone".into()));
        }
        None
    }

    fn admit(&mut self, session: SessionKey, effects: &mut Effects) {
        self.permits_taken += 1;
        self.index.sessions.insert(session, SessionState::Admitted);
        let total_ping_ns = self
            .config
            .agent_ping_timeout_ns
            .saturating_mul(u64::from(self.config.max_agent_ping_timeouts));
        let admitted = agent::Admitted {
            cluster_id: self.records.master.cluster_id.clone(),
            epoch: self.records.master.epoch,
            mezz_version: self.config.mezz_version.clone(),
            window: Some(WINDOW),
            ping_timeout_ms: total_ping_ns / 1_000_000,
        };
        effects.to_agent(session, Body::Admitted(admitted));
    }

    /// Gives a permit back and passes it on.
    pub(crate) fn return_permit(&mut self, effects: &mut Effects) {
        self.permits_taken = self.permits_taken.saturating_sub(1);
        while let Some(next) = self.waiting_sessions.pop_front() {
            if self.index.sessions.get(&next) == Some(&SessionState::Waiting) {
                return self.admit(next, effects);
            }
        }
    }

    pub(crate) fn on_session_closed(&mut self, session: SessionKey, effects: &mut Effects) {
        match self.index.sessions.remove(&session) {
            Some(SessionState::Admitted) => self.return_permit(effects),
            Some(SessionState::Registered(agent))
                if self.agent_live(agent).session == Some(session) =>
            {
                self.on_agent_disconnected(agent, effects);
            }
            _ => {}
        }
    }

    /// The connection broke: no offers, and what does not checkpoint counts as lost at once.
    fn on_agent_disconnected(&mut self, agent: AgentKey, effects: &mut Effects) {
        self.agent_live(agent).session = None;
        self.agent_live(agent).told_frameworks.clear();
        self.set_agent_state(agent, AgentState::Disconnected);
        self.sched.deactivate_agent(agent_sched_key(agent));
        self.rescind_agent_offers(agent, effects);
        let tasks: Vec<_> = self.agent_live(agent).tasks.iter().copied().collect();
        let hostname = self.agent(agent).info.hostname.clone();
        for key in tasks {
            let Some(framework) = self.task(key).map(|task| task.framework) else {
                continue;
            };
            if self.framework(framework).info.checkpoint() {
                continue;
            }
            let state = self.lost_or(framework, v1::TaskState::TaskLost);
            let text = format!("Agent {hostname} disconnected");
            if let Some(status) =
                self.end_task_by_master(key, state, Reason::AgentDisconnected, text, effects)
            {
                self.send_event(framework, crate::wire::update(status), effects);
            }
        }
        let executors: Vec<_> = self.agent_live(agent).executors.iter().copied().collect();
        for key in executors {
            let framework = self
                .records
                .executors
                .get(key.index())
                .map(|executor| executor.framework);
            if framework.is_some_and(|framework| !self.framework(framework).info.checkpoint()) {
                self.remove_executor(key);
            }
        }
        self.emit(Fact::AgentDisconnected { agent }, effects);
        let at = self.now.mono.after(self.config.agent_reregister_timeout_ns);
        self.set_timer(TimerKey::Reregister(agent), at, effects);
    }

    pub(crate) fn on_ping_due(&mut self, agent: AgentKey, effects: &mut Effects) {
        let Some(state) = self
            .records
            .agents
            .get(agent.index())
            .map(|record| record.state)
        else {
            return;
        };
        if !matches!(state, AgentState::Connected | AgentState::Disconnected) {
            return;
        }
        let live = self.agent_live(agent);
        if live.missed_pings >= self.config.max_agent_ping_timeouts
            && self.lose_agent(agent, effects) == Loss::Done
        {
            return;
        }
        self.agent_live(agent).missed_pings += 1;
        let ping = agent::Ping {
            connected: state == AgentState::Connected,
        };
        self.send_agent(agent, Body::Ping(ping), None, effects);
        self.ping_later(agent, effects);
    }

    /// Agents whose turns come at nearly the same time have them at the same: a wake-up for each would cost more than
    /// the pings.
    pub(crate) fn ping_later(&mut self, agent: AgentKey, effects: &mut Effects) {
        let every_ns = self.config.agent_ping_timeout_ns;
        let step_ns = (every_ns / PING_STEPS).max(1);
        let at = Mono(self.now.mono.after(every_ns).0.next_multiple_of(step_ns));
        self.set_timer(TimerKey::Ping(agent), at, effects);
    }

    /// Common to every way of losing an agent: no session, no offers, nothing in the ledger.
    pub(crate) fn take_agent_out(
        &mut self,
        agent: AgentKey,
        state: AgentState,
        counter: Counter,
        effects: &mut Effects,
    ) {
        self.records.metrics.count(Counter::SlaveRemovals);
        self.records.metrics.count(counter);
        if let Some(session) = self.agent_live(agent).session.take() {
            self.index.sessions.remove(&session);
            effects.list.push(Effect::CloseSession {
                session,
                after: None,
            });
        }
        self.cancel_timer(TimerKey::Ping(agent), effects);
        self.cancel_timer(TimerKey::Reregister(agent), effects);
        self.cancel_timer(TimerKey::Removal(agent), effects);
        self.rescind_agent_offers(agent, effects);
        self.sched.remove_agent(agent_sched_key(agent));
        let now = self.now.wall;
        self.agent_mut(agent).lost_at = Some(now);
        self.set_agent_state(agent, state);
    }

    pub(crate) fn remove_agent_executors(&mut self, agent: AgentKey) {
        let executors: Vec<_> = self.agent_live(agent).executors.iter().copied().collect();
        for executor in executors {
            self.remove_executor(executor);
        }
    }

    /// Every framework hears that the agent failed.
    pub(crate) fn announce_agent_loss(
        &mut self,
        agent: AgentKey,
        reason: AgentRemoval,
        token: crate::key::Token,
        effects: &mut Effects,
    ) {
        let agent_id = Arc::clone(&self.agent(agent).id);
        let frameworks: Vec<_> = self
            .frameworks
            .iter()
            .filter(|(_, live)| live.connection.is_some())
            .map(|(key, _)| *key)
            .collect();
        for framework in frameworks {
            self.send_event_after(
                framework,
                crate::wire::failure(&agent_id, None, None),
                Some(token),
                effects,
            );
        }
        self.emit(
            Fact::AgentRemoved {
                agent,
                agent_id: agent_id.to_string(),
                reason,
            },
            effects,
        );
    }

    /// An orderly stop: its tasks are over and it does not come back under this id.
    fn on_unregister(
        &mut self,
        agent: AgentKey,
        unregister: agent::Unregister,
        effects: &mut Effects,
    ) {
        self.records.metrics.count(Counter::MessagesUnregisterSlave);
        let cause = unregister
            .message
            .unwrap_or_else(|| "the agent unregistered".into());
        self.remove_agent(agent, &cause, effects);
    }

    /// Forgets an agent; its tasks are lost.
    pub(crate) fn remove_agent(&mut self, agent: AgentKey, cause: &str, effects: &mut Effects) {
        self.take_agent_out(
            agent,
            AgentState::Disconnected,
            Counter::SlaveRemovalsUnregistered,
            effects,
        );
        let (id, hostname) = (
            Arc::clone(&self.agent(agent).id),
            self.agent(agent).info.hostname.clone(),
        );
        let token = self.forget_agent(&id, effects);
        self.agent_live(agent).stored = None;
        self.end_agent_tasks(
            agent,
            v1::TaskState::TaskLost,
            Reason::AgentRemoved,
            &format!("Agent {hostname} removed: {cause}"),
            token,
            effects,
        );
        self.remove_agent_executors(agent);
        self.announce_agent_loss(agent, AgentRemoval::Unregistered, token, effects);
        self.index.agents.remove(&id);
        // The slot is not used again while completed tasks refer to it; the record stays for them, under no id.
        self.set_agent_state(agent, AgentState::Removed);
    }

    /// Ends all tasks of an agent, live or unreachable, and tells their frameworks once that is durable.
    pub(crate) fn end_agent_tasks(
        &mut self,
        agent: AgentKey,
        state: v1::TaskState,
        reason: Reason,
        text: &str,
        token: crate::key::Token,
        effects: &mut Effects,
    ) {
        let live = self.agent_live(agent);
        let tasks: Vec<_> = live
            .tasks
            .iter()
            .chain(&live.unreachable)
            .copied()
            .collect();
        for key in tasks {
            let Some(framework) = self.task(key).map(|task| task.framework) else {
                continue;
            };
            let told = self.lost_or(framework, state);
            let told_reason = if told == v1::TaskState::TaskLost {
                Reason::AgentRemoved
            } else {
                reason
            };
            if let Some(status) = self.end_task_by_master(key, told, told_reason, text, effects) {
                self.send_event_after(framework, crate::wire::update(status), Some(token), effects);
            }
        }
    }
}
