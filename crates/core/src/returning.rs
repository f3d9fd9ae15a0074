//! What an agent that comes back still holds: frameworks, executors, tasks, history, kills that waited for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_resource::Resources;
use prost::Message;
use v1::task_status::Reason;

use crate::effect::Effects;
use crate::event::TimerKey;
use crate::fact::Fact;
use crate::key::{AgentKey, FrameworkKey, TaskKey, Token};
use crate::master::Master;
use crate::records::{AgentState, FrameworkState, TaskList};
use crate::reported::{NewTask, Reported};
use crate::state::PendingKill;
use crate::wire::{self, is_terminal};

impl Master {
    /// Frameworks that this master hears of first from an agent wait for their scheduler; completed ones are ended there.
    pub(crate) fn admit_frameworks(
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

    pub(crate) fn reconcile_executors(&mut self, agent: AgentKey, executors: &[v1::ExecutorInfo]) {
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
            self.charge(framework, agent, &resources);
            self.insert_executor(framework, agent, &role, info.clone(), resources);
        }
    }

    fn framework_of(&self, id: &v1::FrameworkId) -> Option<FrameworkKey> {
        self.framework_named(&id.value)
    }

    fn framework_named(&self, id: &str) -> Option<FrameworkKey> {
        let key = *self.index.frameworks.get(id)?;
        (self.framework(key).state != FrameworkState::Completed).then_some(key)
    }

    pub(crate) fn reconcile_tasks(
        &mut self,
        agent: AgentKey,
        before: Option<AgentState>,
        reported: Vec<Reported>,
        token: Token,
        effects: &mut Effects,
    ) {
        let mut seen: BTreeSet<TaskKey> = BTreeSet::new();
        for task in reported {
            let Some(framework) = self.framework_named(&task.framework_id) else {
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
                .filter(|_| self.is_native(framework) && state == v1::TaskState::TaskStaging)
                .filter(|_| !self.agent_live(agent).pending_kills.contains_key(&key));
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
        reported: Reported,
        token: Token,
        effects: &mut Effects,
    ) -> Option<TaskKey> {
        let state = reported.task.state;
        let known = self
            .index
            .tasks
            .get(&(framework, reported.task.id.clone()))
            .copied();
        let list = known.and_then(|key| self.task(key)).map(|task| task.list);
        let elsewhere = known.and_then(|key| self.task(key)).is_some_and(|task| {
            task.agent != agent
                && task.list != TaskList::Completed
                && self.agent(task.agent).state != AgentState::Removed
        });
        if elsewhere {
            // The framework launched this id twice, once under another master: the copy known first stays.
            if !is_terminal(state) {
                self.kill_reported(agent, framework, &reported.task.id, token, effects);
            }
            return None;
        }
        let mut kill = None;
        match (known, list) {
            (Some(key), Some(TaskList::Live)) => {
                self.adopt_state(key, reported.task);
                if self.is_native(framework) {
                    self.touch_reported(key);
                }
                return Some(key);
            }
            (Some(_), Some(TaskList::Completed)) if before.is_some() && !is_terminal(state) => {
                // The framework was told that it is over, so it must not run on.
                self.kill_reported(agent, framework, &reported.task.id, token, effects);
                return None;
            }
            (Some(key), _) => kill = self.drop_listed_task(key),
            (None, _) => {}
        }
        let (resources, role) = self.known_resources.of(&reported);
        if !is_terminal(state) {
            self.charge(framework, agent, &resources);
        }
        if self.is_native(framework) {
            self.settle_pending(&reported.task.id, agent, &resources, effects);
        }
        let key = self.insert_task(framework, agent, &role, reported.task, resources, effects);
        if self.is_native(framework) {
            self.touch_reported(key);
        }
        if let Some(kill) = kill {
            self.agent_live(agent).pending_kills.insert(key, kill);
        }
        if before != Some(AgentState::Recovered) && !is_terminal(state) {
            self.announce_return(framework, key, before, token, effects);
        }
        Some(key)
    }

    /// Ends a task on an agent that reported it, though the records have no place for it.
    fn kill_reported(
        &mut self,
        agent: AgentKey,
        framework: FrameworkKey,
        task_id: &str,
        token: Token,
        effects: &mut Effects,
    ) {
        let body = Body::KillTask(agent::KillTask {
            framework_id: wire::framework_id_of(&self.framework(framework).id),
            task_id: v1::TaskId {
                value: task_id.to_owned(),
            },
            kill_policy: None,
        });
        self.send_agent(agent, body, Some(token), effects);
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
    fn adopt_state(&mut self, key: TaskKey, reported: NewTask) {
        let state = reported.state;
        let Some(task) = self.task(key) else { return };
        if is_terminal(task.state) || task.state == state {
            return;
        }
        let record = self
            .records
            .tasks
            .get_mut(key.index())
            .expect("it was just seen");
        record.wire = reported.wire;
        record.state = state;
        record.started_at = record.started_at.or(reported.started_at);
        record.update_state = reported.update_state;
        record.update_uuid = reported.update_uuid;
        if is_terminal(state) {
            record.finished_at = Some(self.now.wall);
            self.release_task(key);
        }
    }

    /// Takes a record that is not live out of its framework's lists, to be replaced by what the agent reported;
    /// returns the kill that waited for its agent.
    fn drop_listed_task(&mut self, key: TaskKey) -> Option<PendingKill> {
        let (framework, agent) = self.task(key).map(|task| (task.framework, task.agent))?;
        let live = self.framework_live(framework);
        live.unreachable.retain(|task| *task != key);
        live.completed.retain(|task| *task != key);
        // A task that never had a place is on no agent.
        let kill = self.agents.get_mut(&agent).and_then(|live| {
            live.unreachable.remove(&key);
            live.pending_kills.remove(&key)
        });
        self.drop_task_record(key);
        kill
    }

    /// After a failover, what the agents remember of finished frameworks and tasks is all that is left of them.
    pub(crate) fn restore_history(
        &mut self,
        agent: AgentKey,
        frameworks: Vec<v1::FrameworkInfo>,
        tasks: Vec<Reported>,
        effects: &mut Effects,
    ) {
        for info in frameworks {
            let id = info.id.as_ref().map_or("", |id| id.value.as_str());
            if id.is_empty() || self.index.frameworks.contains_key(id) {
                continue;
            }
            if id == self.native.framework_id {
                // It is never over; the agent only has nothing of it at the moment.
                self.native_framework(effects);
                continue;
            }
            let key = self.insert_framework(info, FrameworkState::Completed, false);
            self.remember_completed_framework(key);
        }
        for reported in tasks {
            let framework = self.index.frameworks.get(&*reported.framework_id).copied();
            let Some(framework) = framework.filter(|_| is_terminal(reported.task.state)) else {
                continue;
            };
            let name = (framework, reported.task.id.clone());
            if self.index.tasks.contains_key(&name) {
                continue;
            }
            let (resources, role) = self.known_resources.of(&reported);
            let key = self.insert_task(framework, agent, &role, reported.task, resources, effects);
            self.complete_task(key, effects);
        }
    }

    pub(crate) fn replay_kills(&mut self, agent: AgentKey, effects: &mut Effects) {
        for (key, kill) in std::mem::take(&mut self.agent_live(agent).pending_kills) {
            self.kill_task(key, kill.policy, effects);
        }
    }
}
