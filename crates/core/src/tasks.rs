//! The life of a task record: updates, acknowledgements, kills, ends that the master decides.

use std::borrow::Cow;
use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use prost::Message;
use v1::task_status::Reason;

use crate::effect::Effects;
use crate::fact::Fact;
use crate::key::{AgentKey, FrameworkKey, TaskKey, Token};
use crate::master::Master;
use crate::metrics::Counter;
use crate::records::{AgentState, TaskList, TaskRecord};
use crate::wire::{self, is_terminal};
use crate::work::LastUpdate;

impl Master {
    pub(crate) fn task(&self, key: TaskKey) -> Option<&Arc<TaskRecord>> {
        self.records.tasks.get(key.index())
    }

    pub(crate) fn task_key(&self, framework: FrameworkKey, id: &str) -> Option<TaskKey> {
        self.index.tasks.get(&(framework, id.into())).copied()
    }

    /// An update from an agent: recorded, then forwarded; the agent repeats it until it is acknowledged.
    pub(crate) fn on_status_update(
        &mut self,
        agent: AgentKey,
        update: agent::StatusUpdate,
        effects: &mut Effects,
    ) {
        self.records.metrics.count(Counter::MessagesStatusUpdate);
        let Some(framework) = self
            .index
            .frameworks
            .get(update.framework_id.value.as_str())
            .copied()
        else {
            return self.records.metrics.count(Counter::InvalidStatusUpdates);
        };
        // Nothing follows a terminal update, whatever the agent says of the newest state.
        let latest = match update.latest_state {
            Some(_) if !is_terminal(update.status.state()) => update.latest_state(),
            _ => update.status.state(),
        };
        let held = self.task_key(framework, &update.status.task_id.value);
        let elsewhere = held
            .and_then(|key| self.task(key))
            .is_some_and(|task| task.agent != agent && task.list != TaskList::Completed);
        if elsewhere {
            // The framework launched this id twice; it hears of the copy that this master knows, and this one ends unheard.
            self.records.metrics.count(Counter::InvalidStatusUpdates);
            return self.acknowledge_unheard(framework, agent, update.status, effects);
        }
        let known = held.filter(|key| self.task(*key).is_some_and(|task| task.agent == agent));
        match known {
            Some(key) => {
                self.records.metrics.count(Counter::ValidStatusUpdates);
                self.record_update(key, &update.status, latest, effects);
            }
            None => self.records.metrics.count(Counter::InvalidStatusUpdates),
        }
        if self.framework(framework).built_in {
            return self.acknowledge_own(agent, &update.status, effects);
        }
        self.send_event(framework, wire::update(update.status), effects);
    }

    /// Writes an update into the record; the first terminal state releases the resources, acknowledged or not.
    pub(crate) fn record_update(
        &mut self,
        key: TaskKey,
        status: &v1::TaskStatus,
        latest: v1::TaskState,
        effects: &mut Effects,
    ) {
        let Some((before, list)) = self.task(key).map(|task| (task.state, task.list)) else {
            return;
        };
        let now = self.now.wall;
        let kept = without_data(status);
        let task = self
            .records
            .tasks
            .get_mut(key.index())
            .expect("it was just seen");
        let state = if is_terminal(before) { before } else { latest };
        let appended = with_status(&task.wire, state, &kept, task.update_state);
        task.wire = appended.task;
        task.update_state = Some(kept.state());
        task.update_uuid = kept
            .uuid
            .as_ref()
            .and_then(|uuid| uuid.as_ref().try_into().ok());
        task.state = state;
        if state == v1::TaskState::TaskRunning && task.started_at.is_none() {
            task.started_at = Some(now);
        }
        if is_terminal(state) && !is_terminal(before) {
            task.finished_at = Some(now);
            // An unreachable task gave its resources back when its agent was lost.
            if list == TaskList::Live {
                self.release_task(key);
            }
        }
        if is_terminal(kept.state()) {
            let framework = self.task(key).expect("it was just seen").framework;
            self.count_terminal(framework, &kept);
        }
        let framework = self.task(key).expect("it was just seen").framework;
        if self.is_native(framework) {
            self.touch_work(&kept);
        }
        let framework_id = Arc::clone(&self.framework(framework).id);
        self.emit(
            Fact::TaskUpdated {
                task: key,
                framework_id,
                status: appended.status,
                state,
            },
            effects,
        );
    }

