//! Load on a master alone: agents are simulated over the real agent protocol, frameworks and readers over HTTP.

mod api;
mod control_plane;
mod events;
mod fleet;
mod floors;
mod frames;
mod http;
mod indices;
mod launcher;
mod master;
mod offers;
mod placements;
mod records;
mod register;
mod state;
mod streams;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::measures::Line;

/// What a case needs to know.
#[derive(Debug)]
pub(crate) struct Load {
    /// The binary under test.
    pub(crate) mezz: PathBuf,
    /// A folder for its work.
    pub(crate) dir: PathBuf,
    /// Agents and tasks are divided by this, for a quick look.
    pub(crate) divisor: usize,
}

/// The cases by name.
pub(crate) const CASES: &[&str] = &[
    "register",
    "connections",
    "control-plane",
    "records",
    "state",
    "events",
    "api",
    "offers",
    "placements",
    "indices",
];

/// Runs one case; `None` when it has another name.
pub(crate) fn run(name: &str, load: &Load) -> Result<Option<Vec<Line>>> {
    let lines = match name {
        "register" => register::on_shared_connections(load),
        "connections" => register::on_own_connections(load),
        "control-plane" => control_plane::measure(load),
        "records" => records::measure(load),
        "state" => state::measure(load),
        "events" => events::measure(load),
        "api" => api::measure(load),
        "offers" => offers::measure(load),
        "placements" => placements::measure(load),
        "indices" => indices::measure(load),
        _ => return Ok(None),
    };
    lines.map(Some)
}

impl Load {
    /// A number of agents or tasks, or a part of it for a quick look.
    pub(crate) fn scaled(&self, full: usize) -> usize {
        (full / self.divisor).max(1)
    }

    fn folder(&self, name: &str) -> Result<PathBuf> {
        fresh(&self.dir.join(name))
    }
}

fn fresh(dir: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    Ok(dir.to_owned())
}

/// The runtime of the simulated agents and readers: two threads, beside the master on the same cores.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the client's runtime")
}
