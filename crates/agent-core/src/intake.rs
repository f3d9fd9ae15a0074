//! Taking in tasks: what is refused, what is started, what waits for an executor.

use crate::agent::{AgentCore, Turn};
use crate::entries::{Place, Wanted};
use crate::ids::TaskSerial;
use crate::journal::ExecutorKind;
use crate::model::{Container, Executor, FrameworkKey};
use crate::records::ExecutorState;
use crate::status::NewStatus;
use crate::support::{Above, unsupported_in_executor, unsupported_in_task};
use crate::tokens::LaunchToken;
use mezz_proto::agent_protocol::{RunTask, RunTasks};
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{FrameworkId, FrameworkInfo, TaskState};
use std::sync::Arc;

/// How a task of a custom executor comes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coming {
    /// With which others.
    pub(crate) group: Option<TaskSerial>,
    /// Others of them are still to come.
    pub(crate) more: bool,
}

impl AgentCore {
    /// Learns the framework that tasks came with; tasks of one that nobody has told of are answered for.
    pub(crate) fn knows_framework(
        &mut self,
        turn: &mut Turn<'_>,
        framework_id: &str,
        told: Option<FrameworkInfo>,
        tasks: &[RunTask],
    ) -> bool {
        if let Some(mut info) = told {
            info.id = Some(FrameworkId {
                value: framework_id.to_owned(),
            });
            self.learn_framework(turn, info);
        }
        if self.known_frameworks.contains_key(framework_id) {
            return true;
        }
        for RunTask { task, .. } in tasks {
            let message = "The agent has no information about the framework of this task";
            let status =
                NewStatus::of_agent(TaskState::TaskLost, Reason::InvalidFrameworkid, message);
            self.answer_for_unknown_task(turn, framework_id, &task.task_id.value, status);
        }
        false
    }

    pub(crate) fn on_run_tasks(&mut self, turn: &mut Turn<'_>, run: RunTasks) {
        let framework_id = run.framework_id.value;
        if !self.knows_framework(turn, &framework_id, run.framework, &run.tasks) {
            return;
        }
        for RunTask {
            launch_token,
            task,
            instance,
        } in run.tasks
        {
            let token = LaunchToken {
                epoch: self.identity.epoch,
                number: launch_token,
            };
            if self.tokens.insert(token) {
                let wanted = Wanted {
                    info: Arc::new(task),
                    terms: instance,
                };
                self.run_task(turn, &framework_id, token, wanted);
            } else {
                let id = task.task_id.value;
                turn.ignored(format!(
                    "launch {launch_token} of task {id}, delivered again"
                ));
            }
        }
    }

    fn run_task(
        &mut self,
        turn: &mut Turn<'_>,
        framework_id: &str,
        launch_token: LaunchToken,
        wanted: Wanted,
    ) {
        let info = Arc::clone(&wanted.info);
        let framework = self.ensure_framework(framework_id);
        if self.is_terminating(framework) {
            turn.ignored(format!(
                "task {} of framework {framework_id}, which is being shut down",
                info.task_id.value
            ));
            return;
        }
        if self.task_of(framework_id, &info.task_id.value).is_some() {
            turn.ignored(format!(
                "task {} of framework {framework_id} is here already",
                info.task_id.value
            ));
            return;
        }
        if let Some(field) = unsupported_in_task(&info, wanted.terms.as_deref(), Above::Nothing) {
            let message = format!("Task field '{field}' is not supported by this agent");
            self.refuse_task(
                turn,
                framework,
                launch_token,
                wanted,
                NewStatus::of_agent(
                    TaskState::TaskFailed,
                    Reason::ContainerLaunchFailed,
                    message,
                ),
            );
        } else if info.executor.is_some() {
            self.run_task_of_custom_executor(
                turn,
                framework,
                launch_token,
                wanted,
                Coming::default(),
            );
        } else {
            self.run_command_task(turn, framework, launch_token, wanted);
        }
    }

    /// A task that ends as soon as it has come.
    pub(crate) fn refuse_task(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        launch_token: LaunchToken,
        wanted: Wanted,
        status: NewStatus,
    ) {
        let wanted = Wanted {
            terms: None,
            ..wanted
        };
        let task = self.add_task(turn, framework, None, launch_token, wanted, Place::NONE);
        self.update(turn, task, status);
    }

