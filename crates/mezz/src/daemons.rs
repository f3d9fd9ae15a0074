//! The one place where this binary meets the warden, the master and the agent: settings become their options here.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use mezz_agent::{
    AgentExit, AgentHandle, AgentOptions, AgentStopper, ReconfigurationPolicy, RecoverMode,
    StopRequest,
};
use mezz_core::config::Config;
use mezz_master::{
    MasterEnd, MasterHandle, MasterOptions, RECORDER_FOLDER, RecorderOptions, SecretKey,
};
use mezz_store::Backend;
use tokio::sync::watch;

use crate::logging::Logging;
use crate::settings::{AgentSettings, MasterSettings, Reconfiguration, Recover, Registry};

/// The file of the embedded store within a master's folder.
const STORE_FILE: &str = "registry.redb";

/// What becomes of the tasks when an agent stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TasksAtStop {
    /// Those of frameworks that checkpoint go on.
    Leave,
    /// All end, and the warden with them.
    End,
}

/// How an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentEnd {
    pub(crate) code: u8,
    pub(crate) message: String,
}

/// A running master.
#[derive(Debug)]
pub(crate) struct Master {
    handle: MasterHandle,
}

/// A running agent.
#[derive(Debug)]
pub(crate) struct Agent {
    address: SocketAddr,
    stopper: AgentStopper,
    end: watch::Receiver<Option<AgentEnd>>,
}

/// Becomes the warden; `arguments` are those after the verb.
pub(crate) fn warden(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    mezz_warden::run(arguments)
}

/// Becomes what stands for a container that is elsewhere; `arguments` are those after the verb.
pub(crate) fn runtime(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    mezz_agent::run_runtime_verb(arguments)
}

/// Starts a master on the current runtime.
pub(crate) async fn start_master(
    settings: MasterSettings,
    logging: &Logging,
) -> anyhow::Result<Master> {
    let backend = open_store(&settings.registry)?;
    let options = MasterOptions {
        config: config(&settings),
        recorder: recorder(&settings),
        facades: settings.facades,
        autoscale_interval: settings.autoscale_interval,
        secret_key: settings
            .secret_key_file
            .as_deref()
            .map(secret_key)
            .transpose()?,
        advertise_ip: settings.listen.advertise_ip,
        // The port in effect is the one that was bound, which the master itself knows.
        flags: settings
            .effective_flags
            .into_iter()
            .filter(|(name, _)| name != "port")
            .collect(),
        work_dir: settings.work_dir,
        max_operator_event_stream_subscribers: settings.max_operator_event_stream_subscribers,
        logging: Some(logging.control()),
        advertise_port: settings.listen.advertise_port,
        ..MasterOptions::new(backend, settings.listen.address)
    };
    Ok(Master {
        handle: mezz_master::run(options)
            .await
            .context("the master cannot start")?,
    })
}

fn recorder(settings: &MasterSettings) -> Option<RecorderOptions> {
    let folder = settings.work_dir.as_ref()?.join(RECORDER_FOLDER);
    (settings.recorder_bytes > 0).then_some(RecorderOptions {
        folder,
        max_bytes: settings.recorder_bytes,
    })
}

fn secret_key(file: &Path) -> anyhow::Result<SecretKey> {
    let wrong = || format!("--secret-key-file: {}", file.display());
    let content = std::fs::read(file).with_context(wrong)?;
    SecretKey::new(&content).with_context(wrong)
}

fn open_store(registry: &Registry) -> anyhow::Result<Backend> {
    match registry {
        Registry::Memory => {
            mezz_store::open_memory().context("the store in memory cannot be opened")
        }
        Registry::Redb(folder) => {
            let path = store_file(folder)?;
            mezz_store::open_redb(&path)
                .with_context(|| format!("the store {} cannot be opened", path.display()))
        }
    }
}

fn store_file(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    Ok(folder.join(STORE_FILE))
}

