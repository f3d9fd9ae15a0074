//! Registration of agents: new ones, and those that come back with what they run.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::refused::Action;
use mezz_proto::v1;
use mezz_resource::Resources;

use crate::accounts::agent_sched_key;
use crate::admission::{fault_domain, misplaced, overcommitted};
use crate::effect::{Effect, Effects};
use crate::event::TimerKey;
use crate::fact::Fact;
use crate::frameworks::sched_key;
use crate::key::{AgentKey, FrameworkKey, SessionKey, Token};
use crate::master::Master;
use crate::metrics::Counter;
use crate::records::{AgentRecord, AgentState};
use crate::reported::Reported;
use crate::state::SessionState;
use crate::wire::{self, is_terminal};

/// An agent that comes back.
struct Returning {
    id: Box<str>,
    total: Resources,
    tasks: Vec<Reported>,
    completed_tasks: Vec<Reported>,
}

impl Master {
    pub(crate) fn on_register(
        &mut self,
        session: SessionKey,
        register: agent::Register,
        effects: &mut Effects,
    ) {
        self.records.metrics.count(Counter::MessagesRegisterSlave);
        if let Some(id) = self.id_of_lost_answer(register.token.as_ref()) {
            return self.on_reregister(session, with_id(register, &id), effects);
        }
        self.return_permit(effects);
        if let Some(why) = misplaced(&self.config, &register.agent) {
            return self.refuse(session, why, effects);
        }
        let mut info = register.agent;
        let total = match Resources::from_proto(&info.resources) {
            Ok(total) => total,
            Err(error) => {
                return self.refuse(
                    session,
                    format!("the agent's resources are invalid: {error}"),
                    effects,
                );
            }
        };
        let id = format!("{}-S{}", self.master_id(), self.numbers.agent);
        self.numbers.agent += 1;
        info.id = Some(wire::agent_id_of(&id));
        let key = self.insert_agent(&id, info, total);
        if let Some(token) = register.token {
            self.note_registration(key, token);
        }
        self.describe_agent(key, register.version, register.capabilities, register.ip);
        self.records.metrics.count(Counter::SlaveRegistrations);
        self.attach(key, session, effects);
        self.enter_ledger(key);
        self.confirm_registration(key, Fact::AgentAdded { agent: key }, effects);
    }

    /// The id that this agent was given before, in an answer that it has not kept.
    fn id_of_lost_answer(&self, token: Option<&Bytes>) -> Option<Arc<str>> {
        let token = token?;
        let key = *self.index.registrations.get(token)?;
        let is_its = self.agents.get(&key)?.registration_token.as_ref() == Some(token);
        let record = self.records.agents.get(key.index())?;
        let comes_back = !matches!(record.state, AgentState::Gone | AgentState::Removed);
        (is_its && comes_back).then(|| Arc::clone(&record.id))
    }

    pub(crate) fn note_registration(&mut self, key: AgentKey, token: Bytes) {
        self.index.registrations.insert(token.clone(), key);
        self.agent_live(key).registration_token = Some(token);
    }

    fn insert_agent(&mut self, id: &str, info: v1::AgentInfo, total: Resources) -> AgentKey {
        let key = AgentKey(self.free.agents.take());
        let id: Arc<str> = id.into();
        let (info, declared) = AgentRecord::parted(info);
        let record = AgentRecord {
            key,
            id: Arc::clone(&id),
            info,
            declared,
            ip: "127.0.0.1".into(),
            state: AgentState::Connected,
            deactivated: false,
            version: "".into(),
            capabilities: Arc::default(),
            registered_at: self.now.wall,
            reregistered_at: None,
            lost_at: None,
            total: Arc::new(total),
            used: Resources::default(),
            offered: Resources::default(),
            task_count: 0,
        };
        self.insert_agent_record(record);
        self.index.agents.insert(id, key);
        // The slot may have been another's.
        let live = self.agent_live(key);
        live.registration_token = None;
        live.stored = None;
        key
    }

