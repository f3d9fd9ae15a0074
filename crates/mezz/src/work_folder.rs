//! The folder of a `mezz dev`: the one that was given, or one of its own that ends with it.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

const PREFIX: &str = "mezz-dev-";
const LOCK: &str = "lock";

/// A folder to work in.
#[derive(Debug)]
pub(crate) enum WorkFolder {
    Given(PathBuf),
    /// The lock is held as long as we live; a folder whose lock is free is abandoned.
    Temporary { path: PathBuf, _lock: File },
}

impl WorkFolder {
    /// The given folder, made when missing; without one, a new folder among the temporary files.
    pub(crate) fn new(given: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = given {
            fs::create_dir_all(path).with_context(|| format!("the folder {} cannot be made", path.display()))?;
            let path = fs::canonicalize(path).with_context(|| format!("the folder {}", path.display()))?;
            return Ok(Self::Given(path));
        }
        let parent = std::env::temp_dir();
        remove_abandoned(&parent);
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        // Tasks run as other users, who must be able to walk through to their sandboxes.
        let made = fs::DirBuilder::new().mode(0o755).create(&path);
        made.with_context(|| format!("the folder {} cannot be made", path.display()))?;
        let lock = File::create(path.join(LOCK)).and_then(|lock| lock.try_lock().map(|()| lock).map_err(Into::into));
        let lock = lock.with_context(|| format!("the folder {} cannot be locked", path.display()))?;
        Ok(Self::Temporary { path, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Given(path) | Self::Temporary { path, .. } => path,
        }
    }

    /// Whether what is in it, and the tasks, outlive this process.
    pub(crate) fn outlives_us(&self) -> bool {
        matches!(self, Self::Given(_))
    }

    /// Removes it, if it is only ours.
    pub(crate) fn remove(self) {
        if let Self::Temporary { path, .. } = self {
            remove(&path);
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "the temporary folder cannot be removed");
    }
}

/// A process that was killed could not remove its folder; the next one does.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if ours && is_folder && is_abandoned(&entry.path()) {
            remove(&entry.path());
        }
    }
}

fn is_abandoned(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_folder_is_made_and_kept() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = WorkFolder::new(Some(&parent.path().join("a/b"))).expect("a folder");
        let path = folder.path().to_owned();
        folder.remove();
        assert!(path.is_dir());
    }

    #[test]
    fn an_abandoned_folder_is_removed_and_one_in_use_is_not() {
        let parent = tempfile::tempdir().expect("a folder");
        let make = |name: &str| {
            let folder = parent.path().join(name);
            fs::create_dir(&folder).expect("a folder");
            let lock = File::create(folder.join(LOCK)).expect("a lock");
            (folder, lock)
        };
        let (abandoned, _) = make("mezz-dev-1");
        let (in_use, held) = make("mezz-dev-2");
        held.try_lock().expect("free");
        remove_abandoned(parent.path());
        assert!(!abandoned.exists() && in_use.exists());
    }
}
