//! Volumes that are secrets: files in memory, where the host has a file system for that.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use mezz_agent_core::ContainerId;
use mezz_launch_plan::Credentials;
use mezz_proto::v1::{Secret, secret};

/// Why a volume cannot hold its secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretVolumeError {
    #[error(
        "container.volumes[{index}].source.secret: only secrets of type VALUE can be had; a REFERENCE needs a secret resolver"
    )]
    Reference { index: usize },
    #[error("container.volumes[{index}].source.secret cannot be written: {source}")]
    Write { index: usize, source: io::Error },
}

/// The secrets of all containers.
#[derive(Debug)]
pub(super) struct SecretVolumes {
    folder: PathBuf,
}

impl SecretVolumes {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn folder_of(&self, container: ContainerId) -> PathBuf {
        self.folder.join(container.to_string())
    }

    /// Writes a secret; the file is to be mounted.
    pub(super) fn write(
        &self,
        container: ContainerId,
        index: usize,
        secret: &Secret,
        owner: Option<&Credentials>,
    ) -> Result<PathBuf, SecretVolumeError> {
        let value = secret.value.as_ref();
        let value = value.filter(|_| secret.r#type() == secret::Type::Value);
        let value = value.ok_or(SecretVolumeError::Reference { index })?;
        let folder = self.folder_of(container);
        let path = folder.join(index.to_string());
        let written = make(&self.folder)
            .and_then(|()| make(&folder))
            .and_then(|()| write(&path, &value.data, owner));
        written.map_err(|source| SecretVolumeError::Write { index, source })?;
        Ok(path)
    }

    /// Removes what a container had.
    pub(super) fn remove(&self, container: ContainerId) {
        remove(&self.folder_of(container));
        // Only the last one leaves it empty.
        let _ = fs::remove_dir(&self.folder);
    }

    /// Removes what containers that do not live had.
    pub(super) fn sweep(&self, living: &BTreeSet<ContainerId>) {
        let kept: BTreeSet<PathBuf> = living
            .iter()
            .map(|living| self.folder_of(*living))
            .collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if !kept.contains(&entry.path()) {
                remove(&entry.path());
            }
        }
        let _ = fs::remove_dir(&self.folder);
    }
}

fn make(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o711).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(folder)?;
            let own =
                std::os::unix::fs::MetadataExt::uid(&found) == rustix::process::geteuid().as_raw();
            if found.is_dir() && own {
                Ok(())
            } else {
                Err(io::Error::other("its folder belongs to somebody else"))
            }
        }
        made => made,
    }
}

fn write(path: &Path, value: &[u8], owner: Option<&Credentials>) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(path)?;
    file.write_all(value)?;
    match owner {
        Some(owner) => fchown(&file, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %folder.display(), %error, "secrets of a container cannot be removed");
    }
}
