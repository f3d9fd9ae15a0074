//! The process of the host that stands for a container: it starts it, passes its output and its signals on, and ends as
//! the container ends.
//!
//! It is told what to do by a file, and leaves what it finds out in two others beside it, which a later life of the agent
//! finds too. It must never remove the container: whoever made it does, also when this process was killed.

mod executing;
mod report;
mod running;
mod signals;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

pub use report::{Ended, Reports};

use crate::engine::Engine;

/// What `docker run` ends with when the Engine refuses.
const REFUSED: u8 = 125;

/// What the process is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowSpec {
    /// Where the Engine is.
    pub socket: PathBuf,
    /// The container, which was made and not started.
    pub container: String,
}

/// A command in a container, for a process of the host that stands for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// Where the Engine is.
    pub socket: PathBuf,
    /// The container, which runs.
    pub container: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `NAME=VALUE`, beside what the container has.
    pub environment: Vec<String>,
}

/// Stands for the container that the file tells of. Blocks until that has ended.
pub fn follow(file: &Path) -> ExitCode {
    let reports = Reports::beside(file);
    let outcome = told(file).and_then(|spec: FollowSpec| {
        let engine = Engine::at(&spec.socket);
        runtime()?.block_on(running::run(&engine, &spec.container, &reports))
    });
    if let Err(message) = &outcome {
        let message = message.clone();
        reports.ended(&Ended::NotStarted { message });
    }
    exit_code(outcome)
}

/// Stands for the command that the file tells of, which is removed. Blocks until that has ended.
pub fn execute(file: &Path) -> ExitCode {
    let spec = told(file);
    // There are many, and nobody else reads them. What stays goes with the container's folder.
    let _ = std::fs::remove_file(file);
    exit_code(spec.and_then(|spec: ExecSpec| {
        let engine = Engine::at(&spec.socket);
        runtime()?.block_on(executing::run(&engine, &spec))
    }))
}

fn told<T: DeserializeOwned>(file: &Path) -> Result<T, String> {
    let text = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.display()))
}

fn runtime() -> Result<Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| error.to_string())
}

fn exit_code(outcome: Result<u8, String>) -> ExitCode {
    ExitCode::from(outcome.unwrap_or_else(|message| {
        complain(&message);
        REFUSED
    }))
}

/// Where the task's own errors go.
fn complain(message: &str) {
    use std::io::Write as _;
    // Whoever reads it may be gone.
    let _ = writeln!(std::io::stderr(), "docker: {message}");
}
