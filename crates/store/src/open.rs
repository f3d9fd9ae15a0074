//! From the text of a flag to an open store with its election.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use crate::local_election::LocalElection;
use crate::memory::Memory;
use crate::redb_engine::Redb;
use crate::writer::QueuedStore;
use crate::{Election, Store};

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `memory`: in this process, lost with it.
    Memory,
    /// `redb:PATH` or a path: one file on this machine.
    Redb(PathBuf),
}

/// Why a store cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The scheme belongs to a backend that does not exist yet.
    #[error("{scheme}:// stores are not built yet (asked for: {url}); use `memory` or `redb:PATH`")]
    NotBuilt {
        /// `etcd` or `zk`.
        scheme: &'static str,
        /// The whole text.
        url: String,
    },
    /// No backend has this scheme.
    #[error("unknown store `{url}`; use `memory` or `redb:PATH`")]
    Unknown {
        /// The whole text.
        url: String,
    },
    /// Another process has the file open.
    #[error("the store {} is in use by {} (lock file {})", .store.display(), holder_name(*.holder), .lock.display())]
    InUse {
        /// The store file.
        store: PathBuf,
        /// Its lock file.
        lock: PathBuf,
        /// The process that holds it, when it could be read.
        holder: Option<u32>,
    },
    /// The lock file cannot be made or locked.
    #[error("cannot lock {}: {message}", .path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
    /// The file was written by another version of this program.
    #[error("the store {} has format {found}; this program knows format {known}", .path.display())]
    UnknownFormat {
        /// The store file.
        path: PathBuf,
        /// The format of the file.
        found: u64,
        /// The format that this program reads.
        known: u64,
    },
    /// The backend refuses the file.
    #[error("cannot open the store {}: {message}", .path.display())]
    Backend {
        /// The store file.
        path: PathBuf,
        /// The backend's words.
        message: String,
    },
    /// The writer thread cannot be started.
    #[error("cannot start the store's writer thread: {message}")]
    Thread {
        /// The system's words.
        message: String,
    },
}

fn holder_name(holder: Option<u32>) -> String {
    holder.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

impl FromStr for Location {
    type Err = OpenError;

    fn from_str(url: &str) -> Result<Self, OpenError> {
        let not_built = |scheme| {
            Err(OpenError::NotBuilt {
                scheme,
                url: url.to_owned(),
            })
        };
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        match scheme {
            Some("etcd" | "etcds") => return not_built("etcd"),
            Some("zk") => return not_built("zk"),
            Some("redb") | None => {}
            Some(_) => {
                return Err(OpenError::Unknown {
                    url: url.to_owned(),
                });
            }
        }
        if matches!(url, "memory" | "memory:" | "in_memory") {
            return Ok(Self::Memory);
        }
        let path = url
            .strip_prefix("redb://")
            .or_else(|| url.strip_prefix("redb:"));
        match path {
            Some(path) if !path.is_empty() => Ok(Self::Redb(path.into())),
            None if url.contains('/')
                || Path::new(url).extension().is_some_and(|e| e == "redb") =>
            {
                Ok(Self::Redb(url.into()))
            }
            Some(_) | None => Err(OpenError::Unknown {
                url: url.to_owned(),
            }),
        }
    }
}

/// An open store and the election that guards it.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Reads and writes.
    pub store: Arc<dyn Store>,
    /// Leadership.
    pub election: Arc<dyn Election>,
}

/// Opens the store that `url` names: `memory`, `redb:PATH` or a path.
pub fn open(url: &str) -> Result<Backend, OpenError> {
    match url.parse()? {
        Location::Memory => open_memory(),
        Location::Redb(path) => open_redb(&path),
    }
}

/// A new, empty store that ends with the process.
pub fn open_memory() -> Result<Backend, OpenError> {
    let memory = Memory::default();
    backend(QueuedStore::start("store-memory", memory.clone(), memory))
}

/// Opens or makes the redb file at `path`; its folder must exist.
pub fn open_redb(path: &Path) -> Result<Backend, OpenError> {
    let redb = Redb::open(path)?;
    backend(QueuedStore::start("store-redb", redb.clone(), redb))
}

fn backend(started: std::io::Result<QueuedStore>) -> Result<Backend, OpenError> {
    let store = Arc::new(started.map_err(|error| OpenError::Thread {
        message: error.to_string(),
    })?);
    let election = Arc::new(LocalElection::new(Arc::clone(&store)));
    Ok(Backend { store, election })
}
