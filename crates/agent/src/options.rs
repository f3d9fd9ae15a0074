//! What an agent is started with; defaults are Mesos's.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use mezz_cgroup::Controller;
use mezz_http::logging_level::LoggingControl;
use mezz_launch_plan::CapabilitySet;

use crate::docker::DockerOptions;
use crate::isolators::options::{LimitOptions, controller};

pub use mezz_agent_core::{ReconfigurationPolicy, RecoverMode};

/// How an agent is to run.
#[derive(Clone)]
pub struct AgentOptions {
    /// Where its HTTP API listens.
    pub ip: IpAddr,
    /// Its port; 0 takes any free one.
    pub port: u16,
    /// The address that others are told, if it differs.
    pub advertise_ip: Option<IpAddr>,
    /// The port that others are told, if it differs.
    pub advertise_port: Option<u16>,
    /// The name that offers carry; by default that of the host.
    pub hostname: Option<String>,
    /// The masters as `HOST:PORT`, tried in turn; each leads to the leader.
    pub masters: Vec<String>,
    /// Where everything lies that must outlive the daemon; without it a temporary folder, removed at the end.
    pub work_dir: Option<PathBuf>,
    /// Resources as Mesos text or JSON; what is not named is found out.
    pub resources: Option<String>,
    /// Attributes as Mesos text.
    pub attributes: Option<String>,
    /// Its region and zone.
    pub domain: Option<mezz_proto::v1::DomainInfo>,
    /// The role of resources that name none.
    pub default_role: String,
    /// Whether tasks run as their user; by default only if the daemon is root.
    pub switch_user: bool,
    /// What relative URIs are relative to.
    pub frameworks_home: Option<PathBuf>,
    /// Variables that every executor gets.
    pub executor_environment: Vec<(String, String)>,
    /// Base of the random wait before registering.
    pub registration_backoff_factor: Duration,
    /// How long a custom executor may take to subscribe.
    pub executor_registration_timeout: Duration,
    /// How long a custom executor may take to subscribe again after a restart.
    pub executor_reregistration_timeout: Duration,
    /// How long a custom executor may take to end.
    pub executor_shutdown_grace_period: Duration,
    /// How long a custom executor waits for the agent to come back.
    pub recovery_timeout: Duration,
    /// What to do at start with what still runs.
    pub recover: RecoverMode,
    /// Which changes of the agent's description it may restart with.
    pub reconfiguration_policy: ReconfigurationPolicy,
    /// How often custom executors hear that the agent is there.
    pub executor_heartbeat_interval: Duration,
    /// How often those who watch a container's output hear that the agent is there.
    pub stream_heartbeat_interval: Duration,
    /// Ended executors of a framework that are remembered.
    pub max_completed_executors_per_framework: usize,
    /// How long the sandbox of something that ended is kept.
    pub gc_delay: Duration,
    /// The part of the disk that is kept free by collecting sooner.
    pub gc_disk_headroom: f64,
    /// How often the disk is looked at.
    pub disk_watch_interval: Duration,
    /// How long a download may make no progress.
    pub fetcher_stall_timeout: Duration,
    /// How much the fetcher cache may hold; 0 keeps none.
    pub fetcher_cache_size: u64,
    /// Where it lies, in a folder of the agent's own; by default in the work directory.
    pub fetcher_cache_dir: Option<PathBuf>,
    /// The largest file that the fetcher makes, extracted files together.
    pub fetcher_max_bytes: u64,
    /// How long an output file may grow before it is rotated; 0 is no limit.
    pub max_log_bytes: u64,
    /// How many older pieces of an output file are kept.
    pub max_log_files: u32,
    /// What every container has of its own.
    pub isolation: Vec<Isolator>,
    /// How containers are held to what they may use.
    pub limits: LimitOptions,
    /// Capabilities of containers that name none.
    pub effective_capabilities: Option<CapabilitySet>,
    /// The most that a container can ever have.
    pub bounding_capabilities: Option<CapabilitySet>,
    /// The size of `/dev/shm`, in bytes, of containers that have their own and name none.
    pub default_container_shm_size: Option<u64>,
    /// What no container may share with the agent.
    pub unshared: Vec<Unshared>,
    /// Where profiles of system calls are.
    pub seccomp_config_dir: Option<PathBuf>,
    /// The profile of containers that name none; `default` is the built-in one.
    pub seccomp_profile_name: Option<String>,
    /// How the Docker Engine is used, if containers of type `DOCKER` are run.
    pub docker: Option<DockerOptions>,
    /// Images of containers, if there can be any.
    pub images: Option<ImageOptions>,
    /// Networks of containers, if there can be any.
    pub networks: Option<NetworkOptions>,
    /// Runtimes of the Open Container Initiative that tasks may ask for by name.
    pub oci_runtimes: BTreeMap<String, PathBuf>,
    /// Flags as `/flags` shows them, beside those that this struct holds.
    pub flags: BTreeMap<String, String>,
    /// What SET_LOGGING_LEVEL and `/logging/toggle` change.
    pub logging: Option<LoggingControl>,
    /// The binary that serves the hidden verb `warden`; by default the running one.
    pub warden_program: Option<PathBuf>,
}

