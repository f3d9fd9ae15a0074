//! The controllers of the kernel and their names in both versions.
//!
//! Must never know where a hierarchy is mounted.

use std::fmt;

/// What the kernel can limit or count for a group of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Shares and quota of processor time.
    Cpu,
    /// Processor time used; a part of every group in version 2.
    Cpuacct,
    /// Which processors and memory nodes.
    Cpuset,
    /// Memory and swap.
    Memory,
    /// How many processes and threads.
    Pids,
    /// Block devices: `blkio` in version 1.
    Io,
    /// Which device files; a program of the kernel's virtual machine in version 2.
    Devices,
    /// Stops whole trees; a part of every group in version 2.
    Freezer,
    /// Huge pages.
    Hugetlb,
    /// A mark on network packets; version 1 only.
    NetCls,
    /// A priority of network packets; version 1 only.
    NetPrio,
    /// Lets performance counters name a group.
    PerfEvent,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Cpu,
        Self::Cpuacct,
        Self::Cpuset,
        Self::Memory,
        Self::Pids,
        Self::Io,
        Self::Devices,
        Self::Freezer,
        Self::Hugetlb,
        Self::NetCls,
        Self::NetPrio,
        Self::PerfEvent,
    ];

    /// Its name in mount options and in `/proc/cgroups`.
    pub fn v1_name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Io => "blkio",
            Self::Devices => "devices",
            Self::Freezer => "freezer",
            Self::Hugetlb => "hugetlb",
            Self::NetCls => "net_cls",
            Self::NetPrio => "net_prio",
            Self::PerfEvent => "perf_event",
        }
    }

    /// What it has in version 2.
    pub fn v2(self) -> InV2 {
        match self {
            Self::Cpu => InV2::Listed("cpu"),
            Self::Cpuset => InV2::Listed("cpuset"),
            Self::Memory => InV2::Listed("memory"),
            Self::Pids => InV2::Listed("pids"),
            Self::Io => InV2::Listed("io"),
            Self::Hugetlb => InV2::Listed("hugetlb"),
            Self::Cpuacct | Self::Freezer | Self::Devices | Self::PerfEvent => InV2::Always,
            Self::NetCls | Self::NetPrio => InV2::Never,
        }
    }

    /// The controller of this name in version 1.
    pub fn from_v1_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.v1_name() == name)
    }

    /// The controller of this name in `cgroup.controllers`.
    pub fn from_v2_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|each| matches!(each.v2(), InV2::Listed(listed) if listed == name))
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.v1_name())
    }
}

/// How a controller appears in version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InV2 {
    /// By this name in `cgroup.controllers`, and to be enabled from the top down.
    Listed(&'static str),
    /// In every group, without being enabled.
    Always,
    /// Not at all.
    Never,
}
