//! How an operator wants the Docker Engine to be used.

use std::path::PathBuf;
use std::time::Duration;

/// How the Docker Engine is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerOptions {
    /// Where it listens.
    pub socket: PathBuf,
    /// The text of a `config.json` with the credentials of registries.
    pub config: Option<String>,
    /// How long containers are kept that have ended.
    pub remove_delay: Duration,
    /// Whether containers that an earlier life of the agent has left are removed at start.
    pub kill_orphans: bool,
    /// Whether requested processors are a limit too.
    pub quotas: bool,
}

impl Default for DockerOptions {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/var/run/docker.sock"),
            config: None,
            remove_delay: Duration::from_hours(6),
            kill_orphans: true,
            quotas: false,
        }
    }
}
