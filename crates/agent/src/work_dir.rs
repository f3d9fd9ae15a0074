//! The work directory: its layout, its lock, and the counter that tells one life of the agent from the next.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

/// Why the work directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkDirError {
    /// A file in it.
    #[error("work directory: {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another agent runs on it.
    #[error("work directory {} is in use by another agent", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
}

/// Whether the directory outlives the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    Durable,
    Temporary,
}

/// An opened and locked work directory.
#[derive(Debug)]
pub(crate) struct WorkDir {
    path: PathBuf,
    keeping: Keeping,
    generation: u64,
    scope: String,
    // Held for its lock.
    _lock: File,
}

impl WorkDir {
    /// Opens `path`, or makes a temporary directory.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, WorkDirError> {
        let (path, keeping) = match path {
            Some(path) => {
                make(path, 0o755)?;
                (path.canonicalize().map_err(failed(path))?, Keeping::Durable)
            }
            None => (make_temporary()?, Keeping::Temporary),
        };
        make(&path.join("warden"), 0o700)?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path);
        let lock = lock.map_err(failed(&lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(WorkDirError::InUse { path }),
            Err(errno) => return Err(failed(&lock_path)(errno.into())),
        }
        let generation = next_generation(&path.join("generation"))?;
        let scope = scope(&path.join("scope"))?;
        Ok(Self {
            path,
            keeping,
            generation,
            scope,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn keeping(&self) -> Keeping {
        self.keeping
    }

    /// Grows with every life of the agent.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Tells this directory's containers from those of other agents on the host.
    pub(crate) fn scope(&self) -> &str {
        &self.scope
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    pub(crate) fn warden_socket(&self) -> PathBuf {
        self.path.join("warden").join("socket")
    }

    pub(crate) fn warden_log(&self) -> PathBuf {
        self.path.join("warden").join("log")
    }

    /// What the warden keeps.
    pub(crate) fn warden_dir(&self) -> Option<PathBuf> {
        (self.keeping == Keeping::Durable).then(|| self.path.join("warden"))
    }

    /// What the warden removes at its end, should the agent be killed before it can.
    pub(crate) fn scratch(&self) -> Option<PathBuf> {
        (self.keeping == Keeping::Temporary).then(|| self.path.clone())
    }

    /// Removes a temporary directory, unless the warden has done so.
    pub(crate) fn remove_if_temporary(&self) {
        if self.keeping == Keeping::Temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the temporary folder");
        }
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> WorkDirError + '_ {
    move |source| WorkDirError::Io {
        path: path.to_owned(),
        source,
    }
}

fn make(path: &Path, mode: u32) -> Result<(), WorkDirError> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(failed(path))
}

const TEMPORARY_PREFIX: &str = "mezz-agent-";
/// A folder as young as this may be between its making and its locking.
const YOUNG: Duration = Duration::from_mins(1);

fn make_temporary() -> Result<PathBuf, WorkDirError> {
    let parent = std::env::temp_dir();
    remove_abandoned(&parent, YOUNG);
    let path = parent.join(format!(
        "{TEMPORARY_PREFIX}{}",
        uuid::Uuid::new_v4().simple()
    ));
    DirBuilder::new()
        .mode(0o755)
        .create(&path)
        .map_err(failed(&path))?;
    Ok(path)
}

/// An agent that was killed could not remove its temporary directory; the next one does.
fn remove_abandoned(parent: &Path, young: Duration) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let temporary = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(TEMPORARY_PREFIX));
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if temporary && is_folder && is_abandoned(&entry.path().join("lock"), young) {
            // It may be another user's, or half removed by another agent: then it stays, and does no harm.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_abandoned(lock: &Path, young: Duration) -> bool {
    let Ok(file) = File::open(lock) else {
        return false;
    };
    let age = file
        .metadata()
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|made| made.elapsed().ok());
    age.is_some_and(|age| age >= young)
        && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

fn next_generation(path: &Path) -> Result<u64, WorkDirError> {
    let last = match fs::read_to_string(path) {
        Ok(text) => text.trim().parse::<u64>().unwrap_or(0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(failed(path)(error)),
    };
    let next = last + 1;
    replace(path, &next.to_string())?;
    Ok(next)
}

fn scope(path: &Path) -> Result<String, WorkDirError> {
    match fs::read_to_string(path) {
        Ok(text) if text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            return Ok(text);
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path)(error)),
        _ => {}
    }
    let scope = uuid::Uuid::new_v4().simple().to_string()[..16].to_owned();
    replace(path, &scope)?;
    Ok(scope)
}

fn replace(path: &Path, text: &str) -> Result<(), WorkDirError> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, path))
        .map_err(failed(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_left_by_a_killed_agent_is_removed_and_one_in_use_is_not() {
        let parent = tempfile::tempdir().expect("a folder");
        let make = |name: &str| {
            let folder = parent.path().join(name);
            fs::create_dir(&folder).expect("a folder");
            let lock = File::create(folder.join("lock")).expect("a lock");
            (folder, lock)
        };
        let (abandoned, _) = make("mezz-agent-1");
        let (in_use, held) = make("mezz-agent-2");
        let (other, _) = make("something-else");
        flock(&held, FlockOperation::NonBlockingLockExclusive).expect("free");
        remove_abandoned(parent.path(), YOUNG);
        assert!(abandoned.exists(), "it may just have been made");
        remove_abandoned(parent.path(), Duration::ZERO);
        assert!(!abandoned.exists() && in_use.exists() && other.exists());
    }
}
