//! The folder of what has been begun: one folder for each container, with its record and its namespace.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;

use crate::error::CniError;
use crate::files::NetworkFiles;
use crate::ids::ContainerId;
use crate::namespace;
use crate::plugin_process;
use crate::record::ContainerRecord;

const RECORD: &str = "record.json";
const NAMESPACE: &str = "ns";
const INPUT: &str = "input";
const FILES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];
/// How often a lock is asked for.
const PAUSE: Duration = Duration::from_millis(20);
/// How long plugins of an earlier run may take to die when they were killed.
const GRACE: Duration = Duration::from_secs(2);

/// The folder of one container.
#[derive(Clone, Debug)]
pub(crate) struct ContainerFolder {
    path: PathBuf,
}

/// The standard input of a container's plugins.
///
/// It is locked, and the lock goes over to each plugin: as long as a plugin of an earlier life of the agent runs,
/// nobody else begins anything for the container.
#[derive(Debug)]
pub(crate) struct Input {
    file: File,
}

impl ContainerFolder {
    pub(crate) fn new(root: &Path, container: &ContainerId) -> Self {
        Self {
            path: root.join(container.as_str()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn namespace(&self) -> PathBuf {
        self.path.join(NAMESPACE)
    }

    pub(crate) fn make(&self) -> Result<(), CniError> {
        std::fs::create_dir_all(&self.path).map_err(CniError::io("cannot make", &self.path))
    }

    /// The record; `None` if nothing was begun.
    pub(crate) fn record(&self) -> Result<Option<ContainerRecord>, CniError> {
        let path = self.path.join(RECORD);
        match std::fs::read(&path) {
            Ok(text) => ContainerRecord::parse(&text)
                .map(Some)
                .map_err(|problem| CniError::Record { path, problem }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CniError::io("cannot read", &path)(error)),
        }
    }

    /// Replaces the record at once or not at all.
    pub(crate) fn write_record(&self, record: &ContainerRecord) -> Result<(), CniError> {
        let path = self.path.join(RECORD);
        let new = self.path.join("record.new");
        std::fs::write(&new, record.to_json())
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(CniError::io("cannot write", &path))
    }

    /// Writes the container's own files and says where they are: hosts, hostname, and resolv.conf if it has one.
    pub(crate) fn write_files(&self, files: &NetworkFiles) -> Result<(), CniError> {
        let texts = [
            Some(&files.hosts),
            Some(&files.hostname),
            files.resolv_conf.as_ref(),
        ];
        for (name, text) in FILES.into_iter().zip(texts) {
            if let Some(text) = text {
                let path = self.path.join(name);
                std::fs::write(&path, text).map_err(CniError::io("cannot write", &path))?;
            }
        }
        Ok(())
    }

    /// Locks the container's input, for which plugins of an earlier life are waited for; those that outlive the
    /// deadline are killed.
    pub(crate) async fn input(&self, deadline: Duration) -> Result<Input, CniError> {
        let path = self.path.join(INPUT);
        let lock = |file: &File| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
        let mut waited = Duration::ZERO;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(CniError::io("cannot open", &path))?;
        loop {
            match lock(&file) {
                Ok(()) => return Ok(Input { file }),
                Err(rustix::io::Errno::WOULDBLOCK) if waited < deadline => {
                    tokio::time::sleep(PAUSE).await;
                    waited += PAUSE;
                }
                Err(rustix::io::Errno::WOULDBLOCK) if waited < deadline + GRACE => {
                    let ended = plugin_process::end_readers_of(&path);
                    tracing::warn!(path = %path.display(), ended, "a plugin of an earlier run was killed");
                    tokio::time::sleep(PAUSE).await;
                    waited += PAUSE;
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let held = io::Error::other(
                        "a plugin of an earlier run holds it and cannot be killed",
                    );
                    return Err(CniError::io("cannot lock", &path)(held));
                }
                Err(error) => return Err(CniError::io("cannot lock", &path)(error.into())),
            }
        }
    }

    /// Lets go of the namespace and removes everything.
    pub(crate) fn remove(&self) -> Result<(), CniError> {
        let path = self.namespace();
        namespace::remove_namespace(&path).map_err(CniError::io("cannot remove", &path))?;
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CniError::io("cannot remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }
}

impl Input {
    /// The input with this content, from its beginning.
    pub(crate) fn holding(&mut self, text: &[u8]) -> io::Result<File> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(text)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.try_clone()
    }
}

/// The containers for which something has been begun. A missing folder holds none.
pub(crate) fn containers(root: &Path) -> Result<Vec<ContainerId>, CniError> {
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(CniError::io("cannot read", root)(error)),
    };
    let mut containers = Vec::new();
    for entry in entries {
        let entry = entry.map_err(CniError::io("cannot read", root))?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| ContainerId::new(name).ok());
        containers.extend(id.filter(|_| entry.path().is_dir()));
    }
    containers.sort();
    Ok(containers)
}