    fn run_command_task(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        launch_token: LaunchToken,
        wanted: Wanted,
    ) {
        let info = Arc::clone(&wanted.info);
        let id: Arc<str> = info.task_id.value.as_str().into();
        let taken = self
            .frameworks
            .get(framework)
            .is_some_and(|entry| entry.executors.contains_key(&id));
        if taken {
            let status = NewStatus::of_agent(
                self.dropped_state(framework),
                Reason::TaskInvalid,
                "Cannot reuse an already existing executor for a command task",
            );
            self.refuse_task(turn, framework, launch_token, wanted, status);
            return;
        }
        let (launch_id, container_id) = (self.rng.launch_id(), self.rng.container_id());
        let executor = self.add_executor(
            framework,
            id,
            ExecutorKind::Command,
            None,
            (launch_id, container_id),
        );
        let task = self.add_task(
            turn,
            framework,
            Some(executor),
            launch_token,
            wanted,
            Place {
                kind: ExecutorKind::Command,
                launch_id,
                container_id,
                member: None,
            },
        );
        self.executors
            .get_mut(executor)
            .expect("just added")
            .tasks
            .push(task);
        let command = info
            .command
            .as_ref()
            .expect("a task without executor has a command, or was refused");
        if self.fetch(turn, executor, command) == Container::Launching {
            self.launch_command_task(turn, executor, task);
        }
    }

    pub(crate) fn run_task_of_custom_executor(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        launch_token: LaunchToken,
        wanted: Wanted,
        coming: Coming,
    ) {
        let info = Arc::clone(&wanted.info);
        let executor_info = info
            .executor
            .as_ref()
            .expect("only called for tasks with an executor");
        let id: Arc<str> = executor_info.executor_id.value.as_str().into();
        let existing = self
            .frameworks
            .get(framework)
            .and_then(|entry| entry.executors.get(&id).copied());
        let entry = existing.and_then(|key| self.executors.get(key));
        if let Some(message) = entry.and_then(takes_no_task) {
            let status = NewStatus::of_agent(
                self.dropped_state(framework),
                Reason::ExecutorTerminated,
                message,
            );
            self.refuse_task(turn, framework, launch_token, wanted, status);
            return;
        }
        if existing.is_none()
            && let Some(field) = unsupported_in_executor(executor_info)
        {
            let message = format!("Executor field '{field}' is not supported by this agent");
            let status = NewStatus::of_agent(
                TaskState::TaskFailed,
                Reason::ContainerLaunchFailed,
                message,
            );
            self.refuse_task(turn, framework, launch_token, wanted, status);
            return;
        }
        let executor = existing
            .unwrap_or_else(|| self.add_custom_executor(turn, framework, id, executor_info));
        let entry = self.executors.get(executor).expect("found or just added");
        let launch = Place {
            kind: ExecutorKind::Custom,
            launch_id: entry.launch_id,
            container_id: entry.container_id,
            member: None,
        };
        let task = self.add_task(
            turn,
            framework,
            Some(executor),
            launch_token,
            wanted,
            launch,
        );
        if let Some(entry) = self.tasks.get_mut(task) {
            entry.group = coming.group;
        }
        self.executors
            .get_mut(executor)
            .expect("just seen")
            .queued
            .push_back(task);
        self.touch(executor);
        if existing.is_none() {
            self.start_custom_executor(turn, executor);
        } else if !coming.more {
            self.resize(turn, executor);
            self.deliver_queued(turn, executor);
        }
    }
}

/// Why an executor that is there cannot be given another task, if so.
fn takes_no_task(executor: &Executor) -> Option<&'static str> {
    match (executor.kind, executor.state) {
        (ExecutorKind::Command, _) => Some("Executor id is that of a command task"),
        (ExecutorKind::Default, _) => Some("Executor id is that of a pod"),
        (ExecutorKind::Custom, ExecutorState::Terminating) => Some("Executor terminating"),
        (ExecutorKind::Custom, ExecutorState::Terminated) => Some("Executor terminated"),
        (ExecutorKind::Custom, _) => None,
    }
}
