//! Jobs: work that ends. Each start is a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cron::Overlap;
use crate::name::Name;
use crate::placement::Placement;
use crate::quantity::{Share, Span};
use crate::service::{Backoff, Wait};
use crate::template::{Template, is_default};

/// The largest array.
pub const MAX_COMPLETIONS: u32 = 1_000_000;

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// When it runs by itself.
    #[serde(default)]
    pub start: Start,
    /// It runs each time that other jobs have succeeded; with `start: manual`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    pub template: Template,
    #[serde(default, skip_serializing_if = "is_default")]
    pub placement: Placement,
    /// So many indices at the same time.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub parallelism: u32,
    /// So many indices, each of which must succeed once; each gets its number as `MEZZ_INDEX`.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub completions: u32,
    /// Whether all of `parallelism` are placed at once or none.
    #[serde(default)]
    pub gang: bool,
    /// So often an index that failed is started again. Ends that are nobody's fault (a lost agent, a preemption) do not count.
    #[serde(default)]
    pub retries: u32,
    /// Which ends are retried.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_on: RetryOn,
    /// What fails later than this after its run began is not retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_for: Option<Span>,
    /// A run that failed counts as a success for the jobs that come after this one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ignore_failure: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub backoff: Backoff,
    /// The run goes on as long as no more indices than this have failed for good.
    #[serde(default = "no_failure")]
    pub max_failed: Share,
    /// So long one attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_timeout: Option<Span>,
    /// An attempt on an agent that cannot be reached for so long is given up, which does not count as a failure, and its
    /// index is started again; the attempt is ended should it come back. `never` waits for the agent, or for somebody to
    /// declare it gone.
    #[serde(default = "five_minutes")]
    pub lost_after: Wait,
    /// So long a run may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// So long the first start may wait for a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_deadline: Option<Span>,
    /// What a run may be given, as `PARAM_<NAME>` in the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Parameter>,
    /// Higher goes first within its role.
    #[serde(default)]
    pub priority: i32,
    /// May be ended for the sake of higher priorities in its role.
    #[serde(default)]
    pub preemptible: bool,
    /// Without it the leading components of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub history: History,
    /// Notes of tools for themselves; nothing else reads them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Job {
    /// A job that runs this once, all else at its default.
    pub fn of(template: Template) -> Self {
        Self {
            start: Start::Once,
            after: None,
            template,
            placement: Placement::default(),
            parallelism: one(),
            completions: one(),
            gang: false,
            retries: 0,
            retry_on: RetryOn::default(),
            retry_for: None,
            ignore_failure: false,
            backoff: Backoff::default(),
            max_failed: no_failure(),
            attempt_timeout: None,
            lost_after: five_minutes(),
            deadline: None,
            launch_deadline: None,
            parameters: BTreeMap::new(),
            priority: 0,
            preemptible: false,
            role: None,
            history: History::default(),
            annotations: BTreeMap::new(),
        }
    }
}

/// What a job comes after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct After {
    /// It runs when each of these has succeeded since its own last run was started.
    pub jobs: Vec<Name>,
    /// When that is so while an earlier run still goes on.
    #[serde(default)]
    pub overlap: Overlap,
}

/// When a job runs by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Once, when it is first applied.
    #[default]
    Once,
    /// Only when somebody runs it.
    Manual,
}

/// Which ends are retried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryOn {
    /// Exit statuses; any but 0 without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exit_statuses: Vec<u8>,
}

/// Something that a run may be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Without it the parameter has to be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The only values that are taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// How many finished runs are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    #[serde(default = "ten")]
    pub succeeded: u32,
    #[serde(default = "ten")]
    pub failed: u32,
    /// Older ones go, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Span>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            succeeded: ten(),
            failed: ten(),
            age: None,
        }
    }
}

fn one() -> u32 {
    1
}

fn five_minutes() -> Wait {
    Wait::Span(Span::seconds(300))
}

fn ten() -> u32 {
    10
}

fn no_failure() -> Share {
    Share::Count(0)
}
