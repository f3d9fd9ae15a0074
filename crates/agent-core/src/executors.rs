//! Custom executors: launch, delivery of tasks, shutdown, time-outs, end.

use crate::agent::{AgentCore, Turn};
use crate::effect::Effect;
use crate::environment::{duration, executor_environment};
use crate::executor_api::event_of;
use crate::journal::{ExecutorKind, Record};
use crate::killing::KillOrder;
use crate::launch::Surroundings;
use crate::model::{Container, Delivery, ExecutorKey, FrameworkKey, TaskKey, Termination};
use crate::records::ExecutorState;
use crate::status::{NewStatus, duration_text, is_terminal};
use crate::timers::TimerKey;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{ExecutorExited, FrameworkMessage, ShutdownExecutor};
use mezz_proto::v1::executor::event::{self, Launch as LaunchEvent, Message};
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{ExecutorId, ExecutorInfo, FrameworkId, Resource, TaskState};
use std::sync::Arc;
use std::time::Duration;

impl AgentCore {
    pub(crate) fn add_custom_executor(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        id: Arc<str>,
        wanted: &ExecutorInfo,
    ) -> ExecutorKey {
        let framework_id = self
            .frameworks
            .get(framework)
            .expect("only called for a framework that is there")
            .id
            .as_ref()
            .to_owned();
        let info = Arc::new(ExecutorInfo {
            framework_id: Some(FrameworkId {
                value: framework_id.clone(),
            }),
            ..wanted.clone()
        });
        let (launch_id, container_id) = (self.rng.launch_id(), self.rng.container_id());
        let executor = self.add_executor(
            framework,
            id,
            ExecutorKind::Custom,
            Some(Arc::clone(&info)),
            (launch_id, container_id),
        );
        self.checkpoint(
            turn,
            framework,
            Record::ExecutorLaunched {
                framework_id,
                info,
                container_id,
                launch_id,
            },
        );
        executor
    }

    pub(crate) fn start_custom_executor(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        let timeout = nanoseconds(self.config.executor_registration_timeout);
        self.timers.set(
            TimerKey::ExecutorRegistration(executor),
            turn.now.mono_ns.saturating_add(timeout),
        );
        let info = self.executor_info(executor);
        let command = info
            .command
            .as_ref()
            .expect("an executor without command was refused");
        if self.fetch(turn, executor, command) == Container::Launching {
            self.launch_custom_executor(turn, executor);
        }
    }

    pub(crate) fn launch_custom_executor(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        let info = self.executor_info(executor);
        let command = info
            .command
            .as_ref()
            .expect("an executor without command was refused");
        let environment = executor_environment(self, executor, command);
        let surroundings = Surroundings::of(info.container.as_deref(), info.labels.as_ref());
        self.launch(turn, executor, command, environment, (None, surroundings));
    }

    pub(crate) fn executor_info(&self, executor: ExecutorKey) -> Arc<ExecutorInfo> {
        let entry = self
            .executors
            .get(executor)
            .expect("only called for an executor that is there");
        Arc::clone(entry.info.as_ref().expect("a custom executor has an info"))
    }

    /// Gives a subscribed executor what has waited for it.
    pub(crate) fn deliver_queued(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        let entry = self
            .executors
            .get_mut(executor)
            .expect("only called for an executor that is there");
        let (ExecutorState::Running, Some(stream)) = (entry.state, entry.stream) else {
            return;
        };
        while let Some(task) = entry.queued.pop_front() {
            entry.tasks.push(task);
            entry.delivery = Delivery::Once;
            let Some(task) = self.tasks.get(task) else {
                continue;
            };
            let mut event = event_of(event::Type::Launch);
            event.launch = Some(LaunchEvent {
                task: task.info.as_ref().clone(),
            });
            turn.push(Effect::ToExecutor {
                stream,
                event: Box::new(event),
            });
        }
        self.touch(executor);
    }

