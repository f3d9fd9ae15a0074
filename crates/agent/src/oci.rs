//! Runtimes of the Open Container Initiative: tasks in images that runc, crun and their like run.
//!
//! Owns the bundle of each container and the names by which its runtime knows it. The image and the network are made by
//! the native runtime, so that they are the same; only who starts the program differs.

mod resources;
mod stand_in;

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use mezz_agent_core::{ContainerFacts, ContainerId, Surroundings};
use mezz_launch_plan::isolation::Spot;
use mezz_launch_plan::{ContainerSpec, HostFacts, NamespaceSpec};
use mezz_oci::{Bundle, CONFIG_FILE, ContainerName, Invocation};
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};

use crate::containers::{ContainerError, ContainerSettings};
use crate::isolators::Enforcer;
use crate::launcher;
use crate::native::Native;
use crate::preparing::{
    Ending, Failure, Furnished, HostProcess, Later, PrepareError, Prepared, Runtime, Wanted,
};
use crate::runtime_verb::VERB;

pub(crate) use stand_in::run_verb;

/// Where a runtime tells what went wrong, in a bundle.
const LOG: &str = "log.json";
/// What the stand-in of a container is told, in a bundle.
const SPEC: &str = "stand-in.json";
/// Where layers are mounted, in a bundle.
const ROOT: &str = "root";

/// A runtime of this host, as tasks ask for it.
#[derive(Debug)]
pub(crate) struct OciRuntime {
    pub(crate) name: &'static str,
    pub(crate) runtime: mezz_oci::Runtime,
    /// Where bundles are.
    pub(crate) folder: PathBuf,
    /// Tells this agent's containers from those of others on this host.
    pub(crate) scope: String,
    pub(crate) host: HostFacts,
    pub(crate) containers: ContainerSettings,
    pub(crate) native: Arc<Native>,
    /// What serves the hidden verb.
    pub(crate) program: PathBuf,
}

