//! Container spec + host facts -> [`LaunchPlan`]: what the warden executes for one container.
//!
//! Owns the decision *how* a process is started and later killed, and the compact encoding of that decision.
//! It must never touch the host: what it needs to know of it comes in as [`HostFacts`].

mod codec;
mod environment;
mod plan;
mod planning;
mod spec;
pub mod wire;

pub use codec::{PLAN_VERSION, decode_plan, encode_plan};
pub use environment::{EnvironmentVariable, MARKER_NAME};
pub use plan::{
    CloneMode, Credentials, Input, KillMethod, LaunchId, LaunchPlan, Leftovers, Output, Rlimit,
    RlimitResource, SessionMode, Survival,
};
pub use planning::{DEFAULT_STEP_DEADLINE_MS, PlanError, kill_method, marker, plan};
pub use spec::{
    CommandSpec, ContainerSpec, HostFacts, InputSpec, OutputSpec, PidNamespaces, Place, Privilege,
    SandboxContent, StdioSpec,
};
