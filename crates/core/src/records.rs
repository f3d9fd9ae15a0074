//! The records of the master: one copy, shared by the core and, by cheap clones, by every view.
//! Readers (GET handlers, `/state`, streams, metrics) see only this; they never enter the core.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mezz_proto::v1;
use mezz_resource::Resources;
use prost::Message as _;

use crate::key::{AgentKey, ExecutorKey, FrameworkKey, OfferKey, TaskKey};
use crate::metrics::{FrameworkMetrics, Metrics};
use crate::pages::Pages;
use crate::time::Wall;

/// Everything that a reader may see, at one moment.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Records {
    pub master: Arc<MasterRecord>,
    pub agents: Pages<AgentRecord>,
    pub frameworks: Pages<FrameworkRecord>,
    pub tasks: Pages<TaskRecord>,
    pub executors: Pages<ExecutorRecord>,
    pub offers: Pages<OfferRecord>,
    /// Native tasks that wait for a place.
    pub pending: Pages<PendingRecord>,
    /// By role name: every role that has a weight, a framework or an allocation.
    pub roles: Arc<BTreeMap<String, RoleRecord>>,
    pub metrics: Metrics,
    /// Users' objects and what became of them.
    pub work: mezz_workload::records::Records,
    /// Facts up to this sequence are contained.
    pub fact_sequence: u64,
}

/// This master.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MasterRecord {
    pub info: v1::MasterInfo,
    pub cluster_id: String,
    pub epoch: u64,
    pub started_at: Wall,
    /// Unset while it does not lead.
    pub elected_at: Option<Wall>,
}

/// Where an agent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum AgentState {
    /// Known from the store, not yet back since this master leads.
    Recovered,
    /// Registered and connected.
    Connected,
    /// Registered; its connection broke and it is still within its time.
    Disconnected,
    /// It missed its pings or its time to come back.
    Unreachable,
    /// An operator declared it gone; it can never come back.
    Gone,
    /// It unregistered; only finished tasks still refer to the record.
    Removed,
}

/// An agent. Unreachable and gone agents keep their record (bounded in number).
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AgentRecord {
    pub key: AgentKey,
    pub id: Arc<str>,
    /// Without its resources: `declared` holds them encoded, since decoded ones take more room than all the rest.
    pub info: Arc<v1::AgentInfo>,
    pub declared: Bytes,
    /// Where its own HTTP API is reached, with `info.port`.
    pub ip: Arc<str>,
    pub state: AgentState,
    /// An operator switched it off: it gets no offers.
    pub deactivated: bool,
    pub version: Arc<str>,
    pub capabilities: Arc<[String]>,
    pub registered_at: Wall,
    pub reregistered_at: Option<Wall>,
    /// Since when it is unreachable or gone.
    pub lost_at: Option<Wall>,
    pub total: Arc<Resources>,
    /// Allocated to tasks and executors (each resource carries its allocation role).
    pub used: Resources,
    pub offered: Resources,
    /// Live tasks here.
    pub task_count: u32,
}

impl AgentRecord {
    /// Parts what an agent says of itself into `info` and `declared`.
    pub fn parted(mut info: v1::AgentInfo) -> (Arc<v1::AgentInfo>, Bytes) {
        let declared = v1::AgentInfo {
            resources: std::mem::take(&mut info.resources),
            ..v1::AgentInfo::default()
        };
        (Arc::new(info), declared.encode_to_vec().into())
    }

    /// What the agent says of itself, as it said it.
    pub fn whole_info(&self) -> v1::AgentInfo {
        let declared = v1::AgentInfo::decode(&*self.declared);
        v1::AgentInfo {
            resources: declared.unwrap_or_default().resources,
            ..(*self.info).clone()
        }
    }

    /// The libprocess-style address that old clients cut apart: `slave(1)@ip:port`.
    pub fn pid(&self) -> String {
        format!(
            "slave(1)@{}:{}",
            self.ip,
            self.info.port.unwrap_or_default()
        )
    }

