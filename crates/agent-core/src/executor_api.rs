//! Calls of the executor API: who may call, what is valid, and what each call does.

use crate::agent::{AgentCore, Phase, Turn};
use crate::effect::{CallOutcome, Effect};
use crate::executor_validation::{validate, validate_status};
use crate::ids::{RequestId, StreamId};
use crate::journal::ExecutorKind;
use crate::model::{Delivery, ExecutorKey};
use crate::records::ExecutorState;
use crate::status::{NewStatus, is_terminal};
use crate::timers::TimerKey;
use mezz_proto::agent_protocol::ExecutorMessage;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1::executor::call::{Subscribe, Type, Update};
use mezz_proto::v1::executor::event::{self, Acknowledged, Kill, Subscribed};
use mezz_proto::v1::executor::{Call, Event};
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{ContainerId, DurationInfo, KillPolicy, TaskId, TaskState, TaskStatus};
use std::collections::BTreeSet;

/// An event with nothing but its type.
pub(crate) fn event_of(kind: event::Type) -> Event {
    Event {
        r#type: Some(kind.into()),
        ..Event::default()
    }
}

impl AgentCore {
    pub(crate) fn on_executor_call(&mut self, turn: &mut Turn<'_>, request: RequestId, call: Call) {
        let outcome = self.executor_call(turn, request, call);
        if let Some(outcome) = outcome {
            turn.push(Effect::Reply { request, outcome });
        }
    }

    /// The answer, unless it has been given already (SUBSCRIBE).
    fn executor_call(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        call: Call,
    ) -> Option<CallOutcome> {
        let unavailable = || CallOutcome::Unavailable("Agent has not finished recovery".to_owned());
        if self.phase == Phase::Starting {
            return Some(unavailable());
        }
        if let Err(message) = validate(&call) {
            return Some(CallOutcome::BadRequest(format!(
                "Failed to validate Executor::Call: {message}"
            )));
        }
        let kind = call
            .r#type
            .and_then(|kind| Type::try_from(kind).ok())
            .unwrap_or(Type::Unknown);
        if kind == Type::Heartbeat {
            return Some(CallOutcome::Accepted);
        }
        if self.phase == Phase::Recovering && !self.hears_while_recovering(kind, &call) {
            return Some(unavailable());
        }
        match self.caller(kind, &call) {
            Ok(executor) => self.obey_executor(turn, request, executor, (kind, call)),
            Err(outcome) => Some(outcome),
        }
    }

    /// The custom executor that calls, if it may.
    fn caller(&self, kind: Type, call: &Call) -> Result<ExecutorKey, CallOutcome> {
        let unknown = |what: &str| CallOutcome::BadRequest(format!("{what} cannot be found"));
        let (framework_id, executor_id) = (&call.framework_id.value, &call.executor_id.value);
        if self.framework_of(framework_id).is_none() {
            return Err(unknown("Framework"));
        }
        let executor = self
            .executor_of(framework_id, executor_id)
            .ok_or_else(|| unknown("Executor"))?;
        let entry = self
            .executors
            .get(executor)
            .filter(|entry| entry.kind == ExecutorKind::Custom)
            .ok_or_else(|| unknown("Executor"))?;
        if entry.state == ExecutorState::Registering && kind != Type::Subscribe {
            return Err(CallOutcome::Forbidden(
                "Executor is not subscribed".to_owned(),
            ));
        }
        Ok(executor)
    }

    fn obey_executor(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        executor: ExecutorKey,
        call: (Type, Call),
    ) -> Option<CallOutcome> {
        match call {
            (
                Type::Subscribe,
                Call {
                    subscribe: Some(subscribe),
                    ..
                },
            ) => {
                self.on_subscribe(turn, request, executor, subscribe);
                None
            }
            (
                Type::Update,
                Call {
                    update: Some(update),
                    ..
                },
            ) => {
                self.on_executor_update(turn, executor, update);
                Some(CallOutcome::Accepted)
            }
            (
                Type::Message,
                Call {
                    message: Some(message),
                    framework_id,
                    executor_id,
                    ..
                },
            ) => {
                self.tell_master(
                    turn,
                    Body::ExecutorMessage(ExecutorMessage {
                        framework_id,
                        executor_id,
                        data: message.data,
                    }),
                );
                Some(CallOutcome::Accepted)
            }
            _ => Some(CallOutcome::NotImplemented(
                "Executor::Call of type UNKNOWN".to_owned(),
            )),
        }
    }

