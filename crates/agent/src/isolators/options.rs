//! What an operator chooses of limits; defaults are Mesos's.

use std::path::PathBuf;
use std::time::Duration;

use mezz_cgroup::Controller;

pub use mezz_cgroup::Access as DeviceAccess;

/// How containers are held to what they may use.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitOptions {
    /// Below what all hierarchies of cgroups are mounted.
    pub cgroups_hierarchy: PathBuf,
    /// The group in them in which this agent's groups lie.
    pub cgroups_root: String,
    /// Whether a request for processors is also the most that is given.
    pub cpus: CpuQuota,
    /// Whether swap counts as memory.
    pub swap: SwapUse,
    /// Whether statistics count processes.
    pub processes: ProcessCount,
    /// The most processes and threads of a container.
    pub most_processes: Option<u64>,
    /// Device files that containers may use beside the usual ones.
    pub allowed_devices: Vec<AllowedDevice>,
    /// What follows when a sandbox outgrows its disk.
    pub disk: Enforcement,
    /// How often each sandbox is measured.
    pub disk_interval: Duration,
    /// What follows when a task listens where it may not.
    pub ports: Enforcement,
    /// How often that is looked at.
    pub ports_interval: Duration,
    /// Which ports that is about.
    pub guarded_ports: GuardedPorts,
}

impl Default for LimitOptions {
    fn default() -> Self {
        Self {
            cgroups_hierarchy: PathBuf::from("/sys/fs/cgroup"),
            cgroups_root: "mesos".to_owned(),
            cpus: CpuQuota::OfLimits,
            swap: SwapUse::Free,
            processes: ProcessCount::Off,
            most_processes: None,
            allowed_devices: Vec::new(),
            disk: Enforcement::Measured,
            disk_interval: Duration::from_secs(15),
            ports: Enforcement::Measured,
            ports_interval: Duration::from_secs(30),
            guarded_ports: GuardedPorts::All,
        }
    }
}

/// When processor time is capped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuQuota {
    /// Only for tasks with a limit of their own.
    OfLimits,
    /// For all: without a limit at the request (`--cgroups_enable_cfs`).
    Always,
}

/// Whether memory may be swapped out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapUse {
    /// Nothing is said about it.
    Free,
    /// Not beyond the limit of memory (`--cgroups_limit_swap`).
    Limited,
}

/// Whether processes are counted, at as much work as there are processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessCount {
    /// They are not.
    Off,
    /// They are.
    On,
}

/// What is done about those who exceed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// It is measured and told.
    Measured,
    /// They are ended.
    Enforced,
}

/// A device file and what may be done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedDevice {
    /// The file on the agent's host.
    pub path: PathBuf,
    /// What may be done.
    pub access: DeviceAccess,
}

/// Ports on which only those may listen who have them among their resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardedPorts {
    /// All.
    All,
    /// Those that the agent offers.
    Offered,
    /// These, both ends included.
    Ranges(Vec<(u64, u64)>),
}

/// What `cgroups/NAME` isolates with.
pub(crate) fn controller(name: &str) -> Option<Controller> {
    Some(match name {
        "cpu" => Controller::Cpu,
        "cpuset" => Controller::Cpuset,
        "mem" => Controller::Memory,
        "pids" => Controller::Pids,
        "blkio" => Controller::Io,
        "devices" => Controller::Devices,
        "hugetlb" => Controller::Hugetlb,
        "net_cls" => Controller::NetCls,
        "net_prio" => Controller::NetPrio,
        "perf_event" => Controller::PerfEvent,
        _ => return None,
    })
}
