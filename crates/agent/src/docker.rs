//! Docker's Engine as a runtime: `ContainerInfo.DOCKER`.
//!
//! Owns what lies between a launch and the Engine: a container is pulled and made here, a process of the host (the
//! verb `runtime docker`) starts it and stands for it, and what is left of it is removed here. What each container has
//! of files is in a folder of its own; the Engine knows whose container it is by a label.

mod credentials;
mod files;
mod host_process;
mod needs;
mod options;
mod telling;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mezz_agent_core::{Command, ContainerFacts, ContainerId, Launch, Surroundings};
use mezz_docker::follow::{Ended, ExecSpec, FollowSpec};
use mezz_docker::{
    ContainerName, ContainerRequest, CreateRequest, Engine, EngineError, HostRules, Run,
};
use mezz_image::credentials::DockerConfig;
use mezz_proto::v1::{ContainerInfo, container_info};

use crate::preparing::{Ending, Failure, Later, PrepareError, Prepared, Runtime, Wanted};
pub(crate) use credentials::{AuthError, config};
use files::Folders;
pub(crate) use host_process::run_verb;
pub use options::DockerOptions;

/// Where containers see their sandboxes.
const MAPPED: &str = "/mnt/mesos/sandbox";
/// The label that tells the containers of one agent from those of others.
const SCOPE: &str = "mezzanine.agent";
/// The label with a container's id.
const CONTAINER: &str = "mezzanine.container";
/// The pause between attempts to kill what is just being started.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a container that was killed may take to be seen ending by its process.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// How the Engine is used.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) socket: PathBuf,
    /// The default credentials.
    pub(crate) config: Option<Arc<DockerConfig>>,
    /// How long what has ended is kept.
    pub(crate) remove_delay: Duration,
    /// Whether what is left of earlier lives is removed at start.
    pub(crate) kill_orphans: bool,
    pub(crate) rules: HostRules,
    /// Tells this agent's containers from others'.
    pub(crate) scope: String,
    /// Where the files of containers lie.
    pub(crate) folder: PathBuf,
    /// What serves the verb `runtime`.
    pub(crate) program: PathBuf,
}

/// The Engine of this host.
#[derive(Debug)]
pub(crate) struct DockerRuntime {
    engine: Engine,
    settings: Settings,
    folders: Folders,
}

impl DockerRuntime {
    /// Of an Engine that answers.
    pub(crate) async fn open(settings: Settings) -> Result<Self, EngineError> {
        let engine = Engine::at(&settings.socket);
        let version = engine.version().await?;
        tracing::info!(
            version = version.version,
            api = version.api_version,
            "containers of type DOCKER are run by the Docker Engine"
        );
        let folders = Folders::at(settings.folder.clone());
        Ok(Self {
            engine,
            settings,
            folders,
        })
    }

    async fn make(&self, wanted: &Wanted) -> Result<Prepared, PrepareError> {
        let launch = &wanted.launch;
        let container = launch.surroundings.container.as_deref();
        let container = container.ok_or_else(|| PrepareError::of("container is missing"))?;
        let name = ContainerName::of(&launch.container_id.to_string());
        let words = self.words(wanted, container, &name)?;
        self.have_image(wanted, container).await?;
        wanted.progress.tell("making the container");
        let folder = self.folders.make(launch.container_id);
        let folder = folder.map_err(PrepareError::of)?;
        folder.keep_asked(container).map_err(PrepareError::of)?;
        // Never given up halfway: the Engine would make it all the same, when it is no longer looked for.
        if let Some(left) = self.create(&name, &words).await.err() {
            return Err(PrepareError::of(left));
        }
        let spec = FollowSpec {
            socket: self.settings.socket.clone(),
            container: name.as_str().to_owned(),
        };
        let file = folder.keep_spec(&spec).map_err(PrepareError::of)?;
        Ok(host_process::of(
            &self.settings.program,
            host_process::FOLLOW,
            &file,
        ))
    }