    pub(crate) fn on_framework_message(&mut self, turn: &mut Turn<'_>, message: FrameworkMessage) {
        let executor = self.executor_of(&message.framework_id.value, &message.executor_id.value);
        let stream = executor
            .and_then(|key| self.executors.get(key))
            .filter(|entry| entry.state == ExecutorState::Running)
            .and_then(|entry| entry.stream);
        let Some(stream) = stream else {
            self.counters.invalid_framework_messages += 1;
            turn.ignored(format!(
                "message for executor {}, which is not subscribed",
                message.executor_id.value
            ));
            return;
        };
        self.counters.valid_framework_messages += 1;
        let mut event = event_of(event::Type::Message);
        event.message = Some(Message { data: message.data });
        turn.push(Effect::ToExecutor {
            stream,
            event: Box::new(event),
        });
    }

    pub(crate) fn executor_of(&self, framework_id: &str, executor_id: &str) -> Option<ExecutorKey> {
        self.frameworks
            .get(self.framework_of(framework_id)?)?
            .executors
            .get(executor_id)
            .copied()
    }

    pub(crate) fn on_shutdown_executor(
        &mut self,
        turn: &mut Turn<'_>,
        shutdown: &ShutdownExecutor,
    ) {
        match self.executor_of(&shutdown.framework_id.value, &shutdown.executor_id.value) {
            Some(executor) => self.shut_down(turn, executor),
            None => turn.ignored(format!(
                "shutdown of unknown executor {}",
                shutdown.executor_id.value
            )),
        }
    }

    /// Asks an executor of any kind to end.
    pub(crate) fn shut_down(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        let Some(entry) = self.executors.get_mut(executor) else {
            return;
        };
        match entry.kind {
            ExecutorKind::Command => {
                return self.kill_command_task(turn, executor, KillOrder::SHUT_DOWN);
            }
            ExecutorKind::Default => return self.shut_down_pod(turn, executor),
            ExecutorKind::Custom => {}
        }
        if matches!(
            entry.state,
            ExecutorState::Terminating | ExecutorState::Terminated
        ) {
            return;
        }
        entry.state = ExecutorState::Terminating;
        let (launch_id, stream, container) = (entry.launch_id, entry.stream, entry.container);
        let own_grace = entry
            .info
            .as_ref()
            .and_then(|info| info.shutdown_grace_period);
        self.timers.cancel(TimerKey::ExecutorRegistration(executor));
        self.touch(executor);
        if container == Container::Fetching {
            turn.push(Effect::CancelFetch { launch_id });
            self.custom_executor_ended(turn, executor, -1);
            return;
        }
        if let Some(stream) = stream {
            turn.push(Effect::ToExecutor {
                stream,
                event: Box::new(event_of(event::Type::Shutdown)),
            });
        }
        let grace =
            nanoseconds(own_grace.map_or(self.config.executor_shutdown_grace_period, duration));
        self.timers.set(
            TimerKey::ExecutorShutdown(executor),
            turn.now.mono_ns.saturating_add(grace),
        );
    }

    pub(crate) fn on_shutdown_timeout(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        match self.executors.get(executor) {
            Some(entry) if entry.kind == ExecutorKind::Default => self.kill_members(turn, executor),
            Some(entry) => turn.push(Effect::KillTree {
                launch_id: entry.launch_id,
            }),
            None => {}
        }
    }

    pub(crate) fn on_registration_timeout(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        let Some(entry) = self.executors.get(executor) else {
            return;
        };
        if entry.state != ExecutorState::Registering {
            return;
        }
        let message = format!(
            "Executor did not register within {}",
            duration_text(self.config.executor_registration_timeout)
        );
        self.terminate_with(
            executor,
            TaskState::TaskFailed,
            Reason::ExecutorRegistrationTimeout,
            message,
        );
        self.destroy(turn, executor);
    }

    /// Ends a custom executor without asking it.
    pub(crate) fn destroy(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        let entry = self
            .executors
            .get_mut(executor)
            .expect("only called for an executor that is there");
        entry.state = ExecutorState::Terminating;
        let (launch_id, container) = (entry.launch_id, entry.container);
        self.touch(executor);
        if container == Container::Fetching {
            turn.push(Effect::CancelFetch { launch_id });
            self.custom_executor_ended(turn, executor, -1);
        } else {
            turn.push(Effect::KillTree { launch_id });
        }
    }

