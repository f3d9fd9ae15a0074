//! What goes into a plan: the container as it is wanted, and the host as it was found.
//!
//! Owns the input types; it must never find anything out by itself.

use crate::capability::CapabilitySet;
use crate::environment::EnvironmentVariable;
use crate::isolation_spec::IsolationSpec;
use crate::plan::{Credentials, LaunchId, Leftovers, Rlimit, Survival, TerminalSize};
use crate::seccomp::Architecture;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A container as the agent wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSpec {
    /// The token of this launch.
    pub launch_id: LaunchId,
    /// What to run.
    pub command: CommandSpec,
    /// Environment lists in rising precedence: a later list overrides an earlier one, a later entry an earlier one.
    pub environment: Vec<Vec<EnvironmentVariable>>,
    /// The absolute path of the sandbox, which exists and belongs to the user.
    pub sandbox: PathBuf,
    /// Where the program lies, if it is named by a path.
    pub program_place: Place,
    /// What has been put into the sandbox by others than the agent.
    pub sandbox_content: SandboxContent,
    /// The working directory, absolute or relative to the sandbox; `None` is the sandbox.
    pub working_directory: Option<PathBuf>,
    /// The name of the user to run as; `None` is the warden's own.
    pub user: Option<String>,
    /// Who to run as, whatever `user` says: somebody whom the host does not know by name.
    pub credentials: Option<Credentials>,
    /// The three standard streams.
    pub stdio: StdioSpec,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// The file creation mask.
    pub umask: Option<u32>,
    /// Whether it outlives the agent's connection.
    pub survival: Survival,
    /// What happens to the rest of the tree when the main process exits.
    pub leftovers: Leftovers,
    /// What sets it apart from the host.
    pub isolation: IsolationSpec,
    /// A terminal instead of `stdio`; the agent gets its other end.
    pub terminal: Option<TerminalSize>,
}

impl ContainerSpec {
    /// A spec with everything at its default: output into `stdout` and `stderr` of the sandbox.
    pub fn new(launch_id: LaunchId, command: CommandSpec, sandbox: impl Into<PathBuf>) -> Self {
        Self {
            launch_id,
            command,
            environment: Vec::new(),
            sandbox: sandbox.into(),
            program_place: Place::Unknown,
            sandbox_content: SandboxContent::Fresh,
            working_directory: None,
            user: None,
            credentials: None,
            stdio: StdioSpec::default(),
            rlimits: Vec::new(),
            umask: None,
            survival: Survival::Keep,
            leftovers: Leftovers::Kill,
            isolation: IsolationSpec::default(),
            terminal: None,
        }
    }
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandSpec {
    /// `/bin/sh -c <text>`.
    Shell(String),
    /// A program, searched in the child's `PATH` if it has no slash; `argv` includes the program's own name, and
    /// an empty one means just that.
    Argv {
        /// What to execute.
        program: String,
        /// Its arguments, the first being its own name.
        argv: Vec<String>,
    },
}

/// Whether opening something can hang on anything but this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It may lie on a network or user-space file system.
    Unknown,
    /// It lies on a local disk, and so does everything on the way to it (of a program: its interpreters too).
    LocalDisk,
}

/// What the sandbox holds before the launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxContent {
    /// Only what the agent itself made.
    Fresh,
    /// Files that the user chose (fetched URIs): a path in it may lead anywhere.
    Fetched,
}

/// The standard streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StdioSpec {
    /// Standard input.
    pub stdin: InputSpec,
    /// Standard output.
    pub stdout: OutputSpec,
    /// Standard error.
    pub stderr: OutputSpec,
}

impl Default for StdioSpec {
    fn default() -> Self {
        Self {
            stdin: InputSpec::Null,
            stdout: OutputSpec::SandboxFile("stdout".to_owned()),
            stderr: OutputSpec::SandboxFile("stderr".to_owned()),
        }
    }
}

/// Where standard input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputSpec {
    /// `/dev/null`.
    Null,
    /// A pipe that the agent writes.
    Pipe,
}

/// Where an output stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputSpec {
    /// `/dev/null`.
    Null,
    /// A file of this name directly in the sandbox, appended to.
    SandboxFile(String),
    /// A pipe that the agent reads.
    Pipe,
}

/// What the agent found out about its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// Tells this agent's launches from those of other agents on the host (ids are unique per agent only): the same
    /// over restarts, of letters, digits, `-`, `_` and `.`.
    pub scope: String,
    /// What the warden may do.
    pub privilege: Privilege,
    /// Users by name, at least those that specs name.
    pub users: BTreeMap<String, Credentials>,
    /// A directory in a v1 freezer hierarchy under which the warden may make directories.
    pub freezer_v1: Option<PathBuf>,
    /// A directory in a v2 hierarchy with `cgroup.kill` under which the warden may make directories.
    pub cgroup_v2: Option<PathBuf>,
    /// Whether pid namespaces can be made.
    pub pid_namespaces: PidNamespaces,
    /// `PATH` of a child whose environment has none.
    pub default_path: String,
    /// Directories on local disks that no task's user can change: programs in them cannot stall an exec.
    pub trusted_program_dirs: Vec<PathBuf>,
    /// Where the sandboxes lie.
    pub sandboxes: Place,
    /// What the kernel offers to set containers apart.
    pub kernel: KernelFacts,
}

/// What the kernel offers to set containers apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFacts {
    /// Its version.
    pub version: (u32, u32),
    /// Its machine, if profiles of system calls can be made for it.
    pub architecture: Option<Architecture>,
    /// The capabilities that the warden has.
    pub capabilities: CapabilitySet,
    /// Whether mounts can be made apart from the tree and attached by descriptor.
    pub mount_calls: MountCalls,
    /// Whether the warden can make user namespaces.
    pub user_namespaces: UserNamespaces,
}

/// Whether mounts can be made apart from the tree and attached by descriptor (Linux 5.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountCalls {
    /// They can.
    Present,
    /// They cannot.
    Missing,
}

/// Whether user namespaces can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserNamespaces {
    /// They can.
    Available,
    /// They cannot.
    Unavailable,
}

impl KernelFacts {
    /// A kernel of which nothing is known.
    pub const UNKNOWN: Self = Self {
        version: (0, 0),
        architecture: None,
        capabilities: CapabilitySet::EMPTY,
        mount_calls: MountCalls::Missing,
        user_namespaces: UserNamespaces::Unavailable,
    };
}

impl HostFacts {
    /// A host where nothing is known to be available: an ordinary user without cgroups.
    pub fn bare(scope: impl Into<String>, uid: u32) -> Self {
        Self {
            scope: scope.into(),
            privilege: if uid == 0 {
                Privilege::Root
            } else {
                Privilege::User { uid }
            },
            users: BTreeMap::new(),
            freezer_v1: None,
            cgroup_v2: None,
            pid_namespaces: PidNamespaces::Unavailable,
            default_path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            trusted_program_dirs: [
                "/bin",
                "/sbin",
                "/usr/bin",
                "/usr/sbin",
                "/usr/local/bin",
                "/usr/local/sbin",
            ]
            .into_iter()
            .map(PathBuf::from)
            .collect(),
            sandboxes: Place::Unknown,
            kernel: KernelFacts::UNKNOWN,
        }
    }
}

/// What the warden may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// Everything.
    Root,
    /// What this user may.
    User {
        /// The warden's user id.
        uid: u32,
    },
}

/// Whether pid namespaces can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PidNamespaces {
    /// They can.
    Available,
    /// They cannot.
    Unavailable,
}
