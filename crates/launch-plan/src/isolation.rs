//! What isolates a container, as data: namespaces, root file system, mounts, privileges.
//!
//! Owns the plan's types only; everything in them is carried out in the order of the fields, and nothing is looked up.

use crate::capability::CapabilitySet;
use crate::plan::LaunchId;
use crate::seccomp::Instruction;
use std::ffi::CString;

/// Everything that sets a container apart from its host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// Namespaces that are not the warden's own, each kind once.
    pub namespaces: Vec<Namespace>,
    /// Who users of a new user namespace are outside of it.
    pub users: Option<UserMap>,
    /// What becomes the root.
    pub root: Root,
    /// What is made and mounted in the root, in order.
    pub steps: Vec<RootStep>,
    /// What holds for the root's own mount in the end.
    pub root_attributes: MountAttributes,
    /// The host name of a new UTS namespace.
    pub hostname: Option<CString>,
    /// What becomes of privileges.
    pub privileges: Privileges,
}

impl Isolation {
    /// Where the namespace of this kind comes from; `None` for the warden's own.
    pub fn namespace(&self, kind: NamespaceKind) -> Option<&NamespaceSource> {
        let found = self
            .namespaces
            .iter()
            .find(|namespace| namespace.kind == kind)?;
        Some(&found.source)
    }

    /// Whether a namespace of this kind is made.
    pub fn makes(&self, kind: NamespaceKind) -> bool {
        self.namespace(kind) == Some(&NamespaceSource::New)
    }
}

/// One namespace of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Of which kind.
    pub kind: NamespaceKind,
    /// Which one.
    pub source: NamespaceSource,
}

macro_rules! namespace_kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $flag:literal, $text:literal;)*) => {
        /// The kinds of namespaces, in the order in which they are joined.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum NamespaceKind { $($(#[$doc])* $name,)* }

        impl NamespaceKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The number in our encoding.
            pub const fn number(self) -> u8 {
                match self { $(Self::$name => $number,)* }
            }

            /// The kernel's flag, as `clone` and `setns` take it.
            pub const fn flag(self) -> u32 {
                match self { $(Self::$name => $flag,)* }
            }

            /// The name, as in `/proc/PID/ns`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

namespace_kinds! {
    /// Users, groups and capabilities.
    User = 0, 0x1000_0000, "user";
    /// Mounts.
    Mount = 1, 0x0002_0000, "mnt";
    /// Host name.
    Uts = 2, 0x0400_0000, "uts";
    /// System V objects and POSIX message queues.
    Ipc = 3, 0x0800_0000, "ipc";
    /// Network devices, addresses, ports.
    Network = 4, 0x4000_0000, "net";
    /// Process ids.
    Pid = 5, 0x2000_0000, "pid";
    /// What `/proc/self/cgroup` shows as the root.
    Cgroup = 6, 0x0200_0000, "cgroup";
}

/// Where a namespace comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceSource {
    /// It is made.
    New,
    /// It is that of the main process of this launch, which runs.
    OfLaunch(LaunchId),
    /// It is behind this file of the host.
    Path(CString),
}

/// Who users of a new user namespace are outside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserMap {
    /// User ids.
    pub uids: Vec<IdRange>,
    /// Group ids.
    pub gids: Vec<IdRange>,
    /// Whether processes in it may change their groups: an unprivileged warden must forbid it.
    pub groups: GroupChanges,
}

/// Ids inside that are other ids outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first id inside.
    pub inside: u32,
    /// The first id outside.
    pub outside: u32,
    /// How many follow one another.
    pub count: u32,
}

/// Whether `setgroups` works in a user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupChanges {
    /// It does.
    Allowed,
    /// It does not.
    Denied,
}

/// What becomes the root of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Root {
    /// The warden's own root stays.
    #[default]
    Host,
    /// This folder of the host, with what is mounted in it.
    Folder {
        /// Its absolute path.
        path: CString,
    },
    /// Layers of folders over one another.
    Overlay(Overlay),
}

/// An overlay of folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// An existing folder of the host on which it is mounted, seen by the container alone.
    pub at: CString,
    /// The layers that are only read, the uppermost first.
    pub lower: Vec<CString>,
    /// What takes the changes; `None` makes the whole read-only.
    pub upper: Option<OverlayUpper>,
    /// Further options as `key=value` or `flag`.
    pub options: Vec<CString>,
}