    /// Says in advance why the tasks of an executor will end; the first reason stands.
    pub(crate) fn terminate_with(
        &mut self,
        executor: ExecutorKey,
        state: TaskState,
        reason: Reason,
        message: String,
    ) {
        if let Some(entry) = self.executors.get_mut(executor)
            && entry.termination.is_none()
        {
            entry.termination = Some(Termination {
                state,
                reason,
                message,
            });
        }
    }

    pub(crate) fn on_heartbeat_due(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        if let Some(stream) = self.executors.get(executor).and_then(|entry| entry.stream) {
            turn.push(Effect::ToExecutor {
                stream,
                event: Box::new(event_of(event::Type::Heartbeat)),
            });
            self.schedule_heartbeat(turn, executor);
        }
    }

    pub(crate) fn schedule_heartbeat(&mut self, turn: &Turn<'_>, executor: ExecutorKey) {
        self.timers.set(
            TimerKey::ExecutorHeartbeat(executor),
            turn.now
                .mono_ns
                .saturating_add(nanoseconds(self.config.executor_heartbeat_interval)),
        );
    }

    pub(crate) fn tell_of_exit(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        id: ExecutorId,
        wait_status: i32,
    ) {
        if let Some(framework_id) = self.framework_id_of(executor) {
            let framework_id = FrameworkId {
                value: framework_id.as_ref().to_owned(),
            };
            self.tell_master(
                turn,
                Body::ExecutorExited(ExecutorExited {
                    framework_id,
                    executor_id: id,
                    status: wait_status,
                }),
            );
        }
    }

    fn end_tasks(
        &mut self,
        turn: &mut Turn<'_>,
        tasks: &[TaskKey],
        termination: &Termination,
        limited: &[Resource],
    ) {
        for task in tasks.iter().copied() {
            if self
                .tasks
                .get(task)
                .is_some_and(|task| !is_terminal(task.state))
            {
                self.update(
                    turn,
                    task,
                    NewStatus {
                        limited: limited.to_vec(),
                        ..NewStatus::of_agent(
                            termination.state,
                            termination.reason,
                            termination.message.clone(),
                        )
                    },
                );
            }
        }
    }

    /// The process of a custom executor is gone: so are its tasks.
    pub(crate) fn custom_executor_ended(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        wait_status: i32,
    ) {
        let entry = self
            .executors
            .get_mut(executor)
            .expect("only called for an executor that is there");
        let (framework, launch_id) = (entry.framework, entry.launch_id);
        let queued = std::mem::take(&mut entry.queued);
        entry.tasks.extend(queued);
        let tasks = entry.tasks.clone();
        let stream = entry.stream.take();
        let limited = entry
            .limitation
            .as_ref()
            .map_or_else(Vec::new, |limitation| limitation.resources.clone());
        let termination = entry.termination.clone().unwrap_or(Termination {
            state: TaskState::TaskFailed,
            reason: Reason::ExecutorTerminated,
            message: "Executor terminated".to_owned(),
        });
        let id = ExecutorId {
            value: entry.id.as_ref().to_owned(),
        };
        self.end_tasks(turn, &tasks, &termination, &limited);
        self.checkpoint(turn, framework, Record::ExecutorEnded { launch_id });
        if let Some(stream) = stream {
            self.streams.remove(&stream);
            turn.push(Effect::CloseExecutorStream { stream });
        }
        for key in [
            TimerKey::ExecutorRegistration(executor),
            TimerKey::ExecutorShutdown(executor),
            TimerKey::ExecutorHeartbeat(executor),
        ] {
            self.timers.cancel(key);
        }
        self.container_gone(turn, executor);
        self.tell_of_exit(turn, executor, id, wait_status);
        self.retire(turn, executor);
        self.end_recovery_if_complete(turn);
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
