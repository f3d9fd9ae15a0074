//! Crons: runs at certain times.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::Job;
use crate::name::Name;
use crate::quantity::Span;

/// A cron.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cron {
    /// When: five or six cron fields, `@daily` and the like, or an ISO 8601 repeating interval such as
    /// `R/2026-01-01T00:00:00Z/PT1H`. Several are joined.
    pub schedules: Vec<String>,
    /// An IANA name. A time that is skipped when clocks go forward fires at the end of the gap; one that comes twice when
    /// they go back fires the first time only. What goes by elapsed time does neither: intervals shorter than a day, and
    /// cron expressions with `*` in their minutes or hours.
    #[serde(default = "utc")]
    pub time_zone: String,
    pub run: Target,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// A fire-time that could not be honoured for so long is missed.
    #[serde(default = "fifteen_minutes")]
    pub starting_deadline: Span,
    #[serde(default)]
    pub overlap: Overlap,
    #[serde(default)]
    pub catch_up: CatchUp,
    /// Each start is delayed by up to this, by a number that follows from name and fire-time.
    #[serde(default)]
    pub jitter: Span,
    /// Notes of tools for themselves; nothing else reads them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Cron {
    /// A cron that runs this, all else at its default.
    pub fn of(schedule: String, run: Target) -> Self {
        Self {
            schedules: vec![schedule],
            time_zone: utc(),
            run,
            enabled: yes(),
            starting_deadline: fifteen_minutes(),
            overlap: Overlap::default(),
            catch_up: CatchUp::default(),
            jitter: Span::default(),
            annotations: BTreeMap::new(),
        }
    }
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A job written here.
    Job(Box<Job>),
    /// An existing job.
    JobRef(Reference),
    /// An existing dag.
    DagRef(Reference),
}

/// A named object with parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    pub name: Name,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

/// When the time comes while an earlier run still goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    #[default]
    Allow,
    /// The new one is skipped.
    Forbid,
    /// The old one is ended first.
    Replace,
    /// The new one waits.
    Queue,
}

/// Which fire-times that nobody honoured are made up for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    None,
    /// The last one within the starting deadline.
    #[default]
    Last,
    /// All within the starting deadline, in order.
    All,
}

fn utc() -> String {
    "UTC".into()
}

fn yes() -> bool {
    true
}

fn fifteen_minutes() -> Span {
    Span::seconds(900)
}