    /// Whether it may get offers.
    pub fn is_active(&self) -> bool {
        self.state == AgentState::Connected && !self.deactivated
    }
}

/// Where a framework stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum FrameworkState {
    /// Subscribed.
    Active,
    /// Its stream ended; its failover timeout runs.
    Disconnected,
    /// Known from the store or from agents only, since this master leads.
    Recovered,
    /// Torn down or timed out.
    Completed,
}

/// A framework.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FrameworkRecord {
    pub key: FrameworkKey,
    pub id: Arc<str>,
    /// With `id` set.
    pub info: Arc<v1::FrameworkInfo>,
    pub state: FrameworkState,
    /// True for the framework that owns native tasks.
    pub built_in: bool,
    pub suppressed_roles: Arc<[String]>,
    pub offer_constraints: Option<Arc<v1::scheduler::OfferConstraints>>,
    pub registered_at: Wall,
    pub reregistered_at: Option<Wall>,
    pub unregistered_at: Option<Wall>,
    /// Scalars only: ports and sets of different agents do not add up.
    pub used: Resources,
    /// Scalars only, too.
    pub offered: Resources,
    pub metrics: FrameworkMetrics,
}

impl FrameworkRecord {
    /// The roles that it subscribed with: `roles`, or the old `role`.
    pub fn roles(&self) -> Vec<String> {
        crate::framework_info::roles(&self.info)
    }

    /// Whether it declared a capability.
    pub fn has_capability(&self, kind: v1::framework_info::capability::Type) -> bool {
        crate::framework_info::has_capability(&self.info, kind)
    }
}

/// Which of the three lists of a framework a task is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum TaskList {
    /// Known to run, or terminal and not yet acknowledged.
    Live,
    /// Its agent is unreachable.
    Unreachable,
    /// Terminal and acknowledged, or ended by the master (bounded per framework).
    Completed,
}

/// A task: a small header for filters and labels, and the wire record.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TaskRecord {
    pub key: TaskKey,
    pub framework: FrameworkKey,
    pub agent: AgentKey,
    pub id: Box<str>,
    pub role: Arc<str>,
    /// Set for tasks of custom executors only.
    pub executor_id: Option<Box<str>>,
    /// The newest state known from the agent.
    pub state: v1::TaskState,
    pub list: TaskList,
    /// What it holds (each resource carries its allocation role); shared among equal tasks.
    pub resources: Arc<Resources>,
    /// State and uuid of the last update sent to the framework; unset before the first.
    pub update_state: Option<v1::TaskState>,
    pub update_uuid: Option<[u8; 16]>,
    pub created_at: Wall,
    pub started_at: Option<Wall>,
    pub finished_at: Option<Wall>,
    /// An encoded `mesos.v1.Task` with all fields, statuses included.
    pub wire: Bytes,
}

/// A custom executor that runs on an agent.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ExecutorRecord {
    pub key: ExecutorKey,
    pub framework: FrameworkKey,
    pub agent: AgentKey,
    pub id: Box<str>,
    pub role: Arc<str>,
    pub info: Arc<v1::ExecutorInfo>,
    pub resources: Arc<Resources>,
    /// Live tasks that it runs.
    pub task_count: u32,
}

/// An outstanding offer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OfferRecord {
    pub key: OfferKey,
    pub id: Arc<str>,
    pub framework: FrameworkKey,
    pub agent: AgentKey,
    pub role: Arc<str>,
    pub resources: Arc<Resources>,
    pub created_at: Wall,
}

/// A native task that waits for a place.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PendingRecord {
    pub id: Box<str>,
    pub task: Arc<crate::native::NativeTask>,
    pub resources: Arc<Resources>,
    pub created_at: Wall,
}

/// What is known of a role.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RoleRecord {
    /// Unset: 1.
    pub weight: Option<f64>,
    /// Active frameworks subscribed to it, by key.
    pub frameworks: Vec<FrameworkKey>,
}