    fn on_subscribe(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        executor: ExecutorKey,
        subscribe: Subscribe,
    ) {
        let stream = StreamId::from(request);
        turn.push(Effect::Reply {
            request,
            outcome: CallOutcome::Stream,
        });
        let entry = self
            .executors
            .get(executor)
            .expect("only called for an executor that is there");
        let ending = matches!(self.phase, Phase::Ending(_)) || self.is_terminating(entry.framework);
        if ending
            || matches!(
                entry.state,
                ExecutorState::Terminating | ExecutorState::Terminated
            )
        {
            turn.push(Effect::ToExecutor {
                stream,
                event: Box::new(event_of(event::Type::Shutdown)),
            });
            turn.push(Effect::CloseExecutorStream { stream });
            return;
        }
        self.take_stream(turn, executor, stream);
        for Update { status } in subscribe.unacknowledged_updates {
            self.on_held_update(turn, executor, status);
        }
        let claimed: BTreeSet<String> = subscribe
            .unacknowledged_tasks
            .into_iter()
            .map(|task| task.task_id.value)
            .collect();
        self.drop_unclaimed_tasks(turn, executor, &claimed);
        let entry = self
            .executors
            .get(executor)
            .expect("taking updates removes no running executor");
        if entry.delivery == Delivery::Never && entry.queued.is_empty() {
            self.shut_down(turn, executor);
        } else {
            self.send_subscribed(turn, executor, stream);
            self.deliver_queued(turn, executor);
            self.repeat_kills(turn, executor, stream);
        }
        self.end_recovery_if_complete(turn);
    }

    /// An update that the executor has kept; a bad one must not keep it from subscribing.
    fn on_held_update(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey, status: TaskStatus) {
        let executor_id = self
            .executors
            .get(executor)
            .map(|entry| entry.id.as_ref().to_owned())
            .unwrap_or_default();
        let framework_id = self
            .framework_id_of(executor)
            .map(|id| id.as_ref().to_owned())
            .unwrap_or_default();
        match validate_status(&status, &executor_id, &framework_id) {
            Ok(()) => self.on_executor_update(turn, executor, Update { status }),
            Err(message) => {
                self.counters.invalid_status_updates += 1;
                turn.ignored(format!(
                    "unacknowledged update of task {}: {message}",
                    status.task_id.value
                ));
            }
        }
    }

    /// The new stream replaces an older one.
    fn take_stream(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey, stream: StreamId) {
        let entry = self
            .executors
            .get_mut(executor)
            .expect("only called for an executor that is there");
        entry.state = ExecutorState::Running;
        if let Some(old) = entry.stream.replace(stream) {
            self.streams.remove(&old);
            turn.push(Effect::CloseExecutorStream { stream: old });
        }
        self.streams.insert(stream, executor);
        self.timers.cancel(TimerKey::ExecutorRegistration(executor));
        self.schedule_heartbeat(turn, executor);
        self.touch(executor);
    }

    /// A delivered task of which the executor knows nothing has been lost on the way.
    fn drop_unclaimed_tasks(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        claimed: &BTreeSet<String>,
    ) {
        let entry = self
            .executors
            .get(executor)
            .expect("only called for an executor that is there");
        let state = self.dropped_state(entry.framework);
        for task in entry.tasks.clone() {
            let lost = self.tasks.get(task).is_some_and(|task| {
                task.state == TaskState::TaskStaging && !claimed.contains(task.id.as_ref())
            });
            if lost {
                self.update(
                    turn,
                    task,
                    NewStatus::of_agent(
                        state,
                        Reason::AgentRestarted,
                        "Task launched during agent restart",
                    ),
                );
            }
        }
    }

