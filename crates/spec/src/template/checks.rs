//! How one tells that a container works: the checks that agents run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Command;
use crate::quantity::Span;

/// How one tells that a container works. All are run by the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    /// Kills the instance when it fails too often, and a replacement starts. One check, or a list of which each must pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<CheckList>,
    /// Says when the instance is ready for traffic. One check, or a list of which each must pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<CheckList>,
    /// Is only shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Check>,
}

impl Checks {
    /// The health checks.
    pub fn health(&self) -> &[Check] {
        self.health.as_ref().map_or(&[], CheckList::as_slice)
    }

    /// The ready checks.
    pub fn ready(&self) -> &[Check] {
        self.ready.as_ref().map_or(&[], CheckList::as_slice)
    }
}

/// Checks of one purpose. One alone is written without a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written", into = "Written")]
#[schemars(with = "Written", inline)]
pub struct CheckList(Vec<Check>);

impl CheckList {
    /// All of them, in order.
    pub fn as_slice(&self) -> &[Check] {
        &self.0
    }
}

impl From<Vec<Check>> for CheckList {
    fn from(checks: Vec<Check>) -> Self {
        Self(checks)
    }
}

/// One check, or a list of checks. The list comes first: serde takes lists for structures, too.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "CheckOrChecks")]
enum Written {
    More(Vec<Check>),
    One(Box<Check>),
}

impl From<Written> for CheckList {
    fn from(written: Written) -> Self {
        match written {
            Written::One(check) => Self(vec![*check]),
            Written::More(checks) => Self(checks),
        }
    }
}

impl From<CheckList> for Written {
    fn from(list: CheckList) -> Self {
        let mut checks = list.0;
        match checks.len() {
            1 => Self::One(Box::new(checks.remove(0))),
            _ => Self::More(checks),
        }
    }
}

/// One check: exactly one of `http`, `tcp` and `command`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// An HTTP GET that is answered 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProbe>,
    /// A connection that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpProbe>,
    /// A command that exits with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// Time between probes.
    #[serde(default = "ten_seconds")]
    pub interval: Span,
    /// How long a probe may take.
    #[serde(default = "five_seconds")]
    pub timeout: Span,
    /// Before the first probe.
    #[serde(default)]
    pub delay: Span,
    /// How long after the start failures do not count.
    #[serde(default = "ten_seconds")]
    pub grace: Span,
    /// So many failures in a row are too many; 0 for never.
    #[serde(default = "three")]
    pub failures: u32,
}

pub(super) fn ten_seconds() -> Span {
    Span::seconds(10)
}

fn five_seconds() -> Span {
    Span::seconds(5)
}

fn three() -> u32 {
    3
}

/// An HTTP probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpProbe {
    /// A port's name, or its number.
    pub port: PortRef,
    #[serde(default = "root_path")]
    pub path: String,
    #[serde(default)]
    pub scheme: Scheme,
    /// Accepted answers; 200 to 399 without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<u16>,
}

pub(super) fn root_path() -> String {
    "/".into()
}

/// http or https (whose certificate is not verified, as in Mesos).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    #[default]
    Http,
    Https,
}

/// A TCP probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpProbe {
    /// A port's name, or its number.
    pub port: PortRef,
}

/// A port of the template by name, or a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PortRef {
    Number(u16),
    Name(String),
}