/// What takes the changes of an overlay; both lie on one file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayUpper {
    /// The folder of the changes.
    pub upper: CString,
    /// The kernel's own folder.
    pub work: CString,
}

/// A path that is resolved without ever leaving a folder: links are followed as if the folder were the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The folder, in the same tree.
    pub within: CString,
    /// The path from there.
    pub path: CString,
}

impl Spot {
    /// A path from the root.
    pub fn new(path: CString) -> Self {
        Self {
            within: c"/".to_owned(),
            path,
        }
    }
}

/// Something that is made in a container's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootStep {
    /// Something is mounted.
    Mount(Mount),
    /// A folder is made, with those above it, if it is not there.
    Directory {
        /// Where.
        spot: Spot,
        /// Its permissions.
        mode: u32,
    },
    /// A symbolic link is made, unless something is there.
    Link {
        /// Where.
        spot: Spot,
        /// Where it leads.
        target: CString,
    },
    /// A character device is made, unless something is there.
    Device {
        /// Where.
        spot: Spot,
        /// Its permissions.
        mode: u32,
        /// Its driver.
        major: u32,
        /// Which of the driver's devices.
        minor: u32,
    },
    /// Something that nobody shall read is covered by nothing; what is not there needs no cover.
    Mask {
        /// What.
        spot: Spot,
    },
    /// Something can only be read from now on; what is not there need not.
    ReadOnly {
        /// What.
        spot: Spot,
    },
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Where, in the container's root.
    pub target: Spot,
    /// What happens if there is nothing to mount on.
    pub missing_target: Missing,
    /// What holds for the mount.
    pub attributes: MountAttributes,
    /// Who sees mounts that are made in it later.
    pub propagation: Propagation,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A part of the host's tree.
    Bind {
        /// Which, on the host.
        spot: Spot,
        /// Whether what is mounted in it comes along.
        depth: Depth,
        /// What happens if it is not there.
        missing: Missing,
    },
    /// A new file system.
    New {
        /// Its type.
        kind: CString,
        /// What `/proc/mounts` shows as its source.
        name: CString,
        /// Its options as `key=value` or `flag`.
        options: Vec<CString>,
    },
}

/// Whether mounts within a bound tree come along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// They do not.
    One,
    /// They do.
    All,
}

/// What happens if a path is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The launch fails.
    Fail,
    /// It is made: a folder (a file where a file is mounted), with the owner of the folder it is kept within.
    Make,
}

/// The kernel's `MOUNT_ATTR_*` bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountAttributes(pub u32);

impl MountAttributes {
    /// Nothing in it can be changed.
    pub const READ_ONLY: Self = Self(0x1);
    /// Programs in it give nobody another user.
    pub const NO_SUID: Self = Self(0x2);
    /// Devices in it are no devices.
    pub const NO_DEV: Self = Self(0x4);
    /// Programs in it cannot be executed.
    pub const NO_EXEC: Self = Self(0x8);
    /// Everything that is known here.
    pub const ALL: Self = Self(0xf);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Who sees mounts that are made within a mount later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Nobody but the side that made them.
    Private,
    /// The container sees the host's.
    FromHost,
    /// Each sees the other's.
    Both,
}

/// What becomes of the privileges of the child.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privileges {
    /// The capability sets; `None` leaves them alone.
    pub capabilities: Option<Capabilities>,
    /// Whether programs can give more than the child has.
    pub growth: PrivilegeGrowth,
    /// The system calls it may make: a program for the kernel; empty allows all.
    pub seccomp: Vec<Instruction>,
}

/// The capability sets of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What the child and its children can ever have.
    pub bounding: CapabilitySet,
    /// What the program has when it starts: effective, permitted, inheritable and ambient.
    pub effective: CapabilitySet,
    /// Whether uid 0 gets the bounding set by being uid 0.
    pub root: RootRule,
}

/// Whether uid 0 is something special.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootRule {
    /// It gets every capability of the bounding set when it executes a program, as Unix has it.
    Special,
    /// It has what its sets say, like everybody.
    Plain,
}

/// Whether executing a program can give privileges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrivilegeGrowth {
    /// As Unix has it: set-user-id programs and file capabilities work.
    #[default]
    Allowed,
    /// `no_new_privs`.
    Never,
}