fn config(settings: &MasterSettings) -> Config {
    Config {
        hostname: settings.listen.hostname.clone(),
        ip: settings
            .listen
            .advertise_ip
            .unwrap_or(settings.listen.address.ip()),
        port: settings.listen.address.port(),
        offer_timeout_ns: nanoseconds(settings.offer_timeout),
        agent_ping_timeout_ns: nanoseconds(settings.agent_ping_timeout),
        max_agent_ping_timeouts: settings.max_agent_ping_timeouts,
        agent_reregister_timeout_ns: nanoseconds(settings.agent_reregister_timeout),
        min_allocatable: settings.min_allocatable.clone(),
        role_whitelist: settings.roles.clone(),
        weights: settings.weights.clone(),
        packing: settings.packing.clone(),
        fair_sharing_excluded_resource_names: settings.fair_sharing_excluded_resource_names.clone(),
        constraint_regex_limits: settings.constraint_regex_limits,
        gpus: settings.gpus,
        role_sorter: settings.role_sorter,
        framework_sorter: settings.framework_sorter,
        root_submissions: settings.root_submissions,
        domain: settings.domain.as_ref().and_then(mezz_core::fault_domain),
        require_agent_domain: settings.require_agent_domain,
        max_completed_frameworks: settings.max_completed_frameworks,
        max_completed_tasks_per_framework: settings.max_completed_tasks_per_framework,
        max_unreachable_tasks_per_framework: settings.max_unreachable_tasks_per_framework,
        agent_removal_interval_ns: settings.agent_removal_interval.map(nanoseconds),
        recovery_agent_removal_limit: settings.recovery_agent_removal_limit,
        registry_gc_interval_ns: nanoseconds(settings.registry_gc_interval),
        registry_max_agent_age_ns: nanoseconds(settings.registry_max_agent_age),
        registry_max_agent_count: settings.registry_max_agent_count,
        mezz_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Config::default()
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Starts an agent on the current runtime.
pub(crate) async fn start_agent(
    settings: AgentSettings,
    logging: &Logging,
) -> anyhow::Result<Agent> {
    let options = AgentOptions {
        logging: Some(logging.control()),
        ..agent_options(settings)
    };
    let handle = mezz_agent::run(options)
        .await
        .context("the agent cannot start")?;
    Ok(Agent::watching(handle))
}

fn agent_options(settings: AgentSettings) -> AgentOptions {
    AgentOptions {
        ip: settings.listen.address.ip(),
        port: settings.listen.address.port(),
        advertise_ip: settings.listen.advertise_ip,
        advertise_port: settings.listen.advertise_port,
        hostname: Some(settings.listen.hostname),
        masters: settings.masters,
        work_dir: settings.work_dir,
        resources: settings.resources,
        attributes: settings.attributes,
        domain: settings.domain,
        default_role: settings.default_role,
        switch_user: settings.switch_user,
        frameworks_home: settings.frameworks_home,
        executor_environment: settings
            .executor_environment_variables
            .into_iter()
            .flatten()
            .collect(),
        registration_backoff_factor: settings.registration_backoff_factor,
        executor_registration_timeout: settings.executor_registration_timeout,
        executor_reregistration_timeout: settings.executor_reregistration_timeout,
        executor_shutdown_grace_period: settings.executor_shutdown_grace_period,
        recovery_timeout: settings.recovery_timeout,
        recover: match settings.recover {
            Recover::Reconnect => RecoverMode::Reconnect,
            Recover::Cleanup => RecoverMode::Cleanup,
        },
        reconfiguration_policy: match settings.reconfiguration {
            Reconfiguration::Equal => ReconfigurationPolicy::Equal,
            Reconfiguration::Additive => ReconfigurationPolicy::Additive,
        },
        executor_heartbeat_interval: settings.executor_heartbeat_interval,
        max_completed_executors_per_framework: settings.max_completed_executors_per_framework,
        gc_delay: settings.gc_delay,
        gc_disk_headroom: settings.gc_disk_headroom,
        disk_watch_interval: settings.disk_watch_interval,
        fetcher_stall_timeout: settings.fetcher_stall_timeout,
        fetcher_cache_size: settings.fetcher_cache_size,
        fetcher_cache_dir: settings.fetcher_cache_dir,
        max_log_bytes: settings.max_log_bytes,
        max_log_files: settings.max_log_files,
        isolation: settings.containers.isolation,
        limits: settings.limits,
        effective_capabilities: settings.containers.effective_capabilities,
        bounding_capabilities: settings.containers.bounding_capabilities,
        default_container_shm_size: settings.containers.shared_memory_bytes,
        unshared: settings.containers.unshared,
        seccomp_config_dir: settings.containers.seccomp_config_dir,
        seccomp_profile_name: settings.containers.seccomp_profile_name,
        oci_runtimes: settings.containers.oci_runtimes,
        docker: settings.containers.docker,
        images: settings.containers.images,
        networks: settings.containers.networks,
        flags: settings
            .effective_flags
            .into_iter()
            .filter(|(name, _)| name != "port")
            .collect(),
        ..AgentOptions::default()
    }
}

impl Master {
    /// The address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.address()
    }

    /// Where the facades listen that have listeners of their own.
    pub(crate) fn facades(&self) -> Vec<(mezz_master::Facade, SocketAddr)> {
        self.handle.facades().collect()
    }

    /// Resolves when it leads and has recovered.
    pub(crate) async fn ready(&self) {
        self.handle.ready().await;
    }

    /// Resolves with the reason when it ends by itself.
    pub(crate) async fn ended(&self) -> String {
        match self.handle.ended().await {
            MasterEnd::Stopped => "it was stopped".to_owned(),
            MasterEnd::SteppedDown(why) => why,
        }
    }

    /// Stops it.
    pub(crate) async fn stop(self) {
        self.handle.shutdown().await;
    }
}

impl Agent {
    fn watching(handle: AgentHandle) -> Self {
        let (sender, end) = watch::channel(None);
        let (address, stopper) = (handle.address(), handle.stopper());
        tokio::spawn(async move {
            let AgentExit { code, message } = handle.finished().await;
            // Nobody may be listening any more.
            let _ = sender.send(Some(AgentEnd { code, message }));
        });
        Self {
            address,
            stopper,
            end,
        }
    }

    /// The address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resolves when it has ended.
    pub(crate) async fn ended(&self) -> AgentEnd {
        let mut end = self.end.clone();
        let lost = || AgentEnd {
            code: 1,
            message: "it died without a word".to_owned(),
        };
        end.wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|end| end.clone())
            .unwrap_or_else(lost)
    }

    /// Stops it.
    pub(crate) async fn stop(self, tasks: TasksAtStop) -> AgentEnd {
        self.stopper.stop(match tasks {
            TasksAtStop::Leave => StopRequest::Leave,
            TasksAtStop::End => StopRequest::Drain,
        });
        self.ended().await
    }
}
