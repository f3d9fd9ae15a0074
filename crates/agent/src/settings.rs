//! What the options of an agent mean to each of its parts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mezz_agent_core::Config;
use mezz_cgroup::Controller;
use mezz_image::store::Watermarks;
use mezz_proto::v1::AgentInfo;
use mezz_resource::{Range, Ranges};

use crate::containers::ContainerSettings;
use crate::fetch::{Cache, FetchCounters, FetchSettings};
use crate::garbage::GarbageSettings;
use crate::host;
use crate::materials;
use crate::native::{Images, Native, Networks};
use crate::options::{AgentOptions, Isolator, NetworkKeeping};
use crate::start::StartError;
use crate::work_dir::{Keeping, WorkDir};

pub(crate) fn agent_info(
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
        domain: options.domain.clone(),
        ..AgentInfo::default()
    })
}

/// The ports among what an agent offers.
pub(crate) fn offered_ports(agent: &AgentInfo) -> Ranges {
    let ports = agent
        .resources
        .iter()
        .filter(|resource| resource.name == "ports");
    ports
        .flat_map(|resource| resource.ranges.iter().flat_map(|ranges| &ranges.range))
        .map(|range| Range {
            begin: range.begin,
            end: range.end,
        })
        .collect()
}

pub(crate) fn config(
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
    config.executor_heartbeat_interval = options.executor_heartbeat_interval;
    config.max_completed_executors_per_framework = options.max_completed_executors_per_framework;
    config.reconfiguration = options.reconfiguration_policy;
    config
}

/// Once, at start: a user who relies on what is not there should know.
pub(crate) fn say_what_is_not_enforced(
    facts: &mezz_launch_plan::HostFacts,
    isolation: &[Isolator],
) {
    use mezz_launch_plan::{PidNamespaces, Privilege};
    let by_cgroup = facts.cgroup_v2.is_some() || facts.freezer_v1.is_some();
    if let Privilege::User { uid } = facts.privilege {
        tracing::warn!(
            uid,
            "not root: tasks run as this user whatever user they name"
        );
    }
    let all = isolation.contains(&Isolator::AllCgroups);
    let by = |controller| all || isolation.contains(&Isolator::Cgroup(controller));
    let open: Vec<&str> = [
        ("cpus", by(Controller::Cpu)),
        ("mem", by(Controller::Memory)),
        ("disk", isolation.contains(&Isolator::DiskUsage)),
        ("ports", isolation.contains(&Isolator::Ports)),
    ]
    .into_iter()
    .filter(|(_, isolated)| !isolated)
    .map(|(name, _)| name)
    .collect();
    if !open.is_empty() {
        let open = open.join(", ");
        tracing::info!("{open}: accounted, not enforced (--isolation chooses what is)");
    }
    if !by_cgroup && facts.pid_namespaces == PidNamespaces::Unavailable {
        tracing::warn!(
            "no usable cgroup and no pid namespaces: a task that leaves its session is found by its environment only"
        );
    }
}

pub(crate) fn fetch_settings(options: &AgentOptions, work_dir: &WorkDir) -> FetchSettings {
    FetchSettings {
        work_dir: work_dir.path().to_owned(),
        frameworks_home: options.frameworks_home.clone(),
        stall_timeout: options.fetcher_stall_timeout,
        max_bytes: options.fetcher_max_bytes,
    }
}

/// A folder of this agent's own, since it is emptied.
pub(crate) fn fetch_cache_folder(options: &AgentOptions, work_dir: &WorkDir) -> PathBuf {
    match &options.fetcher_cache_dir {
        Some(shared) => shared.join(work_dir.scope()),
        None => work_dir.path().join("fetch"),
    }
}

pub(crate) fn fetch_cache(
    options: &AgentOptions,
    work_dir: &WorkDir,
    counters: &Arc<FetchCounters>,
) -> Result<Cache, StartError> {
    let path = fetch_cache_folder(options, work_dir);
    Cache::open(
        path.clone(),
        options.fetcher_cache_size,
        Arc::clone(counters),
    )
    .map_err(|source| StartError::FetcherCache { path, source })
}

/// What every container has, and may have.
pub(crate) fn container_settings(options: &AgentOptions) -> ContainerSettings {
    ContainerSettings {
        isolation: options.isolation.clone(),
        effective: options.effective_capabilities,
        bounding: options.bounding_capabilities,
        shared_memory_bytes: options.default_container_shm_size,
        unshared: options.unshared.clone(),
        profiles: options.seccomp_config_dir.clone(),
        default_profile: options.seccomp_profile_name.clone(),
    }
}

/// The native runtime, with images and networks if there can be any.
pub(crate) fn native(options: &AgentOptions, work_dir: &WorkDir) -> Result<Native, StartError> {
    let images = options.images.as_ref();
    let images = images.map(|images| Images::open(images, work_dir.path()));
    let networks = options.networks.as_ref().map(|networks| {
        let kept = match (networks.keeping, work_dir.keeping()) {
            (NetworkKeeping::UntilReboot, Keeping::Durable) => {
                Path::new("/run").join(format!("mezz-{}", work_dir.scope()))
            }
            _ => work_dir.path().join("isolators"),
        };
        Networks::new(networks, kept.join("network/cni"))
    });
    let secrets = match work_dir.keeping() {
        Keeping::Durable => {
            let folder = materials::lasting_folder(work_dir.scope(), work_dir.path());
            folder.with_added_extension("volumes")
        }
        Keeping::Temporary => work_dir.path().join("secret-volumes"),
    };
    let path = work_dir.path().to_owned();
    Ok(Native::new(images.transpose()?, networks, path, secrets))
}

/// Collects images when the disk is fuller than it may be, for as long as the agent runs.
pub(crate) fn collect_images(options: &AgentOptions, native: &Arc<Native>) {
    /// So much more than is needed is freed, in per cent of the disk, so that not every pull brings about a collection.
    const MORE: u8 = 5;
    let Some(collection) = options.images.as_ref().and_then(|images| images.collection) else {
        return;
    };
    let most = (1.0 - collection.headroom) * 100.0;
    let mut percents = (0..=100u8).rev();
    let high = percents.find(|percent| f64::from(*percent) <= most);
    let high = high.unwrap_or(0);
    let marks = Watermarks {
        high,
        low: high.saturating_sub(MORE),
    };
    let native = Arc::downgrade(native);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(collection.interval).await;
            let Some(native) = native.upgrade() else {
                return;
            };
            // Whatever comes of it is told there.
            let _ = tokio::task::spawn_blocking(move || native.collect_above(marks)).await;
        }
    });
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
