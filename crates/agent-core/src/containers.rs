//! What fetcher and warden report, and what is left when a container is gone.

use crate::agent::{AgentCore, Turn};
use crate::effect::Effect;
use crate::environment;
use crate::event::{FetchOutcome, KnownContainer, KnownContainerState};
use crate::facts::ContainerFacts;
use crate::ids::LaunchId;
use crate::journal::{ExecutorKind, KillCause, Record};
use crate::model::{Container, ExecutorKey, TaskKey};
use crate::records::ExecutorState;
use crate::status::{Exit, NewStatus};
use crate::timers::TimerKey;
use mezz_proto::v1::TaskState;
use mezz_proto::v1::task_status::Reason;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What Mesos says of a container that is not there after a restart.
pub(crate) const UNKNOWN_CONTAINER: &str = "Abnormal executor termination: unknown container";

impl AgentCore {
    pub(crate) fn on_fetched(
        &mut self,
        turn: &mut Turn<'_>,
        launch_id: LaunchId,
        outcome: FetchOutcome,
    ) {
        let Some((executor, kind)) = self.launched(launch_id) else {
            self.on_nested_fetched(turn, launch_id, outcome);
            return;
        };
        if self
            .executors
            .get(executor)
            .is_none_or(|entry| entry.container != Container::Fetching)
        {
            return;
        }
        match outcome {
            FetchOutcome::Failed { message } => {
                self.on_container_launch_failed(turn, launch_id, &message);
            }
            FetchOutcome::Done if kind == ExecutorKind::Command => {
                if let Some(task) = self.command_task(executor) {
                    self.launch_command_task(turn, executor, task);
                }
            }
            FetchOutcome::Done => self.launch_custom_executor(turn, executor),
        }
    }

    pub(crate) fn on_container_described(
        &mut self,
        turn: &mut Turn<'_>,
        launch_id: LaunchId,
        facts: Box<ContainerFacts>,
    ) {
        let Some((executor, _)) = self.launched(launch_id) else {
            return;
        };
        let entry = self
            .executors
            .get_mut(executor)
            .expect("a launched executor exists");
        entry.facts = Some(facts.clone());
        let framework = entry.framework;
        let record = Record::ContainerDescribed { launch_id, facts };
        self.checkpoint(turn, framework, record);
    }

    pub(crate) fn on_container_started(
        &mut self,
        turn: &mut Turn<'_>,
        launch_id: LaunchId,
        pid: u32,
    ) {
        let Some((executor, kind)) = self.launched(launch_id) else {
            if self.pre_stops.contains_key(&launch_id.into())
                || self.on_nested_started(turn, launch_id, pid)
                || self.on_probe_started(turn, launch_id)
            {
                return;
            }
            turn.ignored(format!(
                "start of unknown container {launch_id}: it is killed"
            ));
            turn.push(Effect::KillTree { launch_id });
            return;
        };
        let entry = self
            .executors
            .get_mut(executor)
            .expect("a launched executor exists");
        if entry.container != Container::Launching {
            return;
        }
        entry.container = Container::Running { pid };
        let state = entry.state;
        self.touch(executor);
        match (kind, state) {
            (_, ExecutorState::Terminating | ExecutorState::Terminated) => {
                turn.push(Effect::KillTree { launch_id });
            }
            (ExecutorKind::Command, _) => self.on_command_task_started(turn, executor),
            // Tasks may have come since it was launched.
            (ExecutorKind::Custom, _) => self.resize(turn, executor),
            (ExecutorKind::Default, _) => {}
        }
    }

    pub(crate) fn on_command_task_started(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        self.executors
            .get_mut(executor)
            .expect("only called for an executor that is there")
            .state = ExecutorState::Running;
        if let Some(task) = self.command_task(executor) {
            self.update(turn, task, NewStatus::of_executor(TaskState::TaskRunning));
            self.begin_checks(turn, task);
        }
    }

    pub(crate) fn on_container_launch_failed(
        &mut self,
        turn: &mut Turn<'_>,
        launch_id: LaunchId,
        message: &str,
    ) {
        let Some((executor, kind)) = self.launched(launch_id) else {
            if !self.on_pre_stop_ended(turn, launch_id.into())
                && !self.on_nested_launch_failed(turn, launch_id, message)
            {
                self.on_probe_ended(turn, launch_id, None);
            }
            return;
        };
        self.counters.container_launch_errors += 1;
        let message = format!("Failed to launch container: {message}");
        if kind == ExecutorKind::Custom {
            self.terminate_with(
                executor,
                TaskState::TaskFailed,
                Reason::ContainerLaunchFailed,
                message,
            );
            self.custom_executor_ended(turn, executor, -1);
        } else if self.kill_of(executor).is_some() {
            let status = self.killed_during_launch(executor);
            self.command_task_ended(turn, executor, status);
        } else {
            let status = NewStatus::of_agent(
                TaskState::TaskFailed,
                Reason::ContainerLaunchFailed,
                message,
            );
            self.command_task_ended(turn, executor, status);
        }
    }

