//! What shall set a container apart, as the agent wants it.
//!
//! Owns the input types; how it is done is decided in `isolating`.

use crate::capability::CapabilitySet;
use crate::isolation::{IdRange, PrivilegeGrowth, Propagation};
use crate::plan::LaunchId;
use crate::seccomp::Profile;
use std::path::PathBuf;

/// The folder in which a container with a root of its own finds its sandbox, as in Mesos.
pub const SANDBOX_IN_ROOT: &str = "/mnt/mesos/sandbox";

/// What shall set a container apart. By default nothing does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IsolationSpec {
    /// Its processes' numbers. Its own brings its own mounts and `/proc`.
    pub pid: NamespaceSpec,
    /// Its mounts. Anything that is mounted for it needs its own.
    pub mount: NamespaceSpec,
    /// Its System V objects and message queues.
    pub ipc: NamespaceSpec,
    /// Its host name.
    pub uts: NamespaceSpec,
    /// Its network. Its own has a loopback device only.
    pub network: NamespaceSpec,
    /// What it sees as the root of its cgroups.
    pub cgroup: NamespaceSpec,
    /// Its users; its own has the ids of `uids` and `gids`.
    pub user: NamespaceSpec,
    /// User ids of a user namespace of its own.
    pub uids: Vec<IdRange>,
    /// Group ids of a user namespace of its own.
    pub gids: Vec<IdRange>,
    /// Its root file system.
    pub root: RootSpec,
    /// Its host name; needs `uts` to be its own.
    pub hostname: Option<String>,
    /// Its `/dev/shm`.
    pub shared_memory: SharedMemorySpec,
    /// Its `/tmp` and `/var/tmp`.
    pub temporary: TemporarySpec,
    /// What is mounted into it besides, in order.
    pub volumes: Vec<VolumeSpec>,
    /// Its capabilities.
    pub capabilities: CapabilitySpec,
    /// Whether executing a program can give it privileges.
    pub growth: PrivilegeGrowth,
    /// Which system calls it may make.
    pub seccomp: SeccompSpec,
}

/// Which namespace of a kind a container is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamespaceSpec {
    /// The host's.
    #[default]
    Host,
    /// Its own.
    Own,
    /// That of another container, which runs.
    Of(LaunchId),
    /// The one behind this file of the host.
    Path(PathBuf),
}

/// The root file system of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RootSpec {
    /// The host's.
    #[default]
    Host,
    /// That of the container whose mounts are joined, which has one of its own.
    Joined,
    /// A folder of the host.
    Folder {
        /// Its absolute path.
        path: PathBuf,
        /// Whether it can be changed.
        access: Access,
    },
    /// Layers over one another.
    Overlay {
        /// An existing, empty folder of the host that the overlay is mounted on.
        at: PathBuf,
        /// Folders that are only read, the uppermost first.
        lower: Vec<PathBuf>,
        /// Where changes go: the upper folder and the work folder, on one file system. `None` forbids changes.
        upper: Option<(PathBuf, PathBuf)>,
    },
}

/// Whether something can be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// It can.
    #[default]
    ReadWrite,
    /// It cannot.
    ReadOnly,
}

/// The `/dev/shm` of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SharedMemorySpec {
    /// The host's; in a root of its own, its own.
    #[default]
    Inherit,
    /// Its own.
    Own {
        /// Its size; half of the memory if not given.
        bytes: Option<u64>,
    },
    /// The host's, in a root of its own too.
    Host,
}

/// The folders for temporary files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TemporarySpec {
    /// Those of the root.
    #[default]
    OfRoot,
    /// Empty ones of its own, in memory.
    Own,
}

/// Something that is mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSpec {
    /// What.
    pub source: VolumeSource,
    /// Where: absolute, or relative to the sandbox.
    pub target: PathBuf,
    /// Whether it can be changed.
    pub access: Access,
    /// Who sees mounts that are made in it later.
    pub propagation: Propagation,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource {
    /// A path of the host, which must be there.
    HostPath(PathBuf),
    /// A path in the sandbox, never outside of it; made, with the sandbox's owner, if it is not there.
    SandboxPath(PathBuf),
    /// A path in a sandbox that containers share, never outside of it; made, with that one's owner, if it is not there.
    SharedPath {
        /// The sandbox.
        sandbox: PathBuf,
        /// The path in it.
        path: PathBuf,
    },
    /// Memory.
    Memory {
        /// How much at most; half of the memory if not given.
        bytes: Option<u64>,
    },
}

/// The capabilities of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySpec {
    /// What it can ever have; by default the effective ones.
    pub bounding: Option<CapabilitySet>,
    /// What its program has when it starts; by default what its user gets of the bounding ones.
    pub effective: Option<CapabilitySet>,
}

/// Which system calls a container may make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SeccompSpec {
    /// All.
    #[default]
    Unconfined,
    /// Those of the built-in profile.
    Default,
    /// Those of this profile.
    Profile(Box<Profile>),
}