    /// Gives back what a task held, once, and forgets a custom executor's share in it.
    pub(crate) fn release_task(&mut self, key: TaskKey) {
        let Some(task) = self.task(key).cloned() else {
            return;
        };
        self.release(task.framework, task.agent, &task.resources);
        self.uncount_instance(key);
        if let Some(executor) = &task.executor_id
            && let Some(executor) = self
                .index
                .executors
                .get(&(task.agent, task.framework, executor.clone()))
                .copied()
            && let Some(record) = self.records.executors.get_mut(executor.index())
        {
            record.task_count = record.task_count.saturating_sub(1);
        }
    }

    pub(crate) fn on_acknowledge(
        &mut self,
        framework: FrameworkKey,
        call: v1::scheduler::call::Acknowledge,
        effects: &mut Effects,
    ) {
        self.records
            .metrics
            .count(Counter::MessagesStatusUpdateAcknowledgement);
        let agent = self.index.agents.get(call.agent_id.value.as_str()).copied();
        let Some(agent) = agent.filter(|agent| self.agent(*agent).state == AgentState::Connected)
        else {
            return self
                .records
                .metrics
                .count(Counter::InvalidStatusUpdateAcknowledgements);
        };
        self.records
            .metrics
            .count(Counter::ValidStatusUpdateAcknowledgements);
        let body = agent::AcknowledgeUpdate {
            framework_id: wire::framework_id_of(&self.framework(framework).id),
            task_id: call.task_id,
            uuid: call.uuid,
        };
        self.acknowledge(framework, agent, body, None, effects);
    }

    fn acknowledge(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        body: agent::AcknowledgeUpdate,
        after: Option<Token>,
        effects: &mut Effects,
    ) {
        if let Some(key) = self.task_key(framework, &body.task_id.value)
            && let Some(task) = self.task(key)
            && task.list == TaskList::Live
            && is_terminal(task.state)
            && task.update_state.is_some_and(is_terminal)
            && task
                .update_uuid
                .as_ref()
                .is_some_and(|own| own[..] == body.uuid[..])
        {
            self.complete_task(key, effects);
        }
        self.send_agent(agent, Body::AcknowledgeUpdate(body), after, effects);
    }

    fn acknowledge_unheard(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        status: v1::TaskStatus,
        effects: &mut Effects,
    ) {
        let Some(uuid) = status.uuid else { return };
        let body = Body::AcknowledgeUpdate(agent::AcknowledgeUpdate {
            framework_id: wire::framework_id_of(&self.framework(framework).id),
            task_id: status.task_id,
            uuid,
        });
        self.send_agent(agent, body, None, effects);
    }

    /// The built-in framework acknowledges at once, since its state is this record; but the end of an instance only when
    /// its controller has heard of it.
    fn acknowledge_own(&mut self, agent: AgentKey, status: &v1::TaskStatus, effects: &mut Effects) {
        let Some(uuid) = status.uuid.clone() else {
            return;
        };
        let update = LastUpdate {
            agent,
            task_id: status.task_id.value.as_str().into(),
            uuid,
        };
        if let Some(update) = self.acknowledge_when_heard(update) {
            self.acknowledge_last(&update, None, effects);
        }
    }

    /// Acknowledges an update of one of the built-in framework's tasks.
    pub(crate) fn acknowledge_last(
        &mut self,
        update: &LastUpdate,
        after: Option<Token>,
        effects: &mut Effects,
    ) {
        let Some(framework) = self.native.framework else {
            return;
        };
        let body = agent::AcknowledgeUpdate {
            framework_id: wire::framework_id_of(&self.framework(framework).id),
            task_id: v1::TaskId {
                value: update.task_id.to_string(),
            },
            uuid: update.uuid.clone(),
        };
        self.acknowledge(framework, update.agent, body, after, effects);
    }