    pub(crate) fn on_container_exited(
        &mut self,
        turn: &mut Turn<'_>,
        launch_id: LaunchId,
        wait_status: i32,
    ) {
        let launched = self.launched(launch_id);
        if let Some((executor, _)) = launched {
            self.executor_container_gone(turn, executor, Some(wait_status));
        }
        match launched {
            Some((executor, ExecutorKind::Command)) => {
                let status = self.exit_status(executor, Exit::from_wait_status(wait_status));
                self.command_task_ended(turn, executor, status);
            }
            Some((executor, ExecutorKind::Custom)) => {
                self.custom_executor_ended(turn, executor, wait_status);
            }
            // It has no process that could have ended.
            Some((_, ExecutorKind::Default)) => {}
            None if self.on_pre_stop_ended(turn, launch_id.into()) => {}
            None if self.on_nested_exited(turn, launch_id, wait_status) => {}
            None => self.on_probe_ended(turn, launch_id, Some(wait_status)),
        }
        turn.push(Effect::AcknowledgeExit { launch_id });
    }

    /// What the exit of a command task's process means.
    fn exit_status(&self, executor: ExecutorKey, exit: Exit) -> NewStatus {
        if let Some(status) = self.limited_status(executor) {
            return status;
        }
        let status = match (self.kill_of(executor), exit) {
            (Some(cause), _) => killed_for(cause),
            (None, Exit::Code(0)) => NewStatus::of_executor(TaskState::TaskFinished),
            (None, _) => NewStatus::of_executor(TaskState::TaskFailed),
        };
        let what = if self.is_of_docker(executor) {
            "Container"
        } else {
            "Command"
        };
        status.message(exit.describe(what))
    }

    /// Whether the task's container is one of the Docker Engine, which Mesos's statuses speak of otherwise.
    fn is_of_docker(&self, executor: ExecutorKey) -> bool {
        let task = self
            .command_task(executor)
            .and_then(|task| self.tasks.get(task));
        let container = task.and_then(|task| task.info.container.as_deref());
        container.is_some_and(environment::is_of_docker)
    }

    /// A new warden knows only these containers; all others are gone.
    pub(crate) fn on_warden_lost(&mut self, turn: &mut Turn<'_>, containers: &[KnownContainer]) {
        let known: BTreeMap<LaunchId, KnownContainerState> = containers
            .iter()
            .map(|known| (known.launch_id, known.state))
            .collect();
        for executor in self.executors.keys() {
            let entry = self
                .executors
                .get(executor)
                .expect("the key was listed a moment ago");
            if matches!(
                entry.container,
                Container::Launching | Container::Running { .. }
            ) && !known.contains_key(&entry.launch_id)
            {
                self.container_vanished(turn, executor);
            }
        }
        self.on_probes_lost(turn, &known);
        self.on_nested_lost(turn, &known);
        self.on_pre_stops_lost(turn, &known);
        for (launch_id, state) in known {
            match state {
                KnownContainerState::Running { pid } => {
                    self.on_container_started(turn, launch_id, pid);
                }
                KnownContainerState::Exited { wait_status } => {
                    self.on_container_exited(turn, launch_id, wait_status);
                }
            }
        }
    }

    pub(crate) fn on_container_vanished(&mut self, turn: &mut Turn<'_>, launch_id: LaunchId) {
        let Some((executor, _)) = self.launched(launch_id) else {
            self.on_nested_vanished(turn, launch_id);
            return;
        };
        // What has ended in an ordinary way is said to be gone too.
        if self.executors.get(executor).is_some_and(|entry| {
            matches!(
                entry.container,
                Container::Launching | Container::Running { .. }
            )
        }) {
            self.container_vanished(turn, executor);
        }
    }

