//! What happens to the controllers: the only way in.

use std::sync::Arc;

use bytes::Bytes;
use mezz_proto::v1;
use mezz_sched::DemandKey;
use mezz_state::time::Wall;

use crate::call::Call;
use crate::key::{InstanceKey, ObjectKey, RequestKey, RolloutKey, RunKey};

/// Something that the core tells the controllers.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Event {
    /// A user's call, well formed.
    Call {
        request: RequestKey,
        call: Box<Call>,
        /// The address that it came from, when there is one.
        by: Option<Arc<str>>,
    },
    /// The ledger has a place for one instance of a demand, accounted already. Answered with exactly one `Launch`, or with
    /// `Decline` when the demand has ended meanwhile.
    Placed(Placed),
    /// An instance's newest status; each is told once, the terminal one last.
    Status { instance: Box<str>, status: Status },
    /// An instance has to make room for work of higher priority.
    Preempted { instance: Box<str> },
    /// An agent came, changed, or went.
    Agent(AgentNews),
    /// A timer fired.
    Timer(TimerKey),
    /// What was measured of a service whose number of instances follows it.
    Metrics {
        object: ObjectKey,
        /// In the order of its metrics: the average of all ready instances in thousandths of the metric's unit, none
        /// where it could not be measured.
        averages: Vec<Option<u64>>,
    },
    /// This master leads now; what the store held below [`crate::records::PREFIX`].
    Restored(Vec<(String, Bytes)>),
    /// Every agent has reported or was given up: what has no task any more may be replaced.
    Reconciled,
}

/// A place.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Placed {
    pub demand: DemandKey,
    pub agent: AgentInfo,
    /// What was picked, ascending: fixed ones and others.
    pub ports: Vec<u16>,
    /// What was taken there, allocated to the role.
    pub resources: Vec<v1::Resource>,
}

/// What an instance needs to know of its agent.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AgentInfo {
    pub id: Arc<str>,
    pub hostname: Arc<str>,
    pub ip: Arc<str>,
    pub region: Option<Arc<str>>,
    pub zone: Option<Arc<str>>,
}

/// What a task status says, with what only checks tell.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Status {
    pub state: v1::TaskState,
    /// When its agent made it.
    pub at: Option<Wall>,
    pub reason: Option<i32>,
    pub message: Box<str>,
    /// The verdict of the health check, when there is one and it has spoken.
    pub healthy: Option<bool>,
    /// What the task's check (the ready check, or the one that is only reported) found last.
    pub check: Option<CheckFound>,
    /// What each of several checks found last, when there are several.
    pub findings: Option<Box<FoundByMany>>,
    pub exit_status: Option<i32>,
    /// Addresses of the container.
    pub addresses: Vec<Box<str>>,
}

/// What several checks found, by their places.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FoundByMany {
    /// Whether a health check passes, and failures in a row; empty where there is one at most.
    pub health: Vec<Option<(bool, u32)>>,
    /// Of the ready checks and the one that is only reported; the first is not told here.
    pub checks: Vec<Option<CheckFound>>,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum CheckFound {
    /// The status of the answer.
    Http(u32),
    Tcp(bool),
    /// The exit status of the command.
    Command(i32),
}

/// What became of an agent.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum AgentNews {
    /// It registered, or its attributes changed.
    Up(AgentInfo),
    Unreachable(Arc<str>),
    /// It will not come back; its instances have ended.
    Gone(Arc<str>),
}

/// What a timer is for. Setting one again replaces it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum TimerKey {
    /// A service looks at itself again: back-off, ready time, drain, the end of a pause.
    Service(ObjectKey),
    /// A rollout has made no progress for its deadline.
    Rollout(RolloutKey),
    /// A run looks at itself again: back-off of an index, deadline, time-out of an attempt.
    Run(RunKey),
    /// A cron's next fire-time, or the end of its pause; wall time.
    Cron(ObjectKey),
    /// An instance's drain or unreachable policy.
    Instance(InstanceKey),
    /// Kills that were held back are let go.
    Kills,
    /// Status of objects is written, at most once a second.
    Write,
    /// Everything was frozen for a time that is over; wall time.
    Thaw,
}
