//! Admission of a task: what it needs, whether that is there, and its record.

use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::v1;
use mezz_resource::Resources;
use v1::task_status::Reason;

use crate::effect::Effects;
use crate::fact::Fact;
use crate::key::{AgentKey, FrameworkKey, TaskKey};
use crate::master::Master;
use crate::metrics::Counter;
use crate::records::{TaskList, TaskRecord};
use crate::reported::NewTask;
use crate::validation;
use crate::wire;

/// What a task takes from an offer.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pub(crate) task: Resources,
    /// Unset when its executor runs already, or is the agent itself.
    pub(crate) executor: Option<Resources>,
}

impl Demand {
    pub(crate) fn total(&self) -> Resources {
        let mut total = self.task.clone();
        if let Some(executor) = &self.executor {
            total += executor;
        }
        total
    }
}

impl Master {
    /// Checks a task against its offer and against what runs already; texts as Mesos prints them.
    pub(crate) fn check_task(
        &self,
        framework: FrameworkKey,
        agent: AgentKey,
        role: &str,
        remaining: &Resources,
        task: &v1::TaskInfo,
    ) -> Result<Demand, String> {
        validation::task(task)?;
        let taken = self.check_place(framework, agent, role, task)?;
        let executor = match &task.executor {
            None => None,
            Some(executor) => self.executor_demand(framework, agent, role, executor)?,
        };
        let demand = Demand {
            task: taken,
            executor,
        };
        let total = demand.total();
        if !remaining.contains(&total) {
            return Err(format!(
                "Total resources {total} required by task and its executor is more than available {remaining}"
            ));
        }
        Ok(demand)
    }

    /// Whether a task may go by its name to this agent; what it takes there.
    pub(crate) fn check_place(
        &self,
        framework: FrameworkKey,
        agent: AgentKey,
        role: &str,
        task: &v1::TaskInfo,
    ) -> Result<Resources, String> {
        self.check_task_id(framework, &task.task_id.value)?;
        let own = &self.agent(agent).id;
        if *task.agent_id.value != **own {
            return Err(format!(
                "Task uses invalid agent {} while agent {own} is expected",
                task.agent_id.value
            ));
        }
        if task.resources.is_empty() {
            return Err("Task uses no resources".into());
        }
        let taken = allocated(&task.resources, role)
            .map_err(|error| format!("Task uses invalid resources: {error}"))?;
        validation::limits(&task.limits, &taken, &self.agent(agent).capabilities)?;
        Ok(taken)
    }

    fn check_task_id(&self, framework: FrameworkKey, id: &str) -> Result<(), String> {
        let Some(key) = self.index.tasks.get(&(framework, id.into())) else {
            return Ok(());
        };
        match self.records.tasks.get(key.index()).map(|task| task.list) {
            Some(TaskList::Live) => Err(format!("Task has duplicate ID: {id}")),
            Some(TaskList::Unreachable) => {
                Err(format!("Task reuses the ID of an unreachable task: {id}"))
            }
            Some(TaskList::Completed) | None => Ok(()),
        }
    }

    /// Makes the records of a task that passed all checks, and what the agent is told. Its resources are in the
    /// ledger already, as part of the offer.
    pub(crate) fn admit_task(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        role: &Arc<str>,
        mut task: v1::TaskInfo,
        demand: Demand,
        effects: &mut Effects,
    ) -> agent::RunTask {
        let total = demand.total();
        self.charge(framework, agent, &total);
        if let Some(info) = &task.executor {
            self.admit_executor(framework, agent, role, info, demand.executor);
        }
        let wire_task = self.wire_task(framework, &task, &demand.task);
        let new = NewTask::of(&wire_task);
        self.insert_task(framework, agent, role, new, Arc::new(demand.task), effects);
        // The agent reports them to the next master, which has nothing else to tell the role from.
        task.resources = wire_task.resources;
        self.numbers.launch_token += 1;
        agent::RunTask {
            launch_token: self.numbers.launch_token,
            task,
            instance: None,
        }
    }

