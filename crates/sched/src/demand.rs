//! Work whose needs are known: how much of what is wanted where. Words here; the modules below decide.

mod agent_test;
mod cache;
mod candidates;
mod counts;
mod gang;
mod gang_room;
mod give_way;
mod instances;
mod judge;
mod queue;
mod recall;
mod shapes;
mod statements;
mod turns;
mod waiting;
mod why;
mod words;

use std::collections::BTreeSet;
use std::sync::Arc;

use mezz_resource::Resources;

use crate::ids::{AgentIndex, FrameworkIndex};

pub(crate) use cache::{Cache, Change};
pub(crate) use queue::Queue;
pub use why::Trial;

/// What the caller calls a demand.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct DemandKey(pub u64);

/// Instances that are counted together for spreading and nearness: those of one object.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct GroupKey(pub u64);

/// One placed instance, as the ledger numbers it; no number is used twice.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct InstanceHandle(pub u64);

/// A place for one instance of a demand, accounted as used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DemandPlacement {
    pub demand: DemandKey,
    /// What the caller names when the instance has ended.
    pub instance: InstanceHandle,
    pub framework: FrameworkIndex,
    pub agent: AgentIndex,
    /// What was taken there, allocated to the role.
    pub resources: Resources,
    /// The ports among them, ascending: fixed ones and others.
    pub ports: Vec<u16>,
}

/// Instances to end, so that a demand which fits nowhere gets their place; it is kept for the demand for a while.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Eviction {
    pub demand: DemandKey,
    pub agent: AgentIndex,
    pub victims: Vec<InstanceHandle>,
}

/// An instance that runs already, from the time before this ledger.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RunningInstance {
    pub framework: FrameworkIndex,
    pub role: Arc<str>,
    pub agent: AgentIndex,
    pub group: GroupKey,
    pub priority: i32,
    /// Whether it may be ended for the sake of others.
    pub preemptible: bool,
    /// What its end gives back.
    pub resources: Arc<Resources>,
}

/// So many equal instances are wanted. A million of them are one entry.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Demand {
    /// Whose share it takes from.
    pub role: Arc<str>,
    /// Higher goes first within the role.
    pub priority: i32,
    /// How many are still wanted.
    pub count: u64,
    /// Whether all of them are placed at once or none.
    pub gang: bool,
    /// What each needs; what is no scalar is taken exactly.
    pub request: Arc<Resources>,
    /// Ports that each needs beside `request`.
    pub ports: PortsWanted,
    /// Where its instances are counted.
    pub group: GroupKey,
    pub rules: Arc<Rules>,
    /// What may be ended for its sake.
    pub preempts: Preemption,
    /// Whether it may itself be ended for the sake of others.
    pub preemptible: bool,
}

/// Ports of one instance.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct PortsWanted {
    /// So many of any number.
    pub any: u32,
    /// These, exactly.
    pub fixed: BTreeSet<u16>,
}

/// What may be ended for the sake of a demand that fits nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Preemption {
    #[default]
    Nothing,
    /// Preemptible instances of lower priority in the same role.
    LowerPriority,
}

/// Where instances may and should go.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Rules {
    /// All must hold.
    pub require: Vec<Rule>,
    /// With weights; below zero is avoided.
    pub prefer: Vec<(Rule, i32)>,
    pub spread: Vec<Spread>,
    /// Only where instances of one of each set run.
    pub near: Vec<Vec<GroupKey>>,
    /// Only where none of these run.
    pub away: Vec<GroupKey>,
    /// All instances of the group where these have one value.
    pub same: Vec<PlaceKey>,
    pub packing: Packing,
}

/// What of an agent is looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum PlaceKey {
    Hostname,
    /// The agent's id.
    Agent,
    Region,
    Zone,
    Attribute(Arc<str>),
}

/// A test of an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Rule {
    pub key: PlaceKey,
    pub test: PlaceTest,
}

/// How a value is held against others. A missing one passes only `NotIn`, `NotMatches` and `Absent`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum PlaceTest {
    In(Vec<String>),
    NotIn(Vec<String>),
    /// The whole value matches one of these regular expressions, each checked before.
    Matches(Vec<String>),
    NotMatches(Vec<String>),
    Exists,
    Absent,
    /// In thousandths.
    AtLeast(i64),
    AtMost(i64),
}

/// Bounds on how many instances of the group share a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Spread {
    pub key: PlaceKey,
    pub max_per: Option<u32>,
    pub max_skew: Option<u32>,
    /// Values not yet seen count as empty ones up to this number.
    pub expected: Option<u32>,
}

/// Fill agents up, or use many.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub enum Packing {
    /// As the role, or the nearest above it, is set; `Binpack` if none is.
    #[default]
    Inherit,
    Binpack,
    Spread,
}