    fn describe_agent(
        &mut self,
        key: AgentKey,
        version: String,
        capabilities: Vec<String>,
        ip: Option<String>,
    ) {
        let record = self.agent_mut(key);
        record.version = version.into();
        record.capabilities = capabilities.into();
        if let Some(ip) = ip {
            record.ip = ip.into();
        }
    }

    /// Ties a session to its agent and starts the pings.
    fn attach(&mut self, key: AgentKey, session: SessionKey, effects: &mut Effects) {
        self.index
            .sessions
            .insert(session, SessionState::Registered(key));
        let live = self.agent_live(key);
        let former = live.session.replace(session);
        live.missed_pings = 0;
        live.told_frameworks.clear();
        if let Some(former) = former.filter(|former| *former != session) {
            self.index.sessions.remove(&former);
            effects.list.push(Effect::CloseSession {
                session: former,
                after: None,
            });
        }
        self.cancel_timer(TimerKey::Reregister(key), effects);
        self.cancel_removal(key, effects);
        self.ping_later(key, effects);
    }

    /// The agent hears of its id, and readers of the agent, once it is durable.
    fn confirm_registration(&mut self, key: AgentKey, fact: Fact, effects: &mut Effects) -> Token {
        let token = self.persist_agent(key, effects);
        let registered = agent::Registered {
            agent_id: wire::agent_id_of(&self.agent(key).id),
            master: self.records.master.info.clone(),
        };
        self.agent_live(key).registered = token;
        self.send_agent(key, Body::Registered(registered), Some(token), effects);
        self.emit(fact, effects);
        token
    }

    /// Puts an agent into the ledger with what its records say is in use.
    fn enter_ledger(&mut self, key: AgentKey) {
        let mut used: BTreeMap<FrameworkKey, Resources> = BTreeMap::new();
        let live = self.agents.get(&key);
        let tasks = live.into_iter().flat_map(|live| &live.tasks);
        for task in tasks.filter_map(|task| self.task(*task)) {
            if !is_terminal(task.state) {
                *used.entry(task.framework).or_default() += &*task.resources;
            }
        }
        let executors = live.into_iter().flat_map(|live| &live.executors);
        for executor in
            executors.filter_map(|executor| self.records.executors.get(executor.index()))
        {
            *used.entry(executor.framework).or_default() += &*executor.resources;
        }
        let record = self.agent(key);
        let spec = mezz_sched::AgentSpec {
            id: record.id.to_string(),
            total: (*record.total).clone(),
            attributes: record.info.attributes.clone(),
            hostname: record.info.hostname.clone(),
            domain: record.info.domain.as_ref().and_then(fault_domain),
            capabilities: record
                .capabilities
                .iter()
                .filter_map(|name| ledger_capability(name))
                .collect(),
        };
        let active = record.is_active();
        let used: Vec<_> = used
            .into_iter()
            .map(|(framework, resources)| (sched_key(framework), resources))
            .collect();
        self.sched.remove_agent(agent_sched_key(key));
        self.sched.add_agent(agent_sched_key(key), spec, &used);
        if !active {
            self.sched.deactivate_agent(agent_sched_key(key));
        }
    }

