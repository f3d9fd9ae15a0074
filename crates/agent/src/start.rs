//! Starting an agent, and the handle by which its process holds it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mezz_agent_core::{AgentCore, Config, Event, Recovery, StopRequest};
use mezz_http::server::{ServerHandle, ServerOptions, serve};
use mezz_proto::v1::AgentInfo;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use crate::driver::{AgentExit, Driver, TurnState};
use crate::exits::Exits;
use crate::fetch::{FetchCounters, FetchSettings, Fetcher};
use crate::garbage::{GarbageCollector, GarbageCounters, GarbageSettings};
use crate::host::{self, ResourceOptionError};
use crate::http::AgentHttp;
use crate::inbox::{Inbox, Input};
use crate::journal::{Journal, JournalError};
use crate::launcher::Launcher;
use crate::master_link::MasterLink;
use crate::options::AgentOptions;
use crate::probes::Prober;
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
    let fetch_counters = Arc::new(FetchCounters::default());
    let garbage_counters = Arc::new(GarbageCounters::default());
    let runtime = Handle::current();
    let parts = Parts {
        runtime,
        advertised,
        fetch_counters,
        garbage_counters,
    };
    let options = Arc::new(options);
    let starting = {
        let (options, inbox, parts) = (Arc::clone(&options), Arc::clone(&inbox), parts.clone());
        tokio::task::spawn_blocking(move || prepare(&options, &inbox, &parts))
    };
    let prepared = starting
        .await
        .map_err(|error| StartError::System(std::io::Error::other(error)))??;
    let http = AgentHttp::new(
        Arc::clone(&inbox),
        &options,
        &prepared.work_dir,
        &parts.garbage_counters,
        &parts.fetch_counters,
        advertised,
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

#[derive(Clone)]
struct Parts {
    runtime: Handle,
    advertised: SocketAddr,
    fetch_counters: Arc<FetchCounters>,
    garbage_counters: Arc<GarbageCounters>,
}

/// What had to be opened before anything could start.
struct Prepared {
    work_dir: WorkDir,
    journal: Journal,
    warden: WardenLink,
    launcher: Launcher,
    core: AgentCore,
    recovery: Recovery,
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
    _inbox: &Arc<Inbox>,
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
    say_what_is_not_enforced(&facts);
    let launcher = Launcher::new(facts, work_dir.path().to_owned());
    let core = AgentCore::new(config(options, agent, parts.advertised, &work_dir));
    let recovery = Recovery {
        records,
        boot_id: host::boot_id(),
        containers,
    };
    Ok(Prepared {
        work_dir,
        journal,
        warden,
        launcher,
        core,
        recovery,
    })
}

fn agent_info(
    options: &AgentOptions,
    advertised: SocketAddr,
    work_dir: &WorkDir,
) -> Result<AgentInfo, StartError> {
    Ok(AgentInfo {
        hostname: host::hostname(options.hostname.as_deref(), advertised.ip()),
        port: Some(i32::from(advertised.port())),
        resources: host::resources(
            options.resources.as_deref(),
            &options.default_role,
            work_dir.path(),
        )?,
        attributes: host::attributes(options.attributes.as_deref())?,
        ..AgentInfo::default()
    })
}

fn config(
    options: &AgentOptions,
    agent: AgentInfo,
    advertised: SocketAddr,
    work_dir: &WorkDir,
) -> Config {
    let path = work_dir.path().to_string_lossy().into_owned();
    let mut config = Config::new(
        agent,
        path,
        advertised.ip().to_string(),
        advertised.port(),
        host::seed(),
    );
    config.switch_user = options.switch_user && rustix::process::geteuid().is_root();
    config
        .executor_environment
        .clone_from(&options.executor_environment);
    config.registration_backoff_factor = options.registration_backoff_factor;
    config.executor_registration_timeout = options.executor_registration_timeout;
    config.executor_reregistration_timeout = options.executor_reregistration_timeout;
    config.executor_shutdown_grace_period = options.executor_shutdown_grace_period;
    config.recovery_timeout = options.recovery_timeout;
    config.recover = options.recover;
    config.reconfiguration = options.reconfiguration_policy;
    config
}

/// Once, at start: a user who relies on what is not there should know.
fn say_what_is_not_enforced(facts: &mezz_launch_plan::HostFacts) {
    use mezz_launch_plan::{PidNamespaces, Privilege};
    let by_cgroup = facts.cgroup_v2.is_some() || facts.freezer_v1.is_some();
    if let Privilege::User { uid } = facts.privilege {
        tracing::warn!(
            uid,
            "not root: tasks run as this user whatever user they name; cpus, mem and disk are accounted, not enforced"
        );
    } else {
        tracing::info!("cpus, mem and disk are accounted, not enforced");
    }
    tracing::info!("limits of tasks are taken and shown, not enforced");
    if !by_cgroup && facts.pid_namespaces == PidNamespaces::Unavailable {
        tracing::warn!(
            "no usable cgroup and no pid namespaces: a task that leaves its session is found by its environment only"
        );
    }
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
            core,
            recovery,
        } = self;
        let live = recovery
            .containers
            .iter()
            .map(|container| container.launch_id)
            .collect();
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
            fetcher: Fetcher::new(
                fetch_settings(options, &work_dir),
                Arc::clone(inbox),
                parts.runtime.clone(),
                Arc::clone(&parts.fetch_counters),
            ),
            prober: Prober::new(Arc::clone(inbox), parts.runtime.clone()),
            garbage: GarbageCollector::start(
                garbage_settings(options, &work_dir),
                Arc::clone(&parts.garbage_counters),
                &parts.runtime,
            ),
            streams: ExecutorStreams::default(),
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

fn fetch_settings(options: &AgentOptions, work_dir: &WorkDir) -> FetchSettings {
    FetchSettings {
        work_dir: work_dir.path().to_owned(),
        frameworks_home: options.frameworks_home.clone(),
        stall_timeout: options.fetcher_stall_timeout,
        max_bytes: options.fetcher_max_bytes,
    }
}

/// How the sandboxes of this agent are collected.
pub(crate) fn garbage_settings(options: &AgentOptions, work_dir: &WorkDir) -> GarbageSettings {
    GarbageSettings {
        work_dir: work_dir.path().to_owned(),
        delay: options.gc_delay,
        headroom: options.gc_disk_headroom,
        interval: options.disk_watch_interval,
    }
}
