//! The state of frameworks, executors and tasks on this agent: plain data, no decisions.

use crate::checks::{Checks, Purpose};
use crate::facts::ContainerFacts;
use crate::ids::{ContainerId, LaunchId, ProbeId, StreamId, TaskSerial};
use crate::journal::{ExecutorKind, KillCause};
use crate::limitation::Limitation;
use crate::records::{ExecutorRecord, ExecutorState, FrameworkRecord, TaskRecord};
use crate::slab::Key;
use crate::tokens::LaunchToken;
use bytes::Bytes;
use mezz_proto::agent_protocol::InstanceTerms;
use mezz_proto::v1::framework_info::capability;
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{ExecutorInfo, FrameworkInfo, TaskInfo, TaskState, TaskStatus};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub(crate) type FrameworkKey = Key<Framework>;
pub(crate) type ExecutorKey = Key<Executor>;
pub(crate) type TaskKey = Key<Task>;

/// A framework with something on this agent.
#[derive(Clone, Debug)]
pub(crate) struct Framework {
    pub(crate) id: Arc<str>,
    pub(crate) info: Arc<FrameworkInfo>,
    pub(crate) traits: FrameworkTraits,
    pub(crate) phase: FrameworkPhase,
    pub(crate) executors: BTreeMap<Arc<str>, ExecutorKey>,
    /// Looked up, never iterated.
    pub(crate) tasks: FxHashMap<Arc<str>, TaskKey>,
    /// Tasks that were refused before they had an executor.
    pub(crate) detached: Vec<TaskKey>,
    pub(crate) completed: VecDeque<Arc<ExecutorRecord>>,
    pub(crate) record: Option<Arc<FrameworkRecord>>,
}

/// Whether a framework is being removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameworkPhase {
    Running,
    Terminating,
}

/// What of a framework's info is asked for often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameworkTraits {
    pub(crate) checkpoint: bool,
    pub(crate) partition_aware: bool,
    pub(crate) killing_state: bool,
}

impl FrameworkTraits {
    pub(crate) fn of(info: &FrameworkInfo) -> Self {
        let has = |wanted: capability::Type| {
            info.capabilities
                .iter()
                .any(|capability| capability.r#type == Some(wanted.into()))
        };
        Self {
            checkpoint: info.checkpoint.unwrap_or(false),
            partition_aware: has(capability::Type::PartitionAware),
            killing_state: has(capability::Type::TaskKillingState),
        }
    }

    /// The state of a task that never ran.
    pub(crate) fn dropped(self) -> TaskState {
        if self.partition_aware {
            TaskState::TaskDropped
        } else {
            TaskState::TaskLost
        }
    }

    /// The state of a task that ran and was taken away.
    pub(crate) fn gone(self) -> TaskState {
        if self.partition_aware {
            TaskState::TaskGone
        } else {
            TaskState::TaskLost
        }
    }
}

impl Framework {
    pub(crate) fn is_idle(&self) -> bool {
        self.executors.is_empty() && self.tasks.is_empty()
    }
}

/// What the agent knows of a framework even when nothing of it is here.
#[derive(Clone, Debug)]
pub(crate) struct KnownFramework {
    pub(crate) info: Arc<FrameworkInfo>,
    /// The journal has this info.
    pub(crate) recorded: bool,
}

/// A custom executor, the agent's own role as the executor of one task, or a pod: what holds several of these roles.
#[derive(Clone, Debug)]
pub(crate) struct Executor {
    pub(crate) framework: FrameworkKey,
    pub(crate) id: Arc<str>,
    pub(crate) kind: ExecutorKind,
    /// Of a custom executor or a pod.
    pub(crate) info: Option<Arc<ExecutorInfo>>,
    pub(crate) state: ExecutorState,
    pub(crate) container: Container,
    pub(crate) container_id: ContainerId,
    pub(crate) launch_id: LaunchId,
    pub(crate) sandbox: String,
    pub(crate) stream: Option<StreamId>,
    /// Tasks that wait for a subscription.
    pub(crate) queued: VecDeque<TaskKey>,
    /// Tasks delivered, and those terminal but not acknowledged.
    pub(crate) tasks: Vec<TaskKey>,
    pub(crate) completed: VecDeque<Arc<TaskRecord>>,
    pub(crate) delivery: Delivery,
    pub(crate) termination: Option<Termination>,
    /// What its container used too much of.
    pub(crate) limitation: Option<Box<Limitation>>,
    /// Of a command task: when its kill began.
    pub(crate) kill_began_ns: Option<u64>,
    /// What is done before its end, while it is.
    pub(crate) pre_stop: Option<ProbeId>,
    /// Of a part of a pod: which pod, and with which others it came.
    pub(crate) member: Option<Member>,
    /// Of a pod: the containers that it still has something of.
    pub(crate) members: Vec<ExecutorKey>,
    pub(crate) record: Option<Arc<ExecutorRecord>>,
    /// What the shell has told of its container.
    pub(crate) facts: Option<Box<ContainerFacts>>,
}

/// The place of a container in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) pod: ExecutorKey,
    /// Those of one group end together.
    pub(crate) group: u64,
}