/// Why a container cannot be run by such a runtime.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Oci(#[from] mezz_oci::OciError),
    #[error(transparent)]
    Name(#[from] mezz_oci::RuntimeError),
    #[error(transparent)]
    Container(#[from] ContainerError),
    #[error("there is no label {name} for OCI runtimes")]
    Label { name: String },
    #[error("the bundle cannot be made: {0}")]
    Bundle(io::Error),
    #[error("{path}, which is mounted, cannot be made within the sandbox: {source}")]
    Source { path: String, source: io::Error },
    #[error("{program}: {source}")]
    Program { program: String, source: io::Error },
    #[error("{program} {verb}: {said}")]
    Refused {
        program: String,
        verb: &'static str,
        said: String,
    },
    #[error("commands in containers of OCI runtimes are not built; use checks by HTTP or TCP")]
    Within,
}

impl OciRuntime {
    fn bundle_of(&self, container: ContainerId) -> PathBuf {
        self.folder.join(container.to_string())
    }

    fn name_of(&self, container: ContainerId) -> Result<ContainerName, RunError> {
        Ok(ContainerName::new(format!("{}-{container}", self.scope))?)
    }

    fn make(&self, wanted: &Wanted, furnished: Furnished) -> Result<Prepared, RunError> {
        if let Some((name, _)) = wanted.launch.surroundings.labels.first() {
            let name = name.to_string();
            return Err(RunError::Label { name });
        }
        let container = wanted.container();
        let folder = self.bundle_of(container);
        let facts = furnished.facts.clone();
        let name = self.name_of(container)?;
        let spec = self.spec(wanted, furnished, &folder)?;
        let resources = resources::of(&wanted.launch.allotment, name.as_str());
        let annotations = [("mezzanine.container".to_owned(), container.to_string())];
        let bundle = mezz_oci::bundle(&spec, &self.host, &resources, annotations.into())?;
        for spot in &bundle.sources {
            make_within(spot)?;
        }
        let run = self.runtime.run(&name, &folder, &folder.join(LOG));
        let told = write(&folder, &bundle, &run).map_err(RunError::Bundle)?;
        let words = ["mezz", VERB, stand_in::NAME, "--spec"];
        let mut arguments = words.map(str::to_owned).to_vec();
        arguments.push(told.display().to_string());
        Ok(Prepared::HostProcess(Box::new(HostProcess {
            program: self.program.clone(),
            arguments,
            // The runtime looks for its helpers; the container's own variables are in the bundle.
            environment: vec![("PATH".to_owned(), self.host.default_path.clone())],
            enforcer: Enforcer::Runtime,
            mounts: NamespaceSpec::Own,
            facts,
        })))
    }

    /// What the warden would carry out; what such runtimes keep apart by themselves is kept apart.
    fn spec(
        &self,
        wanted: &Wanted,
        furnished: Furnished,
        folder: &Path,
    ) -> Result<ContainerSpec, RunError> {
        let sandbox = wanted.sandbox.clone();
        let launch = wanted.launch.clone();
        let container = launch.surroundings.container.clone().unwrap_or_default();
        let linux = container.linux_info.unwrap_or_default();
        let mut spec = launcher::furnished(launch, sandbox, None, &self.containers, furnished)?;
        if spec.credentials.is_none() {
            spec.credentials.clone_from(&wanted.owner);
        }
        spec.user = None;
        let isolation = &mut spec.isolation;
        for (kind, shared) in [
            (&mut isolation.pid, linux.share_pid_namespace == Some(true)),
            (&mut isolation.ipc, linux.ipc_mode.is_some()),
            (&mut isolation.uts, false),
        ] {
            if *kind == NamespaceSpec::Host && !shared {
                *kind = NamespaceSpec::Own;
            }
        }
        if let mezz_launch_plan::RootSpec::Overlay { at, .. } = &mut isolation.root {
            *at = folder.join(ROOT);
        }
        Ok(spec)
    }

    async fn remove(&self, container: ContainerId) -> Result<(), RunError> {
        let bundle = self.bundle_of(container);
        if bundle.exists() {
            self.delete(&self.name_of(container)?).await?;
            gone(std::fs::remove_dir_all(bundle)).map_err(RunError::Bundle)?;
        }
        Ok(())
    }

    /// It ends if it still runs. That it is not known any more is what is wanted.
    async fn delete(&self, name: &ContainerName) -> Result<(), RunError> {
        let output = self.output(&self.runtime.delete(name)).await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() || said.contains("does not exist") {
            return Ok(());
        }
        Err(self.refused("delete", said))
    }

    async fn sweep_all(&self, living: &BTreeSet<ContainerId>) -> Result<(), RunError> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(RunError::Bundle)?,
        };
        let keep: BTreeSet<String> = living.iter().map(ToString::to_string).collect();
        let listed = self.output(&self.runtime.list()).await?;
        if !listed.status.success() {
            let said = String::from_utf8_lossy(&listed.stderr).into_owned();
            return Err(self.refused("list", said));
        }
        let start = format!("{}-", self.scope);
        for name in mezz_oci::parse_states(&String::from_utf8_lossy(&listed.stdout))? {
            let own = name.as_str().strip_prefix(&start);
            if own.is_some_and(|container| !keep.contains(container)) {
                self.delete(&name).await?;
            }
        }
        for entry in entries.flatten() {
            if !keep.contains(&*entry.file_name().to_string_lossy()) {
                gone(std::fs::remove_dir_all(entry.path())).map_err(RunError::Bundle)?;
            }
        }
        Ok(())
    }

    async fn output(&self, invocation: &Invocation) -> Result<Output, RunError> {
        let mut command = std::process::Command::new(&invocation.program);
        command.args(&invocation.arguments[1..]);
        command.stdin(std::process::Stdio::null());
        let program = || invocation.program.display().to_string();
        let done = tokio::task::spawn_blocking(move || command.output()).await;
        let done = done.map_err(io::Error::other).flatten();
        done.map_err(|source| RunError::Program {
            program: program(),
            source,
        })
    }

    fn refused(&self, verb: &'static str, said: String) -> RunError {
        RunError::Refused {
            program: self.runtime.program.display().to_string(),
            verb,
            said,
        }
    }
}

