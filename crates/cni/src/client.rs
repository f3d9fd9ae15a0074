//! The client itself: its settings, the order among its operations, and one run of one plugin.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::MemfdFlags;
use tokio::sync::{OwnedMutexGuard, RwLock};

use crate::catalogue::Catalogue;
use crate::error::{CniError, PluginFault};
use crate::files::Resolver;
use crate::ids::{ContainerId, NetworkName};
use crate::invocation::Invocation;
use crate::plugin_process;
use crate::plugins::PluginFolders;
use crate::run_folder::{ContainerFolder, Input};

/// Where things are, and how long they may take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of network configurations.
    pub config_dir: PathBuf,
    /// The folders of plugins.
    pub plugins: PluginFolders,
    /// The folder of what has been begun, which must outlive the agent's process.
    pub run_dir: PathBuf,
    /// How long one run of a plugin may take.
    pub deadline: Duration,
    /// The resolvers for networks that name none.
    pub resolver: Resolver,
    /// The `PATH` of plugins, where they find `iptables`.
    pub search_path: String,
}

/// The client of the Container Network Interface.
#[derive(Debug)]
pub struct Cni {
    pub(crate) settings: Settings,
    /// A collection of a network's leftovers excludes everything else.
    pub(crate) gate: RwLock<()>,
    /// One operation at a time for each container.
    containers: Mutex<BTreeMap<ContainerId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Cni {
    /// A client; nothing is read or made until it is used.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            gate: RwLock::new(()),
            containers: Mutex::new(BTreeMap::new()),
        }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads which networks there are now.
    pub fn catalogue(&self) -> Result<Catalogue, CniError> {
        Catalogue::read(&self.settings.config_dir, &self.settings.plugins)
    }

    /// Where the namespace of a container is kept while it is attached.
    pub fn namespace_path(&self, container: &ContainerId) -> PathBuf {
        self.folder(container).namespace()
    }

    pub(crate) fn folder(&self, container: &ContainerId) -> ContainerFolder {
        ContainerFolder::new(&self.settings.run_dir, container)
    }

    /// Waits until nothing else is done for the container.
    pub(crate) async fn alone_with(&self, container: &ContainerId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut containers = self
                .containers
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for are no longer needed.
            containers.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(containers.entry(container.clone()).or_default())
        };
        lock.lock_owned().await
    }

    /// Runs a plugin for a container.
    pub(crate) async fn run_for(
        &self,
        network: &NetworkName,
        invocation: &Invocation,
        input: &mut Input,
    ) -> Result<Vec<u8>, CniError> {
        let file = input.holding(&text(invocation));
        self.run(network, invocation, file).await
    }

    /// Runs a plugin for no container.
    pub(crate) async fn run_alone(
        &self,
        network: &NetworkName,
        invocation: &Invocation,
    ) -> Result<Vec<u8>, CniError> {
        let file = in_memory(&text(invocation));
        self.run(network, invocation, file).await
    }

    async fn run(
        &self,
        network: &NetworkName,
        invocation: &Invocation,
        input: std::io::Result<File>,
    ) -> Result<Vec<u8>, CniError> {
        let program = self.program(network, &invocation.kind)?;
        let mut environment = invocation.environment.clone();
        environment.push(("CNI_PATH", self.settings.plugins.to_path()));
        environment.push(("PATH", self.settings.search_path.clone()));
        let ran = match input {
            Ok(input) => {
                plugin_process::run(&program, &environment, input, self.settings.deadline).await
            }
            Err(error) => Err(PluginFault::Run(error)),
        };
        ran.map_err(failed(network, invocation))
    }

    pub(crate) fn program(&self, network: &NetworkName, kind: &str) -> Result<PathBuf, CniError> {
        let program = self.settings.plugins.find(kind);
        program.ok_or_else(|| CniError::NoPlugin {
            network: network.clone(),
            kind: kind.to_owned(),
            folders: self.settings.plugins.to_path(),
        })
    }
}

/// Names the plugin that failed.
pub(crate) fn failed(
    network: &NetworkName,
    invocation: &Invocation,
) -> impl FnOnce(PluginFault) -> CniError {
    let (network, kind) = (network.clone(), invocation.kind.clone());
    let command = invocation.command;
    move |fault| CniError::Plugin {
        network,
        kind,
        command,
        fault,
    }
}

/// Work that may wait for the kernel, away from the threads of the runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    path: &Path,
    doing: &'static str,
    work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
) -> Result<T, CniError> {
    let owned = path.to_owned();
    let done = tokio::task::spawn_blocking(move || work(&owned)).await;
    done.unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(CniError::io(doing, path))
}

fn text(invocation: &Invocation) -> Vec<u8> {
    serde_json::to_vec(&invocation.input).expect("a JSON value can be written")
}

fn in_memory(text: &[u8]) -> std::io::Result<File> {
    let memory = rustix::fs::memfd_create("cni-input", MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memory);
    file.write_all(text)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}
