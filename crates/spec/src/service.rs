//! Services: work that goes on until somebody ends it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::placement::Placement;
use crate::quantity::{Share, Span, Thousandths};
use crate::template::{Template, is_default, yes};

/// A service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// How many instances: a number, `per_node`, or bounds to scale between.
    #[serde(default)]
    pub replicas: Replicas,
    pub template: Template,
    #[serde(default, skip_serializing_if = "is_default")]
    pub placement: Placement,
    #[serde(default, skip_serializing_if = "is_default")]
    pub update: Update,
    #[serde(default, skip_serializing_if = "is_default")]
    pub restart: Backoff,
    #[serde(default, skip_serializing_if = "is_default")]
    pub unreachable: Unreachable,
    /// Which instances go first when there are too many.
    #[serde(default)]
    pub kill_order: KillOrder,
    /// What happens to instances when a config or secret that they were given changes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_material_change: OnMaterialChange,
    /// Higher goes first within its role.
    #[serde(default)]
    pub priority: i32,
    /// Without it the leading components of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Starts only when all of these are healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Name>,
    /// What voluntary actions must leave running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruption: Option<Disruption>,
    /// Notes of tools for themselves; nothing else reads them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// How many instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Replicas {
    Count(u32),
    PerNode(PerNode),
    Autoscale(Autoscale),
}

impl Default for Replicas {
    fn default() -> Self {
        Self::Count(1)
    }
}

/// The word `per_node`: one instance on every agent that passes the placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PerNode {
    PerNode,
}

/// Bounds to scale between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Autoscale {
    pub min: u32,
    pub max: u32,
    /// The largest number that any of them asks for counts.
    pub metrics: Vec<Metric>,
    /// No step down sooner after the last step.
    #[serde(default = "five_minutes")]
    pub cooldown_down: Span,
    /// No step up sooner after the last step.
    #[serde(default = "thirty_seconds")]
    pub cooldown_up: Span,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub of: MetricSource,
    /// The wanted average of all instances: percent of the request for cpu and memory, a number otherwise.
    pub target: Thousandths,
}

/// Where a number comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricSource {
    Cpu,
    Memory,
    /// Requests in flight, as the connections tell: those established to the TCP ports of an instance, idle ones included.
    RequestsInFlight,
    /// A number that each instance answers itself, such as its requests in flight or what waits in its queue.
    Gauge(Gauge),
    /// A URL that answers a number for all instances together, such as the length of a queue; asked by the master.
    Url(String),
}

/// A number that each instance answers over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gauge {
    /// The name of the port that answers; without it the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Where it answers.
    #[serde(default = "metrics_path")]
    pub path: String,
    /// A metric in the text format of Prometheus, all its samples together; without it the answer is a plain number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
}

/// How a new generation replaces the old one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    #[serde(default)]
    pub strategy: Strategy,
    /// So long an instance must have been ready to count.
    #[serde(default)]
    pub ready_for: Span,
    /// A rollout that makes no progress for so long has failed.
    #[serde(default = "ten_minutes")]
    pub deadline: Span,
    /// So many new instances may fail before the rollout has.
    #[serde(default = "three")]
    pub failure_budget: u32,
    /// Whether a failed rollout goes back to the generation before.
    #[serde(default = "yes")]
    pub auto_rollback: bool,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            ready_for: Span(0),
            deadline: ten_minutes(),
            failure_budget: three(),
            auto_rollback: true,
        }
    }
}

/// The way of replacing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// A few at a time; an old one goes when a new one is ready.
    Rolling(Rolling),
    /// All old ones go, then the new ones come.
    Recreate,
    /// Some first, a look, then more.
    Canary(Canary),
    /// All new ones come beside the old, then traffic moves at once.
    BlueGreen(BlueGreen),
}

impl Default for Strategy {
    fn default() -> Self {
        Self::Rolling(Rolling::default())
    }
}

/// A few at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rolling {
    /// So many may be missing meanwhile; rounded down.
    #[serde(default = "none_missing")]
    pub max_unavailable: Share,
    /// So many may be there in addition; rounded up.
    #[serde(default = "quarter")]
    pub max_surge: Share,
}

impl Default for Rolling {
    fn default() -> Self {
        Self {
            max_unavailable: none_missing(),
            max_surge: quarter(),
        }
    }
}

fn none_missing() -> Share {
    Share::Count(0)
}

fn quarter() -> Share {
    Share::Percent(25)
}

/// Some first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    pub steps: Vec<CanaryStep>,
    /// How each step, and the rest, is rolled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rolling: Rolling,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CanaryStep {
    /// So many instances are new after it.
    pub new: Share,
    /// Then it waits so long, or, without it, until somebody resumes the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Span>,
}

/// All beside the old.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlueGreen {
    /// Whether traffic moves only when somebody resumes the rollout.
    #[serde(default)]
    pub manual: bool,
    /// The old ones stay so long, for a quick way back.
    #[serde(default)]
    pub keep_old: Span,
}

/// How long to wait before an instance that failed is started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    #[serde(default = "one_second")]
    pub initial: Span,
    /// Each failure multiplies the delay by this.
    #[serde(default = "double")]
    pub factor: Thousandths,
    #[serde(default = "five_minutes")]
    pub max: Span,
    /// After so many failures in a row it is shown as crash-looping.
    #[serde(default = "five")]
    pub crash_loop: u32,
    /// An instance that ran so long has its failures forgotten.
    #[serde(default = "ten_minutes")]
    pub reset_after: Span,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: one_second(),
            factor: double(),
            max: five_minutes(),
            crash_loop: five(),
            reset_after: ten_minutes(),
        }
    }
}

/// What happens to instances on an agent that cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unreachable {
    /// A replacement starts after so long.
    #[serde(default)]
    pub replace_after: Wait,
    /// After so long the old one is forgotten, and killed should it come back.
    #[serde(default)]
    pub expunge_after: Wait,
}

impl Default for Unreachable {
    fn default() -> Self {
        Self {
            replace_after: Wait::Span(Span(0)),
            expunge_after: Wait::Span(Span(0)),
        }
    }
}

/// A span, or `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Wait {
    Never(Never),
    Span(Span),
}

impl Default for Wait {
    fn default() -> Self {
        Self::Span(Span(0))
    }
}

/// The word `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Never {
    Never,
}

/// Which instances go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KillOrder {
    #[default]
    YoungestFirst,
    OldestFirst,
}

/// What happens to instances when a config or secret that they were given changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMaterialChange {
    /// They keep what they have; those that start from now on get the new.
    #[default]
    Keep,
    /// All are replaced, as by a new generation.
    Restart,
}

/// What voluntary actions must leave running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disruption {
    pub min_available: Share,
}

fn one_second() -> Span {
    Span::seconds(1)
}

fn thirty_seconds() -> Span {
    Span::seconds(30)
}

fn metrics_path() -> String {
    "/metrics".to_owned()
}

fn five_minutes() -> Span {
    Span::seconds(300)
}

fn ten_minutes() -> Span {
    Span::seconds(600)
}

fn double() -> Thousandths {
    Thousandths(2_000)
}

fn three() -> u32 {
    3
}

fn five() -> u32 {
    5
}
