//! RECONCILE: the answers of the decision table (`Master::reconcile` in Mesos).

use mezz_proto::v1;
use prost::Message;
use v1::task_status::{Reason, Source};

use crate::effect::Effects;
use crate::key::{FrameworkKey, TaskKey};
use crate::master::Master;
use crate::metrics::Counter;
use crate::records::{AgentState, TaskList};
use crate::wire;

impl Master {
    pub(crate) fn on_reconcile(
        &mut self,
        framework: FrameworkKey,
        call: v1::scheduler::call::Reconcile,
        effects: &mut Effects,
    ) {
        self.records.metrics.count(Counter::MessagesReconcileTasks);
        if call.tasks.is_empty() {
            let live: Vec<TaskKey> = self
                .framework_live(framework)
                .tasks
                .iter()
                .copied()
                .collect();
            for key in live {
                self.send_latest(framework, key, effects);
            }
            return;
        }
        for task in call.tasks {
            self.reconcile_one(
                framework,
                &task.task_id.value,
                task.agent_id.as_ref().map(|id| id.value.as_str()),
                effects,
            );
        }
    }

    /// Answers for one task, or stays silent while its agent may still come back with the answer.
    pub(crate) fn reconcile_one(
        &mut self,
        framework: FrameworkKey,
        task_id: &str,
        agent_id: Option<&str>,
        effects: &mut Effects,
    ) {
        let key = self.index.tasks.get(&(framework, task_id.into())).copied();
        let task = key.and_then(|key| self.task(key)).cloned();
        if let Some(task) = &task
            && task.list == TaskList::Live
        {
            return self.send_latest(framework, task.key, effects);
        }
        let unreachable_agent = task
            .filter(|task| task.list == TaskList::Unreachable)
            .map(|task| task.agent);
        let agent = unreachable_agent
            .or_else(|| agent_id.and_then(|id| self.index.agents.get(id).copied()));
        let state = agent
            .map(|agent| self.agent(agent).state)
            .filter(|state| *state != AgentState::Removed);
        if self.may_come_back(agent_id, state) {
            return;
        }
        let (finer, text) = absent_task(state);
        let shown_agent = agent
            .map(|agent| self.agent(agent).id.to_string())
            .or_else(|| agent_id.map(str::to_owned));
        let told = self.lost_or(framework, finer);
        let mut status = wire::master_status(
            task_id,
            shown_agent.as_deref(),
            told,
            Reason::Reconciliation,
            text,
            self.now.wall,
        );
        if finer == v1::TaskState::TaskUnreachable {
            let since = agent.and_then(|agent| self.agent(agent).lost_at);
            status.unreachable_time = since.map(|at| v1::TimeInfo {
                nanoseconds: at.nanoseconds(),
            });
        }
        self.send_event(framework, wire::update(status), effects);
    }

    /// Whether an agent that may have the task has not come back yet since this master leads.
    fn may_come_back(&self, agent_id: Option<&str>, state: Option<AgentState>) -> bool {
        match (agent_id, state) {
            (_, Some(state)) => state == AgentState::Recovered,
            (Some(_), None) => false,
            (None, None) => self.agent_states.of(AgentState::Recovered) > 0,
        }
    }

    /// The last state that was forwarded (not the newest known), with what its status said of health and container.
    fn send_latest(&mut self, framework: FrameworkKey, key: TaskKey, effects: &mut Effects) {
        let Some(task) = self.task(key) else { return };
        let state = task.update_state.unwrap_or(task.state);
        let agent_id = &self.agent(task.agent).id;
        let mut status = wire::master_status(
            &task.id,
            Some(agent_id),
            state,
            Reason::Reconciliation,
            "Reconciliation: Latest task state",
            self.now.wall,
        );
        status.source = Some(Source::Master as i32);
        status.executor_id = task.executor_id.as_ref().map(|id| v1::ExecutorId {
            value: id.to_string(),
        });
        let last = v1::Task::decode(task.wire.clone())
            .ok()
            .and_then(|task| task.statuses.into_iter().next_back());
        if let Some(last) = last {
            status.labels = last.labels;
            status.healthy = last.healthy;
            status.check_status = last.check_status;
            status.container_status = last.container_status;
        }
        self.send_event(framework, wire::update(status), effects);
    }

    /// No operation is ever pending here: each ended in OPERATION_ERROR when it was asked for.
    pub(crate) fn on_reconcile_operations(
        &mut self,
        framework: FrameworkKey,
        call: v1::scheduler::call::ReconcileOperations,
        effects: &mut Effects,
    ) {
        for operation in call.operations {
            let status = v1::OperationStatus {
                operation_id: Some(operation.operation_id),
                state: v1::OperationState::OperationUnknown as i32,
                message: Some("Reconciliation: Operation is unknown".into()),
                agent_id: operation.agent_id,
                resource_provider_id: operation.resource_provider_id,
                ..v1::OperationStatus::default()
            };
            let event = v1::scheduler::Event {
                r#type: Some(v1::scheduler::event::Type::UpdateOperationStatus as i32),
                update_operation_status: Some(Box::new(
                    v1::scheduler::event::UpdateOperationStatus { status },
                )),
                ..v1::scheduler::Event::default()
            };
            self.send_event(framework, event, effects);
        }
    }
}

/// What is told of a task that is not live, by the state of the agent that it should be on.
fn absent_task(agent: Option<AgentState>) -> (v1::TaskState, &'static str) {
    match agent {
        Some(AgentState::Unreachable) => (
            v1::TaskState::TaskUnreachable,
            "Reconciliation: Task is unreachable",
        ),
        Some(AgentState::Gone) => (
            v1::TaskState::TaskGoneByOperator,
            "Reconciliation: Task is gone",
        ),
        Some(_) => (
            v1::TaskState::TaskGone,
            "Reconciliation: Task is unknown to the agent",
        ),
        None => (
            v1::TaskState::TaskUnknown,
            "Reconciliation: Task is unknown",
        ),
    }
}