/// Writes everything into the bundle's folder; says where the stand-in finds what it is told.
fn write(folder: &Path, bundle: &Bundle, run: &Invocation) -> io::Result<PathBuf> {
    gone(std::fs::remove_dir_all(folder))?;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)?;
    std::fs::create_dir(folder.join(ROOT))?;
    std::fs::write(folder.join(CONFIG_FILE), bundle.config_json())?;
    let told = folder.join(SPEC);
    let spec = stand_in::StandIn::new(bundle.overlay.as_ref(), run)?;
    std::fs::write(&told, serde_json::to_vec(&spec)?)?;
    Ok(told)
}

/// Makes a folder beneath a sandbox; links that lead out of it are not followed.
fn make_within(spot: &Spot) -> Result<(), RunError> {
    let path = spot.path.to_string_lossy().into_owned();
    let make = || -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut here = rustix::fs::open(&spot.within, flags, Mode::empty())?;
        for part in Path::new(&path).components() {
            let name = part.as_os_str();
            match mkdirat(&here, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            // The runtime goes this way once more, by its words: no part of it may be a link.
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            here = openat2(&here, name, flags, Mode::empty(), resolve)?;
        }
        Ok(())
    };
    make().map_err(|source| RunError::Source {
        path: path.clone(),
        source,
    })
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

impl Runtime for OciRuntime {
    fn name(&self) -> &'static str {
        self.name
    }

    fn takes(&self, surroundings: &Surroundings) -> bool {
        surroundings.runtime.as_deref() == Some(self.name)
    }

    fn prepare(&self, wanted: Arc<Wanted>) -> Later<'_, Result<Prepared, PrepareError>> {
        Box::pin(async move {
            match self.native.prepare(Arc::clone(&wanted)).await? {
                Prepared::Container(furnished) => {
                    self.make(&wanted, *furnished).map_err(PrepareError::of)
                }
                prepared @ Prepared::HostProcess(_) => Ok(prepared),
            }
        })
    }

    fn prepare_within(
        &self,
        _wanted: Arc<Wanted>,
        _container: ContainerId,
    ) -> Later<'_, Result<Prepared, PrepareError>> {
        Box::pin(async { Err(PrepareError::of(RunError::Within)) })
    }

    fn network(&self, container: ContainerId) -> Option<PathBuf> {
        self.native.network(container)
    }

    fn started(&self, container: ContainerId, pid: u32) -> Option<Later<'_, ContainerFacts>> {
        self.native.started(container, pid)
    }

    fn kill(&self, container: ContainerId) -> Option<Later<'_, ()>> {
        Some(Box::pin(async move {
            let Ok(name) = self.name_of(container) else {
                return;
            };
            if let Err(error) = self.delete(&name).await {
                tracing::warn!(%container, %error, "a container is ended with its runtime only");
            }
        }))
    }

    fn ending(&self, container: ContainerId) -> Ending {
        let log = self.bundle_of(container).join(LOG);
        let log = std::fs::read_to_string(log).unwrap_or_default();
        match mezz_oci::failure(&log) {
            Some(why) => Ending::NotStarted(why),
            None => Ending::Told,
        }
    }

    fn clean_up(&self, container: ContainerId) -> Later<'_, Result<(), Failure>> {
        Box::pin(async move {
            self.remove(container).await?;
            self.native.clean_up(container).await
        })
    }

    fn sweep(&self, living: Arc<BTreeSet<ContainerId>>) -> Later<'_, Result<(), Failure>> {
        // What was furnished is the native runtime's, which is swept by itself.
        Box::pin(async move { Ok(self.sweep_all(&living).await?) })
    }
}
