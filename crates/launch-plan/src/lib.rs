//! Container spec + host facts -> [`LaunchPlan`]: what the warden executes for one container.
//!
//! Owns the decision *how* a process is started and later killed, and the compact encoding of that decision.
//! It must never touch the host: what it needs to know of it comes in as [`HostFacts`].

mod capability;
mod codec;
mod environment;
mod isolating;
pub mod isolation;
mod isolation_codec;
mod isolation_spec;
mod mounting;
mod plan;
mod planning;
pub mod seccomp;
mod spec;
pub mod wire;

pub use capability::{Capability, CapabilitySet};
pub use codec::{PLAN_VERSION, decode_plan, encode_plan};
pub use environment::{EnvironmentVariable, MARKER_NAME};
pub use isolating::IsolationError;
pub use isolation::Isolation;
pub use isolation_spec::{
    Access, CapabilitySpec, IsolationSpec, NamespaceSpec, RootSpec, SANDBOX_IN_ROOT, SeccompSpec,
    SharedMemorySpec, TemporarySpec, VolumeSource, VolumeSpec,
};
pub use mounting::MountError;
pub use plan::{
    CloneMode, Credentials, Input, KillMethod, LaunchId, LaunchPlan, Leftovers, Output, Rlimit,
    RlimitResource, SessionMode, Survival, TerminalSize,
};
pub use planning::{DEFAULT_STEP_DEADLINE_MS, PlanError, kill_method, marker, plan};
pub use spec::{
    CommandSpec, ContainerSpec, HostFacts, InputSpec, KernelFacts, MountCalls, OutputSpec,
    PidNamespaces, Place, Privilege, SandboxContent, StdioSpec, UserNamespaces,
};
