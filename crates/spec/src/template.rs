//! The pod template: what one instance of a service or one attempt of a job runs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::{Size, Span, Thousandths};

mod checks;

pub use checks::{Check, CheckList, Checks, HttpProbe, PortRef, Scheme, TcpProbe};
use checks::{root_path, ten_seconds};

/// What one instance runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The containers, which share the instance's agent and network. One, until pods are built.
    pub containers: Vec<Container>,
    /// The user that the processes run as; the agent's own without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// How an instance is ended.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kill: Kill,
}

/// One container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// Unique in the template.
    #[serde(default = "main_name")]
    pub name: String,
    /// An image reference; without it the files of the agent's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What runs: a text for the shell, or a program with its arguments as a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,
    /// Files that are put into the sandbox from configs and secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<MaterialFile>,
    /// What is fetched into the sandbox before the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// What it needs.
    #[serde(default)]
    pub resources: Resources,
    /// The ports that it listens on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// How one tells that it works.
    #[serde(default, skip_serializing_if = "is_default")]
    pub checks: Checks,
    /// What is run before it is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<PreStop>,
    /// How much of its output is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,
}

impl Default for Container {
    fn default() -> Self {
        Self {
            name: main_name(),
            image: None,
            command: None,
            env: BTreeMap::new(),
            files: Vec::new(),
            artifacts: Vec::new(),
            resources: Resources::default(),
            ports: Vec::new(),
            checks: Checks::default(),
            pre_stop: None,
            logs: None,
        }
    }
}

fn main_name() -> String {
    "main".into()
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What runs: a text for the shell, or a program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Command {
    Shell(String),
    Words(Vec<String>),
}

/// The value of an environment variable: a text, or where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EnvValue {
    Text(String),
    From(MaterialRef),
}

/// One entry of a secret or a config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum MaterialRef {
    /// `{secret: {name: /team/db, key: password}}`
    Secret(Entry),
    /// `{config: {name: /team/settings, key: level}}`
    Config(Entry),
}

/// Which entry of which object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub name: crate::name::Name,
    /// Needed when the object has more than one entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A file from a config or secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaterialFile {
    /// Relative to the sandbox.
    pub path: String,
    pub from: MaterialRef,
}

/// A file to fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// http(s), ftp, hdfs or file URI.
    pub uri: String,
    /// Whether archives are unpacked.
    #[serde(default = "yes")]
    pub extract: bool,
    #[serde(default)]
    pub executable: bool,
    /// Whether the agent keeps it for the next task.
    #[serde(default)]
    pub cache: bool,
    /// The name in the sandbox; otherwise the URI's last part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

pub(crate) fn yes() -> bool {
    true
}

/// What a container needs, and at most gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    #[serde(default = "default_cpus")]
    pub cpus: Thousandths,
    #[serde(default = "default_mem")]
    pub mem: Size,
    #[serde(default)]
    pub disk: Size,
    #[serde(default)]
    pub gpus: u32,
    /// Above the request it may go so far, where the agent can enforce it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpus: default_cpus(),
            mem: default_mem(),
            disk: Size(0),
            gpus: 0,
            limits: None,
        }
    }
}

fn default_cpus() -> Thousandths {
    Thousandths(100)
}

fn default_mem() -> Size {
    Size::mebibytes(32)
}

/// Upper bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Limit<Thousandths>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mem: Option<Limit<Size>>,
}

/// A bound, or none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Limit<T> {
    Amount(T),
    Unlimited(Unlimited),
}

/// The word `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unlimited {
    Unlimited,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Unique in the template; given to the process as `PORT_<NAME>`.
    pub name: String,
    /// A fixed port of the host; without it one is picked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
    /// The port inside a container network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_port: Option<u16>,
    /// A port of the cluster that load balancers listen on, from 1 to 65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_port: Option<u16>,
    #[serde(default)]
    pub protocol: Protocol,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    /// Both, on one number.
    TcpUdp,
}

/// What happens before a container is ended: exactly one of `command` and `http`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreStop {
    /// A command in the container's sandbox and environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// A GET; whatever is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCall>,
    /// After so long the end goes on without it.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
}

/// A GET of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpCall {
    /// A port's name, or its number.
    pub port: PortRef,
    #[serde(default = "root_path")]
    pub path: String,
    #[serde(default)]
    pub scheme: Scheme,
}

/// How an instance is ended: it is shown as draining first, then told to end, then killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// How long it is shown as draining, so that load balancers leave it, before anything is done to it.
    #[serde(default)]
    pub drain: Span,
    /// Between the polite signal and the last one.
    #[serde(default = "three_seconds")]
    pub grace: Span,
}

impl Default for Kill {
    fn default() -> Self {
        Self {
            drain: Span(0),
            grace: three_seconds(),
        }
    }
}

fn three_seconds() -> Span {
    Span::seconds(3)
}

/// How much output is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// About so much of each stream; what is older goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Size>,
}
