//! Coming back to life: what the warden's list says of what the journal has brought back.

use crate::agent::{AgentCore, EndCause, Identity, Phase, Turn};
use crate::config::RecoverMode;
use crate::effect::{Effect, Fact};
use crate::event::{KnownContainer, KnownContainerState, Recovery};
use crate::executors::nanoseconds;
use crate::ids::LaunchId;
use crate::journal::ExecutorKind;
use crate::model::{Container, ExecutorKey};
use crate::reconfiguration;
use crate::records::ExecutorState;
use crate::replay::Replay;
use crate::status::{NewStatus, duration_text, is_terminal};
use crate::timers::TimerKey;
use mezz_proto::v1::TaskState;
use mezz_proto::v1::executor::{Call, call};
use mezz_proto::v1::task_status::Reason;
use std::collections::BTreeMap;
use std::sync::Arc;

impl AgentCore {
    pub(crate) fn on_recovered(&mut self, turn: &mut Turn<'_>, recovery: Recovery) {
        if self.phase != Phase::Starting {
            turn.ignored("a second recovery".to_owned());
            return;
        }
        self.phase = Phase::Recovering;
        let mut replay = Replay::default();
        for record in recovery.records {
            self.replay(turn, &mut replay, record);
        }
        let rebooted =
            !self.identity.boot_id.is_empty() && self.identity.boot_id != recovery.boot_id;
        if self.identity.boot_id != recovery.boot_id {
            self.identity.boot_id = recovery.boot_id;
            self.record_identity(turn);
        }
        let was = replay.agent.as_deref();
        if let Some(change) = was.and_then(|was| reconfiguration::refused(was, &self.config)) {
            if !rebooted {
                let message = format!(
                    "this agent's {change} since it registered as {}: restore it, or start with another work directory",
                    self.agent_id().unwrap_or_default()
                );
                self.stop(turn, 1, message);
                return;
            }
            self.forget_everything();
            self.record_identity(turn);
        } else if was.is_some_and(|was| *was != *self.identity.agent) {
            // What the next start compares with.
            self.record_identity(turn);
        }
        let containers = if rebooted {
            Vec::new()
        } else {
            recovery.containers
        };
        self.settle_completed(turn);
        self.orphan_nested();
        for (launch_id, limitation) in recovery.limited {
            self.on_container_limited(turn, launch_id, limitation);
        }
        self.adopt_containers(turn, &containers);
        turn.push(Effect::Emit(Fact::RecoveryCompleted {
            tasks: self.tasks.len(),
        }));
        if self.config.recover == RecoverMode::Cleanup {
            self.end_everything(turn, EndCause::Cleanup);
        } else if self.awaits_executors() {
            let wait = nanoseconds(self.config.executor_reregistration_timeout);
            self.timers.set(
                TimerKey::RecoveryWait,
                turn.now.mono_ns.saturating_add(wait),
            );
        } else {
            self.end_recovery(turn);
        }
    }

    /// Becomes an agent without id and without anything running, of the same cluster.
    pub(crate) fn forget_everything(&mut self) {
        let fresh = Self::new(self.config.clone());
        let identity = Identity {
            agent: Arc::clone(&fresh.identity.agent),
            ..self.identity.clone()
        };
        *self = Self {
            phase: Phase::Recovering,
            rng: self.rng.clone(),
            identity,
            ..fresh
        };
    }

    /// Command executors whose task is terminal are gone already; frameworks without anything are history.
    fn settle_completed(&mut self, turn: &mut Turn<'_>) {
        for executor in self.executors.keys() {
            let terminal = self
                .command_task(executor)
                .and_then(|task| self.tasks.get(task))
                .is_some_and(|task| is_terminal(task.state));
            let entry = self
                .executors
                .get_mut(executor)
                .expect("the key was listed a moment ago");
            if entry.kind == ExecutorKind::Command && terminal {
                entry.container = Container::Gone;
                entry.state = ExecutorState::Terminated;
                self.launches.remove(&entry.launch_id);
            }
        }
        for framework in self.frameworks.keys() {
            self.retire_framework(turn, framework);
        }
    }

