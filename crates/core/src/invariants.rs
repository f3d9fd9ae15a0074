//! What holds after every event: indexes, lists, counts and timers agree with the records. Reads the state, changes nothing.

use std::collections::BTreeSet;

use crate::agent_states::AgentStates;
use crate::event::TimerKey;
use crate::key::FrameworkKey;
use crate::master::Master;
use crate::records::{AgentRecord, AgentState, FrameworkState, TaskList};
use crate::state::SessionState;

pub(crate) fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken()) }
}

impl Master {
    /// Says what is broken in this state, if anything: for tests and simulation, after every event.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.check_indexes()?;
        self.check_slots()?;
        self.check_lists()?;
        self.check_offers()?;
        self.check_connections()?;
        self.check_timers()?;
        self.check_bounds()?;
        self.check_native_queue()?;
        self.check_conservation()
    }

    fn check_indexes(&self) -> Result<(), String> {
        let (records, index) = (&self.records, &self.index);
        let mut agents = 0;
        for (slot, agent) in records.agents.iter() {
            ensure(agent.key.index() == slot, || {
                format!("agent {} is in slot {slot}", agent.id)
            })?;
            if agent.state == AgentState::Removed {
                continue;
            }
            agents += 1;
            ensure(index.agents.get(&agent.id) == Some(&agent.key), || {
                format!("agent {} is not found by its id", agent.id)
            })?;
        }
        ensure(index.agents.len() == agents, || {
            "the index of agents names some that are not there".into()
        })?;
        for (_, framework) in records.frameworks.iter() {
            let found = index.frameworks.get(&framework.id);
            ensure(found == Some(&framework.key), || {
                format!("framework {} is not found by its id", framework.id)
            })?;
        }
        for (_, task) in records.tasks.iter() {
            let found = index.tasks.get(&(task.framework, task.id.clone()));
            ensure(found == Some(&task.key), || {
                format!("task {} is not found by its id", task.id)
            })?;
        }
        for (_, executor) in records.executors.iter() {
            let name = (executor.agent, executor.framework, executor.id.clone());
            ensure(index.executors.get(&name) == Some(&executor.key), || {
                format!("executor {} is not found by its id", executor.id)
            })?;
        }
        for (_, offer) in records.offers.iter() {
            ensure(index.offers.get(&offer.id) == Some(&offer.key), || {
                format!("offer {} is not found by its id", offer.id)
            })?;
        }
        let sizes = [
            (
                "frameworks",
                index.frameworks.len(),
                records.frameworks.len(),
            ),
            ("tasks", index.tasks.len(), records.tasks.len()),
            ("executors", index.executors.len(), records.executors.len()),
            ("offers", index.offers.len(), records.offers.len()),
        ];
        for (what, indexed, present) in sizes {
            ensure(indexed == present, || {
                format!("{indexed} {what} in the index, {present} records")
            })?;
        }
        Ok(())
    }

    /// No slot was given back while in use, given back twice, or lost.
    fn check_slots(&self) -> Result<(), String> {
        let (free, records) = (&self.free, &self.records);
        let counts = [
            ("agent", free.agents.in_use(), records.agents.len()),
            (
                "framework",
                free.frameworks.in_use(),
                records.frameworks.len(),
            ),
            ("task", free.tasks.in_use(), records.tasks.len()),
            ("executor", free.executors.in_use(), records.executors.len()),
            ("offer", free.offers.in_use(), records.offers.len()),
            ("pending", free.pending.in_use(), records.pending.len()),
        ];
        for (what, taken, present) in counts {
            ensure(taken == present, || {
                format!("{taken} {what} slots are taken for {present} records")
            })?;
        }
        ensure(
            self.frameworks.len() == records.frameworks.len()
                && self.agents.len() == records.agents.len(),
            || "live state and records are not of the same agents and frameworks".into(),
        )?;
        let states = AgentStates::counted(records.agents.iter().map(|(_, agent)| &**agent));
        ensure(states == self.agent_states, || {
            format!(
                "{:?} agents are counted, {states:?} present",
                self.agent_states
            )
        })
    }

    fn check_offers(&self) -> Result<(), String> {
        for (_, offer) in self.records.offers.iter() {
            let id = &offer.id;
            ensure(
                self.framework(offer.framework).state == FrameworkState::Active,
                || format!("offer {id} is with a framework that is not subscribed"),
            )?;
            ensure(self.agent(offer.agent).is_active(), || {
                format!("offer {id} is of an agent that is not active")
            })?;
            ensure(!offer.resources.is_empty(), || {
                format!("offer {id} is empty")
            })?;
        }
        Ok(())
    }

    fn check_connections(&self) -> Result<(), String> {
        let sessions = &self.index.sessions;
        for (_, agent) in self.records.agents.iter() {
            let session = self.agents.get(&agent.key).and_then(|live| live.session);
            let registered = session.is_some_and(|session| {
                sessions.get(&session) == Some(&SessionState::Registered(agent.key))
            });
            ensure(
                (agent.state == AgentState::Connected) == registered
                    && registered == session.is_some(),
                || {
                    format!(
                        "agent {} is {:?} with session {session:?}",
                        agent.id, agent.state
                    )
                },
            )?;
        }
        let count = |wanted: fn(&SessionState) -> bool| {
            sessions.values().filter(|state| wanted(state)).count()
        };
        let registered = count(|state| matches!(state, SessionState::Registered(_)));
        let connected = self
            .records
            .agents
            .iter()
            .filter(|(_, agent)| agent.state == AgentState::Connected);
        ensure(registered == connected.count(), || {
            "a session is registered for an agent that is not connected by it".into()
        })?;
        let admitted = count(|state| *state == SessionState::Admitted);
        ensure(self.permits_taken as usize == admitted, || {
            format!(
                "{} permits are taken by {admitted} sessions",
                self.permits_taken
            )
        })?;
        let mut streams = 0;
        for (key, live) in &self.frameworks {
            let record = self.framework(*key);
            let stream = live.connection.as_ref().map(|connection| connection.stream);
            streams += usize::from(stream.is_some());
            let indexed = stream.is_none_or(|stream| self.index.streams.get(&stream) == Some(key));
            let active = record.state == FrameworkState::Active && !record.built_in;
            ensure(indexed && active == stream.is_some(), || {
                format!(
                    "framework {} is {:?} with stream {stream:?}",
                    record.id, record.state
                )
            })?;
        }
        ensure(streams == self.index.streams.len(), || {
            "a stream is open for a framework that does not know it".into()
        })
    }

    /// Adds the timers that an agent in its state has to have, and those that it may have.
    fn timers_of_agent(
        &self,
        agent: &AgentRecord,
        expected: &mut BTreeSet<TimerKey>,
        allowed: &mut BTreeSet<TimerKey>,
    ) {
        let removal = TimerKey::Removal(agent.key);
        let waits = self.timers.armed.contains_key(&removal);
        if waits
            && matches!(
                agent.state,
                AgentState::Recovered | AgentState::Disconnected
            )
        {
            allowed.extend([
                removal,
                TimerKey::Reregister(agent.key),
                TimerKey::Ping(agent.key),
            ]);
            return;
        }
        match agent.state {
            AgentState::Recovered => {
                expected.insert(TimerKey::Reregister(agent.key));
            }
            AgentState::Disconnected => {
                expected.insert(TimerKey::Reregister(agent.key));
                allowed.insert(TimerKey::Ping(agent.key));
            }
            AgentState::Connected => {
                allowed.insert(removal);
                expected.insert(TimerKey::Ping(agent.key));
            }
            AgentState::Unreachable | AgentState::Gone | AgentState::Removed => {}
        }
    }

    fn check_timers(&self) -> Result<(), String> {
        let mut expected = BTreeSet::new();
        let mut allowed = BTreeSet::from([
            TimerKey::Allocate,
            TimerKey::OfferTimeout,
            TimerKey::Recall,
            TimerKey::RegistryCollection,
            TimerKey::TellWork,
        ]);
        for (_, agent) in self.records.agents.iter() {
            self.timers_of_agent(agent, &mut expected, &mut allowed);
        }
        for (key, live) in &self.frameworks {
            let record = self.framework(*key);
            expected.extend(
                live.connection
                    .as_ref()
                    .map(|connection| TimerKey::Heartbeat(connection.stream)),
            );
            if matches!(
                record.state,
                FrameworkState::Disconnected | FrameworkState::Recovered
            ) {
                expected.insert(TimerKey::Failover(*key));
            }
        }
        expected.extend(self.work.timer_keys());
        if self.work.statuses() > 0 {
            expected.insert(TimerKey::TellWork);
        }
        let armed: BTreeSet<TimerKey> = self.timers.armed.keys().copied().collect();
        if let Some(missing) = expected.difference(&armed).next() {
            return Err(format!("the timer {missing:?} is not armed"));
        }
        match armed
            .difference(&expected)
            .find(|key| !allowed.contains(key))
        {
            Some(stray) => Err(format!("the timer {stray:?} refers to nothing")),
            None => Ok(()),
        }
    }

    fn check_bounds(&self) -> Result<(), String> {
        let config = &self.config;
        let completed: BTreeSet<FrameworkKey> = self
            .records
            .frameworks
            .iter()
            .filter(|(_, framework)| framework.state == FrameworkState::Completed)
            .map(|(_, framework)| framework.key)
            .collect();
        let listed: BTreeSet<FrameworkKey> = self.completed_frameworks.iter().copied().collect();
        ensure(
            completed == listed && listed.len() == self.completed_frameworks.len(),
            || "the list of completed frameworks is not that of the records".into(),
        )?;
        ensure(listed.len() <= config.max_completed_frameworks, || {
            format!("{} completed frameworks are kept", listed.len())
        })?;
        for live in self.frameworks.values() {
            ensure(
                live.completed.len() <= config.max_completed_tasks_per_framework
                    && live.unreachable.len() <= config.max_unreachable_tasks_per_framework,
                || "more finished tasks are kept than the limit".into(),
            )?;
        }
        Ok(())
    }

    fn check_native_queue(&self) -> Result<(), String> {
        let pending = &self.native.pending;
        ensure(
            pending.len() == self.records.pending.len()
                && pending
                    .values()
                    .all(|slot| self.records.pending.get(*slot as usize).is_some()),
            || "the queue of native tasks is not that of the records".into(),
        )?;
        let Some(framework) = self.native.framework else {
            return ensure(pending.is_empty() && self.native_specs.is_empty(), || {
                "native tasks are there without their framework".into()
            });
        };
        let stray = self.native_specs.keys().find(|id| {
            let key = self.index.tasks.get(&(framework, (*id).clone()));
            !key.and_then(|key| self.task(*key))
                .is_some_and(|task| task.list != TaskList::Completed)
        });
        ensure(stray.is_none(), || {
            format!("what native task {stray:?} asked for is kept without need")
        })
    }
}
