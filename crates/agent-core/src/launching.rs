//! Taking in tasks: what is refused, what is fetched, what is launched, what waits for an executor.

use crate::agent::{AgentCore, Turn};
use crate::effect::Effect;
use crate::environment::command_task_environment;
use crate::ids::{ContainerId, LaunchId, Uuid};
use crate::journal::{ExecutorKind, Record};
use crate::launch::{Command, Fetch, Launch, Role, Survival};
use crate::model::{
    Container, Delivery, Executor, ExecutorKey, Framework, FrameworkKey, FrameworkPhase,
    FrameworkTraits, KnownFramework, Task, TaskKey,
};
use crate::records::ExecutorState;
use crate::slab::Key;
use crate::status::NewStatus;
use crate::support::{unsupported_in_executor, unsupported_in_task};
use mezz_proto::agent_protocol::{RunTask, RunTasks};
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{CommandInfo, FrameworkInfo, TaskInfo, TaskState};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// In the journal: a task that has no container.
pub(crate) const NO_LAUNCH: (ExecutorKind, LaunchId, ContainerId) = (
    ExecutorKind::Custom,
    LaunchId(0),
    ContainerId(Uuid([0; 16])),
);

impl AgentCore {
    pub(crate) fn on_run_tasks(&mut self, turn: &mut Turn<'_>, run: RunTasks) {
        let framework_id = run.framework_id.value;
        if let Some(mut info) = run.framework {
            info.id = Some(mezz_proto::v1::FrameworkId {
                value: framework_id.clone(),
            });
            self.learn_framework(turn, info);
        }
        if !self.known_frameworks.contains_key(framework_id.as_str()) {
            for RunTask { task, .. } in run.tasks {
                let message = "The agent has no information about the framework of this task";
                let status =
                    NewStatus::of_agent(TaskState::TaskLost, Reason::InvalidFrameworkid, message);
                self.answer_for_unknown_task(turn, &framework_id, &task.task_id.value, status);
            }
            return;
        }
        for RunTask { launch_token, task } in run.tasks {
            if self.tokens.insert(self.identity.epoch, launch_token) {
                self.run_task(turn, &framework_id, launch_token, task);
            }
        }
    }

    fn run_task(
        &mut self,
        turn: &mut Turn<'_>,
        framework_id: &str,
        launch_token: u64,
        info: TaskInfo,
    ) {
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
        let info = Arc::new(info);
        if let Some(field) = unsupported_in_task(&info) {
            let message = format!("Task field '{field}' is not supported by this agent");
            self.refuse_task(
                turn,
                framework,
                launch_token,
                info,
                NewStatus::of_agent(
                    TaskState::TaskFailed,
                    Reason::ContainerLaunchFailed,
                    message,
                ),
            );
        } else if info.executor.is_some() {
            self.run_task_of_custom_executor(turn, framework, launch_token, info);
        } else {
            self.run_command_task(turn, framework, launch_token, info);
        }
    }

    /// A task that ends as soon as it has come.
    fn refuse_task(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        launch_token: u64,
        info: Arc<TaskInfo>,
        status: NewStatus,
    ) {
        let task = self.add_task(turn, framework, None, launch_token, info, NO_LAUNCH);
        self.update(turn, task, status);
    }

