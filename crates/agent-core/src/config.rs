//! What the agent is told about itself at its start.

use mezz_proto::v1::AgentInfo;
use std::time::Duration;

/// What every agent of this version can do, in Mesos's names.
pub const CAPABILITIES: [&str; 4] = [
    "MULTI_ROLE",
    "HIERARCHICAL_ROLE",
    "RESERVATION_REFINEMENT",
    "TASK_RESOURCE_LIMITS",
];

/// Settings and facts that hold for one life of the agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Hostname, port, resources, attributes; without id.
    pub agent: AgentInfo,
    /// Our own version, for `Hello`.
    pub mezz_version: String,
    /// The Mesos version we stand for, for `Register`.
    pub mesos_version: String,
    /// What this agent can do, in Mesos's names.
    pub capabilities: Vec<String>,
    /// The absolute path of the work directory.
    pub work_dir: String,
    /// The address at which executors reach us; also every task's IP.
    pub ip: String,
    /// The port at which executors reach us.
    pub port: u16,
    /// Start value of the generator of uuids, launch ids and jitter: take it from the operating system.
    pub seed: u64,
    /// Whether tasks run as their user rather than as the daemon's.
    pub switch_user: bool,
    /// Name and value pairs that every executor gets besides Mesos's own (`--executor_environment_variables`).
    pub executor_environment: Vec<(String, String)>,
    /// Base of the random wait before registering.
    pub registration_backoff_factor: Duration,
    /// How long a custom executor may take to subscribe.
    pub executor_registration_timeout: Duration,
    /// How long a custom executor may take to subscribe again after a restart of the agent.
    pub executor_reregistration_timeout: Duration,
    /// How long a custom executor may take to end.
    pub executor_shutdown_grace_period: Duration,
    /// How long a custom executor waits for the agent to come back.
    pub recovery_timeout: Duration,
    /// What to do at start with what is still running.
    pub recover: RecoverMode,
    /// What to do when the agent's description has changed since its registration.
    pub reconfiguration: ReconfigurationPolicy,
    /// How often custom executors hear that the agent is there.
    pub executor_heartbeat_interval: Duration,
    /// Ended executors of a framework that are remembered.
    pub max_completed_executors_per_framework: usize,
    /// Unacknowledged frames that we accept from the master.
    pub window: u32,
}

/// What to do at start with what is still running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoverMode {
    /// Take it up again.
    Reconnect,
    /// End it, then stop.
    Cleanup,
}

/// What to do when hostname, resources, attributes or domain have changed since the agent got its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconfigurationPolicy {
    /// Refuse to start; after a reboot start as a new agent.
    Equal,
    /// Go on under the old id if nothing was taken away; otherwise as with [`Self::Equal`].
    Additive,
    /// Go on under the old id with what is said now.
    Any,
}

impl Config {
    /// Mesos's defaults for everything that has one.
    pub fn new(
        agent: AgentInfo,
        work_dir: impl Into<String>,
        ip: impl Into<String>,
        port: u16,
        seed: u64,
    ) -> Self {
        Self {
            agent,
            mezz_version: env!("CARGO_PKG_VERSION").to_owned(),
            mesos_version: "1.11.0".to_owned(),
            capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
            work_dir: work_dir.into(),
            ip: ip.into(),
            port,
            seed,
            switch_user: true,
            executor_environment: Vec::new(),
            registration_backoff_factor: Duration::from_secs(1),
            executor_registration_timeout: Duration::from_mins(1),
            executor_reregistration_timeout: Duration::from_secs(2),
            executor_shutdown_grace_period: Duration::from_secs(5),
            recovery_timeout: Duration::from_mins(15),
            recover: RecoverMode::Reconnect,
            reconfiguration: ReconfigurationPolicy::Equal,
            executor_heartbeat_interval: Duration::from_mins(30),
            max_completed_executors_per_framework: 150,
            window: 1024,
        }
    }
}
