//! The words between agent and warden.
//!
//! Owns the types only. Must never change a meaning without a new `PROTOCOL_VERSION`: both sides are upgraded apart.

use mezz_launch_plan::wire::DecodeError;
use mezz_launch_plan::{KillMethod, LaunchId, LaunchPlan};

/// The version of this protocol.
pub const PROTOCOL_VERSION: u32 = 1;
/// The longest frame that either side accepts.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// What the agent asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The first message of a connection; answered by `Welcome`, or by `Superseded` and an end.
    Hello {
        /// The protocol version of the agent.
        version: u32,
        /// Grows with every agent process; a connection with a lower one than the current is refused.
        generation: u64,
    },
    /// Start a container. Answered by `Started` or `LaunchFailed`; repeating a known id repeats its answer.
    Launch(Box<LaunchPlan>),
    /// Send a signal. Answered only if refused.
    Signal {
        /// Which launch.
        launch_id: LaunchId,
        /// The signal's number.
        signal: i32,
        /// Who gets it.
        scope: SignalScope,
    },
    /// End the whole tree by SIGKILL, forks included. Answered by `TreeGone` (after `Exited`), or `Refused`.
    KillTree {
        /// Which launch.
        launch_id: LaunchId,
    },
    /// End what an earlier warden, which died, left of a launch. Answered by `TreeGone`.
    KillStray {
        /// Which launch.
        launch_id: LaunchId,
        /// How its plan would have it ended.
        kill: KillMethod,
        /// The marker of its plan.
        marker: std::ffi::CString,
    },
    /// The exit was taken note of durably: forget the launch. Not answered.
    Acknowledge {
        /// Which launch.
        launch_id: LaunchId,
    },
    /// Answered by `Listing`.
    List,
    /// Answered by `Usage`, or `Refused`.
    Usage {
        /// Which launch.
        launch_id: LaunchId,
    },
    /// The agent has closed its end of the standard input: let the process see the end. Not answered.
    CloseInput {
        /// Which launch.
        launch_id: LaunchId,
    },
    /// Say `Started` again, with the descriptors (and `Exited`, if it has); or `Refused`.
    Reattach {
        /// Which launch.
        launch_id: LaunchId,
    },
    /// Replace the warden's program in place. Answered by a new `Welcome`, or `ReexecFailed`.
    Reexec {
        /// The new binary.
        path: std::path::PathBuf,
    },
    /// End the warden. The connection closes when it is done.
    Shutdown {
        /// What becomes of the launches.
        launches: ShutdownLaunches,
    },
}

/// Who gets a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalScope {
    /// The main process.
    Process,
    /// Every process of the tree.
    Tree,
}

/// What becomes of running launches when the warden ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownLaunches {
    /// They are killed.
    Kill,
    /// They go on without a parent.
    Leave,
}

/// What the warden says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The connection is the controlling one from now on.
    Welcome {
        /// The protocol version of the warden.
        version: u32,
        /// The version of plans that it executes.
        plan_version: u8,
        /// Its process id.
        warden_pid: u32,
        /// How many launches it knows.
        launches: u32,
    },
    /// A newer generation has, or took, control; the connection ends.
    Superseded {
        /// The generation in control.
        generation: u64,
    },
    /// The program runs. As many descriptors come along as streams are pipes, in the order stdin, stdout, stderr; of a
    /// terminal its other end.
    Started {
        /// Which launch.
        launch_id: LaunchId,
        /// Its main process.
        pid: u32,
        /// The main process's start time in clock ticks since boot (field 22 of `/proc/PID/stat`); 0 where a cgroup holds its tree.
        start_ticks: u64,
        /// How many descriptors come along.
        descriptors: u8,
    },
    /// The program does not run and never will under this id, which is forgotten.
    LaunchFailed {
        /// Which launch.
        launch_id: LaunchId,
        /// The step that failed.
        step: LaunchStep,
        /// The system's error number.
        errno: i32,
        /// A sentence for people.
        message: String,
    },
    /// The main process has ended. Repeated on each new connection until acknowledged.
    Exited(Exit),
    /// No process of the launch is left.
    TreeGone {
        /// Which launch.
        launch_id: LaunchId,
    },
    /// Everything known.
    Listing {
        /// Each launch, by id.
        launches: Vec<LaunchState>,
    },
    /// What a launch uses.
    Usage {
        /// Which launch.
        launch_id: LaunchId,
        /// The figures.
        usage: Usage,
    },
    /// A request could not be done.
    Refused {
        /// Which launch.
        launch_id: LaunchId,
        /// The name of the request.
        request: RequestKind,
        /// The system's error number (`ESRCH` for an unknown launch).
        errno: i32,
        /// A sentence for people.
        message: String,
    },
    /// The warden stays what it is.
    ReexecFailed {
        /// Why.
        message: String,
    },
}

