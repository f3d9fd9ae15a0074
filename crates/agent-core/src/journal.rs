//! The records of the append-only journal: what the agent must still know after its own death.
//!
//! Owns their meaning, and in `codec` their binary form; framing, checksums and files belong to the shell.

mod codec;

use crate::facts::ContainerFacts;
use crate::ids::{ContainerId, LaunchId, TaskSerial};
use crate::nested::Termination;
use bytes::Bytes;
use mezz_proto::agent_protocol::InstanceTerms;
use mezz_proto::v1::agent::call::LaunchContainer;
use mezz_proto::v1::{
    AgentInfo, CheckStatusInfo, ExecutorInfo, FrameworkInfo, TaskInfo, TaskStatus,
};
use std::sync::Arc;

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Who the agent is; the newest one holds.
    Identity {
        /// With its id; `None` before the first registration.
        agent: Option<Arc<AgentInfo>>,
        /// The cluster, once known.
        cluster_id: Option<String>,
        /// The highest epoch obeyed.
        epoch: u64,
        /// The boot of the kernel under which this was written.
        boot_id: String,
    },
    /// A framework is known, or has changed.
    Framework {
        /// With its id.
        info: Arc<FrameworkInfo>,
    },
    /// A framework has nothing left here.
    FrameworkForgotten {
        /// Its id.
        framework_id: String,
    },
    /// A custom executor is about to be launched.
    ExecutorLaunched {
        /// Its framework.
        framework_id: String,
        /// What the framework asked for.
        info: Arc<ExecutorInfo>,
        /// Its container.
        container_id: ContainerId,
        /// Its launch.
        launch_id: LaunchId,
    },
    /// A custom executor has ended.
    ExecutorEnded {
        /// Its launch.
        launch_id: LaunchId,
    },
    /// A task was taken in.
    TaskLaunched {
        /// Its name in the journal.
        serial: TaskSerial,
        /// Its framework.
        framework_id: String,
        /// What the framework asked for.
        info: Arc<TaskInfo>,
        /// What the framework of users' objects asked for besides, without files and values.
        terms: Option<Box<InstanceTerms>>,
        /// The master's token.
        launch_token: u64,
        /// The epoch of that master; unset in journals of earlier versions.
        launch_epoch: Option<u64>,
        /// Whether the launch below is the task's own or its executor's.
        kind: ExecutorKind,
        /// Its own launch (command task), or its executor's.
        launch_id: LaunchId,
        /// The container of that launch.
        container_id: ContainerId,
        /// The pod that it is part of, if it is.
        member: Option<Membership>,
    },
    /// What the agent is named by until it has an id.
    RegistrationToken {
        /// Random.
        token: Bytes,
    },
    /// What was learned of a container; the newest one holds.
    ContainerDescribed {
        /// Its launch.
        launch_id: LaunchId,
        /// All of it.
        facts: Box<ContainerFacts>,
    },
    /// A task is to be killed.
    KillRequested {
        /// Which.
        serial: TaskSerial,
        /// The grace period in force.
        grace_ns: u64,
        /// On whose account.
        cause: KillCause,
    },
    /// What the checks of a command task have found out; the newest one holds.
    Checked {
        /// Of which task.
        serial: TaskSerial,
        /// All of it.
        state: CheckState,
    },
    /// A container that no executor stands for is about to be launched.
    ContainerLaunched {
        /// Its launch.
        launch_id: LaunchId,
        /// What was asked for, with its name.
        launch: Arc<LaunchContainer>,
    },
    /// It has ended, with all inside.
    ContainerEnded {
        /// Its launch.
        launch_id: LaunchId,
        /// How.
        termination: Termination,
    },
    /// It is remembered no more.
    ContainerForgotten {
        /// Its launch.
        launch_id: LaunchId,
    },
    /// A status update is held until it is acknowledged.
    Update {
        /// Of which task.
        serial: TaskSerial,
        /// Complete, as it is sent.
        status: Arc<TaskStatus>,
    },
    /// The framework has this update; with that of a terminal one the task is over.
    Acknowledged {
        /// Of which task.
        serial: TaskSerial,
        /// Which update.
        uuid: Bytes,
    },
}

/// Who executes a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExecutorKind {
    /// The agent itself.
    Command,
    /// A process of the framework that speaks the executor API.
    Custom,
    /// The agent itself, for the tasks of a pod.
    Default,
}

/// Of which pod a task is a part, and with which others it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The launch of the pod.
    pub pod: LaunchId,
    /// Tasks of one group end together.
    pub group: u64,
}

/// On whose account a task is killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KillCause {
    /// The framework's, the master's or the operator's.
    #[default]
    Asked,
    /// Its health check failed too often.
    Unhealthy,
    /// It has run for longer than it may.
    Overdue,
}

/// What the checks of a task have found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckState {
    /// When the task began to run, since 1970.
    pub started_wall_ns: u64,
    /// Of each health check.
    pub health: Vec<HealthState>,
    /// What the framework was told last of each check.
    pub statuses: Vec<CheckStatusInfo>,
}

/// What a health check has found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthState {
    /// It has passed at least once.
    pub ever_healthy: bool,
    /// How often it has failed since it passed last.
    pub failures: u32,
}

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    /// Not our encoding.
    #[error("not a journal record: {0}")]
    Malformed(String),
    /// Written by a newer version.
    #[error("journal record of unknown kind {0}")]
    UnknownKind(u32),
    /// A field that this kind needs is not there.
    #[error("journal record of kind {kind} lacks field `{field}`")]
    MissingField {
        /// The number of the kind.
        kind: u32,
        /// The field.
        field: &'static str,
    },
}
