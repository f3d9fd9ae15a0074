//! `config.json` of the runtime specification, version 1.0.2: the fields that are used here, with their names.
//!
//! Owns the types only.

use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the specification that is written.
pub const VERSION: &str = "1.0.2";

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Which version of the specification it follows.
    pub oci_version: &'static str,
    /// What is run.
    pub process: Process,
    /// In which file system.
    pub root: Root,
    /// The host name, in a UTS namespace of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// What is mounted, in order.
    pub mounts: Vec<Mount>,
    /// What is Linux's own.
    pub linux: Linux,
    /// For people and tools.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Whether it has a terminal.
    pub terminal: bool,
    /// The terminal's size at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
    /// As whom.
    pub user: User,
    /// The program, then its arguments.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Where.
    pub cwd: String,
    /// Its capability sets.
    pub capabilities: Capabilities,
    /// Its limits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rlimits: Vec<Rlimit>,
    /// Whether executing programs gives no privileges.
    pub no_new_privileges: bool,
}

/// The size of a terminal in characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsoleSize {
    /// Lines.
    pub height: u16,
    /// Characters in a line.
    pub width: u16,
}

/// Who a process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// File creation mask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Supplementary groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
}

/// Capability sets, by their names with `CAP_`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// What it can ever have.
    pub bounding: Vec<String>,
    /// What it has.
    pub effective: Vec<String>,
    /// What it hands on to programs that inherit.
    pub inheritable: Vec<String>,
    /// What it may take up.
    pub permitted: Vec<String>,
    /// What it hands on to all programs.
    pub ambient: Vec<String>,
}

/// A limit of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rlimit {
    /// As in `getrlimit(2)`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The soft limit.
    pub soft: u64,
    /// The hard limit.
    pub hard: u64,
}

/// The root file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Root {
    /// A folder of the host.
    pub path: String,
    /// Whether it cannot be changed.
    pub readonly: bool,
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Where, in the container.
    pub destination: String,
    /// A type of file system, or `bind`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What.
    pub source: String,
    /// As `mount(8)` has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// What is Linux's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Linux {
    /// Namespaces that are not the host's.
    pub namespaces: Vec<Namespace>,
    /// User ids of a user namespace of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of a user namespace of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
    /// Where its cgroups are.
    pub cgroups_path: String,
    /// What it may use.
    pub resources: LinuxResources,
    /// Which system calls it may make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Seccomp>,
    /// Who sees mounts that are made later.
    pub rootfs_propagation: &'static str,
    /// What nobody can read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub masked_paths: Vec<String>,
    /// What nobody can change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readonly_paths: Vec<String>,
}

/// A namespace, made or joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Namespace {
    /// Which kind.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The one behind this file; a new one without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Ids inside that are other ids outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdMapping {
    /// The first id inside.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// The first id outside.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many follow one another.
    pub size: u32,
}

/// What a container may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinuxResources {
    /// Devices; later rules override earlier ones.
    pub devices: Vec<DeviceRule>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryLimits>,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuLimits>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<PidsLimit>,
}

/// Devices that may be opened, or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceRule {
    /// Whether they may.
    pub allow: bool,
    /// How: letters of `rwm`.
    pub access: &'static str,
}

/// Limits of memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryLimits {
    /// What it can never exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// What it is brought back to when memory is short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation: Option<u64>,
    /// Memory and swap together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<u64>,
}

/// Limits of processors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CpuLimits {
    /// The share when processors are short; 1024 is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<u64>,
    /// Microseconds in a period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<i64>,
    /// The period in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<u64>,
    /// Which processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<String>,
}

/// The limit of processes and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PidsLimit {
    /// How many.
    pub limit: u64,
}

/// Which system calls may be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// For those that no rule is about.
    pub default_action: &'static str,
    /// With this error number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u16>,
    /// Whose programs may run.
    pub architectures: Vec<&'static str>,
    /// The rules.
    pub syscalls: Vec<SeccompRule>,
}

/// What happens at some system calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeccompRule {
    /// Which.
    pub names: Vec<&'static str>,
    /// What.
    pub action: &'static str,
    /// With this error number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u16>,
    /// What must hold of their arguments, all of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<SeccompArgument>,
}

/// What must hold of an argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeccompArgument {
    /// Which, from 0.
    pub index: u8,
    /// The value, or the mask where it is masked.
    pub value: u64,
    /// What is compared with what the mask leaves.
    pub value_two: u64,
    /// How.
    pub op: &'static str,
}