    fn run_command_task(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        launch_token: u64,
        info: Arc<TaskInfo>,
    ) {
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
            self.refuse_task(turn, framework, launch_token, info, status);
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
            Arc::clone(&info),
            (ExecutorKind::Command, launch_id, container_id),
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

    /// Begins the fetch if there is something to fetch; says where the container is then.
    pub(crate) fn fetch(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        command: &CommandInfo,
    ) -> Container {
        let user = self.user_of(executor, command);
        let entry = self
            .executors
            .get_mut(executor)
            .expect("only called for an executor that is there");
        if command.uris.is_empty() {
            entry.container = Container::Launching;
            return Container::Launching;
        }
        entry.container = Container::Fetching;
        let (launch_id, sandbox) = (entry.launch_id, entry.sandbox.clone());
        turn.push(Effect::Fetch(Box::new(Fetch {
            launch_id,
            uris: command.uris.clone(),
            sandbox,
            user,
        })));
        Container::Fetching
    }

    pub(crate) fn launch_command_task(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        task: TaskKey,
    ) {
        self.update(turn, task, NewStatus::of_executor(TaskState::TaskStarting));
        let info = Arc::clone(
            &self
                .tasks
                .get(task)
                .expect("the task of a command executor exists")
                .info,
        );
        let command = info.command.as_ref().expect("a command task has a command");
        let environment = command_task_environment(self, executor, &info, command);
        self.launch(turn, executor, command, environment);
    }

    pub(crate) fn launch(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        command: &CommandInfo,
        environment: Vec<(String, String)>,
    ) {
        let user = self.user_of(executor, command);
        let entry = self
            .executors
            .get_mut(executor)
            .expect("only called for an executor that is there");
        entry.container = Container::Launching;
        let (launch_id, container_id, sandbox) =
            (entry.launch_id, entry.container_id, entry.sandbox.clone());
        let survival =
            if self.checkpoints(self.executors.get(executor).expect("just seen").framework) {
                Survival::Keep
            } else {
                Survival::EndWithAgent
            };
        turn.push(Effect::Launch(Box::new(Launch {
            launch_id,
            container_id,
            command: command_form(command),
            environment,
            user,
            sandbox,
            role: Role::Main,
            fetched: !command.uris.is_empty(),
            survival,
        })));
    }

    pub(crate) fn user_of(&self, executor: ExecutorKey, command: &CommandInfo) -> Option<String> {
        if !self.config.switch_user {
            return None;
        }
        let framework = self
            .executors
            .get(executor)
            .and_then(|executor| self.frameworks.get(executor.framework));
        let user = command
            .user
            .as_ref()
            .or(framework.map(|framework| &framework.info.user));
        user.filter(|user| !user.is_empty()).cloned()
    }

    fn run_task_of_custom_executor(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        launch_token: u64,
        info: Arc<TaskInfo>,
    ) {
        let wanted = info
            .executor
            .as_ref()
            .expect("only called for tasks with an executor");
        let id: Arc<str> = wanted.executor_id.value.as_str().into();
        let existing = self
            .frameworks
            .get(framework)
            .and_then(|entry| entry.executors.get(&id).copied());
        let entry = existing.and_then(|key| self.executors.get(key));
        let refusal = match entry {
            Some(executor) if executor.kind == ExecutorKind::Command => {
                Some("Executor id is that of a command task")
            }
            Some(executor) if executor.state == ExecutorState::Terminating => {
                Some("Executor terminating")
            }
            Some(executor) if executor.state == ExecutorState::Terminated => {
                Some("Executor terminated")
            }
            _ => None,
        };
        if let Some(message) = refusal {
            let status = NewStatus::of_agent(
                self.dropped_state(framework),
                Reason::ExecutorTerminated,
                message,
            );
            self.refuse_task(turn, framework, launch_token, info, status);
            return;
        }
        if existing.is_none()
            && let Some(field) = unsupported_in_executor(wanted)
        {
            let message = format!("Executor field '{field}' is not supported by this agent");
            let status = NewStatus::of_agent(
                TaskState::TaskFailed,
                Reason::ContainerLaunchFailed,
                message,
            );
            self.refuse_task(turn, framework, launch_token, info, status);
            return;
        }
        let executor =
            existing.unwrap_or_else(|| self.add_custom_executor(turn, framework, id, wanted));
        let entry = self.executors.get(executor).expect("found or just added");
        let launch = (ExecutorKind::Custom, entry.launch_id, entry.container_id);
        let task = self.add_task(turn, framework, Some(executor), launch_token, info, launch);
        self.executors
            .get_mut(executor)
            .expect("just seen")
            .queued
            .push_back(task);
        self.touch(executor);
        if existing.is_some() {
            self.deliver_queued(turn, executor);
        } else {
            self.start_custom_executor(turn, executor);
        }
    }

    pub(crate) fn add_task(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        executor: Option<ExecutorKey>,
        launch_token: u64,
        info: Arc<TaskInfo>,
        (kind, launch_id, container_id): (ExecutorKind, LaunchId, ContainerId),
    ) -> TaskKey {
        let serial = self.allocate_serial();
        let task = self.tasks.insert(Task::new(
            framework,
            executor,
            serial,
            Arc::clone(&info),
            launch_token,
        ));
        let entry = self
            .frameworks
            .get_mut(framework)
            .expect("only called for a framework that is there");
        let framework_id = entry.id.as_ref().to_owned();
        entry.tasks.insert(info.task_id.value.as_str().into(), task);
        if executor.is_none() {
            entry.detached.push(task);
        }
        self.checkpoint(
            turn,
            framework,
            Record::TaskLaunched {
                serial,
                framework_id,
                info,
                launch_token,
                kind,
                launch_id,
                container_id,
            },
        );
        task
    }

    pub(crate) fn add_executor(
        &mut self,
        framework: FrameworkKey,
        id: Arc<str>,
        kind: ExecutorKind,
        info: Option<Arc<mezz_proto::v1::ExecutorInfo>>,
        (launch_id, container_id): (LaunchId, ContainerId),
    ) -> ExecutorKey {
        let framework_id = Arc::clone(
            &self
                .frameworks
                .get(framework)
                .expect("only called for a framework that is there")
                .id,
        );
        let sandbox = Self::sandbox_path(&framework_id, container_id);
        let executor = self.executors.insert(Executor {
            framework,
            id: Arc::clone(&id),
            kind,
            info,
            state: ExecutorState::Registering,
            container: Container::Launching,
            container_id,
            launch_id,
            sandbox,
            stream: None,
            queued: VecDeque::new(),
            tasks: Vec::new(),
            completed: VecDeque::new(),
            delivery: Delivery::Never,
            termination: None,
            kill_began_ns: None,
            record: None,
        });
        self.launches.insert(launch_id, executor);
        self.frameworks
            .get_mut(framework)
            .expect("just seen")
            .executors
            .insert(id, executor);
        self.touch(executor);
        executor
    }

    /// The framework with this (known) id, made present if it is not.
    pub(crate) fn ensure_framework(&mut self, framework_id: &str) -> FrameworkKey {
        if let Some(key) = self.framework_of(framework_id) {
            return key;
        }
        let (id, known) = self
            .known_frameworks
            .get_key_value(framework_id)
            .expect("only called for known frameworks");
        let (id, info) = (Arc::clone(id), Arc::clone(&known.info));
        let earlier = self
            .completed_frameworks
            .iter()
            .position(|record| record.info.id == info.id);
        let completed = earlier
            .and_then(|index| self.completed_frameworks.remove(index))
            .map(|record| record.completed_executors.iter().cloned().collect());
        let key: Key<Framework> = self.frameworks.insert(Framework {
            id: Arc::clone(&id),
            traits: FrameworkTraits::of(&info),
            info,
            phase: FrameworkPhase::Running,
            executors: BTreeMap::new(),
            tasks: rustc_hash::FxHashMap::default(),
            detached: Vec::new(),
            completed: completed.unwrap_or_default(),
            record: None,
        });
        self.framework_keys.insert(id, key);
        self.records = None;
        key
    }

    /// Takes in what the master says of a framework; `info` has its id.
    pub(crate) fn learn_framework(&mut self, turn: &mut Turn<'_>, info: FrameworkInfo) {
        let Some(id) = info
            .id
            .as_ref()
            .map(|id| Arc::<str>::from(id.value.as_str()))
        else {
            return;
        };
        if self
            .known_frameworks
            .get(&id)
            .is_some_and(|known| *known.info == info)
        {
            return;
        }
        let info = Arc::new(info);
        let recorded = self
            .known_frameworks
            .get(&id)
            .is_some_and(|known| known.recorded);
        if recorded {
            turn.checkpoint(Record::Framework {
                info: Arc::clone(&info),
            });
        }
        self.known_frameworks.insert(
            Arc::clone(&id),
            KnownFramework {
                info: Arc::clone(&info),
                recorded,
            },
        );
        let Some(framework) = self
            .framework_of(&id)
            .and_then(|key| self.frameworks.get_mut(key))
        else {
            return;
        };
        // Whether it checkpoints is fixed by the first launch: what runs was started under it.
        framework.traits = FrameworkTraits {
            checkpoint: framework.traits.checkpoint,
            ..FrameworkTraits::of(&info)
        };
        framework.info = info;
        framework.record = None;
        self.records = None;
    }

    pub(crate) fn on_update_framework(&mut self, turn: &mut Turn<'_>, info: FrameworkInfo) {
        let Some(id) = info
            .id
            .clone()
            .filter(|id| self.known_frameworks.contains_key(id.value.as_str()))
        else {
            return;
        };
        self.learn_framework(turn, info);
        // The master says this when a scheduler has taken its framework over: what the old one left unacknowledged
        // need not wait for its next retry.
        self.resend_updates(turn, &id.value);
    }
}

pub(crate) fn command_form(command: &CommandInfo) -> Command {
    let value = command.value.clone().unwrap_or_default();
    if command.shell.unwrap_or(true) {
        Command::Shell(value)
    } else {
        Command::Argv {
            program: value,
            argv: command.arguments.clone(),
        }
    }
}
