//! What the agent shows of itself: immutable, cheap to clone, shared with the core where nothing changed.
//!
//! Owns the shapes only; JSON and filtering belong to the HTTP surface.

use crate::ids::{ContainerId, LaunchId};
use crate::journal::ExecutorKind;
use crate::nested::ContainerRecord;
use crate::synthetic::synthetic_executor;
use mezz_proto::v1::{
    AgentId, AgentInfo, ContainerInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo,
    MasterInfo, Task, TaskInfo, TaskState, TaskStatus,
};
use std::sync::Arc;

/// The whole agent at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentRecords {
    /// With id, once registered.
    pub agent: Arc<AgentInfo>,
    /// How far registration has come.
    pub registration: RegistrationState,
    /// The master that took us in.
    pub master: Option<Arc<MasterInfo>>,
    /// Frameworks with something here, by id.
    pub frameworks: Vec<Arc<FrameworkRecord>>,
    /// Frameworks that had something here, oldest first.
    pub completed_frameworks: Vec<Arc<FrameworkRecord>>,
    /// Containers that no executor stands for, by name.
    pub containers: Vec<ContainerRecord>,
    /// Totals since the start.
    pub counters: Counters,
}

/// How far registration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// Executors of an earlier life are awaited.
    Recovering,
    /// No master knows us.
    Disconnected,
    /// A master knows us.
    Registered,
    /// The daemon is about to stop.
    Stopping,
}

/// One framework on this agent.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameworkRecord {
    /// With its id.
    pub info: Arc<FrameworkInfo>,
    /// Living executors (command tasks have one each), by id.
    pub executors: Vec<Arc<ExecutorRecord>>,
    /// Ended ones, oldest first.
    pub completed_executors: Vec<Arc<CompletedExecutorRecord>>,
}

/// An executor that has ended.
pub type CompletedExecutorRecord = ExecutorRecord;

/// One executor, real or synthetic.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutorRecord {
    /// As the framework gave it; none of a command task.
    pub(crate) given_info: Option<Arc<ExecutorInfo>>,
    /// Its framework's id.
    pub framework_id: Arc<str>,
    /// Whether it is a process of its own.
    pub kind: ExecutorKind,
    /// How far it has come.
    pub state: ExecutorState,
    /// Its container.
    pub container_id: ContainerId,
    /// Its launch, by which the warden's statistics are found.
    pub launch_id: LaunchId,
    /// Its main process, once started.
    pub pid: Option<u32>,
    /// Its sandbox, relative to the work directory.
    pub sandbox: String,
    /// Tasks that wait for the executor.
    pub queued: Vec<TaskRecord>,
    /// Tasks that the executor has, and terminal ones not yet acknowledged.
    pub tasks: Vec<TaskRecord>,
    /// Tasks that are over, oldest first.
    pub completed: Vec<Arc<TaskRecord>>,
    /// Of a pod: the containers that it still has something of, in the order in which they came.
    pub members: Vec<Arc<ExecutorRecord>>,
}

impl ExecutorRecord {
    /// The executor's id: of a command task the task's.
    pub fn id(&self) -> &str {
        let of_task = || {
            self.first_task()
                .map(|task| task.info.task_id.value.as_str())
        };
        self.given_info
            .as_ref()
            .map(|info| info.executor_id.value.as_str())
            .or_else(of_task)
            .unwrap_or_default()
    }

    /// For a command task made up as Mesos does it (name, source), each time: few of them are ever looked at.
    pub fn info(&self) -> Arc<ExecutorInfo> {
        self.given_info.clone().unwrap_or_else(|| {
            Arc::new(synthetic_executor(
                &self.framework_id,
                self.first_task().map(|task| &task.info),
            ))
        })
    }

    /// The container that the framework asked for.
    pub fn container(&self) -> Option<ContainerInfo> {
        let container = match &self.given_info {
            Some(info) => info.container.as_ref(),
            None => self
                .first_task()
                .and_then(|task| task.info.container.as_ref()),
        };
        container.map(|container| container.as_ref().clone())
    }

    /// The variables that the framework gave its command; a later entry of a name wins.
    pub fn environment(&self) -> Vec<(String, String)> {
        let command = match &self.given_info {
            Some(info) => info.command.as_ref(),
            None => self
                .first_task()
                .and_then(|task| task.info.command.as_ref()),
        };
        let list = command.and_then(|command| command.environment.as_ref());
        let variables = list.iter().flat_map(|list| &list.variables);
        variables
            .map(|variable| {
                let value = variable.value.clone().unwrap_or_default();
                (variable.name.clone(), value)
            })
            .collect()
    }