    async fn create(&self, name: &ContainerName, words: &CreateRequest) -> Result<(), EngineError> {
        let created = match self.engine.create(name, words).await {
            // Ours alone can have the name: it has our container's id in it.
            Err(EngineError::Refused { status: 409, .. }) => {
                self.engine.remove(name.as_str()).await?;
                self.engine.create(name, words).await?
            }
            other => other?,
        };
        for warning in created.warnings.iter().flatten() {
            tracing::warn!(container = %name, warning, "the Docker Engine");
        }
        Ok(())
    }

    async fn have_image(
        &self,
        wanted: &Wanted,
        container: &ContainerInfo,
    ) -> Result<(), PrepareError> {
        let Some(docker) = &container.docker else {
            return Ok(());
        };
        let has = self.engine.has_image(&docker.image);
        let has = wanted.unless_canceled(async { has.await.map_err(PrepareError::of) });
        if !docker.force_pull_image() && has.await? {
            return Ok(());
        }
        let config = credentials::of_sandbox(&wanted.sandbox).map_err(PrepareError::of)?;
        let config = config.as_ref().or(self.settings.config.as_deref());
        let auth = credentials::registry_auth(config, &docker.image).map_err(PrepareError::of)?;
        wanted
            .progress
            .tell(format!("pulling the image {}", docker.image));
        let pull = self.engine.pull(&docker.image, auth.as_ref());
        wanted
            .unless_canceled(async { pull.await.map_err(PrepareError::of) })
            .await
    }

    /// What the Engine is asked for.
    fn words(
        &self,
        wanted: &Wanted,
        container: &ContainerInfo,
        name: &ContainerName,
    ) -> Result<CreateRequest, PrepareError> {
        let launch = &wanted.launch;
        let run = match &launch.command {
            Command::Shell(text) => Run::Shell(text),
            Command::Argv { program, argv } => Run::Image {
                value: Some(program),
                arguments: argv,
            },
        };
        let mut labels = host_process::labels(&launch.environment);
        labels.insert(SCOPE.to_owned(), self.settings.scope.clone());
        labels.insert(CONTAINER.to_owned(), launch.container_id.to_string());
        let request = ContainerRequest {
            name,
            container,
            run,
            environment: &host_process::seen_inside(&launch.environment, MAPPED),
            needs: &needs::of(&launch.allotment, &launch.environment),
            sandbox: &wanted.sandbox,
            mapped: MAPPED,
            labels,
        };
        let words = request.in_words(self.settings.rules);
        words.map_err(|error| {
            PrepareError::of(format!("Failed to create docker run options: {error}"))
        })
    }

    fn execute(&self, launch: &Launch, container: ContainerId) -> Result<Prepared, PrepareError> {
        let command = match &launch.command {
            Command::Shell(text) => vec!["/bin/sh".to_owned(), "-c".to_owned(), text.clone()],
            Command::Argv { program, argv } => {
                let all = argv.iter().cloned();
                std::iter::once(program.clone()).chain(all).collect()
            }
        };
        let pairs = launch.environment.iter();
        let spec = ExecSpec {
            socket: self.settings.socket.clone(),
            container: ContainerName::of(&container.to_string())
                .as_str()
                .to_owned(),
            command,
            environment: pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        };
        let folder = self.folders.of(container);
        let file = folder.keep_exec(launch.launch_id, &spec);
        let file = file.map_err(PrepareError::of)?;
        Ok(host_process::of(
            &self.settings.program,
            host_process::EXECUTE,
            &file,
        ))
    }

    /// Removes a container and what lies in its folder.
    async fn remove(&self, container: ContainerId) -> Result<(), EngineError> {
        let name = ContainerName::of(&container.to_string());
        self.engine.remove(name.as_str()).await?;
        self.folders.of(container).remove();
        Ok(())
    }

