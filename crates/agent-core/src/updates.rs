//! Status-update streams: one update of a task in flight, in order, again and again until it is acknowledged.

use crate::agent::{AgentCore, Turn};
use crate::checks::empty_status;
use crate::effect::Effect;
use crate::journal::{ExecutorKind, Record};
use crate::model::{FrameworkKey, Task, TaskKey};
use crate::status::{NewStatus, is_terminal, state_of};
use crate::timers::TimerKey;
use bytes::Bytes;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{AcknowledgeUpdate, StatusUpdate};
use mezz_proto::v1::network_info::{self, IpAddress};
use mezz_proto::v1::task_status::Source;
use mezz_proto::v1::{
    AgentId, ContainerId, ContainerStatus, ExecutorId, FrameworkId, NetworkInfo, TaskState,
    TaskStatus,
};
use std::sync::Arc;

const RETRY_MIN_NS: u64 = 10_000_000_000;
const RETRY_MAX_NS: u64 = 600_000_000_000;
/// Acknowledged uuids remembered per task, to tell duplicates.
const REMEMBERED_UUIDS: usize = 32;

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is on its way.
    Held,
    /// It was there already, came after a terminal one, or nobody wants it any more.
    Dropped,
}

impl AgentCore {
    /// Holds a status that the agent made itself.
    pub(crate) fn update(
        &mut self,
        turn: &mut Turn<'_>,
        task: TaskKey,
        status: NewStatus,
    ) -> Taken {
        let Some(entry) = self.tasks.get(task) else {
            return Taken::Dropped;
        };
        let mut status = status.into_status(&entry.id);
        if is_from_executor(&status) {
            status.check_status = entry.info.check.as_deref().map(empty_status);
        }
        self.take_update(turn, task, status)
    }

    /// Holds a status until the framework acknowledges it.
    pub(crate) fn take_update(
        &mut self,
        turn: &mut Turn<'_>,
        task: TaskKey,
        mut status: TaskStatus,
    ) -> Taken {
        let Some(entry) = self.tasks.get(task) else {
            return Taken::Dropped;
        };
        let framework = entry.framework;
        if self.is_terminating(framework) || is_terminal(entry.state) {
            self.counters.invalid_status_updates += 1;
            return Taken::Dropped;
        }
        if status
            .uuid
            .as_ref()
            .is_some_and(|uuid| entry.updates.has_seen(uuid))
        {
            return Taken::Dropped;
        }
        self.complete_status(turn, task, &mut status);
        let status = Arc::new(status);
        let entry = self
            .tasks
            .get(task)
            .expect("the task was there a moment ago");
        let (serial, executor) = (entry.serial, entry.executor);
        self.checkpoint(
            turn,
            framework,
            Record::Update {
                serial,
                status: Arc::clone(&status),
            },
        );
        let state = state_of(&status);
        self.count_update(state);
        let entry = self
            .tasks
            .get_mut(task)
            .expect("the task was there a moment ago");
        entry.append_update(status);
        if let Some(executor) = executor {
            self.touch(executor);
            if is_terminal(state) {
                self.resize(turn, executor);
            }
        } else {
            self.records = None;
        }
        if self
            .tasks
            .get(task)
            .is_some_and(|entry| entry.updates.pending.len() == 1)
        {
            self.send_first(turn, task);
        }
        Taken::Held
    }

    fn complete_status(&mut self, turn: &Turn<'_>, task: TaskKey, status: &mut TaskStatus) {
        let entry = self
            .tasks
            .get(task)
            .expect("only called for a task that is there");
        let executor = entry
            .executor
            .and_then(|executor| self.executors.get(executor));
        status.agent_id = self.identity.agent.id.as_ref().map(|id| AgentId {
            value: id.value.clone(),
        });
        if let Some(executor) = executor {
            let pod = executor
                .member
                .and_then(|member| self.executors.get(member.pod));
            status.executor_id = Some(ExecutorId {
                value: pod.unwrap_or(executor).id.as_ref().to_owned(),
            });
            let container = status
                .container_status
                .get_or_insert_with(ContainerStatus::default);
            if container.container_id.is_none() {
                let parent = pod.map(|pod| {
                    Box::new(ContainerId {
                        value: pod.container_id.to_string(),
                        ..ContainerId::default()
                    })
                });
                container.container_id = Some(ContainerId {
                    value: executor.container_id.to_string(),
                    parent,
                });
            }
            if container.executor_pid.is_none() {
                container.executor_pid = executor.container.pid();
            }
            if container.network_infos.is_empty() {
                let facts = executor.facts.as_ref();
                match facts.filter(|facts| !facts.network_infos.is_empty()) {
                    Some(facts) => container.network_infos.clone_from(&facts.network_infos),
                    None => container.network_infos.push(host_network(&self.config.ip)),
                }
            }
            if status.data.is_none() && status.state == i32::from(TaskState::TaskRunning) {
                status.data = executor.facts.as_ref().and_then(|facts| facts.data.clone());
            }
        }
        if status.timestamp.is_none() {
            status.timestamp = Some(seconds(turn.now.wall_ns));
        }
        if status.uuid.is_none() {
            status.uuid = Some(Bytes::copy_from_slice(&self.rng.uuid().0));
        }
    }

