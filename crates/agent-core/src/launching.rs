//! Starting containers: what is fetched first, what is run, as whom, in which environment.

use crate::agent::{AgentCore, Turn};
use crate::allotment::Allotment;
use crate::effect::Effect;
use crate::entries::lasting;
use crate::environment::{command_task_environment, secret_variables};
use crate::journal::ExecutorKind;
use crate::launch::{Command, Fetch, Grouping, Launch, Materials, Role, Surroundings, Survival};
use crate::model::{Container, ExecutorKey, TaskKey};
use crate::status::{NewStatus, is_terminal};
use mezz_proto::v1::{CommandInfo, TaskState};
use std::sync::Arc;

impl AgentCore {
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
        // Those of a pod are told all at once, before any of them starts.
        let parent = self.pod_sandbox(executor);
        if parent.is_none() {
            self.update(turn, task, NewStatus::of_executor(TaskState::TaskStarting));
        }
        let info = Arc::clone(
            &self
                .tasks
                .get(task)
                .expect("the task of a command executor exists")
                .info,
        );
        let command = info.command.as_ref().expect("a command task has a command");
        let environment = command_task_environment(self, executor, &info, command);
        let materials = self.take_materials(task, command);
        let surroundings = Surroundings {
            parent_sandbox: parent,
            ..Surroundings::of(info.container.as_deref(), info.labels.as_ref())
        };
        let extras = (materials, surroundings);
        self.launch(turn, executor, command, environment, extras);
    }

    /// What the launch of a task needs of secrets and configs; the task keeps none of it.
    fn take_materials(&mut self, task: TaskKey, command: &CommandInfo) -> Option<Box<Materials>> {
        let entry = self.tasks.get_mut(task)?;
        let terms = entry.terms.take()?;
        let holder = entry
            .executor
            .and_then(|executor| self.executors.get(executor))?
            .launch_id;
        entry.terms = lasting(&terms);
        let materials = Materials {
            holder,
            variables: secret_variables(command),
            files: terms.files,
            values: terms.secrets,
        };
        let is_needed = !materials.variables.is_empty() || !materials.files.is_empty();
        is_needed.then(|| Box::new(materials))
    }

    pub(crate) fn launch(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        command: &CommandInfo,
        environment: Vec<(String, String)>,
        (materials, mut surroundings): (Option<Box<Materials>>, Surroundings),
    ) {
        if surroundings.container.is_some() {
            surroundings.user = command.user.as_deref().map(Into::into);
        }
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
            materials,
            surroundings,
            allotment: self.allotment(executor),
            grouping: Grouping::Own,
        })));
    }

    /// What an executor and its living tasks may use; of a command task the task alone.
    pub(crate) fn allotment(&self, executor: ExecutorKey) -> Allotment {
        let Some(entry) = self.executors.get(executor) else {
            return Allotment::default();
        };
        let own = entry
            .info
            .as_deref()
            .map_or(&[][..], |info| &info.resources);
        let tasks = entry.queued.iter().chain(&entry.tasks);
        let living = tasks
            .filter_map(|task| self.tasks.get(*task))
            .filter(|task| !is_terminal(task.state));
        Allotment::of(own, living.map(|task| task.info.as_ref()))
    }

    /// Of a custom executor: its tasks have come or gone.
    pub(crate) fn resize(&self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        let Some(entry) = self.executors.get(executor) else {
            return;
        };
        let there = matches!(
            entry.container,
            Container::Launching | Container::Running { .. }
        );
        if entry.kind == ExecutorKind::Custom && there {
            turn.push(Effect::Resize {
                launch_id: entry.launch_id,
                allotment: Box::new(self.allotment(executor)),
            });
        }
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