    fn send_subscribed(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey, stream: StreamId) {
        let entry = self
            .executors
            .get(executor)
            .expect("only called for an executor that is there");
        let framework = self
            .frameworks
            .get(entry.framework)
            .expect("an executor belongs to a framework");
        let mut event = event_of(event::Type::Subscribed);
        event.subscribed = Some(Subscribed {
            executor_info: self.executor_info(executor).as_ref().clone(),
            framework_info: framework.info.as_ref().clone(),
            agent_info: self.identity.agent.as_ref().clone(),
            container_id: Some(ContainerId {
                value: entry.container_id.to_string(),
                ..ContainerId::default()
            }),
        });
        turn.push(Effect::ToExecutor {
            stream,
            event: Box::new(event),
        });
    }

    /// Kills asked for while nobody listened.
    fn repeat_kills(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey, stream: StreamId) {
        let entry = self
            .executors
            .get(executor)
            .expect("only called for an executor that is there");
        for task in entry.tasks.iter().filter_map(|task| self.tasks.get(*task)) {
            let Some(kill) = task.kill.filter(|_| !is_terminal(task.state)) else {
                continue;
            };
            let grace_period = Some(DurationInfo {
                nanoseconds: i64::try_from(kill.grace_ns).unwrap_or(i64::MAX),
            });
            let mut event = event_of(event::Type::Kill);
            event.kill = Some(Kill {
                task_id: TaskId {
                    value: task.id.as_ref().to_owned(),
                },
                kill_policy: Some(KillPolicy { grace_period }),
            });
            turn.push(Effect::ToExecutor {
                stream,
                event: Box::new(event),
            });
        }
    }

    /// Takes an update; the executor may forget it once the agent holds it.
    fn on_executor_update(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        Update { status }: Update,
    ) {
        let task_id = status.task_id.clone();
        let uuid = status.uuid.clone().unwrap_or_default();
        let framework_id = self.framework_id_of(executor);
        let task =
            framework_id.and_then(|framework_id| self.task_of(&framework_id, &task_id.value));
        let task = task.filter(|task| {
            self.tasks
                .get(*task)
                .is_some_and(|task| task.executor == Some(executor))
        });
        let Some(task) = task else {
            self.counters.invalid_status_updates += 1;
            turn.ignored(format!(
                "update of task {}, which its executor does not have",
                task_id.value
            ));
            self.acknowledge_to_executor(turn, executor, task_id, uuid);
            return;
        };
        self.dequeue_for_update(executor, task);
        self.take_update(turn, task, status);
        self.acknowledge_to_executor(turn, executor, task_id, uuid);
    }

    /// An executor that speaks of a task has it, whatever the queue says.
    fn dequeue_for_update(&mut self, executor: ExecutorKey, task: crate::model::TaskKey) {
        let entry = self
            .executors
            .get_mut(executor)
            .expect("only called for an executor that is there");
        if let Some(index) = entry.queued.iter().position(|queued| *queued == task) {
            entry.queued.remove(index);
            entry.tasks.push(task);
            entry.delivery = Delivery::Once;
        }
    }

    fn acknowledge_to_executor(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        task_id: TaskId,
        uuid: bytes::Bytes,
    ) {
        if let Some(stream) = self.executors.get(executor).and_then(|entry| entry.stream) {
            let mut event = event_of(event::Type::Acknowledged);
            event.acknowledged = Some(Acknowledged { task_id, uuid });
            turn.push(Effect::ToExecutor {
                stream,
                event: Box::new(event),
            });
        }
    }

    pub(crate) fn on_executor_stream_closed(&mut self, stream: StreamId) {
        let Some(executor) = self.streams.remove(&stream) else {
            return;
        };
        if let Some(entry) = self.executors.get_mut(executor)
            && entry.stream == Some(stream)
        {
            entry.stream = None;
            self.timers.cancel(TimerKey::ExecutorHeartbeat(executor));
        }
    }
}
