//! What a container may use, in words that hold for both versions of cgroups.
//!
//! Owns Mesos's rules from resources to limits. Must never know files or directories.

use crate::devices::{DeviceList, DeviceNumber};
use std::collections::BTreeMap;
use std::fmt;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// So many times 1,048,576 bytes.
    pub const fn mib(count: u64) -> Self {
        Self(count.saturating_mul(1 << 20))
    }

    /// A quantity of `mem` in thousandths of a megabyte; Mesos drops what is less than a whole one.
    pub const fn of_mem(thousandths: u64) -> Self {
        Self::mib(thousandths / 1000)
    }
}

impl fmt::Display for Bytes {
    /// In the greatest unit that divides it, as Mesos writes sizes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: &[(u64, &str)] = &[
            (1 << 40, "TB"),
            (1 << 30, "GB"),
            (1 << 20, "MB"),
            (1 << 10, "KB"),
        ];
        let unit = UNITS
            .iter()
            .find(|(unit, _)| self.0 != 0 && self.0.is_multiple_of(*unit));
        match unit {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// Thousandths of a processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MilliCpus(pub u64);

/// Something that may have no upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ceiling<T> {
    /// No more than this.
    At(T),
    /// As much as there is.
    Infinite,
}

/// Whose processor time gives way first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Its shares follow its request.
    #[default]
    Regular,
    /// Revocable processors: about a hundredth of that.
    Revocable,
}

/// Processor time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// What it gets when all want more than there is.
    pub request: MilliCpus,
    /// Whether that counts fully.
    pub standing: Standing,
    /// What it gets at most; `None` leaves the kernel's quota alone.
    pub quota: Option<Ceiling<MilliCpus>>,
    /// What it may have saved up of earlier periods, in microseconds.
    pub burst_us: u64,
}

/// The period over which a quota is measured.
pub const PERIOD_US: u64 = 100_000;
const LEAST_QUOTA_US: u64 = 1_000;
const LEAST_SHARES: u64 = 2;
const MOST_SHARES: u64 = 262_144;
const MOST_WEIGHT: u64 = 10_000;

impl Cpu {
    /// Mesos's rule: the limit of the task is the quota, else the request if quotas are on (`--cgroups_enable_cfs`).
    pub fn of_task(
        request: MilliCpus,
        limit: Option<Ceiling<MilliCpus>>,
        quotas: bool,
        standing: Standing,
    ) -> Self {
        Self {
            request,
            standing,
            quota: limit.or_else(|| quotas.then_some(Ceiling::At(request))),
            burst_us: 0,
        }
    }

    /// `cpu.shares`: 1,024 a processor, 10 if revocable.
    pub fn shares(&self) -> u64 {
        let each = match self.standing {
            Standing::Regular => 1024,
            Standing::Revocable => 10,
        };
        (self.request.0.saturating_mul(each) / 1000).clamp(LEAST_SHARES, MOST_SHARES)
    }

    /// `cpu.weight`: 100 a processor, 1 if revocable.
    pub fn weight(&self) -> u64 {
        let each = match self.standing {
            Standing::Regular => 100,
            Standing::Revocable => 1,
        };
        (self.request.0.saturating_mul(each) / 1000).clamp(1, MOST_WEIGHT)
    }

    /// Microseconds of processor time a period; `None` leaves the kernel's setting alone.
    pub fn quota_us(&self) -> Option<Ceiling<u64>> {
        self.quota.map(|quota| match quota {
            Ceiling::At(MilliCpus(milli)) => {
                Ceiling::At((milli.saturating_mul(PERIOD_US) / 1000).max(LEAST_QUOTA_US))
            }
            Ceiling::Infinite => Ceiling::Infinite,
        })
    }
}

/// Which processors and memory nodes, as the kernel's lists (`0-3,8`); empty means those of the group above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpuset {
    /// `cpuset.cpus`
    pub cpus: String,
    /// `cpuset.mems`
    pub mems: String,
}

