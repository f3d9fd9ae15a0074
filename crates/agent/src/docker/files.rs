//! The folders of containers that the Engine runs: what their processes are told, and what they leave.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use mezz_agent_core::{ContainerId, LaunchId};
use mezz_docker::follow::{ExecSpec, FollowSpec, Reports};
use mezz_proto::v1::{ContainerInfo, NetworkInfo};
use prost::Message as _;
use serde::Serialize;

/// What a process that stands for a container is told.
const SPEC: &str = "spec.json";
/// The network that the task asked for.
const NETWORK: &str = "network";

/// Where all of them are.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    path: PathBuf,
}

/// The folder of one container.
#[derive(Clone, Debug)]
pub(super) struct ContainerFolder {
    path: PathBuf,
}

impl Folders {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn of(&self, container: ContainerId) -> ContainerFolder {
        ContainerFolder {
            path: self.path.join(container.to_string()),
        }
    }

    /// Nobody but the daemon's user sees what is in it: variables of tasks may be secrets.
    pub(super) fn make(&self, container: ContainerId) -> io::Result<ContainerFolder> {
        let folder = self.of(container);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder.path)?;
        Ok(folder)
    }

    /// Those of containers that are not among these.
    pub(super) fn remove_all_but(&self, living: &BTreeSet<String>) {
        let Ok(entries) = fs::read_dir(&self.path) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if !name.to_str().is_some_and(|name| living.contains(name)) {
                // What stays is tried again at the next start.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl ContainerFolder {
    pub(super) fn reports(&self) -> Reports {
        Reports::beside(&self.path.join(SPEC))
    }

    /// The file for the process that stands for the container.
    pub(super) fn keep_spec(&self, spec: &FollowSpec) -> io::Result<PathBuf> {
        self.write(SPEC, spec)
    }

    /// The file for a process that stands for a command in it.
    pub(super) fn keep_exec(&self, launch: LaunchId, spec: &ExecSpec) -> io::Result<PathBuf> {
        self.write(&format!("exec-{launch}.json"), spec)
    }

    /// What of the task's words is needed when the container runs, maybe in a later life of the agent.
    pub(super) fn keep_asked(&self, container: &ContainerInfo) -> io::Result<()> {
        match container.network_infos.first() {
            Some(network) => private(&self.path.join(NETWORK), &network.encode_to_vec()),
            None => Ok(()),
        }
    }

    /// What [`ContainerFolder::keep_asked`] kept.
    pub(super) fn asked(&self) -> ContainerInfo {
        let network = fs::read(self.path.join(NETWORK)).ok();
        let network = network.and_then(|bytes| NetworkInfo::decode(bytes.as_slice()).ok());
        ContainerInfo {
            network_infos: network.into_iter().collect(),
            ..ContainerInfo::default()
        }
    }

    pub(super) fn remove(&self) {
        // What stays is tried again at the next start.
        let _ = fs::remove_dir_all(&self.path);
    }

    fn write(&self, name: &str, spec: &impl Serialize) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        private(&path, &serde_json::to_vec(spec)?)?;
        Ok(path)
    }
}

fn private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(content)
}