    fn count_update(&mut self, state: TaskState) {
        self.counters.valid_status_updates += 1;
        let counter = match state {
            TaskState::TaskFinished => &mut self.counters.tasks_finished,
            TaskState::TaskFailed | TaskState::TaskError => &mut self.counters.tasks_failed,
            TaskState::TaskKilled => &mut self.counters.tasks_killed,
            TaskState::TaskLost | TaskState::TaskDropped => &mut self.counters.tasks_lost,
            TaskState::TaskGone | TaskState::TaskGoneByOperator => &mut self.counters.tasks_gone,
            _ => return,
        };
        *counter += 1;
    }

    /// Sends the first pending update, if a master listens.
    fn send_first(&mut self, turn: &mut Turn<'_>, task: TaskKey) {
        if !self.is_registered() {
            return;
        }
        let Some(entry) = self.tasks.get(task) else {
            return;
        };
        let Some(status) = entry.updates.pending.front().map(Arc::clone) else {
            return;
        };
        let Some(framework) = self.frameworks.get(entry.framework) else {
            return;
        };
        let custom = entry
            .executor
            .and_then(|key| self.shown_executor(key))
            .filter(|executor| executor.kind != ExecutorKind::Command);
        turn.push(Effect::ToMaster(Box::new(Body::StatusUpdate(
            StatusUpdate {
                framework_id: FrameworkId {
                    value: framework.id.as_ref().to_owned(),
                },
                status: status.as_ref().clone(),
                latest_state: Some(entry.state.into()),
                executor_id: custom.map(|executor| ExecutorId {
                    value: executor.id.as_ref().to_owned(),
                }),
            },
        ))));
        let entry = self
            .tasks
            .get_mut(task)
            .expect("the task was there a moment ago");
        let wait = entry.updates.retry_ns.map_or(RETRY_MIN_NS, |last| {
            last.saturating_mul(2).min(RETRY_MAX_NS)
        });
        entry.updates.retry_ns = Some(wait);
        entry.updates.sent = Some((state_of(&status), status.uuid.clone().unwrap_or_default()));
        self.timers.set(
            TimerKey::UpdateRetry(task),
            turn.now.mono_ns.saturating_add(wait),
        );
    }

    pub(crate) fn on_update_retry(&mut self, turn: &mut Turn<'_>, task: TaskKey) {
        self.counters.update_retries += 1;
        self.send_first(turn, task);
    }

    /// Nothing is in flight any more: what was sent will be sent again after registration.
    pub(crate) fn pause_updates(&mut self) {
        for task in self.tasks.keys() {
            let entry = self
                .tasks
                .get_mut(task)
                .expect("the key was listed a moment ago");
            if entry.updates.retry_ns.take().is_some() {
                self.timers.cancel(TimerKey::UpdateRetry(task));
            }
        }
    }

    /// Sends the first update of every task of one framework again, as if for the first time.
    pub(crate) fn resend_updates(&mut self, turn: &mut Turn<'_>, framework_id: &str) {
        let Some(framework) = self.framework_of(framework_id) else {
            return;
        };
        for task in self.tasks.keys() {
            let Some(entry) = self
                .tasks
                .get_mut(task)
                .filter(|entry| entry.framework == framework)
            else {
                continue;
            };
            entry.updates.retry_ns = None;
            self.send_first(turn, task);
        }
    }

