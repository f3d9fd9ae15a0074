//! The records of users' objects: shared, by cheap clones, with every view. Readers see only these.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mezz_proto::v1;
use mezz_spec::{Kind, Name, Spec};
use mezz_state::pages::Pages;
use mezz_state::time::Wall;

pub use crate::cron::due::Missed;
use crate::event::AgentInfo;
use crate::key::{ObjectKey, RolloutKey, RunKey};
use crate::standstill::Standstill;

mod instances;

pub use instances::{Ending, Findings, HealthVerdict, InstanceRecord, Owner, Phase};

/// All keys of the controllers in the store begin so.
pub const PREFIX: &str = "work/";

/// Everything that a reader may see.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Records {
    pub objects: Pages<ObjectRecord>,
    pub rollouts: Pages<RolloutRecord>,
    pub runs: Pages<RunRecord>,
    pub instances: Pages<InstanceRecord>,
    /// By kind and name.
    pub index: Arc<BTreeMap<(Kind, Name), ObjectKey>>,
    /// Nothing is started, ended or rolled.
    pub frozen: Option<Standstill>,
}

impl Records {
    /// Whether nothing is started, ended or rolled.
    pub const fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }
}

/// An object with its status.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ObjectRecord {
    pub key: ObjectKey,
    pub name: Name,
    /// Made once; tells an object from an earlier one of the same name.
    pub uid: Box<str>,
    /// Goes up with every change of spec or labels.
    pub generation: u64,
    pub labels: BTreeMap<String, String>,
    pub spec: Arc<Spec>,
    pub created_at: Wall,
    pub changed_at: Wall,
    /// Earlier generations, oldest first, bounded.
    pub former: Vec<Former>,
    pub conditions: Vec<Condition>,
    pub status: Status,
    /// Deleted, and no longer in the index, but instances of it still have to end.
    pub deleted_at: Option<Wall>,
}

/// An earlier generation.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Former {
    pub generation: u64,
    pub changed_at: Wall,
    pub spec: Arc<Spec>,
}

/// Something that is true of an object, since when, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Condition {
    /// One word, such as `ready`, `progressing`, `crash_looping`, `paused`.
    pub kind: Box<str>,
    pub is_true: bool,
    /// One word.
    pub reason: Box<str>,
    pub message: Box<str>,
    pub since: Wall,
}

/// What a kind has to say beyond conditions.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Status {
    #[default]
    Nothing,
    Service(ServiceStatus),
    Job(JobStatus),
    Cron(CronStatus),
}

/// How a service stands.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ServiceStatus {
    pub wanted: u32,
    pub staged: u32,
    pub running: u32,
    pub ready: u32,
    pub healthy: u32,
    pub unhealthy: u32,
    /// The generation that is fully rolled out.
    pub stable_generation: Option<u64>,
    pub rollout: Option<RolloutKey>,
    /// Failures in a row, and until when nothing is started because of them.
    pub failures: u32,
    pub backoff_until: Option<Wall>,
    pub last_failure: Option<Failure>,
}

impl ObjectRecord {
    /// When a generation was applied; the newest, when that one is no longer known.
    pub fn changed_at_generation(&self, generation: u64) -> Wall {
        let mut former = self.former.iter();
        former
            .find(|former| former.generation == generation)
            .map_or(self.changed_at, |former| former.changed_at)
    }
}

/// The last instance that failed.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Failure {
    pub instance: Box<str>,
    pub agent: AgentInfo,
    pub state: v1::TaskState,
    pub message: Box<str>,
    pub at: Wall,
    pub generation: u64,
}

/// How a job or dag stands.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct JobStatus {
    pub active: u32,
    pub succeeded: u64,
    pub failed: u64,
    /// Failures since the last success.
    pub failures: u64,
    pub last_success_at: Option<Wall>,
    pub last_failure_at: Option<Wall>,
    /// What of that which it comes after has succeeded since its last run was started.
    pub fulfilled: BTreeSet<Name>,
}

/// How a cron stands.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CronStatus {
    /// Up to here every fire-time has been decided upon.
    pub decided_until: Wall,
    pub next_at: Option<Wall>,
    pub last_run: Option<Box<str>>,
    /// Fire-times that were not honoured, and of the last of them why.
    pub missed: u64,
    pub last_missed: Option<(Wall, Missed)>,
    /// Somebody paused it.
    pub paused: Option<Standstill>,
    /// Runs of a job of its own.
    pub runs: JobStatus,
}

