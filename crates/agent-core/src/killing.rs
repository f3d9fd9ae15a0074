//! Killing tasks: gently, with a grace that may only shrink, then without appeal.

use crate::agent::{AgentCore, Turn};
use crate::containers::killed_before_delivery;
use crate::effect::Effect;
use crate::environment::duration;
use crate::executor_api::event_of;
use crate::journal::{ExecutorKind, KillCause, Record};
use crate::model::{Container, ExecutorKey, Kill, TaskKey};
use crate::records::ExecutorState;
use crate::status::{NewStatus, is_terminal};
use crate::timers::TimerKey;
use mezz_proto::agent_protocol::KillTask;
use mezz_proto::v1::executor::event;
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{KillPolicy, TaskId, TaskState};
use std::time::Duration;

const SIGTERM: i32 = 15;
const DEFAULT_GRACE: Duration = Duration::from_secs(3);

/// Whether a kill is shown as TASK_KILLING.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announce {
    IfUnderstood,
    Never,
}

/// Why and how a command task is to be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KillOrder {
    /// Goes before the task's own.
    policy: Option<KillPolicy>,
    announce: Announce,
    cause: KillCause,
    /// The grace of a task that has no policy of its own.
    default_grace: Duration,
}

impl KillOrder {
    /// Together with everything else of its framework or of this agent.
    pub(crate) const SHUT_DOWN: Self = Self {
        policy: None,
        announce: Announce::Never,
        cause: KillCause::Asked,
        default_grace: DEFAULT_GRACE,
    };
    /// Its health check has failed too often.
    pub(crate) const UNHEALTHY: Self = Self {
        announce: Announce::IfUnderstood,
        cause: KillCause::Unhealthy,
        ..Self::SHUT_DOWN
    };
    /// Its time is over: it had all the time that it may have, unless it asks for a grace itself.
    pub(crate) const OVERDUE: Self = Self {
        cause: KillCause::Overdue,
        default_grace: Duration::ZERO,
        ..Self::SHUT_DOWN
    };

    /// By a KILL call.
    pub(crate) fn asked(policy: Option<KillPolicy>) -> Self {
        Self {
            policy,
            announce: Announce::IfUnderstood,
            ..Self::SHUT_DOWN
        }
    }
}

impl AgentCore {
    pub(crate) fn on_kill_task(&mut self, turn: &mut Turn<'_>, kill: &KillTask) {
        let (framework_id, task_id) = (
            kill.framework_id.value.as_str(),
            kill.task_id.value.as_str(),
        );
        let Some(task) = self.task_of(framework_id, task_id) else {
            self.kill_unknown(turn, framework_id, task_id);
            return;
        };
        let entry = self.tasks.get(task).expect("a task found by its id exists");
        let Some(executor) = entry.executor.filter(|_| !is_terminal(entry.state)) else {
            return;
        };
        match self.executors.get(executor).map(|executor| executor.kind) {
            Some(ExecutorKind::Command) => {
                self.kill_command_task(turn, executor, KillOrder::asked(kill.kill_policy));
            }
            Some(ExecutorKind::Custom) => {
                self.kill_task_of_custom_executor(turn, executor, task, kill.kill_policy);
            }
            Some(ExecutorKind::Default) | None => {}
        }
    }

    fn kill_unknown(&mut self, turn: &mut Turn<'_>, framework_id: &str, task_id: &str) {
        if self.was_completed(framework_id, task_id) {
            return;
        }
        let aware = self
            .known_frameworks
            .get(framework_id)
            .map(|known| crate::model::FrameworkTraits::of(&known.info));
        let state = aware.map_or(TaskState::TaskLost, crate::model::FrameworkTraits::dropped);
        let status = NewStatus::of_agent(state, Reason::ExecutorTerminated, "Cannot find executor");
        self.answer_for_unknown_task(turn, framework_id, task_id, status);
    }

    /// Whether a task is in the history that the agent still keeps.
    fn was_completed(&self, framework_id: &str, task_id: &str) -> bool {
        let living = self
            .framework_of(framework_id)
            .and_then(|key| self.frameworks.get(key));
        let of_living = living.is_some_and(|framework| {
            let ended = framework
                .completed
                .iter()
                .flat_map(|executor| &executor.completed);
            let running = framework
                .executors
                .values()
                .filter_map(|key| self.executors.get(*key))
                .flat_map(|executor| &executor.completed);
            ended
                .chain(running)
                .any(|task| task.info.task_id.value == task_id)
        });
        of_living
            || self
                .completed_frameworks
                .iter()
                .filter(|framework| {
                    framework
                        .info
                        .id
                        .as_ref()
                        .is_some_and(|id| id.value == framework_id)
                })
                .any(|framework| {
                    framework
                        .completed_executors
                        .iter()
                        .flat_map(|executor| &executor.completed)
                        .any(|task| task.info.task_id.value == task_id)
                })
    }

    pub(crate) fn kill_command_task(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        order: KillOrder,
    ) {
        let Some(task) = self.command_task(executor) else {
            return;
        };
        let entry = self
            .executors
            .get(executor)
            .expect("only called for an executor that is there");
        let launch_id = entry.launch_id;
        let grace_ns = self.grace_ns(task, order.policy, order.default_grace);
        let kill = Kill {
            grace_ns,
            cause: order.cause,
        };
        match entry.container {
            Container::Fetching => {
                turn.push(Effect::CancelFetch { launch_id });
                let status = self.killed_during_launch(executor);
                self.command_task_ended(turn, executor, status);
            }
            Container::Launching => {
                if entry.kill_began_ns.is_none() {
                    self.remember_kill(turn, executor, task, kill);
                    turn.push(Effect::KillTree { launch_id });
                }
            }
            Container::Running { .. } if entry.kill_began_ns.is_some() => {
                self.shorten_kill(turn, executor, task, kill);
            }
            Container::Running { .. } => {
                self.remember_kill(turn, executor, task, kill);
                if order.announce == Announce::IfUnderstood && self.understands_killing(executor) {
                    self.update(turn, task, NewStatus::of_executor(TaskState::TaskKilling));
                }
                self.begin_kill(turn, executor, grace_ns);
            }
            Container::Gone | Container::Held => {}
        }
    }

