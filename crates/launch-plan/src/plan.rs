//! The plan itself: plain data, ready to be executed step by step without further thought.
//!
//! Owns the types only; it must never hold something that the warden would have to look up or decide.

use crate::isolation::Isolation;
use std::ffi::CString;
use std::fmt;

/// The agent's token for one launch; unique over the life of the agent's work directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaunchId(pub u64);

impl fmt::Display for LaunchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Everything the warden does for one container, in the order of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchPlan {
    /// The token by which every later request and reply names this launch.
    pub launch_id: LaunchId,
    /// How the child is made.
    pub clone: CloneMode,
    /// How the whole tree is ended; cgroup paths in it are created and joined at launch.
    pub kill: KillMethod,
    /// Whether the child leads a new session or only a new process group.
    pub session: SessionMode,
    /// Further cgroup directories, existing already, which the child joins.
    pub cgroups: Vec<CString>,
    /// Resource limits, set before the user switch.
    pub rlimits: Vec<Rlimit>,
    /// The user to become; `None` keeps the warden's own.
    pub user: Option<Credentials>,
    /// The file creation mask; `None` keeps the warden's own.
    pub umask: Option<u32>,
    /// Standard input.
    pub stdin: Input,
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
    /// The working directory.
    pub directory: CString,
    /// Paths to try to execute, in order: one for a path with a slash, else one per entry of the child's `PATH`.
    pub programs: Vec<CString>,
    /// The arguments, the first of them being the program's own name.
    pub argv: Vec<CString>,
    /// The exact environment as `NAME=value`; nothing is inherited.
    pub env: Vec<CString>,
    /// The entry of `env` by which strayed descendants are recognised.
    pub marker: CString,
    /// What happens when the agent's connection closes.
    pub survival: Survival,
    /// What happens to the rest of the tree when the main process has exited.
    pub leftovers: Leftovers,
    /// How long one step between clone and exec may take.
    pub step_deadline_ms: u32,
    /// What sets it apart from the host beyond that; carried out before the user switch.
    pub isolation: Option<Box<Isolation>>,
    /// A terminal that takes the place of all three streams; its other end is handed to the agent.
    pub terminal: Option<TerminalSize>,
}

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// How the child process is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloneMode {
    /// Shares memory and suspends the warden until exec: only where nothing foreign can delay the child.
    Vfork,
    /// A plain fork that reports over a pipe; the warden does not wait for it.
    Fork,
}

/// How a whole process tree is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillMethod {
    /// A directory of its own in a cgroup v1 freezer hierarchy: freeze, SIGKILL each, thaw.
    FreezerV1 {
        /// The absolute path of the directory.
        path: CString,
    },
    /// A directory of its own in a cgroup v2 hierarchy: `cgroup.kill`.
    CgroupV2 {
        /// The absolute path of the directory.
        path: CString,
    },
    /// A pid namespace: the kernel ends everything with its init.
    PidNamespace,
    /// The session, its descendants, and orphans recognised by the marker.
    Session,
}

/// Whether the child leads a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionMode {
    /// `setsid`: a new session and process group.
    NewSession,
    /// `setpgid(0, 0)`: a new process group in the warden's session.
    NewGroup,
}

/// Who the child becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
}

/// Where standard input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// `/dev/null`.
    Null,
    /// A pipe whose writing end is handed to the agent with the `Started` reply.
    Pipe,
}

/// Where an output stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// `/dev/null`.
    Null,
    /// A file, created if needed and always appended to.
    Append(CString),
    /// A pipe whose reading end is handed to the agent with the `Started` reply.
    Pipe,
}

/// What happens to a launch when the controlling connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// It goes on (frameworks that checkpoint).
    Keep,
    /// Its tree is killed (frameworks that do not).
    EndWithConnection,
}

/// What happens to the rest of a tree once its main process has exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// They are killed.
    Kill,
    /// They go on until `KillTree`.
    Leave,
}

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// What is limited.
    pub resource: RlimitResource,
    /// The soft limit; `None` is infinity.
    pub soft: Option<u64>,
    /// The hard limit; `None` is infinity.
    pub hard: Option<u64>,
}

macro_rules! rlimit_resources {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// The kinds of resource limits that Linux knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RlimitResource { $($(#[$doc])* $name,)* }

        impl RlimitResource {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The number in our encoding (which is Linux's own on x86-64 and aarch64).
            pub const fn number(self) -> u8 {
                match self { $(Self::$name => $number,)* }
            }

            /// The name as in `getrlimit(2)`, such as `RLIMIT_NOFILE`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

rlimit_resources! {
    /// CPU seconds.
    Cpu = 0, "RLIMIT_CPU";
    /// File size.
    Fsize = 1, "RLIMIT_FSIZE";
    /// Data segment.
    Data = 2, "RLIMIT_DATA";
    /// Stack.
    Stack = 3, "RLIMIT_STACK";
    /// Core file.
    Core = 4, "RLIMIT_CORE";
    /// Resident set.
    Rss = 5, "RLIMIT_RSS";
    /// Processes of the user.
    Nproc = 6, "RLIMIT_NPROC";
    /// Open files.
    Nofile = 7, "RLIMIT_NOFILE";
    /// Locked memory.
    Memlock = 8, "RLIMIT_MEMLOCK";
    /// Address space.
    As = 9, "RLIMIT_AS";
    /// File locks.
    Locks = 10, "RLIMIT_LOCKS";
    /// Queued signals.
    Sigpending = 11, "RLIMIT_SIGPENDING";
    /// POSIX message queues.
    Msgqueue = 12, "RLIMIT_MSGQUEUE";
    /// Nice ceiling.
    Nice = 13, "RLIMIT_NICE";
    /// Real-time priority.
    Rtprio = 14, "RLIMIT_RTPRIO";
    /// Real-time CPU time.
    Rttime = 15, "RLIMIT_RTTIME";
}