/// The act of moving a service to a generation.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RolloutRecord {
    pub key: RolloutKey,
    pub id: Box<str>,
    pub object: ObjectKey,
    /// Counted within its service.
    pub number: u32,
    /// The generation that was fully rolled out before.
    pub from: Option<u64>,
    pub to: u64,
    pub state: RolloutState,
    /// Of a canary: which step, from 0.
    pub step: u32,
    pub pause: Option<Pause>,
    /// Of blue-green: when traffic moved to the new instances.
    pub moved_at: Option<Wall>,
    pub started_at: Wall,
    pub progressed_at: Wall,
    pub ended_at: Option<Wall>,
    pub new_ready: u32,
    pub old_left: u32,
    pub wanted: u32,
    pub failures: u32,
    pub message: Box<str>,
}

/// Why a rollout stands still on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Pause {
    /// Somebody paused it when so many instances were to be new; it goes on then, or when somebody resumes it.
    Asked { new: u32, until: Option<Wall> },
    /// A step of a canary is reached; it goes on then, or when somebody resumes it.
    Step { until: Option<Wall> },
    /// Blue-green: all new instances are ready, and somebody has to move the traffic.
    Move,
}

impl Pause {
    /// When it ends by itself.
    pub const fn until(self) -> Option<Wall> {
        match self {
            Self::Asked { until, .. } | Self::Step { until } => until,
            Self::Move => None,
        }
    }
}

/// Where a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum RolloutState {
    /// It waits for what its service comes after.
    Waiting,
    Rolling,
    /// Somebody has to resume it, or a pause has to end.
    Paused,
    /// It goes back to the generation before, because it failed.
    RollingBack,
    Succeeded,
    RolledBack,
    Failed,
    /// Another change, or somebody, ended it.
    Superseded,
    Aborted,
}

impl RolloutState {
    /// Whether it still has something to do.
    pub const fn is_active(self) -> bool {
        matches!(
            self,
            Self::Waiting | Self::Rolling | Self::Paused | Self::RollingBack
        )
    }
}

/// A run of a job or dag.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RunRecord {
    pub key: RunKey,
    pub id: Box<str>,
    pub object: ObjectKey,
    pub generation: u64,
    pub parameters: BTreeMap<String, String>,
    pub cause: Cause,
    pub state: RunState,
    /// It is being ended, and this is how it will have ended; `message` says why.
    pub stopping: Option<RunState>,
    pub created_at: Wall,
    /// When it was let go: none while it waits for an earlier run of its cron to end.
    pub begun_at: Option<Wall>,
    /// When something of it was started first.
    pub started_at: Option<Wall>,
    pub ended_at: Option<Wall>,
    pub counts: Counts,
    /// The last ends of attempts, newest last, bounded.
    pub ends: Vec<AttemptEnd>,
    /// Once it has ended: indices that failed for good, ascending, bounded.
    pub failed_indices: Vec<u32>,
    pub message: Box<str>,
    /// Of a dag: by node.
    pub nodes: BTreeMap<String, NodeState>,
}

/// Why a run was started.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Cause {
    Applied,
    User,
    /// All that its job comes after has succeeded.
    After,
    /// A cron, with the fire-time.
    Cron {
        object: ObjectKey,
        fire_at: Wall,
    },
    /// A node of a dag's run.
    Node {
        run: RunKey,
        node: Box<str>,
        attempt: u32,
    },
    /// A user, outside of the schedule of a cron.
    Fired {
        object: ObjectKey,
        at: Wall,
    },
}

impl Cause {
    /// The cron that a run belongs to, and its place in the order of that cron's runs.
    pub const fn of_cron(&self) -> Option<(ObjectKey, Wall)> {
        match self {
            Self::Cron { object, fire_at } => Some((*object, *fire_at)),
            Self::Fired { object, at } => Some((*object, *at)),
            Self::Applied | Self::User | Self::After | Self::Node { .. } => None,
        }
    }

    /// Whether a user asked for it.
    pub const fn is_by_user(&self) -> bool {
        matches!(self, Self::User | Self::Fired { .. })
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum RunState {
    /// Nothing of it has started yet.
    Pending,
    Running,
    Succeeded,
    Failed,
    Stopped,
}

/// How many indices are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    pub waiting: u32,
    pub running: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub retried: u32,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AttemptEnd {
    pub instance: Box<str>,
    pub index: u32,
    pub attempt: u32,
    pub state: v1::TaskState,
    pub exit_status: Option<i32>,
    pub message: Box<str>,
    pub agent: Arc<str>,
    pub started_at: Option<Wall>,
    pub at: Wall,
}

/// Where a node of a dag's run stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum NodeState {
    Waiting,
    Running { run: RunKey, attempt: u32 },
    Succeeded { run: Option<RunKey> },
    Failed { run: Option<RunKey> },
    Skipped,
}