    /// A container ended, and nobody knows how.
    pub(crate) fn container_vanished(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        let entry = self
            .executors
            .get(executor)
            .expect("only called for an executor that is there");
        // It may run on without a parent that we know; what is said to have ended must not.
        turn.push(Effect::EndStray {
            launch_id: entry.launch_id,
        });
        if entry.kind == ExecutorKind::Custom {
            if entry.termination.is_none() {
                self.terminate_with(
                    executor,
                    TaskState::TaskFailed,
                    Reason::ExecutorTerminated,
                    UNKNOWN_CONTAINER.to_owned(),
                );
            }
            self.custom_executor_ended(turn, executor, -1);
            return;
        }
        let framework = entry.framework;
        if let Some(status) = self.limited_status(executor) {
            self.command_task_ended(turn, executor, status);
            return;
        }
        let state = self
            .command_task(executor)
            .and_then(|task| self.tasks.get(task))
            .map(|task| task.state);
        let status = match state {
            _ if self.kill_of(executor) == Some(KillCause::Overdue) => NewStatus::of_agent(
                TaskState::TaskFailed,
                Reason::MaxCompletionTimeReached,
                UNKNOWN_CONTAINER,
            ),
            _ if self.kill_of(executor).is_some() => NewStatus::of_agent(
                TaskState::TaskKilled,
                Reason::ExecutorTerminated,
                UNKNOWN_CONTAINER,
            ),
            Some(TaskState::TaskStaging | TaskState::TaskStarting) => NewStatus::of_agent(
                self.dropped_state(framework),
                Reason::AgentRestarted,
                "Task launched during agent restart",
            ),
            _ => NewStatus::of_agent(
                TaskState::TaskFailed,
                Reason::ExecutorTerminated,
                UNKNOWN_CONTAINER,
            ),
        };
        self.command_task_ended(turn, executor, status);
    }

    pub(crate) fn command_task_ended(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        status: NewStatus,
    ) {
        let state = status.state;
        if let Some(task) = self.command_task(executor) {
            self.update(turn, task, status);
            self.end_checks(turn, task);
        }
        self.timers.cancel(TimerKey::KillGrace(executor));
        self.abandon_pre_stop(turn, executor);
        self.container_gone(turn, executor);
        let member = self.executors.get(executor).and_then(|entry| entry.member);
        self.retire(turn, executor);
        if let Some(member) = member {
            self.on_member_ended(turn, member, state);
        }
    }

    /// The bookkeeping that both kinds of executors share when their container is gone.
    pub(crate) fn container_gone(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        let entry = self
            .executors
            .get_mut(executor)
            .expect("only called for an executor that is there");
        entry.container = Container::Gone;
        entry.state = ExecutorState::Terminated;
        let (launch_id, sandbox) = (entry.launch_id, entry.sandbox.clone());
        let is_executor = entry.member.is_none();
        self.launches.remove(&launch_id);
        self.counters.executors_terminated += u64::from(is_executor);
        self.executor_container_gone(turn, executor, None);
        turn.push(Effect::ScheduleSandboxRemoval { sandbox });
        self.touch(executor);
    }

    /// The task of a command executor; none once it is over.
    pub(crate) fn command_task(&self, executor: ExecutorKey) -> Option<TaskKey> {
        self.executors.get(executor)?.tasks.first().copied()
    }

    /// On whose account a command task is being killed, if it is.
    pub(crate) fn kill_of(&self, executor: ExecutorKey) -> Option<KillCause> {
        let task = self.tasks.get(self.command_task(executor)?)?;
        task.kill.map(|kill| kill.cause)
    }

    /// The default executor of Mesos has its tasks before they start.
    pub(crate) fn killed_during_launch(&self, executor: ExecutorKey) -> NewStatus {
        let is_member = self
            .executors
            .get(executor)
            .is_some_and(|entry| entry.member.is_some());
        if is_member {
            NewStatus::of_executor(TaskState::TaskKilled)
        } else {
            killed_before_delivery()
        }
    }

    pub(crate) fn framework_id_of(&self, executor: ExecutorKey) -> Option<Arc<str>> {
        let framework = self.executors.get(executor)?.framework;
        self.frameworks
            .get(framework)
            .map(|framework| Arc::clone(&framework.id))
    }
}

/// A task that did as it was told, or had to.
fn killed_for(cause: KillCause) -> NewStatus {
    match cause {
        KillCause::Asked => NewStatus::of_executor(TaskState::TaskKilled),
        KillCause::Unhealthy => NewStatus {
            healthy: Some(false),
            ..NewStatus::of_executor(TaskState::TaskKilled)
        },
        KillCause::Overdue => NewStatus {
            reason: Some(Reason::MaxCompletionTimeReached),
            ..NewStatus::of_executor(TaskState::TaskFailed)
        },
    }
}

/// Of a task that its executor has not got yet.
pub(crate) fn killed_before_delivery() -> NewStatus {
    NewStatus::of_agent(
        TaskState::TaskKilled,
        Reason::TaskKilledDuringLaunch,
        "Killed before delivery to the executor",
    )
}