    async fn sweep_others(&self, living: &BTreeSet<ContainerId>) -> Result<(), Failure> {
        if !self.settings.kill_orphans {
            return Ok(());
        }
        let living: BTreeSet<String> = living.iter().map(ContainerId::to_string).collect();
        let all = self.engine.list(SCOPE, &self.settings.scope).await?;
        for listed in all {
            let own = listed.labels.get(CONTAINER);
            if own.is_some_and(|own| living.contains(own)) {
                continue;
            }
            tracing::info!(container = listed.id, "removed: its task has ended");
            self.engine.remove(&listed.id).await?;
        }
        self.folders.remove_all_but(&living);
        Ok(())
    }
}

impl Runtime for DockerRuntime {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn takes(&self, surroundings: &Surroundings) -> bool {
        let container = surroundings.container.as_deref();
        surroundings.runtime.is_none()
            && container.is_some_and(|container| container.r#type() == container_info::Type::Docker)
    }

    fn prepare(&self, wanted: Arc<Wanted>) -> Later<'_, Result<Prepared, PrepareError>> {
        Box::pin(async move { self.make(&wanted).await })
    }

    fn prepare_within(
        &self,
        wanted: Arc<Wanted>,
        container: ContainerId,
    ) -> Later<'_, Result<Prepared, PrepareError>> {
        Box::pin(async move { self.execute(&wanted.launch, container) })
    }

    fn started(&self, container: ContainerId, _pid: u32) -> Option<Later<'_, ContainerFacts>> {
        let folder = self.folders.of(container);
        Some(Box::pin(async move { telling::facts(&folder).await }))
    }

    fn network(&self, container: ContainerId) -> Option<PathBuf> {
        let folder = self.folders.of(container);
        let (inspected, _) = folder.reports().read_running()?;
        let own = !inspected.shares_network_with_host() && inspected.state.pid > 0;
        own.then(|| PathBuf::from(format!("/proc/{}/ns/net", inspected.state.pid)))
    }

    fn kill(&self, container: ContainerId) -> Option<Later<'_, ()>> {
        let folder = self.folders.of(container);
        Some(Box::pin(async move {
            let name = ContainerName::of(&container.to_string());
            let killing = async {
                // One that is just being started cannot be killed yet.
                while folder.reports().read_ended().is_none() {
                    self.engine.signal(name.as_str(), "SIGKILL").await?;
                    tokio::time::sleep(PAUSE).await;
                }
                Ok::<(), EngineError>(())
            };
            // Who does not see it end is killed himself.
            if let Ok(Err(error)) = tokio::time::timeout(LAST_MOMENT, killing).await {
                tracing::warn!(%container, %error, "the Docker Engine did not kill a container");
            }
        }))
    }

    fn known(&self, container: ContainerId) -> ContainerFacts {
        let folder = self.folders.of(container);
        let running = folder.reports().read_running();
        running.map_or_else(ContainerFacts::default, |running| {
            telling::told(&folder, running)
        })
    }

    fn ending(&self, container: ContainerId) -> Ending {
        match self.folders.of(container).reports().read_ended() {
            Some(Ended::NotStarted { message }) => Ending::NotStarted(message),
            Some(Ended::Exited {
                code,
                oom_killed: true,
            }) if code != 0 => Ending::Limited(Box::new(telling::out_of_memory(code))),
            _ => Ending::Told,
        }
    }

    fn clean_up(&self, container: ContainerId) -> Later<'_, Result<(), Failure>> {
        Box::pin(async move {
            if self.settings.remove_delay.is_zero() {
                return Ok(self.remove(container).await?);
            }
            let name = ContainerName::of(&container.to_string());
            match self.engine.signal(name.as_str(), "SIGKILL").await {
                Err(error) if !error.is_missing() => return Err(error.into()),
                _ => {}
            }
            self.folders.of(container).remove();
            let (engine, delay) = (self.engine.clone(), self.settings.remove_delay);
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                if let Err(error) = engine.remove(name.as_str()).await {
                    tracing::warn!(%container, %error, "removed at the next start");
                }
            });
            Ok(())
        })
    }

    fn sweep(&self, living: Arc<BTreeSet<ContainerId>>) -> Later<'_, Result<(), Failure>> {
        Box::pin(async move { self.sweep_others(&living).await })
    }
}