    /// Sends the first update of every task.
    pub(crate) fn flush_updates(&mut self, turn: &mut Turn<'_>) {
        for task in self.tasks.keys() {
            if !self
                .tasks
                .get(task)
                .is_some_and(|entry| self.is_terminating(entry.framework))
            {
                self.send_first(turn, task);
            }
        }
    }

    pub(crate) fn on_acknowledge_update(
        &mut self,
        turn: &mut Turn<'_>,
        acknowledgement: &AcknowledgeUpdate,
    ) {
        let AcknowledgeUpdate {
            framework_id,
            task_id,
            uuid,
        } = acknowledgement;
        let Some(task) = self.task_of(&framework_id.value, &task_id.value) else {
            turn.ignored(format!(
                "acknowledgement for unknown task {} of framework {}",
                task_id.value, framework_id.value
            ));
            return;
        };
        let entry = self
            .tasks
            .get_mut(task)
            .expect("a task found by its id exists");
        if entry
            .updates
            .pending
            .front()
            .is_none_or(|status| status.uuid.as_ref() != Some(uuid))
        {
            return;
        }
        let status = entry.acknowledge_first();
        let (framework, serial) = (entry.framework, entry.serial);
        self.timers.cancel(TimerKey::UpdateRetry(task));
        self.checkpoint(
            turn,
            framework,
            Record::Acknowledged {
                serial,
                uuid: uuid.clone(),
            },
        );
        if is_terminal(state_of(&status)) {
            self.complete_task(turn, task);
        } else {
            self.send_first(turn, task);
        }
    }

    /// Answers for a task that is not here: a single update, not repeated.
    pub(crate) fn answer_for_unknown_task(
        &mut self,
        turn: &mut Turn<'_>,
        framework_id: &str,
        task_id: &str,
        status: NewStatus,
    ) {
        let mut status = status.into_status(&task_id.into());
        status.agent_id.clone_from(&self.identity.agent.id);
        status.timestamp = Some(seconds(turn.now.wall_ns));
        status.uuid = Some(Bytes::copy_from_slice(&self.rng.uuid().0));
        let latest_state = Some(status.state);
        let framework_id = FrameworkId {
            value: framework_id.to_owned(),
        };
        self.tell_master(
            turn,
            Body::StatusUpdate(StatusUpdate {
                framework_id,
                status,
                latest_state,
                executor_id: None,
            }),
        );
    }

    /// What a framework's tasks are in when nobody else has said more.
    pub(crate) fn dropped_state(&self, framework: FrameworkKey) -> TaskState {
        self.frameworks
            .get(framework)
            .map_or(TaskState::TaskLost, |framework| framework.traits.dropped())
    }
}

impl Task {
    pub(crate) fn append_update(&mut self, status: Arc<TaskStatus>) {
        self.state = state_of(&status);
        if self
            .history
            .last()
            .is_some_and(|last| state_of(last) == self.state)
        {
            self.history.pop();
        }
        self.history.push(Arc::clone(&status));
        self.updates.pending.push_back(status);
    }

    pub(crate) fn acknowledge_first(&mut self) -> Arc<TaskStatus> {
        let status = self
            .updates
            .pending
            .pop_front()
            .expect("only called when an update is pending");
        self.updates.retry_ns = None;
        if let Some(uuid) = &status.uuid {
            self.updates.acknowledged.push_back(uuid.clone());
            if self.updates.acknowledged.len() > REMEMBERED_UUIDS {
                self.updates.acknowledged.pop_front();
            }
        }
        status
    }
}

fn host_network(ip: &str) -> NetworkInfo {
    let protocol = if ip.contains(':') {
        network_info::Protocol::IPv6
    } else {
        network_info::Protocol::IPv4
    };
    NetworkInfo {
        ip_addresses: vec![IpAddress {
            protocol: Some(protocol.into()),
            ip_address: Some(ip.to_owned()),
        }],
        ..NetworkInfo::default()
    }
}

/// Microseconds are what clients print and what a double holds exactly enough.
fn seconds(wall_ns: u64) -> f64 {
    (wall_ns / 1000) as f64 / 1e6
}

/// Whether a status claims to come from an executor.
pub(crate) fn is_from_executor(status: &TaskStatus) -> bool {
    status.source == Some(Source::Executor.into())
}
