//! What the process leaves for the agent: how the container was when it ran, and how it ended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::inspect::Inspected;

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It never ran.
    NotStarted {
        /// Why.
        message: String,
    },
    /// It ran.
    Exited {
        /// Its exit code.
        code: i64,
        /// Whether the kernel ended one of its processes for want of memory.
        oom_killed: bool,
    },
}

/// Where the reports of one container are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reports {
    running: PathBuf,
    ended: PathBuf,
}

impl Reports {
    /// In the folder of the file that tells the process what to do.
    pub fn beside(spec: &Path) -> Self {
        Self {
            running: spec.with_file_name("running.json"),
            ended: spec.with_file_name("ended.json"),
        }
    }

    /// It runs, and the Engine tells this of it.
    pub(crate) fn running(&self, inspected: &str) {
        keep(&self.running, inspected.as_bytes());
    }

    pub(crate) fn ended(&self, ended: &Ended) {
        if let Ok(text) = serde_json::to_vec(ended) {
            keep(&self.ended, &text);
        }
    }

    /// What the Engine told of the container when it ran, if it has.
    pub fn read_running(&self) -> Option<(Inspected, String)> {
        let text = fs::read_to_string(&self.running).ok()?;
        Some((Inspected::parse(&text).ok()?, text))
    }

    /// How it ended, if it has.
    pub fn read_ended(&self) -> Option<Ended> {
        serde_json::from_slice(&fs::read(&self.ended).ok()?).ok()
    }
}

/// Whole or not at all.
fn keep(path: &Path, text: &[u8]) {
    let write = || -> io::Result<()> {
        let new = path.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(&new, path)
    };
    if let Err(error) = write() {
        super::complain(&format!("{}: {error}", path.display()));
    }
}
