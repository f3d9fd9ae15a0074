//! Coming back to life: from journal and warden list to the state before, and from the state to the shortest journal.

use crate::agent::{AgentCore, EndCause, Identity, Phase, Turn};
use crate::checks::Checks;
use crate::config::RecoverMode;
use crate::effect::{Effect, Fact};
use crate::event::{KnownContainer, KnownContainerState, Recovery};
use crate::executors::nanoseconds;
use crate::ids::{LaunchId, TaskSerial};
use crate::journal::{ExecutorKind, Record};
use crate::launching::NO_LAUNCH;
use crate::model::{Container, Delivery, ExecutorKey, Kill, KnownFramework, Task, TaskKey};
use crate::reconfiguration;
use crate::records::ExecutorState;
use crate::status::{NewStatus, duration_text, is_terminal, state_of};
use crate::timers::TimerKey;
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{AgentInfo, TaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names of the journal for entries of the state, while it is being replayed.
#[derive(Debug, Default)]
struct Replay {
    tasks: BTreeMap<TaskSerial, TaskKey>,
    /// Terminal and acknowledged, or of a forgotten framework.
    over: BTreeSet<TaskSerial>,
    /// As it was registered.
    agent: Option<Arc<AgentInfo>>,
}

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

    fn replay(&mut self, turn: &mut Turn<'_>, replay: &mut Replay, record: Record) {
        match record {
            Record::Identity {
                agent,
                cluster_id,
                epoch,
                boot_id,
            } => self.replay_identity(replay, agent, cluster_id, epoch, boot_id),
            Record::Framework { info } => {
                if let Some(id) = info
                    .id
                    .as_ref()
                    .map(|id| Arc::<str>::from(id.value.as_str()))
                {
                    if let Some(framework) = self
                        .framework_of(&id)
                        .and_then(|key| self.frameworks.get_mut(key))
                    {
                        framework.traits = crate::model::FrameworkTraits {
                            checkpoint: true,
                            ..crate::model::FrameworkTraits::of(&info)
                        };
                        framework.info = Arc::clone(&info);
                    }
                    self.known_frameworks.insert(
                        id,
                        KnownFramework {
                            info,
                            recorded: true,
                        },
                    );
                }
            }
            Record::FrameworkForgotten { framework_id } => {
                self.replay_framework_forgotten(replay, &framework_id);
            }
            Record::ExecutorLaunched {
                framework_id,
                info,
                container_id,
                launch_id,
            } => {
                if self.known_frameworks.contains_key(framework_id.as_str()) {
                    let framework = self.ensure_framework(&framework_id);
                    let id: Arc<str> = info.executor_id.value.as_str().into();
                    let executor = self.add_executor(
                        framework,
                        id,
                        ExecutorKind::Custom,
                        Some(info),
                        (launch_id, container_id),
                    );
                    self.executors
                        .get_mut(executor)
                        .expect("just added")
                        .delivery = Delivery::Once;
                }
            }
            Record::ExecutorEnded { launch_id } => {
                if let Some((executor, _)) = self.launched(launch_id) {
                    let entry = self
                        .executors
                        .get_mut(executor)
                        .expect("a launched executor exists");
                    entry.container = Container::Gone;
                    entry.state = ExecutorState::Terminated;
                    self.launches.remove(&launch_id);
                    self.retire(turn, executor);
                }
            }
            Record::TaskLaunched { .. } => self.replay_task(replay, record),
            Record::RegistrationToken { token } => self.registration_token = Some(token),
            Record::KillRequested {
                serial,
                grace_ns,
                cause,
            } => {
                if let Some(task) = self.replayed(replay, serial) {
                    task.kill = Some(Kill { grace_ns, cause });
                }
            }
            Record::Checked { serial, state } => {
                if let Some(task) = self.replayed(replay, serial) {
                    task.checks = Some(Box::new(Checks::recovered(state)));
                }
            }
            Record::Update { serial, status } => {
                if let Some(task) = self.replayed(replay, serial) {
                    task.append_update(status);
                }
            }
            Record::Acknowledged { serial, uuid } => {
                self.replay_acknowledgement(turn, replay, serial, &uuid);
            }
        }
    }

    fn replayed(&mut self, replay: &Replay, serial: TaskSerial) -> Option<&mut Task> {
        let key = replay.tasks.get(&serial)?;
        self.tasks.get_mut(*key)
    }

    fn replay_identity(
        &mut self,
        replay: &mut Replay,
        agent: Option<Arc<AgentInfo>>,
        cluster_id: Option<String>,
        epoch: u64,
        boot_id: String,
    ) {
        if agent.is_none() && self.agent_id().is_some() {
            self.forget_everything();
            *replay = Replay::default();
        }
        replay.agent.clone_from(&agent);
        self.identity.cluster_id = cluster_id;
        self.identity.epoch = epoch;
        self.identity.boot_id = boot_id;
        let id = agent.and_then(|agent| agent.id.clone());
        self.identity.agent = Arc::new(AgentInfo {
            id,
            ..self.config.agent.clone()
        });
    }

    /// Becomes an agent without id and without anything running, of the same cluster.
    fn forget_everything(&mut self) {
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

    fn replay_framework_forgotten(&mut self, replay: &mut Replay, framework_id: &str) {
        self.known_frameworks.remove(framework_id);
        let Some(framework) = self
            .framework_keys
            .remove(framework_id)
            .and_then(|key| self.frameworks.remove(key))
        else {
            return;
        };
        for executor in framework.executors.values() {
            if let Some(executor) = self.executors.remove(*executor) {
                self.launches.remove(&executor.launch_id);
            }
        }
        for task in self.tasks.keys() {
            if self
                .tasks
                .get(task)
                .is_some_and(|task| self.frameworks.get(task.framework).is_none())
                && let Some(task) = self.tasks.remove(task)
            {
                replay.over.insert(task.serial);
                replay.tasks.remove(&task.serial);
            }
        }
    }

    fn replay_task(&mut self, replay: &mut Replay, record: Record) {
        let Record::TaskLaunched {
            serial,
            framework_id,
            info,
            launch_token,
            kind,
            launch_id,
            container_id,
        } = record
        else {
            return;
        };
        self.next_serial = self.next_serial.max(serial.0 + 1);
        self.tokens.insert(self.identity.epoch, launch_token);
        if replay.over.contains(&serial)
            || !self.known_frameworks.contains_key(framework_id.as_str())
        {
            return;
        }
        let framework = self.ensure_framework(&framework_id);
        let executor = match kind {
            ExecutorKind::Custom => self.launched(launch_id).map(|(executor, _)| executor),
            ExecutorKind::Command => {
                let id: Arc<str> = info.task_id.value.as_str().into();
                let taken = self
                    .frameworks
                    .get(framework)
                    .is_some_and(|entry| entry.executors.contains_key(&id));
                (!taken).then(|| {
                    self.add_executor(
                        framework,
                        id,
                        ExecutorKind::Command,
                        None,
                        (launch_id, container_id),
                    )
                })
            }
        };
        let task = self.tasks.insert(Task::new(
            framework,
            executor,
            serial,
            Arc::clone(&info),
            launch_token,
        ));
        replay.tasks.insert(serial, task);
        let entry = self.frameworks.get_mut(framework).expect("just ensured");
        entry.tasks.insert(info.task_id.value.as_str().into(), task);
        match executor.and_then(|key| self.executors.get_mut(key)) {
            Some(executor) => executor.tasks.push(task),
            None => entry.detached.push(task),
        }
    }

    fn replay_acknowledgement(
        &mut self,
        turn: &mut Turn<'_>,
        replay: &mut Replay,
        serial: TaskSerial,
        uuid: &bytes::Bytes,
    ) {
        let Some(key) = replay.tasks.get(&serial).copied() else {
            return;
        };
        let Some(task) = self.tasks.get_mut(key) else {
            return;
        };
        if task
            .updates
            .pending
            .front()
            .is_none_or(|status| status.uuid.as_ref() != Some(uuid))
        {
            return;
        }
        let status = task.acknowledge_first();
        if is_terminal(state_of(&status)) {
            replay.over.insert(serial);
            replay.tasks.remove(&serial);
            let command = task.executor.filter(|key| {
                self.executors
                    .get(*key)
                    .is_some_and(|executor| executor.kind == ExecutorKind::Command)
            });
            if let Some(entry) = command.and_then(|key| self.executors.get_mut(key)) {
                entry.container = Container::Gone;
                entry.state = ExecutorState::Terminated;
                self.launches.remove(&entry.launch_id);
            }
            self.complete_task(turn, key);
        }
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
                KnownContainerState::Running { .. } if !self.launches.contains_key(launch_id) => {
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
        for executor in self.executors.keys() {
            let Some(entry) = self
                .executors
                .get(executor)
                .filter(|entry| entry.container != Container::Gone)
            else {
                continue;
            };
            match known.get(&entry.launch_id) {
                Some(KnownContainerState::Running { pid }) => self.adopt(turn, executor, *pid),
                _ => self.container_vanished(turn, executor),
            }
        }
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

    /// The shortest journal that leads to the present state, for compaction.
    pub fn snapshot(&self) -> Vec<Record> {
        let mut records = vec![self.identity.record()];
        let token = self
            .registration_token
            .clone()
            .filter(|_| self.identity.agent.id.is_none());
        records.extend(token.map(|token| Record::RegistrationToken { token }));
        let recorded = self
            .known_frameworks
            .values()
            .filter(|known| known.recorded);
        records.extend(recorded.map(|known| Record::Framework {
            info: Arc::clone(&known.info),
        }));
        let checkpointed = |key| {
            self.frameworks
                .get(key)
                .filter(|framework| framework.traits.checkpoint)
        };
        for (_, executor) in self.executors.iter() {
            let (Some(framework), Some(info)) = (checkpointed(executor.framework), &executor.info)
            else {
                continue;
            };
            records.push(Record::ExecutorLaunched {
                framework_id: framework.id.as_ref().to_owned(),
                info: Arc::clone(info),
                container_id: executor.container_id,
                launch_id: executor.launch_id,
            });
        }
        let mut tasks: Vec<&Task> = self.tasks.iter().map(|(_, task)| task).collect();
        tasks.sort_by_key(|task| task.serial);
        for task in tasks {
            if let Some(framework) = checkpointed(task.framework) {
                self.snapshot_task(task, framework.id.as_ref(), &mut records);
            }
        }
        for (_, executor) in self
            .executors
            .iter()
            .filter(|(_, executor)| executor.container == Container::Gone)
        {
            if executor.info.is_some() && checkpointed(executor.framework).is_some() {
                records.push(Record::ExecutorEnded {
                    launch_id: executor.launch_id,
                });
            }
        }
        records
    }

    fn snapshot_task(&self, task: &Task, framework_id: &str, records: &mut Vec<Record>) {
        let serial = task.serial;
        let executor = task.executor.and_then(|key| self.executors.get(key));
        let (kind, launch_id, container_id) = executor.map_or(NO_LAUNCH, |executor| {
            (executor.kind, executor.launch_id, executor.container_id)
        });
        records.push(Record::TaskLaunched {
            serial,
            framework_id: framework_id.to_owned(),
            info: Arc::clone(&task.info),
            launch_token: task.launch_token,
            kind,
            launch_id,
            container_id,
        });
        let acknowledged = task.history.iter().filter(|status| {
            !task
                .updates
                .pending
                .iter()
                .any(|pending| pending.uuid == status.uuid)
        });
        for status in acknowledged {
            records.push(Record::Update {
                serial,
                status: Arc::clone(status),
            });
            records.push(Record::Acknowledged {
                serial,
                uuid: status.uuid.clone().unwrap_or_default(),
            });
        }
        records.extend(task.updates.pending.iter().map(|status| Record::Update {
            serial,
            status: Arc::clone(status),
        }));
        records.extend(task.kill.map(|kill| Record::KillRequested {
            serial,
            grace_ns: kill.grace_ns,
            cause: kill.cause,
        }));
        records.extend(task.checks.as_ref().map(|checks| Record::Checked {
            serial,
            state: checks.state(),
        }));
    }
}