/// Where images come from, and what becomes of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageOptions {
    /// Of images whose names say none: `https://HOST[:PORT]`, `http://HOST[:PORT]`, or a folder of archives.
    pub registry: String,
    /// Where they lie; by default in the work directory.
    pub store_dir: Option<PathBuf>,
    /// The agent's credentials: Docker's JSON, or the path of a file of it.
    pub config: Option<String>,
    /// How layers become a root; by default the better of what the host has.
    pub backend: Option<ImageBackend>,
    /// Whether what an image says of its use counts.
    pub runtime: ImageRuntime,
    /// When images are collected, if by themselves.
    pub collection: Option<ImageCollection>,
    /// Images that are never collected.
    pub excluded: Vec<String>,
}

/// How layers become a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageBackend {
    /// The kernel stacks them.
    Overlay,
    /// They are copied.
    Copy,
}

/// Whether what an image says of its use (ENTRYPOINT, CMD, ENV, WORKDIR, USER, STOPSIGNAL) counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageRuntime {
    /// It does.
    #[default]
    Used,
    /// It does not.
    Ignored,
}

/// When images are collected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageCollection {
    /// The part of the disk that is kept free.
    pub headroom: f64,
    /// How often it is looked at.
    pub interval: Duration,
}

/// Networks that plugins make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkOptions {
    /// The folder of their configurations.
    pub config_dir: PathBuf,
    /// The folders of plugins, separated by colons.
    pub plugins_dir: String,
    /// Where what was begun is written down.
    pub keeping: NetworkKeeping,
    /// The resolvers of networks that name none.
    pub resolver: mezz_cni::Resolver,
}

/// Where it is written down what was begun for networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkKeeping {
    /// In `/run`, which a reboot empties, as it does the networks.
    #[default]
    UntilReboot,
    /// In the work directory.
    WorkDirectory,
}

/// Something that every container of an agent has of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolator {
    /// Mounts.
    Mounts,
    /// Process ids.
    ProcessIds,
    /// System V objects and message queues.
    Ipc,
    /// No program gives privileges.
    NoNewPrivileges,
    /// Limits and statistics of the kernel for groups of processes, by one of its controllers.
    Cgroup(Controller),
    /// All controllers that the host has.
    AllCgroups,
    /// Sandboxes are measured.
    DiskUsage,
    /// Who listens on which ports is looked at.
    Ports,
}