/// Whether memory may be swapped out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Swap {
    /// Nothing is said about swap.
    #[default]
    Free,
    /// At most this much beyond memory; 0 is Mesos's `--cgroups_limit_swap`.
    AtMost(Bytes),
}

/// Who dies when memory runs out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OomScope {
    /// The process that the kernel picks.
    #[default]
    Process,
    /// All of the group at once, where the kernel can (version 2).
    Group,
}

/// Memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What it is left when memory is short.
    pub soft: Bytes,
    /// What it gets at most.
    pub hard: Ceiling<Bytes>,
    /// Beyond that.
    pub swap: Swap,
    /// What happens at the end of it.
    pub oom: OomScope,
}

/// What a group gets at least.
pub const LEAST_MEMORY: Bytes = Bytes::mib(32);

impl Memory {
    /// Mesos's rule: the request is the soft limit, the limit of the task the hard one, else the request too; none is
    /// below 32 MB.
    pub fn of_task(request: Bytes, limit: Option<Ceiling<Bytes>>, swap: Swap) -> Self {
        let soft = request.max(LEAST_MEMORY);
        let hard = match limit {
            Some(Ceiling::Infinite) => Ceiling::Infinite,
            Some(Ceiling::At(limit)) => Ceiling::At(limit.max(LEAST_MEMORY)),
            None => Ceiling::At(soft),
        };
        Self {
            soft,
            hard,
            swap,
            oom: OomScope::Process,
        }
    }

    /// Memory and swap together, as version 1 counts; `None` if swap is free.
    pub(crate) fn with_swap(&self) -> Option<Ceiling<Bytes>> {
        match (self.swap, self.hard) {
            (Swap::Free, _) => None,
            (Swap::AtMost(_), Ceiling::Infinite) => Some(Ceiling::Infinite),
            (Swap::AtMost(more), Ceiling::At(hard)) => {
                Some(Ceiling::At(Bytes(hard.0.saturating_add(more.0))))
            }
        }
    }
}

/// Bytes and operations a second of one block device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttle {
    /// Bytes read.
    pub read_bytes: Option<u64>,
    /// Bytes written.
    pub write_bytes: Option<u64>,
    /// Reads.
    pub read_operations: Option<u64>,
    /// Writes.
    pub write_operations: Option<u64>,
}

/// Block devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Io {
    /// 1 to 10,000; 100 is the kernel's own.
    pub weight: Option<u16>,
    /// What each device may be used; one without any bound lifts those that were.
    pub throttles: BTreeMap<DeviceNumber, Throttle>,
}

/// What a container may use; what is `None` is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Processor time.
    pub cpu: Option<Cpu>,
    /// Which processors.
    pub cpuset: Option<Cpuset>,
    /// Memory.
    pub memory: Option<Memory>,
    /// Processes and threads.
    pub pids: Option<Ceiling<u64>>,
    /// Block devices.
    pub io: Io,
    /// The only device files that can be used.
    pub devices: Option<DeviceList>,
    /// Bytes of huge pages, by the size of the page as the kernel writes it (`2MB`).
    pub hugetlb: BTreeMap<String, Ceiling<Bytes>>,
    /// The mark on its packets.
    pub net_cls: Option<u32>,
}

/// The score by which the kernel picks whom to kill when the host's memory runs out: a task that uses more than its
/// request comes first. Only tasks that may use more than their request get one.
pub fn oom_score_adj(memory: &Memory, host: Bytes) -> Option<u16> {
    let burstable = match memory.hard {
        Ceiling::Infinite => true,
        Ceiling::At(hard) => memory.soft < hard,
    };
    if !burstable || host.0 == 0 {
        return None;
    }
    let asked = u128::from(memory.soft.0) * 1000 / u128::from(host.0);
    u16::try_from(1000u128.saturating_sub(asked)).ok()
}
