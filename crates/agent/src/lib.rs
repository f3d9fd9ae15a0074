//! The agent's shell: everything around the pure core that touches the world.
//!
//! Owns I/O: the session with the master, the warden's connection, the journal, sandboxes, fetching, the HTTP surfaces.
//! It decides nothing about tasks: it turns bytes into events and effects into bytes.

mod accounts;
mod clock;
mod connections;
mod container_io;
mod containers;
mod docker;
mod driver;
mod exits;
mod fetch;
mod garbage;
mod host;
mod http;
mod inbox;
mod isolators;
mod journal;
mod launcher;
mod local_disk;
mod log_rotation;
mod master_link;
mod materials;
mod native;
mod nesting;
mod oci;
mod options;
mod perform;
mod prepared_launch;
mod preparing;
mod probes;
mod runtime_verb;
mod runtimes;
mod sandbox_folders;
mod settings;
mod start;
mod streams;
mod terminals;
mod usage;
mod vm;
mod warden_link;
mod work_dir;

pub use docker::DockerOptions;
pub use driver::AgentExit;
pub use host::ResourceOptionError;
pub use isolators::IsolationError;
pub use isolators::options::{
    AllowedDevice, CpuQuota, DeviceAccess, Enforcement, GuardedPorts, LimitOptions, ProcessCount,
    SwapUse,
};
pub use journal::JournalError;
pub use mezz_agent_core::StopRequest;
pub use mezz_http::logging_level::LoggingControl;
pub use mezz_launch_plan::{Capability, CapabilitySet};
pub use mezz_oci::{RuntimeError as OciRuntimesError, parse_runtimes as parse_oci_runtimes};
pub use native::{ImagesError, ResolverError, parse_resolver};
pub use options::{
    AgentOptions, ImageBackend, ImageCollection, ImageOptions, ImageRuntime, Isolator,
    IsolatorError, NetworkKeeping, NetworkOptions, ReconfigurationPolicy, RecoverMode, Unshared,
};
pub use runtime_verb::{VERB as RUNTIME_VERB, run as run_runtime_verb};
pub use start::{AgentHandle, AgentStopper, StartError, run};
pub use warden_link::WardenLinkError;
pub use work_dir::WorkDirError;

/// Crash points on the way of containers that are prepared before they are launched.
pub const PREPARING_CRASH_POINTS: &[&str] = &[
    "agent.before_prepare",
    "agent.after_prepare",
    "agent.before_clean_up",
    "agent.after_clean_up",
];

/// Every other crash point of this crate; a test visits each.
pub const CRASH_POINTS: &[&str] = &[
    "agent.recovered",
    "agent.heard_master",
    "agent.started",
    "agent.exited",
    "agent.before_sandbox",
    "agent.after_group",
    "agent.after_sandbox",
    "agent.before_journal",
    "agent.after_journal",
    "agent.before_journal_rename",
    "agent.after_journal_rename",
    "agent.before_warden",
    "agent.after_warden",
    "agent.before_acknowledge_exit",
    "agent.before_send",
    "agent.after_send",
];