    fn understands_killing(&self, executor: ExecutorKey) -> bool {
        let framework = self
            .executors
            .get(executor)
            .and_then(|executor| self.frameworks.get(executor.framework));
        framework.is_some_and(|framework| framework.traits.killing_state)
    }

    fn grace_ns(&self, task: TaskKey, policy: Option<KillPolicy>, default: Duration) -> u64 {
        let own = self
            .tasks
            .get(task)
            .and_then(|task| task.info.kill_policy?.grace_period);
        let grace = policy
            .and_then(|policy| policy.grace_period)
            .or(own)
            .map_or(default, duration);
        u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX)
    }

    fn remember_kill(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        task: TaskKey,
        kill: Kill,
    ) {
        let entry = self
            .executors
            .get_mut(executor)
            .expect("only called for an executor that is there");
        entry.state = ExecutorState::Terminating;
        entry.kill_began_ns = Some(turn.now.mono_ns);
        self.record_kill(turn, task, kill);
        self.end_checks(turn, task);
        self.touch(executor);
    }

    fn record_kill(&mut self, turn: &mut Turn<'_>, task: TaskKey, kill: Kill) {
        let entry = self
            .tasks
            .get_mut(task)
            .expect("only called for a task that is there");
        let Kill { grace_ns, cause } = kill;
        // Who kills first says why.
        let cause = entry.kill.map_or(cause, |earlier| earlier.cause);
        entry.kill = Some(Kill { grace_ns, cause });
        let (framework, serial) = (entry.framework, entry.serial);
        let record = Record::KillRequested {
            serial,
            grace_ns,
            cause,
        };
        self.checkpoint(turn, framework, record);
    }

    /// Runs the command before the end, if there is one; then, or at once, tells the task to end.
    pub(crate) fn begin_kill(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey, grace_ns: u64) {
        if !self.start_pre_stop(turn, executor) {
            self.terminate(turn, executor, grace_ns);
        }
    }

    /// Sends SIGTERM, or what the container has in its place, and sees to what follows when it is not obeyed.
    pub(crate) fn terminate(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey, grace_ns: u64) {
        let entry = self
            .executors
            .get_mut(executor)
            .expect("only called for an executor that is there");
        entry.kill_began_ns = Some(turn.now.mono_ns);
        let launch_id = entry.launch_id;
        let own = entry.facts.as_ref().and_then(|facts| facts.stop_signal);
        turn.push(Effect::Signal {
            launch_id,
            signal: own.unwrap_or(SIGTERM),
        });
        self.timers.set(
            TimerKey::KillGrace(executor),
            turn.now.mono_ns.saturating_add(grace_ns),
        );
    }

    fn shorten_kill(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        task: TaskKey,
        kill: Kill,
    ) {
        let began_ns = self
            .executors
            .get(executor)
            .and_then(|executor| executor.kill_began_ns)
            .unwrap_or(turn.now.mono_ns);
        if self.runs_pre_stop(executor) {
            let present = self.tasks.get(task).and_then(|task| task.kill);
            if present.is_some_and(|present| kill.grace_ns < present.grace_ns) {
                self.record_kill(turn, task, kill);
            }
            return;
        }
        let deadline = began_ns.saturating_add(kill.grace_ns);
        let key = TimerKey::KillGrace(executor);
        if self
            .timers
            .deadline(key)
            .is_some_and(|current| deadline < current)
        {
            self.record_kill(turn, task, kill);
            self.timers.set(key, deadline);
        }
    }

    pub(crate) fn on_kill_grace_over(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        if let Some(entry) = self.executors.get(executor) {
            turn.push(Effect::KillTree {
                launch_id: entry.launch_id,
            });
        }
    }

    fn kill_task_of_custom_executor(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        task: TaskKey,
        policy: Option<KillPolicy>,
    ) {
        let entry = self
            .executors
            .get_mut(executor)
            .expect("only called for an executor that is there");
        if matches!(
            entry.state,
            ExecutorState::Terminating | ExecutorState::Terminated
        ) {
            return;
        }
        if let Some(index) = entry.queued.iter().position(|queued| *queued == task) {
            entry.queued.remove(index);
            entry.tasks.push(task);
            self.update(turn, task, killed_before_delivery());
            return;
        }
        let stream = entry.stream;
        let kill = Kill {
            grace_ns: self.grace_ns(task, policy, DEFAULT_GRACE),
            cause: KillCause::Asked,
        };
        self.record_kill(turn, task, kill);
        if let Some(stream) = stream {
            let task_id = TaskId {
                value: self
                    .tasks
                    .get(task)
                    .expect("just seen")
                    .id
                    .as_ref()
                    .to_owned(),
            };
            let mut event = event_of(event::Type::Kill);
            event.kill = Some(event::Kill {
                task_id,
                kill_policy: policy,
            });
            turn.push(Effect::ToExecutor {
                stream,
                event: Box::new(event),
            });
        }
    }
}