    /// What has a process or could have one: the members of a pod, anything else itself.
    pub fn containers(&self) -> impl Iterator<Item = &Self> + Clone {
        let own = (self.kind != ExecutorKind::Default).then_some(self);
        own.into_iter().chain(self.members.iter().map(Arc::as_ref))
    }

    /// The container of one of its tasks, as the task's statuses tell it.
    pub fn container_of(&self, task: &str) -> Option<String> {
        let held = self.tasks.iter();
        let mut tasks = held.chain(self.completed.iter().rev().map(Arc::as_ref));
        let task = tasks.find(|held| held.info.task_id.value == task)?;
        let status = task.statuses.last()?.container_status.as_ref()?;
        Some(status.container_id.as_ref()?.value.clone())
    }

    fn first_task(&self) -> Option<&TaskRecord> {
        self.tasks
            .first()
            .or_else(|| self.completed.last().map(Arc::as_ref))
    }
}

/// How far an executor has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutorState {
    /// Being fetched, launched, or not yet subscribed.
    Registering,
    /// Subscribed (custom) or started (command).
    Running,
    /// Told to end.
    Terminating,
    /// Ended, with updates not yet acknowledged.
    Terminated,
}

/// One task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRecord {
    /// What the framework asked for.
    pub info: Arc<TaskInfo>,
    /// The newest state that the agent knows.
    pub state: TaskState,
    /// One status per state change, oldest first.
    pub statuses: Vec<Arc<TaskStatus>>,
    /// State of the update sent last.
    pub status_update_state: Option<TaskState>,
    /// Its uuid.
    pub status_update_uuid: Option<bytes::Bytes>,
}

impl TaskRecord {
    /// As the wire shows a task. `executor_id` is left out towards the master for command tasks.
    pub fn to_task(&self, framework_id: &str, agent_id: &str, executor_id: Option<&str>) -> Task {
        let info = &self.info;
        let command = info.command.as_ref().or_else(|| {
            info.executor
                .as_ref()
                .and_then(|executor| executor.command.as_ref())
        });
        Task {
            name: info.name.clone(),
            task_id: info.task_id.clone(),
            framework_id: FrameworkId {
                value: framework_id.to_owned(),
            },
            executor_id: executor_id.map(|value| ExecutorId {
                value: value.to_owned(),
            }),
            agent_id: AgentId {
                value: agent_id.to_owned(),
            },
            state: self.state.into(),
            resources: info.resources.clone(),
            statuses: self
                .statuses
                .iter()
                .map(|status| status_for_history(status))
                .collect(),
            status_update_state: self.status_update_state.map(Into::into),
            status_update_uuid: self.status_update_uuid.clone(),
            labels: info.labels.clone(),
            discovery: info.discovery.clone(),
            container: info.container.clone(),
            health_check: info.health_check.clone(),
            kill_policy: info.kill_policy,
            user: command.and_then(|command| command.user.clone()),
            limits: info.limits.clone(),
        }
    }
}

/// History keeps a status without its payload, as Mesos does.
fn status_for_history(status: &TaskStatus) -> TaskStatus {
    TaskStatus {
        data: None,
        ..status.clone()
    }
}

/// Totals since the start, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Updates taken in.
    pub valid_status_updates: u64,
    /// Updates ignored or refused.
    pub invalid_status_updates: u64,
    /// Framework messages delivered.
    pub valid_framework_messages: u64,
    /// Framework messages without addressee.
    pub invalid_framework_messages: u64,
    /// Tasks by terminal state: TASK_FINISHED.
    pub tasks_finished: u64,
    /// TASK_FAILED.
    pub tasks_failed: u64,
    /// TASK_KILLED.
    pub tasks_killed: u64,
    /// TASK_LOST and TASK_DROPPED.
    pub tasks_lost: u64,
    /// TASK_GONE and TASK_GONE_BY_OPERATOR.
    pub tasks_gone: u64,
    /// Containers that did not start.
    pub container_launch_errors: u64,
    /// Executors that have ended.
    pub executors_terminated: u64,
    /// Updates sent more than once.
    pub update_retries: u64,
}