    fn wire_task(
        &self,
        framework: FrameworkKey,
        task: &v1::TaskInfo,
        resources: &Resources,
    ) -> v1::Task {
        let command_user = task.command.as_ref().or(task
            .executor
            .as_ref()
            .and_then(|executor| executor.command.as_ref()));
        v1::Task {
            name: task.name.clone(),
            task_id: task.task_id.clone(),
            framework_id: wire::framework_id_of(&self.framework(framework).id),
            executor_id: task
                .executor
                .as_ref()
                .map(|executor| executor.executor_id.clone()),
            agent_id: task.agent_id.clone(),
            state: v1::TaskState::TaskStaging as i32,
            resources: resources.to_proto(),
            labels: task.labels.clone(),
            discovery: task.discovery.clone(),
            container: task.container.clone(),
            health_check: task.health_check.clone(),
            kill_policy: task.kill_policy,
            user: command_user.and_then(|command| command.user.clone()),
            limits: task.limits.clone(),
            ..v1::Task::default()
        }
    }

    /// Makes a live task record.
    pub(crate) fn insert_task(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        role: &Arc<str>,
        task: NewTask,
        resources: Arc<Resources>,
        effects: &mut Effects,
    ) -> TaskKey {
        let id = task.id;
        if let Some(former) = self.index.tasks.get(&(framework, id.clone())).copied() {
            self.forget_completed_task(framework, former);
        }
        let key = TaskKey(self.free.tasks.take());
        let executor = task
            .executor_id
            .as_ref()
            .filter(|_| !wire::is_terminal(task.state))
            .and_then(|id| self.index.executors.get(&(agent, framework, id.clone())));
        if let Some(record) = executor.and_then(|key| self.records.executors.get_mut(key.index())) {
            record.task_count += 1;
        }
        let record = TaskRecord {
            key,
            framework,
            agent,
            id: id.clone(),
            role: Arc::clone(role),
            executor_id: task.executor_id,
            state: task.state,
            list: TaskList::Live,
            resources,
            update_state: task.update_state,
            update_uuid: task.update_uuid,
            created_at: task.first_at.unwrap_or(self.now.wall),
            started_at: task.started_at,
            finished_at: task.finished_at,
            wire: task.wire.clone(),
        };
        self.records.tasks.insert(key.index(), record);
        self.index.tasks.insert((framework, id), key);
        self.framework_live(framework).tasks.insert(key);
        self.agent_live(agent).tasks.insert(key);
        self.agent_mut(agent).task_count += 1;
        let wire = task.wire;
        self.emit(Fact::TaskAdded { task: key, wire }, effects);
        key
    }

    /// Tells a framework that a task never came to be.
    pub(crate) fn refuse_task(
        &mut self,
        framework: FrameworkKey,
        task: &v1::TaskInfo,
        state: v1::TaskState,
        reason: Reason,
        text: impl Into<String>,
        effects: &mut Effects,
    ) {
        let agent_id = Some(task.agent_id.value.as_str()).filter(|id| !id.is_empty());
        let status = wire::master_status(
            &task.task_id.value,
            agent_id,
            state,
            reason,
            text,
            self.now.wall,
        );
        self.count_terminal(framework, &status);
        self.send_event(framework, wire::update(status), effects);
    }

    pub(crate) fn count_terminal(&mut self, framework: FrameworkKey, status: &v1::TaskStatus) {
        use v1::TaskState as S;
        let state = status.state();
        let counter = match state {
            S::TaskFinished => Counter::TasksFinished,
            S::TaskFailed => Counter::TasksFailed,
            S::TaskKilled => Counter::TasksKilled,
            S::TaskError => Counter::TasksError,
            S::TaskLost => Counter::TasksLost,
            S::TaskDropped => Counter::TasksDropped,
            S::TaskGone => Counter::TasksGone,
            S::TaskGoneByOperator => Counter::TasksGoneByOperator,
            S::TaskStarting
            | S::TaskRunning
            | S::TaskStaging
            | S::TaskKilling
            | S::TaskUnreachable
            | S::TaskUnknown => return,
        };
        self.records.metrics.count(counter);
        if status.reason.is_some() {
            let name = format!(
                "{}/{}/{}",
                state.as_str_name(),
                status.source().as_str_name(),
                status.reason().as_str_name()
            );
            self.records.metrics.count_reason(name.to_ascii_lowercase());
        }
        if let Some(count) = self
            .framework_mut(framework)
            .metrics
            .terminal_tasks
            .get_mut(state as usize)
        {
            *count += 1;
        }
    }
}

/// Parses resources and puts them under the role of the offer when they name none.
pub(crate) fn allocated(
    resources: &[v1::Resource],
    role: &str,
) -> Result<Resources, mezz_resource::ResourceError> {
    Ok(Resources::from_proto(resources)?.allocated_to(&role.into()))
}
