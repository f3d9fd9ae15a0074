//! Registration of agents: new ones, and those that come back with what they run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::refused::Action;
use mezz_proto::v1;
use mezz_resource::Resources;
use prost::Message;
use v1::task_status::Reason;

use crate::effect::{Effect, Effects};
use crate::event::TimerKey;
use crate::fact::Fact;
use crate::frameworks::sched_key;
use crate::key::{AgentKey, FrameworkKey, SessionKey, TaskKey, Token};
use crate::master::Master;
use crate::metrics::Counter;
use crate::offers::agent_sched_key;
use crate::records::{AgentRecord, AgentState, FrameworkState, TaskList};
use crate::state::SessionState;
use crate::wire::{self, is_terminal};

impl Master {
    pub(crate) fn on_register(
        &mut self,
        session: SessionKey,
        register: agent::Register,
        effects: &mut Effects,
    ) {
        self.records.metrics.count(Counter::MessagesRegisterSlave);
        self.return_permit(effects);
        let mut info = register.agent;
        let total = match Resources::from_proto(&info.resources) {
            Ok(total) => total,
            Err(error) => {
                return refuse(
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
        self.describe_agent(key, register.version, register.capabilities, register.ip);
        self.records.metrics.count(Counter::SlaveRegistrations);
        self.attach(key, session, effects);
        self.enter_ledger(key);
        self.confirm_registration(key, Fact::AgentAdded { agent: key }, effects);
    }

    fn insert_agent(&mut self, id: &str, info: v1::AgentInfo, total: Resources) -> AgentKey {
        let key = AgentKey(self.free.agents.take());
        let id: Arc<str> = id.into();
        let record = AgentRecord {
            key,
            id: Arc::clone(&id),
            info: Arc::new(info),
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
        self.records.agents.insert(key.index(), record);
        self.index.agents.insert(id, key);
        self.agents.entry(key).or_default();
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
        let at = self.now.mono.after(self.config.agent_ping_timeout_ns);
        self.set_timer(TimerKey::Ping(key), at, effects);
    }

    /// The agent hears of its id, and readers of the agent, once it is durable.
    fn confirm_registration(&mut self, key: AgentKey, fact: Fact, effects: &mut Effects) -> Token {
        let token = self.persist_agent(key, effects);
        let registered = agent::Registered {
            agent_id: wire::agent_id_of(&self.agent(key).id),
            master: self.records.master.info.clone(),
        };
        self.send_agent(key, Body::Registered(registered), Some(token), effects);
        self.emit(fact, effects);
        token
    }

    /// Puts an agent into the ledger with what its records say is in use.
    fn enter_ledger(&mut self, key: AgentKey) {
        let mut used: BTreeMap<FrameworkKey, Resources> = BTreeMap::new();
        let live = self.agents.get(&key).cloned().unwrap_or_default();
        for task in live.tasks.iter().filter_map(|task| self.task(*task)) {
            if !is_terminal(task.state) {
                *used.entry(task.framework).or_default() += &*task.resources;
            }
        }
        for executor in live
            .executors
            .iter()
            .filter_map(|executor| self.records.executors.get(executor.index()))
        {
            *used.entry(executor.framework).or_default() += &*executor.resources;
        }
        let record = self.agent(key);
        let spec = mezz_sched::AgentSpec {
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
        register: agent::Reregister,
        effects: &mut Effects,
    ) {
        self.records.metrics.count(Counter::MessagesReregisterSlave);
        self.return_permit(effects);
        let id = register
            .agent
            .id
            .as_ref()
            .map_or("", |id| id.value.as_str())
            .to_owned();
        if id.is_empty() {
            return refuse(
                session,
                "an agent that registers again has to name its id".into(),
                effects,
            );
        }
        let total = match Resources::from_proto(&register.agent.resources) {
            Ok(total) => total,
            Err(error) => {
                return refuse(
                    session,
                    format!("the agent's resources are invalid: {error}"),
                    effects,
                );
            }
        };
        let known = self.index.agents.get(id.as_str()).copied();
        if known.is_some_and(|key| self.agent(key).state == AgentState::Gone) {
            return refuse_for_good(session, effects);
        }
        let before = known.map(|key| self.agent(key).state);
        let key =
            known.unwrap_or_else(|| self.insert_agent(&id, register.agent.clone(), total.clone()));
        let now = self.now.wall;
        let record = self.agent_mut(key);
        record.info = Arc::new(register.agent);
        record.total = Arc::new(total);
        record.state = AgentState::Connected;
        record.reregistered_at = Some(now);
        record.lost_at = None;
        self.describe_agent(key, register.version, register.capabilities, register.ip);
        self.records.metrics.count(Counter::SlaveReregistrations);
        self.attach(key, session, effects);
        // Out of the ledger while the records change; it comes back with their sum.
        self.rescind_agent_offers(key, effects);
        self.sched.remove_agent(agent_sched_key(key));
        self.admit_frameworks(key, &register.frameworks, effects);
        let fact = if before == Some(AgentState::Unreachable) || before.is_none() {
            Fact::AgentAdded { agent: key }
        } else {
            Fact::AgentReregistered { agent: key }
        };
        let token = self.confirm_registration(key, fact, effects);
        self.reconcile_executors(key, &register.executors);
        self.reconcile_tasks(key, before, register.tasks, token, effects);
        self.restore_history(
            key,
            register.completed_frameworks,
            register.completed_tasks,
            effects,
        );
        self.enter_ledger(key);
        self.replay_kills(key, effects);
    }

    /// Frameworks that this master hears of first from an agent wait for their scheduler; completed ones are ended there.
    fn admit_frameworks(
        &mut self,
        agent: AgentKey,
        frameworks: &[v1::FrameworkInfo],
        effects: &mut Effects,
    ) {
        for info in frameworks {
            let id = info.id.as_ref().map_or("", |id| id.value.as_str());
            match self.index.frameworks.get(id).copied() {
                Some(key) if self.framework(key).state == FrameworkState::Completed => {
                    let body = Body::ShutdownFramework(agent::ShutdownFramework {
                        framework_id: wire::framework_id_of(id),
                    });
                    self.send_agent(agent, body, None, effects);
                }
                Some(key) => {
                    self.agent_live(agent).told_frameworks.insert(key);
                    let current = Arc::clone(&self.framework(key).info);
                    if *current != *info {
                        let body = Body::UpdateFramework(agent::UpdateFramework {
                            framework: (*current).clone(),
                        });
                        self.send_agent(agent, body, None, effects);
                    }
                }
                None => self.recover_framework(agent, info.clone(), effects),
            }
        }
    }

    fn recover_framework(
        &mut self,
        agent: AgentKey,
        info: v1::FrameworkInfo,
        effects: &mut Effects,
    ) {
        let built_in = info
            .id
            .as_ref()
            .is_some_and(|id| id.value == self.native.framework_id);
        let timeout_ns = crate::framework_info::failover_timeout_ns(&info)
            .max(self.config.agent_reregister_timeout_ns);
        let state = if built_in {
            FrameworkState::Active
        } else {
            FrameworkState::Recovered
        };
        let key = self.insert_framework(info, state, built_in);
        self.sched_add_framework(key, built_in);
        self.agent_live(agent).told_frameworks.insert(key);
        self.emit(Fact::FrameworkAdded { framework: key }, effects);
        if built_in {
            self.native.framework = Some(key);
        } else {
            let at = self.now.mono.after(timeout_ns);
            self.set_timer(TimerKey::Failover(key), at, effects);
        }
    }

    fn reconcile_executors(&mut self, agent: AgentKey, executors: &[v1::ExecutorInfo]) {
        let reported: BTreeSet<(FrameworkKey, &str)> = executors
            .iter()
            .filter_map(|info| {
                Some((
                    self.framework_of(info.framework_id.as_ref()?)?,
                    info.executor_id.value.as_str(),
                ))
            })
            .collect();
        let known: Vec<_> = self.agent_live(agent).executors.iter().copied().collect();
        for key in known {
            let Some(executor) = self.records.executors.get(key.index()) else {
                continue;
            };
            if !reported.contains(&(executor.framework, &executor.id)) {
                self.remove_executor(key);
            }
        }
        for info in executors {
            let Some(framework) = info
                .framework_id
                .as_ref()
                .and_then(|id| self.framework_of(id))
            else {
                continue;
            };
            if self
                .running_executor(framework, agent, &info.executor_id.value)
                .is_some()
            {
                continue;
            }
            let resources = Resources::from_proto(&info.resources).unwrap_or_default();
            let role: Arc<str> = resources
                .allocation_role()
                .cloned()
                .unwrap_or_else(|| "*".into());
            let resources = resources.allocated_to(&role);
            self.agent_mut(agent).used += &resources;
            self.framework_mut(framework).used += &resources;
            self.insert_executor(framework, agent, &role, info.clone(), resources);
        }
    }

    fn framework_of(&self, id: &v1::FrameworkId) -> Option<FrameworkKey> {
        let key = *self.index.frameworks.get(id.value.as_str())?;
        (self.framework(key).state != FrameworkState::Completed).then_some(key)
    }

    fn reconcile_tasks(
        &mut self,
        agent: AgentKey,
        before: Option<AgentState>,
        reported: Vec<v1::Task>,
        token: Token,
        effects: &mut Effects,
    ) {
        let mut seen: BTreeSet<TaskKey> = BTreeSet::new();
        for task in reported {
            let Some(framework) = self.framework_of(&task.framework_id) else {
                continue;
            };
            seen.extend(self.take_reported_task(agent, framework, before, task, token, effects));
        }
        let live = self.agent_live(agent);
        let missing: Vec<_> = live
            .tasks
            .union(&live.unreachable)
            .filter(|key| !seen.contains(key))
            .copied()
            .collect();
        for key in missing {
            let Some((framework, id, state)) = self
                .task(key)
                .map(|task| (task.framework, task.id.clone(), task.state))
            else {
                continue;
            };
            let spec = self
                .native_specs
                .remove(&id)
                .filter(|_| self.is_native(framework) && state == v1::TaskState::TaskStaging);
            if let Some(spec) = spec {
                self.requeue_native(key, spec, effects);
                continue;
            }
            let state = self.lost_or(framework, v1::TaskState::TaskDropped);
            let text = "Reconciliation: Task is unknown to the agent";
            if let Some(status) =
                self.end_task_by_master(key, state, Reason::Reconciliation, text, effects)
            {
                self.send_event_after(framework, wire::update(status), Some(token), effects);
            }
        }
    }

    /// One task that the agent still holds: known and live, back from being unreachable, or new to this master.
    fn take_reported_task(
        &mut self,
        agent: AgentKey,
        framework: FrameworkKey,
        before: Option<AgentState>,
        task: v1::Task,
        token: Token,
        effects: &mut Effects,
    ) -> Option<TaskKey> {
        let known = self
            .index
            .tasks
            .get(&(framework, task.task_id.value.as_str().into()))
            .copied();
        let list = known.and_then(|key| self.task(key)).map(|task| task.list);
        match (known, list) {
            (Some(key), Some(TaskList::Live)) => {
                self.adopt_state(key, &task);
                return Some(key);
            }
            (Some(key), Some(TaskList::Completed))
                if before.is_some() && !is_terminal(task.state()) =>
            {
                // The framework was told that it is over, so it must not run on.
                let record = self.task(key).expect("it was just seen");
                let body = Body::KillTask(agent::KillTask {
                    framework_id: wire::framework_id_of(&self.framework(framework).id),
                    task_id: v1::TaskId {
                        value: record.id.to_string(),
                    },
                    kill_policy: None,
                });
                self.send_agent(agent, body, Some(token), effects);
                return None;
            }
            (Some(key), _) => self.drop_listed_task(key),
            (None, _) => {}
        }
        let resources = Resources::from_proto(&task.resources).unwrap_or_default();
        let role: Arc<str> = resources
            .allocation_role()
            .cloned()
            .unwrap_or_else(|| "*".into());
        let resources = resources.allocated_to(&role);
        if !is_terminal(task.state()) {
            self.agent_mut(agent).used += &resources;
            self.framework_mut(framework).used += &resources;
        }
        let key = self.insert_task(framework, agent, &role, &task, resources, effects);
        if before != Some(AgentState::Recovered) && !is_terminal(task.state()) {
            self.announce_return(framework, key, before, token, effects);
        }
        Some(key)
    }

    fn announce_return(
        &mut self,
        framework: FrameworkKey,
        key: TaskKey,
        before: Option<AgentState>,
        token: Token,
        effects: &mut Effects,
    ) {
        let Some(task) = self.task(key) else { return };
        let text = if before == Some(AgentState::Unreachable) {
            "Unreachable agent re-reregistered"
        } else {
            "Unknown agent reregistered"
        };
        let agent_id = &self.agent(task.agent).id;
        let mut status = wire::master_status(
            &task.id,
            Some(agent_id),
            task.state,
            Reason::AgentReregistered,
            text,
            self.now.wall,
        );
        status.executor_id = task.executor_id.as_ref().map(|id| v1::ExecutorId {
            value: id.to_string(),
        });
        let last = v1::Task::decode(task.wire.clone())
            .ok()
            .and_then(|task| task.statuses.into_iter().next_back());
        if let Some(last) = last {
            status.healthy = last.healthy;
            status.check_status = last.check_status;
            status.container_status = last.container_status;
        }
        self.send_event_after(framework, wire::update(status), Some(token), effects);
    }

    /// The agent's state of a task that this master knows is newer than the record; updates follow in order.
    fn adopt_state(&mut self, key: TaskKey, reported: &v1::Task) {
        let state = reported.state();
        let Some(task) = self.task(key) else { return };
        if is_terminal(task.state) || task.state == state {
            return;
        }
        let record = self
            .records
            .tasks
            .get_mut(key.index())
            .expect("it was just seen");
        record.wire = reported.encode_to_vec().into();
        record.state = state;
        record.update_state = reported
            .status_update_state
            .map(|_| reported.status_update_state());
        record.update_uuid = reported
            .status_update_uuid
            .as_ref()
            .and_then(|uuid| uuid.as_ref().try_into().ok());
        if is_terminal(state) {
            record.finished_at = Some(self.now.wall);
            self.release_task(key);
        }
    }

    /// Takes a record that is not live out of its framework's lists, to be replaced by what the agent reported.
    fn drop_listed_task(&mut self, key: TaskKey) {
        let Some((framework, agent)) = self.task(key).map(|task| (task.framework, task.agent))
        else {
            return;
        };
        let live = self.framework_live(framework);
        live.unreachable.retain(|task| *task != key);
        live.completed.retain(|task| *task != key);
        self.agent_live(agent).unreachable.remove(&key);
        self.drop_task_record(key);
    }

    /// After a failover, what the agents remember of finished frameworks and tasks is all that is left of them.
    fn restore_history(
        &mut self,
        agent: AgentKey,
        frameworks: Vec<v1::FrameworkInfo>,
        tasks: Vec<v1::Task>,
        effects: &mut Effects,
    ) {
        for info in frameworks {
            let id = info.id.as_ref().map_or("", |id| id.value.as_str());
            if id.is_empty() || self.index.frameworks.contains_key(id) {
                continue;
            }
            let key = self.insert_framework(info, FrameworkState::Completed, false);
            self.completed_frameworks.push_back(key);
        }
        for task in tasks {
            let framework = self
                .index
                .frameworks
                .get(task.framework_id.value.as_str())
                .copied();
            let Some(framework) = framework else { continue };
            if self
                .index
                .tasks
                .contains_key(&(framework, task.task_id.value.as_str().into()))
            {
                continue;
            }
            let resources = Resources::from_proto(&task.resources).unwrap_or_default();
            let role: Arc<str> = resources
                .allocation_role()
                .cloned()
                .unwrap_or_else(|| "*".into());
            let key = self.insert_task(
                framework,
                agent,
                &role,
                &task,
                resources.allocated_to(&role),
                effects,
            );
            self.complete_task(key, effects);
        }
    }

    fn replay_kills(&mut self, agent: AgentKey, effects: &mut Effects) {
        for (key, kill) in std::mem::take(&mut self.agent_live(agent).pending_kills) {
            self.kill_task(key, kill.policy, effects);
        }
    }

    /// A task whose agent is unreachable: its framework is told, and it may come back with its agent.
    pub(crate) fn make_task_unreachable(
        &mut self,
        key: TaskKey,
        token: Token,
        effects: &mut Effects,
    ) {
        let Some(task) = self.task(key).cloned() else {
            return;
        };
        if is_terminal(task.state) {
            return self.complete_task(key, effects);
        }
        let state = self.lost_or(task.framework, v1::TaskState::TaskUnreachable);
        let agent = Arc::clone(self.agent(task.agent));
        let text = format!("Agent {} is unreachable", agent.info.hostname);
        let mut status = wire::master_status(
            &task.id,
            Some(&agent.id),
            state,
            Reason::AgentRemoved,
            text,
            self.now.wall,
        );
        status.executor_id = task.executor_id.as_ref().map(|id| v1::ExecutorId {
            value: id.to_string(),
        });
        status.unreachable_time = agent.lost_at.map(|at| v1::TimeInfo {
            nanoseconds: at.nanoseconds(),
        });
        self.record_update(key, &status, state, effects);
        if !is_terminal(state) {
            self.release_task(key);
        }
        self.send_event_after(task.framework, wire::update(status), Some(token), effects);
        self.list_unreachable(key, task.framework, task.agent);
    }

    fn list_unreachable(&mut self, key: TaskKey, framework: FrameworkKey, agent: AgentKey) {
        if let Some(record) = self.records.tasks.get_mut(key.index()) {
            record.list = TaskList::Unreachable;
        }
        let live = self.agent_live(agent);
        live.unreachable.insert(key);
        if live.tasks.remove(&key) {
            let record = self.agent_mut(agent);
            record.task_count = record.task_count.saturating_sub(1);
        }
        let limit = self.config.max_unreachable_tasks_per_framework;
        let live = self.framework_live(framework);
        live.tasks.remove(&key);
        live.unreachable.push_back(key);
        let surplus = if live.unreachable.len() > limit {
            live.unreachable.pop_front()
        } else {
            None
        };
        if let Some(oldest) = surplus {
            if let Some(agent) = self.task(oldest).map(|task| task.agent) {
                self.agent_live(agent).unreachable.remove(&oldest);
            }
            self.drop_task_record(oldest);
        }
    }
}

fn fault_domain(domain: &v1::DomainInfo) -> Option<mezz_sched::FaultDomain> {
    let domain = domain.fault_domain.as_ref()?;
    Some(mezz_sched::FaultDomain {
        region: domain.region.name.clone(),
        zone: domain.zone.name.clone(),
    })
}

fn ledger_capability(name: &str) -> Option<mezz_sched::Capability> {
    match name {
        "MULTI_ROLE" => Some(mezz_sched::Capability::MultiRole),
        "HIERARCHICAL_ROLE" => Some(mezz_sched::Capability::HierarchicalRole),
        "RESERVATION_REFINEMENT" => Some(mezz_sched::Capability::ReservationRefinement),
        _ => None,
    }
}

fn refuse(session: SessionKey, message: String, effects: &mut Effects) {
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

fn refuse_for_good(session: SessionKey, effects: &mut Effects) {
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
