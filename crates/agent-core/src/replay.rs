//! From the records of the journal, one after the other, to the state before.

use crate::agent::{AgentCore, Turn};
use crate::checks::Checks;
use crate::ids::{ContainerId, LaunchId, TaskSerial};
use crate::journal::{ExecutorKind, Membership, Record};
use crate::model::{
    Container, Delivery, ExecutorKey, FrameworkKey, FrameworkTraits, Kill, KnownFramework, Member,
    Task, TaskKey,
};
use crate::pods::member_id;
use crate::records::ExecutorState;
use crate::status::{is_terminal, state_of};
use crate::tokens::LaunchToken;
use mezz_proto::v1::{AgentInfo, FrameworkInfo, TaskInfo, executor_info};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names of the journal for entries of the state, while it is being replayed.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    tasks: BTreeMap<TaskSerial, TaskKey>,
    /// Terminal and acknowledged, or of a forgotten framework.
    over: BTreeSet<TaskSerial>,
    /// As it was registered.
    pub(crate) agent: Option<Arc<AgentInfo>>,
}

impl AgentCore {
    pub(crate) fn replay(&mut self, turn: &mut Turn<'_>, replay: &mut Replay, record: Record) {
        match record {
            Record::Identity {
                agent,
                cluster_id,
                epoch,
                boot_id,
            } => self.replay_identity(replay, agent, cluster_id, epoch, boot_id),
            Record::Framework { info } => self.replay_framework(info),
            Record::FrameworkForgotten { framework_id } => {
                self.replay_framework_forgotten(replay, &framework_id);
            }
            Record::ExecutorLaunched { .. } => self.replay_executor(record),
            Record::ExecutorEnded { launch_id } => self.replay_executor_ended(turn, launch_id),
            Record::TaskLaunched { .. } => self.replay_task(replay, record),
            Record::ContainerDescribed { launch_id, facts } => {
                if let Some((executor, _)) = self.launched(launch_id)
                    && let Some(entry) = self.executors.get_mut(executor)
                {
                    entry.facts = Some(facts);
                }
            }
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
            Record::ContainerLaunched { launch_id, launch } => {
                self.replay_container(launch_id, launch);
            }
            Record::ContainerEnded {
                launch_id,
                termination,
            } => self.replay_container_ended(launch_id, termination),
            Record::ContainerForgotten { launch_id } => self.replay_container_forgotten(launch_id),
            Record::Acknowledged { serial, uuid } => {
                self.replay_acknowledgement(turn, replay, serial, &uuid);
            }
        }
    }

    fn replay_framework(&mut self, info: Arc<FrameworkInfo>) {
        if let Some(id) = info
            .id
            .as_ref()
            .map(|id| Arc::<str>::from(id.value.as_str()))
        {
            if let Some(framework) = self
                .framework_of(&id)
                .and_then(|key| self.frameworks.get_mut(key))
            {
                framework.traits = FrameworkTraits {
                    checkpoint: true,
                    ..FrameworkTraits::of(&info)
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

    fn replay_executor(&mut self, record: Record) {
        let Record::ExecutorLaunched {
            framework_id,
            info,
            container_id,
            launch_id,
        } = record
        else {
            return;
        };
        if self.known_frameworks.contains_key(framework_id.as_str()) {
            let framework = self.ensure_framework(&framework_id);
            let id: Arc<str> = info.executor_id.value.as_str().into();
            let is_pod = info.r#type() == executor_info::Type::Default;
            let kind = if is_pod {
                ExecutorKind::Default
            } else {
                ExecutorKind::Custom
            };
            let ids = (launch_id, container_id);
            let executor = self.add_executor(framework, id, kind, Some(info), ids);
            if is_pod {
                self.hold(executor);
            }
            self.executors
                .get_mut(executor)
                .expect("just added")
                .delivery = Delivery::Once;
        }
    }

    fn replay_executor_ended(&mut self, turn: &mut Turn<'_>, launch_id: LaunchId) {
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
            terms,
            launch_token,
            launch_epoch,
            kind,
            launch_id,
            container_id,
            member,
        } = record
        else {
            return;
        };
        self.next_serial = self.next_serial.max(serial.0 + 1);
        let launch_token = LaunchToken {
            epoch: launch_epoch.unwrap_or(self.identity.epoch),
            number: launch_token,
        };
        self.tokens.insert(launch_token);
        if replay.over.contains(&serial)
            || !self.known_frameworks.contains_key(framework_id.as_str())
        {
            return;
        }
        let framework = self.ensure_framework(&framework_id);
        let executor = match kind {
            ExecutorKind::Custom | ExecutorKind::Default => {
                self.launched(launch_id).map(|(executor, _)| executor)
            }
            ExecutorKind::Command if member.is_some() => {
                let ids = (launch_id, container_id);
                member.and_then(|member| self.replay_member(framework, member, &info, ids))
            }
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
        let task = self.tasks.insert(Task {
            terms,
            ..Task::new(framework, executor, serial, Arc::clone(&info), launch_token)
        });
        replay.tasks.insert(serial, task);
        let entry = self.frameworks.get_mut(framework).expect("just ensured");
        entry.tasks.insert(info.task_id.value.as_str().into(), task);
        match executor.and_then(|key| self.executors.get_mut(key)) {
            Some(executor) => executor.tasks.push(task),
            None => entry.detached.push(task),
        }
    }

    /// A part of a pod; none of one that did not reach the journal.
    fn replay_member(
        &mut self,
        framework: FrameworkKey,
        member: Membership,
        info: &TaskInfo,
        ids: (LaunchId, ContainerId),
    ) -> Option<ExecutorKey> {
        let (pod, _) = self.launched(member.pod)?;
        let id = member_id(&self.executors.get(pod)?.id, &info.task_id.value);
        let owner = self.frameworks.get(framework)?;
        if owner.executors.contains_key(&id) {
            return None;
        }
        let executor = self.add_executor(framework, id, ExecutorKind::Command, None, ids);
        let group = member.group;
        self.join_pod(executor, Member { pod, group });
        Some(executor)
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
}