    pub(crate) fn on_reregister(
        &mut self,
        session: SessionKey,
        mut register: agent::Reregister,
        effects: &mut Effects,
    ) {
        self.records.metrics.count(Counter::MessagesReregisterSlave);
        self.return_permit(effects);
        let returning = match self.returning(&mut register) {
            Ok(returning) => returning,
            Err(why) => return self.refuse(session, why, effects),
        };
        let known = self.index.agents.get(&*returning.id).copied();
        if known.is_some_and(|key| self.agent(key).state == AgentState::Gone) {
            return self.refuse_for_good(session, effects);
        }
        let before = known.map(|key| self.agent(key).state);
        let total = returning.total;
        let key = known.unwrap_or_else(|| {
            self.insert_agent(&returning.id, register.agent.clone(), total.clone())
        });
        let now = self.now.wall;
        let (info, declared) = AgentRecord::parted(register.agent);
        let record = self.agent_mut(key);
        record.info = info;
        record.declared = declared;
        record.total = Arc::new(total);
        record.reregistered_at = Some(now);
        record.lost_at = None;
        self.set_agent_state(key, AgentState::Connected);
        self.describe_agent(key, register.version, register.capabilities, register.ip);
        self.records.metrics.count(Counter::SlaveReregistrations);
        self.attach(key, session, effects);
        // Out of the ledger while the records change; it comes back with their sum.
        self.rescind_agent_offers(key, effects);
        self.sched.remove_agent(agent_sched_key(key));
        let fact = if before == Some(AgentState::Unreachable) || before.is_none() {
            Fact::AgentAdded { agent: key }
        } else {
            Fact::AgentReregistered { agent: key }
        };
        // An agent takes orders only from a master that has registered it: this comes before all others.
        let token = self.confirm_registration(key, fact, effects);
        self.admit_frameworks(key, &register.frameworks, effects);
        self.reconcile_executors(key, &register.executors);
        self.reconcile_tasks(key, before, returning.tasks, token, effects);
        let completed = returning.completed_tasks;
        self.restore_history(key, register.completed_frameworks, completed, effects);
        self.enter_ledger(key);
        self.replay_kills(key, effects);
    }

    /// What an agent that comes back says, checked; or why it cannot be taken.
    fn returning(&mut self, register: &mut agent::Reregister) -> Result<Returning, String> {
        let id = register.agent.id.as_ref();
        let id = id.map_or("", |id| id.value.as_str());
        if id.is_empty() {
            return Err("an agent that registers again has to name its id".into());
        }
        if let Some(why) = misplaced(&self.config, &register.agent) {
            return Err(why);
        }
        let total = Resources::from_proto(&register.agent.resources)
            .map_err(|error| format!("the agent's resources are invalid: {error}"))?;
        let read = |tasks| {
            reported_tasks(tasks)
                .map_err(|error| format!("a task that the agent reports cannot be read: {error}"))
        };
        let tasks = read(std::mem::take(&mut register.tasks))?;
        let completed_tasks = read(std::mem::take(&mut register.completed_tasks))?;
        let known = &mut self.known_resources;
        if let Some(why) = overcommitted(&total, &tasks, &register.executors, known) {
            return Err(why);
        }
        Ok(Returning {
            id: id.into(),
            total,
            tasks,
            completed_tasks,
        })
    }

    fn refuse(&mut self, session: SessionKey, message: String, effects: &mut Effects) {
        self.index.sessions.remove(&session);
        let refused = agent::Refused {
            action: Action::Exit as i32,
            message,
            retry_after_ms: None,
        };
        effects.to_agent(session, Body::Refused(refused));
        effects.list.push(Effect::CloseSession {
            session,
            after: None,
        });
    }

    fn refuse_for_good(&mut self, session: SessionKey, effects: &mut Effects) {
        self.index.sessions.remove(&session);
        let refused = agent::Refused {
            action: Action::Shutdown as i32,
            message: "Agent has been marked gone".into(),
            retry_after_ms: None,
        };
        effects.to_agent(session, Body::Refused(refused));
        effects.list.push(Effect::CloseSession {
            session,
            after: None,
        });
    }
}

fn reported_tasks(encoded: Vec<Bytes>) -> Result<Vec<Reported>, prost::DecodeError> {
    encoded.into_iter().map(Reported::read).collect()
}

/// A first registration said again, by an agent that runs nothing yet.
fn with_id(register: agent::Register, id: &str) -> agent::Reregister {
    let agent = v1::AgentInfo {
        id: Some(wire::agent_id_of(id)),
        ..register.agent
    };
    agent::Reregister {
        agent,
        version: register.version,
        capabilities: register.capabilities,
        ip: register.ip,
        ..agent::Reregister::default()
    }
}

fn ledger_capability(name: &str) -> Option<mezz_sched::Capability> {
    match name {
        "MULTI_ROLE" => Some(mezz_sched::Capability::MultiRole),
        "HIERARCHICAL_ROLE" => Some(mezz_sched::Capability::HierarchicalRole),
        "RESERVATION_REFINEMENT" => Some(mezz_sched::Capability::ReservationRefinement),
        _ => None,
    }
}
