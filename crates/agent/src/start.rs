//! Starting an agent, and the handle by which its process holds it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use mezz_agent_core::{AgentCore, Event, Recovery, StopRequest};
use mezz_http::server::{ServerHandle, ServerOptions, serve};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use crate::container_io::ContainerIo;
use crate::docker::AuthError as DockerConfigError;
use crate::driver::{AgentExit, Driver, TurnState};
use crate::exits::Exits;
use crate::fetch::{Cache, FetchCounters, Fetcher};
use crate::garbage::{GarbageCollector, GarbageCounters};
use crate::host::{self, ResourceOptionError};
use crate::http::AgentHttp;
use crate::inbox::{Inbox, Input};
use crate::isolators::{self, IsolationError, Isolators};
use crate::journal::{Journal, JournalError};
use crate::launcher::Launcher;
use crate::log_rotation::{LogLimits, LogRotation};
use crate::master_link::MasterLink;
use crate::materials::{self, MaterialStore};
use crate::native::{ImagesError, Native};
use crate::options::AgentOptions;
use crate::preparing::{Preparer, ProgressBoard, Runtime};
use crate::probes::Prober;
use crate::runtimes;
use crate::settings::{
    self, agent_info, config, container_settings, fetch_cache, fetch_settings, garbage_settings,
};
use crate::streams::ExecutorStreams;
use crate::usage::UsageRequests;
use crate::warden_link::{WardenLink, WardenLinkError};
use crate::work_dir::{Keeping, WorkDir, WorkDirError};

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// No master was named.
    #[error("--master is missing: name at least one master as HOST:PORT")]
    NoMaster,
    /// Resources or attributes are wrong.
    #[error(transparent)]
    Options(#[from] ResourceOptionError),
    /// The work directory.
    #[error(transparent)]
    WorkDir(#[from] WorkDirError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The warden.
    #[error(transparent)]
    Warden(#[from] WardenLinkError),
    /// The folder of the fetcher cache.
    #[error("--fetcher-cache-dir: {}: {source}", path.display())]
    FetcherCache {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no Engine for the containers that it is to run.
    #[error(
        "--containerizers names docker, but {0}; start the Engine, or name its --docker-socket"
    )]
    Docker(mezz_docker::EngineError),
    /// The credentials for the registries of images.
    #[error("--docker-config: {0}")]
    DockerConfig(#[source] DockerConfigError),
    /// What containers are to be held to.
    #[error(transparent)]
    Isolation(#[from] IsolationError),
    /// Images.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The system refused something that every agent needs.
    #[error("cannot start: {0}")]
    System(std::io::Error),
}

/// A running agent. Dropping the handle leaves it running until the process ends.
#[derive(Debug)]
pub struct AgentHandle {
    address: SocketAddr,
    inbox: Arc<Inbox>,
    registered: watch::Receiver<Option<String>>,
    finished: oneshot::Receiver<AgentExit>,
    server: ServerHandle,
}

impl AgentHandle {
    /// Where its HTTP API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks the agent to stop; [`AgentHandle::finished`] tells when it has.
    pub fn stop(&self, request: StopRequest) {
        self.inbox.put(Input::Event(Event::Stop(request)));
    }

    /// What can stop this agent while somebody else waits for its end.
    pub fn stopper(&self) -> AgentStopper {
        AgentStopper {
            inbox: Arc::clone(&self.inbox),
        }
    }

    /// Resolves with the agent's id once a master has taken it in; `None` if it ended before.
    pub async fn registered(&mut self) -> Option<String> {
        let id = self.registered.wait_for(Option::is_some).await.ok()?;
        id.clone()
    }

    /// Resolves when the agent has ended, with its HTTP API closed.
    pub async fn finished(self) -> AgentExit {
        let lost = || AgentExit {
            code: 1,
            message: "the agent's thread has died".to_owned(),
        };
        let exit = self.finished.await.unwrap_or_else(|_| lost());
        self.server.stop().await;
        exit
    }
}

/// Stops an agent whose handle is elsewhere.
#[derive(Clone, Debug)]
pub struct AgentStopper {
    inbox: Arc<Inbox>,
}

impl AgentStopper {
    /// Asks the agent to stop.
    pub fn stop(&self, request: StopRequest) {
        self.inbox.put(Input::Event(Event::Stop(request)));
    }
}

/// Starts an agent on the current runtime. Returns when its HTTP API answers.
pub async fn run(options: AgentOptions) -> Result<AgentHandle, StartError> {
    if options.masters.is_empty() {
        return Err(StartError::NoMaster);
    }
    let listen = SocketAddr::new(options.ip, options.port);
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|source| StartError::Listen {
            address: listen,
            source,
        })?;
    let address = listener.local_addr().map_err(StartError::System)?;
    let advertised = advertised(&options, address);
    let inbox = Inbox::new().map_err(StartError::System)?;
    let rotation = LogRotation::new(LogLimits::new(options.max_log_bytes, options.max_log_files));
    rotation.start().map_err(StartError::System)?;
    let parts = Parts {
        runtime: Handle::current(),
        advertised,
        fetch_counters: Arc::default(),
        garbage_counters: Arc::default(),
        rotation,
        container_io: Arc::new(ContainerIo::new(Handle::current())),
        board: ProgressBoard::default(),
    };
    let options = Arc::new(options);
    let starting = {
        let (options, inbox, parts) = (Arc::clone(&options), Arc::clone(&inbox), parts.clone());
        tokio::task::spawn_blocking(move || prepare(&options, &inbox, &parts))
    };
    let prepared = starting
        .await
        .map_err(|error| StartError::System(std::io::Error::other(error)))??;
    let native = Arc::clone(&prepared.native);
    settings::collect_images(&options, &native);
    let statistics = prepared.isolators.statistics();
    let http = AgentHttp::new(
        Arc::clone(&inbox),
        &options,
        &prepared.work_dir,
        &parts,
        native,
        statistics,
    );
    let server =
        serve(listener, Arc::new(http), ServerOptions::default()).map_err(StartError::System)?;
    let (registered_in, registered) = watch::channel(None);
    let (finish, finished) = oneshot::channel();
    let started = prepared.start(&options, &inbox, &parts, registered_in, finish);
    started.map_err(StartError::System)?;
    Ok(AgentHandle {
        address,
        inbox,
        registered,
        finished,
        server,
    })
}

/// What the core's thread and the HTTP API share.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) runtime: Handle,
    pub(crate) advertised: SocketAddr,
    pub(crate) fetch_counters: Arc<FetchCounters>,
    pub(crate) garbage_counters: Arc<GarbageCounters>,
    pub(crate) rotation: LogRotation,
    pub(crate) container_io: Arc<ContainerIo>,
    /// What is being done for containers that are prepared.
    pub(crate) board: ProgressBoard,
}

/// What had to be opened before anything could start.
struct Prepared {
    work_dir: WorkDir,
    journal: Journal,
    warden: WardenLink,
    launcher: Launcher,
    isolators: Isolators,
    core: AgentCore,
    recovery: Recovery,
    fetch_cache: Cache,
    /// What runs containers, in the order in which they are asked.
    runtimes: Vec<Arc<dyn Runtime>>,
    native: Arc<Native>,
}

/// Off this thread: there may be thousands, and nobody waits for it.
fn clear_cgroups(facts: &mezz_launch_plan::HostFacts) {
    /// Long enough for a launch under way to have joined its group.
    const OLD: std::time::Duration = std::time::Duration::from_mins(10);
    let facts = facts.clone();
    let thread = std::thread::Builder::new().name("cgroup-gc".to_owned());
    // Whatever is left does no harm but its place; the next start removes it.
    let _ = thread.spawn(move || mezz_warden::host::remove_stale_cgroups(&facts, OLD));
}

fn advertised(options: &AgentOptions, bound: SocketAddr) -> SocketAddr {
    let any = bound.ip().is_unspecified();
    let fallback = if any {
        IpAddr::from([127, 0, 0, 1])
    } else {
        bound.ip()
    };
    SocketAddr::new(
        options.advertise_ip.unwrap_or(fallback),
        options.advertise_port.unwrap_or(bound.port()),
    )
}

/// Blocking: files, the warden.
fn prepare(
    options: &AgentOptions,
    inbox: &Arc<Inbox>,
    parts: &Parts,
) -> Result<Prepared, StartError> {
    let work_dir = WorkDir::open(options.work_dir.as_deref())?;
    let agent = agent_info(options, parts.advertised, &work_dir)?;
    let (journal, records) = match work_dir.keeping() {
        Keeping::Durable => Journal::open(&work_dir.journal())?,
        Keeping::Temporary => (Journal::forgetting(), Vec::new()),
    };
    let (warden, containers) = WardenLink::open(&work_dir, options.warden_program.clone())?;
    let facts = mezz_warden::host::facts(work_dir.scope());
    settings::say_what_is_not_enforced(&facts, &options.isolation);
    clear_cgroups(&facts);
    let around = isolators::Surroundings {
        work_dir: &work_dir,
        facts: &facts,
        containers: &containers,
        ports: settings::offered_ports(&agent),
        inbox,
    };
    let (isolators, limited) = Isolators::start(options, &around)?;
    let launcher = Launcher::new(
        facts,
        work_dir.path().to_owned(),
        container_settings(options),
    );
    let core = AgentCore::new(config(options, agent, parts.advertised, &work_dir));
    let recovery = Recovery {
        records,
        boot_id: host::boot_id(),
        containers,
        limited,
    };
    let fetch_cache = fetch_cache(options, &work_dir, &parts.fetch_counters)?;
    let native = Arc::new(settings::native(options, &work_dir)?);
    let runtimes = runtimes::open(options, &work_dir, parts, Arc::clone(&native))?;
    Ok(Prepared {
        work_dir,
        journal,
        warden,
        launcher,
        isolators,
        core,
        recovery,
        fetch_cache,
        runtimes,
        native,
    })
}

impl Prepared {
    fn start(
        self,
        options: &AgentOptions,
        inbox: &Arc<Inbox>,
        parts: &Parts,
        registered: watch::Sender<Option<String>>,
        finish: oneshot::Sender<AgentExit>,
    ) -> std::io::Result<()> {
        let Self {
            work_dir,
            journal,
            warden,
            launcher,
            isolators,
            core,
            recovery,
            fetch_cache,
            runtimes,
            native: _,
        } = self;
        let live = recovery
            .containers
            .iter()
            .map(|container| container.launch_id)
            .collect();
        let materials = match work_dir.keeping() {
            Keeping::Durable => materials::lasting_folder(work_dir.scope(), work_dir.path()),
            // Removed with everything else, also by the warden.
            Keeping::Temporary => work_dir.path().join("secrets"),
        };
        let materials = MaterialStore::open(materials, &live);
        let driver = Driver {
            core,
            inbox: Arc::clone(inbox),
            journal,
            warden,
            master: MasterLink::new(
                options.masters.clone(),
                parts.runtime.clone(),
                Arc::clone(inbox),
            ),
            launcher,
            isolators,
            materials,
            fetcher: Fetcher::new(
                fetch_settings(options, &work_dir),
                fetch_cache,
                Arc::clone(inbox),
                parts.runtime.clone(),
                Arc::clone(&parts.fetch_counters),
            ),
            preparer: Preparer::new(
                runtimes,
                Arc::clone(inbox),
                parts.runtime.clone(),
                parts.board.clone(),
            ),
            prober: Prober::new(Arc::clone(inbox), parts.runtime.clone()),
            garbage: GarbageCollector::start(
                garbage_settings(options, &work_dir),
                Arc::clone(&parts.garbage_counters),
            )?,
            rotation: parts.rotation.clone(),
            streams: ExecutorStreams::default(),
            container_io: Arc::clone(&parts.container_io),
            exits: Exits::default(),
            usage: UsageRequests::default(),
            registered,
            state: TurnState {
                live,
                ..TurnState::default()
            },
        };
        let thread = std::thread::Builder::new().name("agent-core".to_owned());
        thread.spawn(move || {
            let (exit, driver) = driver.run(Event::Recovered(Box::new(recovery)));
            tracing::info!(code = exit.code, message = exit.message, "the agent ends");
            driver.finish(work_dir.keeping());
            work_dir.remove_if_temporary();
            // Nobody may be waiting.
            let _ = finish.send(exit);
        })?;
        Ok(())
    }
}