/// Where an executor's container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    /// A pod's: it has no process, but others are in it.
    Held,
    Fetching,
    Launching,
    Running {
        pid: u32,
    },
    Gone,
}

impl Container {
    pub(crate) fn pid(self) -> Option<u32> {
        match self {
            Self::Running { pid } => Some(pid),
            Self::Held | Self::Fetching | Self::Launching | Self::Gone => None,
        }
    }
}

/// Whether an executor has ever been given a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Never,
    Once,
}

/// Why the tasks of an executor end with it, if it is not just its exit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Termination {
    pub(crate) state: TaskState,
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

/// A task, from its arrival to the acknowledgement of its terminal update.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) framework: FrameworkKey,
    pub(crate) executor: Option<ExecutorKey>,
    pub(crate) id: Arc<str>,
    pub(crate) serial: TaskSerial,
    pub(crate) info: Arc<TaskInfo>,
    /// Of an instance of a user's object; files and values only until its launch.
    pub(crate) terms: Option<Box<InstanceTerms>>,
    pub(crate) launch_token: LaunchToken,
    pub(crate) state: TaskState,
    pub(crate) updates: UpdateStream,
    /// One per state change.
    pub(crate) history: Vec<Arc<TaskStatus>>,
    /// The kill under way.
    pub(crate) kill: Option<Kill>,
    /// Of a command task that runs, and is checked or limited in time.
    pub(crate) checks: Option<Box<Checks>>,
}

/// A probe that was begun and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Whose result it is; nobody's once it took too long or its task needs it no more.
    pub(crate) of: Option<(TaskKey, Purpose)>,
    pub(crate) by: ProbedBy,
}

/// Who carries a probe out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbedBy {
    Warden,
    Shell,
}

/// A kill that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    /// The grace period in force.
    pub(crate) grace_ns: u64,
    /// Of the first order.
    pub(crate) cause: KillCause,
}

/// Updates on their way to the framework.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpdateStream {
    /// Not acknowledged; the first is or will be in flight.
    pub(crate) pending: VecDeque<Arc<TaskStatus>>,
    /// Uuids of acknowledged updates, newest last, bounded.
    pub(crate) acknowledged: VecDeque<Bytes>,
    /// How long to wait before the next retry; `None` while the first is not in flight.
    pub(crate) retry_ns: Option<u64>,
    /// State and uuid of the update sent last.
    pub(crate) sent: Option<(TaskState, Bytes)>,
}

impl UpdateStream {
    pub(crate) fn has_seen(&self, uuid: &Bytes) -> bool {
        self.pending
            .iter()
            .any(|status| status.uuid.as_ref() == Some(uuid))
            || self.acknowledged.contains(uuid)
    }
}

impl Task {
    pub(crate) fn new(
        framework: FrameworkKey,
        executor: Option<ExecutorKey>,
        serial: TaskSerial,
        info: Arc<TaskInfo>,
        launch_token: LaunchToken,
    ) -> Self {
        Self {
            framework,
            executor,
            id: info.task_id.value.as_str().into(),
            serial,
            info,
            terms: None,
            launch_token,
            state: TaskState::TaskStaging,
            updates: UpdateStream::default(),
            history: Vec::new(),
            kill: None,
            checks: None,
        }
    }

    pub(crate) fn record(&self) -> TaskRecord {
        TaskRecord {
            info: Arc::clone(&self.info),
            state: self.state,
            statuses: self.history.clone(),
            status_update_state: self.updates.sent.as_ref().map(|(state, _)| *state),
            status_update_uuid: self.updates.sent.as_ref().map(|(_, uuid)| uuid.clone()),
        }
    }
}