    /// Moves a task to the completed ones of its framework.
    pub(crate) fn complete_task(&mut self, key: TaskKey, effects: &mut Effects) {
        let Some(task) = self.records.tasks.get_mut(key.index()) else {
            return;
        };
        let from = std::mem::replace(&mut task.list, TaskList::Completed);
        let (framework, agent) = (task.framework, task.agent);
        if from == TaskList::Completed {
            return;
        }
        self.leave_agent(agent, key);
        self.list_completed(framework, key);
        self.forget_native(key, effects);
    }

    /// Puts a task into the bounded list of the completed ones of its framework.
    pub(crate) fn list_completed(&mut self, framework: FrameworkKey, key: TaskKey) {
        let limit = self.config.max_completed_tasks_per_framework;
        let live = self.framework_live(framework);
        live.tasks.remove(&key);
        live.unreachable.retain(|task| *task != key);
        live.completed.push_back(key);
        let surplus = if live.completed.len() > limit {
            live.completed.pop_front()
        } else {
            None
        };
        if let Some(oldest) = surplus {
            self.drop_task_record(oldest);
        }
    }

    fn leave_agent(&mut self, agent: AgentKey, key: TaskKey) {
        let live = self.agent_live(agent);
        live.pending_kills.remove(&key);
        live.unreachable.remove(&key);
        if live.tasks.remove(&key) {
            let record = self.agent_mut(agent);
            record.task_count = record.task_count.saturating_sub(1);
        }
    }

    pub(crate) fn drop_task_record(&mut self, key: TaskKey) {
        let Some(task) = self.records.tasks.remove(key.index()) else {
            return;
        };
        self.free.tasks.give(key.0);
        if let Some(live) = self.agents.get_mut(&task.agent) {
            live.pending_kills.remove(&key);
        }
        if self.is_native(task.framework) {
            self.native_specs.remove(&task.id);
        }
        let name = (task.framework, task.id.clone());
        if self.index.tasks.get(&name) == Some(&key) {
            self.index.tasks.remove(&name);
        }
    }

    /// Makes room for a new task of the same id as a completed one.
    pub(crate) fn forget_completed_task(&mut self, framework: FrameworkKey, key: TaskKey) {
        self.framework_live(framework)
            .completed
            .retain(|task| *task != key);
        self.drop_task_record(key);
    }

    /// A terminal state that the master decides: recorded, not waited for.
    pub(crate) fn end_task_by_master(
        &mut self,
        key: TaskKey,
        state: v1::TaskState,
        reason: Reason,
        text: impl Into<String>,
        effects: &mut Effects,
    ) -> Option<v1::TaskStatus> {
        let task = Arc::clone(self.task(key)?);
        if is_terminal(task.state) {
            self.complete_task(key, effects);
            return None;
        }
        let agent_id = Arc::clone(&self.agent(task.agent).id);
        let mut status = wire::master_status(
            &task.id,
            Some(&agent_id),
            state,
            reason,
            text,
            self.now.wall,
        );
        status.executor_id = task.executor_id.as_ref().map(|id| v1::ExecutorId {
            value: id.to_string(),
        });
        self.record_update(key, &status, state, effects);
        self.complete_task(key, effects);
        Some(status)
    }
}

/// A status as it is kept: what an executor sent along is between it and its framework.
fn without_data(status: &v1::TaskStatus) -> Cow<'_, v1::TaskStatus> {
    if status.data.is_none() {
        return Cow::Borrowed(status);
    }
    Cow::Owned(v1::TaskStatus {
        data: None,
        ..status.clone()
    })
}

/// Appends a status to a wire record. As in Mesos, an update of the same state as the one before replaces it, so that
/// health updates of a long run do not pile up.
fn with_status(
    wire: &bytes::Bytes,
    state: v1::TaskState,
    status: &v1::TaskStatus,
    before: Option<v1::TaskState>,
) -> wire::Appended {
    let decoded = (before == Some(status.state())).then(|| v1::Task::decode(wire.clone()));
    // What an agent reported was read only as far as its header: the rest of it may be anything.
    let Some(Ok(mut task)) = decoded else {
        return wire::append_status(wire, state, status);
    };
    task.statuses.pop();
    wire::append_status(&task.encode_to_vec(), state, status)
}
