//! The one place where this binary meets the warden, the master and the agent: settings become their options here.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;

use crate::logging::Logging;
use crate::settings::{AgentSettings, MasterSettings};

/// What becomes of the tasks when an agent stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TasksAtStop {
    /// Those of frameworks that checkpoint go on.
    Leave,
    /// All end, and the warden with them.
    End,
}

/// Why an agent ended by itself.
#[derive(Clone, Debug)]
pub(crate) struct AgentEnd(pub(crate) String);

/// A running master.
#[derive(Debug)]
pub(crate) struct Master {
    address: SocketAddr,
}

/// A running agent.
#[derive(Debug)]
pub(crate) struct Agent {
    address: SocketAddr,
}

/// Becomes the warden.
pub(crate) fn warden(_arguments: impl Iterator<Item = OsString>) -> ExitCode {
    crate::output::talk::error("this build has no warden");
    ExitCode::FAILURE
}

/// Starts a master on the current runtime.
pub(crate) async fn start_master(settings: MasterSettings, logging: Option<Logging>) -> anyhow::Result<Master> {
    let _ = (settings, logging);
    anyhow::bail!("this build has no master")
}

/// Starts an agent on the current runtime.
pub(crate) async fn start_agent(settings: AgentSettings) -> anyhow::Result<Agent> {
    let _ = settings;
    anyhow::bail!("this build has no agent")
}

impl Master {
    /// The address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resolves when it leads and has recovered.
    pub(crate) async fn ready(&self) {}

    /// Resolves with the reason when it ends by itself.
    pub(crate) async fn ended(&self) -> String {
        std::future::pending().await
    }

    /// Stops it.
    pub(crate) async fn stop(self) {}
}

impl Agent {
    /// The address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resolves with the reason when it ends by itself.
    pub(crate) async fn ended(&self) -> AgentEnd {
        std::future::pending().await
    }

    /// Stops it.
    pub(crate) async fn stop(self, tasks: TasksAtStop) {
        let _ = tasks;
    }
}