impl Isolator {
    /// What these names of Mesos's isolators, separated by commas, mean; some need nothing here.
    pub fn parse_list(names: &str) -> Result<Vec<Self>, IsolatorError> {
        let mut isolators = Vec::new();
        for name in names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            match name {
                "filesystem/linux" => isolators.push(Self::Mounts),
                "namespaces/pid" => isolators.push(Self::ProcessIds),
                "namespaces/ipc" => isolators.push(Self::Ipc),
                "linux/nnp" => isolators.push(Self::NoNewPrivileges),
                "cgroups/all" => isolators.push(Self::AllCgroups),
                "disk/du" | "posix/disk" => isolators.push(Self::DiskUsage),
                "network/ports" => isolators.push(Self::Ports),
                // What containers ask for of these is always heeded.
                "filesystem/posix"
                | "posix/cpu"
                | "posix/mem"
                | "posix/rlimits"
                | "linux/capabilities"
                | "linux/seccomp"
                | "docker/runtime"
                | "network/cni"
                | "volume/image"
                | "volume/secret"
                | "volume/host_path"
                | "volume/sandbox_path" => {}
                _ => {
                    let cgroup = name.strip_prefix("cgroups/").and_then(controller);
                    if let Some(controller) = cgroup {
                        isolators.push(Self::Cgroup(controller));
                        continue;
                    }
                    return Err(IsolatorError {
                        name: name.to_owned(),
                    });
                }
            }
        }
        Ok(isolators)
    }
}

/// An isolator of Mesos that is not built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{name}' is not built; built are filesystem/linux, namespaces/pid, namespaces/ipc, linux/nnp, linux/capabilities, \
     linux/seccomp, posix/rlimits, volume/host_path, volume/sandbox_path, cgroups/all, cgroups/cpu, cgroups/mem, \
     cgroups/pids, cgroups/devices, cgroups/blkio, cgroups/cpuset, cgroups/hugetlb, cgroups/perf_event, \
     cgroups/net_cls, cgroups/net_prio, disk/du, posix/disk, network/ports"
)]
pub struct IsolatorError {
    name: String,
}

/// Something that containers may not share with the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unshared {
    /// Process ids.
    ProcessIds,
    /// System V objects, message queues, `/dev/shm`.
    Ipc,
}

impl std::fmt::Debug for AgentOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentOptions")
            .field("masters", &self.masters)
            .field("work_dir", &self.work_dir)
            .finish_non_exhaustive()
    }
}

impl Default for AgentOptions {
    fn default() -> Self {
        Self {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 5051,
            advertise_ip: None,
            advertise_port: None,
            hostname: None,
            masters: vec!["127.0.0.1:5050".to_owned()],
            work_dir: None,
            resources: None,
            attributes: None,
            domain: None,
            default_role: "*".to_owned(),
            switch_user: true,
            frameworks_home: None,
            executor_environment: Vec::new(),
            registration_backoff_factor: Duration::from_secs(1),
            executor_registration_timeout: Duration::from_mins(1),
            executor_reregistration_timeout: Duration::from_secs(2),
            executor_shutdown_grace_period: Duration::from_secs(5),
            recovery_timeout: Duration::from_mins(15),
            recover: RecoverMode::Reconnect,
            reconfiguration_policy: ReconfigurationPolicy::Equal,
            executor_heartbeat_interval: Duration::from_mins(30),
            stream_heartbeat_interval: Duration::from_secs(30),
            max_completed_executors_per_framework: 150,
            gc_delay: Duration::from_hours(7 * 24),
            gc_disk_headroom: 0.1,
            disk_watch_interval: Duration::from_mins(1),
            fetcher_stall_timeout: Duration::from_mins(1),
            fetcher_cache_size: 2 << 30,
            fetcher_cache_dir: None,
            fetcher_max_bytes: 64 << 30,
            max_log_bytes: 0,
            max_log_files: 2,
            isolation: Vec::new(),
            limits: LimitOptions::default(),
            effective_capabilities: None,
            bounding_capabilities: None,
            default_container_shm_size: None,
            unshared: Vec::new(),
            seccomp_config_dir: None,
            seccomp_profile_name: None,
            docker: None,
            images: None,
            networks: None,
            oci_runtimes: BTreeMap::new(),
            flags: BTreeMap::new(),
            logging: None,
            warden_program: None,
        }
    }
}