/// The end of a main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Which launch.
    pub launch_id: LaunchId,
    /// The process id that it had.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
    /// User CPU time of it and of the children it waited for, in microseconds.
    pub user_us: u64,
    /// System CPU time likewise.
    pub system_us: u64,
    /// The largest resident set, in KiB.
    pub max_rss_kib: u64,
    /// When the warden saw it, in microseconds since 1970.
    pub at_us: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this status.
    Exited(u8),
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: u8,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
}

impl ExitStatus {
    /// The status as `wait(2)` encodes it.
    pub fn raw(self) -> i32 {
        match self {
            Self::Exited(code) => i32::from(code) << 8,
            Self::Signaled {
                signal,
                core_dumped,
            } => i32::from(signal) | if core_dumped { 0x80 } else { 0 },
        }
    }

    /// Reads the encoding of `wait(2)`.
    pub fn from_raw(raw: i32) -> Self {
        let [low, high, ..] = raw.to_le_bytes();
        match low & 0x7f {
            0 => Self::Exited(high),
            signal => Self::Signaled {
                signal,
                core_dumped: low & 0x80 != 0,
            },
        }
    }
}

/// What the warden knows of one launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchState {
    /// Which launch.
    pub launch_id: LaunchId,
    /// Its main process; 0 while it is being made.
    pub pid: u32,
    /// The main process's start time in clock ticks since boot; 0 where a cgroup holds its tree.
    pub start_ticks: u64,
    /// Where it is in its life.
    pub phase: LaunchPhase,
}

/// Where a launch is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchPhase {
    /// Between clone and exec.
    Launching,
    /// The main process runs.
    Running,
    /// The main process has ended and nobody acknowledged it yet.
    Exited(Exit),
}

/// What a launch uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User CPU time in microseconds.
    pub user_us: u64,
    /// System CPU time in microseconds.
    pub system_us: u64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Processes counted.
    pub processes: u32,
}

macro_rules! numbered {
    ($(#[$outer:meta])* $name:ident, $field:literal { $($(#[$doc:meta])* $variant:ident = $number:literal, $text:literal;)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// The number in messages.
            pub const fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The choice behind a number.
            pub fn from_number(number: u8) -> Result<Self, DecodeError> {
                match number {
                    $($number => Ok(Self::$variant),)*
                    value => Err(DecodeError::UnknownValue { field: $field, value: value.into() }),
                }
            }

            /// The name in messages for people.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

numbered! {
    /// The steps of a launch, in their order.
    LaunchStep, "launch_failed.step" {
        /// Checking the plan and making its pipes.
        Prepare = 0, "prepare";
        /// Making the container's cgroup.
        MakeCgroup = 1, "make cgroup";
        /// Making the process.
        Clone = 2, "clone";
        /// The ids of a user namespace.
        UserMap = 10, "user map";
        /// Joining cgroups.
        JoinCgroup = 4, "join cgroup";
        /// Joining namespaces.
        Namespaces = 11, "namespaces";
        /// The root file system and what is mounted in it.
        Mounts = 12, "mounts";
        /// The host name.
        Hostname = 13, "hostname";
        /// The loopback device of a new network.
        Network = 14, "network";
        /// A new session or process group.
        Session = 3, "session";
        /// Resource limits.
        Rlimits = 5, "rlimits";
        /// Capabilities.
        Capabilities = 15, "capabilities";
        /// Becoming the user.
        User = 6, "user";
        /// Opening the standard streams.
        Stdio = 7, "stdio";
        /// Entering the working directory.
        Directory = 8, "working directory";
        /// What it may ask of the kernel.
        Seccomp = 16, "seccomp";
        /// Executing the program.
        Exec = 9, "exec";
    }
}

numbered! {
    /// The requests that can be refused.
    RequestKind, "refused.request" {
        /// `Launch`.
        Launch = 0, "launch";
        /// `Signal`.
        Signal = 1, "signal";
        /// `KillTree`.
        KillTree = 2, "kill tree";
        /// `Usage`.
        Usage = 3, "usage";
        /// `KillStray`.
        KillStray = 4, "kill stray";
        /// `Reattach`.
        Reattach = 5, "reattach";
    }
}
