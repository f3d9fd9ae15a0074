//! What later launches in a container must know of how it was furnished: checks, sessions. Kept on disk for later lives.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use mezz_agent_core::ContainerId;
use mezz_launch_plan::{Credentials, EnvironmentVariable, SANDBOX_IN_ROOT};
use serde::{Deserialize, Serialize};

use crate::preparing::Furnished;

/// Of one container.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) root: Root,
    pub(super) environment: Vec<EnvironmentVariable>,
    pub(super) directory: Option<PathBuf>,
    pub(super) user: Option<User>,
}

/// Whose root a container has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Root {
    #[default]
    Host,
    Own,
}

/// Who a container runs as.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct User {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl From<User> for Credentials {
    fn from(user: User) -> Self {
        Self {
            uid: user.uid,
            gid: user.gid,
            groups: user.groups,
        }
    }
}

impl Record {
    /// Takes over what is to be remembered.
    pub(super) fn keep(&mut self, furnished: &Furnished) {
        self.environment.clone_from(&furnished.environment);
        self.directory.clone_from(&furnished.working_directory);
        self.user = furnished.user.as_ref().map(|user| User {
            uid: user.uid,
            gid: user.gid,
            groups: user.groups.clone(),
        });
    }

    /// Variables above the task's own.
    pub(super) fn environment_over(&self) -> Vec<EnvironmentVariable> {
        match self.root {
            Root::Own => vec![("MESOS_SANDBOX".to_owned(), SANDBOX_IN_ROOT.to_owned())],
            Root::Host => Vec::new(),
        }
    }
}

/// Of all containers, one file each.
#[derive(Debug)]
pub(super) struct Records {
    folder: PathBuf,
}

impl Records {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn file(&self, container: ContainerId) -> PathBuf {
        self.folder.join(format!("{container}.json"))
    }

    pub(super) fn write(&self, container: ContainerId, record: &Record) -> io::Result<()> {
        let file = self.file(container);
        let text = serde_json::to_vec(record)?;
        match fs::write(&file, &text) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.folder)?;
                fs::write(&file, &text)
            }
            written => written,
        }
    }

    pub(super) fn read(&self, container: ContainerId) -> Option<Record> {
        let text = fs::read(self.file(container)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub(super) fn remove(&self, container: ContainerId) {
        // It may never have been there.
        let _ = fs::remove_file(self.file(container));
    }

    pub(super) fn sweep(&self, living: &BTreeSet<ContainerId>) {
        let kept: BTreeSet<PathBuf> = living.iter().map(|living| self.file(*living)).collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if !kept.contains(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