    fn adopt_containers(&mut self, turn: &mut Turn<'_>, containers: &[KnownContainer]) {
        let known: BTreeMap<LaunchId, KnownContainerState> = containers
            .iter()
            .map(|known| (known.launch_id, known.state))
            .collect();
        for (launch_id, state) in &known {
            match state {
                KnownContainerState::Running { .. }
                    if !self.launches.contains_key(launch_id)
                        && !self.nested.launches.contains_key(launch_id) =>
                {
                    turn.push(Effect::KillTree {
                        launch_id: *launch_id,
                    });
                }
                KnownContainerState::Exited { wait_status } => {
                    self.on_container_exited(turn, *launch_id, *wait_status);
                }
                KnownContainerState::Running { .. } => {}
            }
        }
        self.end_detached_tasks(turn);
        self.adopt_nested(turn, &known);
        for executor in self.executors.keys() {
            let Some(entry) = self
                .executors
                .get(executor)
                .filter(|entry| !matches!(entry.container, Container::Gone | Container::Held))
            else {
                continue;
            };
            match known.get(&entry.launch_id) {
                Some(KnownContainerState::Running { pid }) => self.adopt(turn, executor, *pid),
                _ => self.container_vanished(turn, executor),
            }
        }
        self.settle_pods(turn);
    }

    /// A task whose refusal or executor did not reach the journal never ran.
    fn end_detached_tasks(&mut self, turn: &mut Turn<'_>) {
        for task in self.tasks.keys() {
            let Some(entry) = self.tasks.get(task) else {
                continue;
            };
            if entry.executor.is_none() && !is_terminal(entry.state) {
                let state = self.dropped_state(entry.framework);
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

    /// Goes on with a container that has been running all the while.
    fn adopt(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey, pid: u32) {
        let entry = self
            .executors
            .get_mut(executor)
            .expect("only called for an executor that is there");
        entry.container = Container::Running { pid };
        let launch_id = entry.launch_id;
        turn.push(Effect::Resize {
            launch_id,
            allotment: Box::new(self.allotment(executor)),
        });
        let entry = self.executors.get_mut(executor).expect("just seen");
        if entry.kind == ExecutorKind::Custom {
            return;
        }
        let Some(key) = self.command_task(executor) else {
            return;
        };
        let task = self.tasks.get(key).expect("a command executor's task");
        let (kill, state) = (task.kill, task.state);
        if matches!(state, TaskState::TaskStaging | TaskState::TaskStarting) && kill.is_none() {
            self.on_command_task_started(turn, executor);
            return;
        }
        let entry = self.executors.get_mut(executor).expect("just seen");
        entry.state = ExecutorState::Running;
        match kill {
            Some(kill) => {
                entry.state = ExecutorState::Terminating;
                entry.kill_began_ns = Some(turn.now.mono_ns);
                self.begin_kill(turn, executor, kill.grace_ns);
            }
            None => self.resume_checks(turn, key),
        }
    }

    /// Besides subscriptions, updates of executors that are back while others are awaited: refused, they would be sent
    /// again only with the next subscription, after newer ones.
    pub(crate) fn hears_while_recovering(&self, kind: call::Type, call: &Call) -> bool {
        let is_back = || {
            self.executor_of(&call.framework_id.value, &call.executor_id.value)
                .and_then(|executor| self.executors.get(executor))
                .is_some_and(|entry| entry.stream.is_some())
        };
        match kind {
            call::Type::Subscribe => true,
            call::Type::Update => is_back(),
            _ => false,
        }
    }

    fn awaits_executors(&self) -> bool {
        self.executors.iter().any(|(_, executor)| {
            executor.kind == ExecutorKind::Custom
                && executor.state == ExecutorState::Registering
                && executor.container != Container::Gone
        })
    }

    pub(crate) fn end_recovery_if_complete(&mut self, turn: &mut Turn<'_>) {
        if self.timers.deadline(TimerKey::RecoveryWait).is_some() && !self.awaits_executors() {
            self.end_recovery(turn);
        }
    }

    fn end_recovery(&mut self, turn: &mut Turn<'_>) {
        self.timers.cancel(TimerKey::RecoveryWait);
        self.phase = Phase::Running;
        self.records = None;
        self.dial(turn);
    }

    /// Executors that did not come back in time are ended.
    pub(crate) fn on_recovery_wait_over(&mut self, turn: &mut Turn<'_>) {
        let message = format!(
            "Executor did not reregister within {}",
            duration_text(self.config.executor_reregistration_timeout)
        );
        for executor in self.executors.keys() {
            let Some(entry) = self.executors.get(executor) else {
                continue;
            };
            let late =
                entry.kind == ExecutorKind::Custom && entry.state == ExecutorState::Registering;
            if late {
                let gone = self
                    .frameworks
                    .get(entry.framework)
                    .map_or(TaskState::TaskLost, |framework| framework.traits.gone());
                self.terminate_with(
                    executor,
                    gone,
                    Reason::ExecutorReregistrationTimeout,
                    message.clone(),
                );
                self.destroy(turn, executor);
            }
        }
        self.end_recovery(turn);
    }
}
