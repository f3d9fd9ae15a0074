//! A virtual machine as it is wanted, and what monitors can do of it.
//!
//! Owns the input types; paths in it are those of the host, and were found not to lead out of the sandbox.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// What a machine needs of its task's memory beside what its guest gets: the monitor itself, tables, devices.
pub const MACHINE_OVERHEAD_MIB: u64 = 64;
/// Less than any kernel that is of use.
const LEAST_MIB: u64 = 16;

/// A virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// What runs it.
    pub monitor: Monitor,
    /// What it looks like from inside.
    pub machine: Machine,
    /// Who executes its instructions.
    pub acceleration: Acceleration,
    /// What it boots; without one it boots from its first disk, as a computer does.
    pub kernel: Option<PathBuf>,
    /// What the kernel finds in memory.
    pub initrd: Option<PathBuf>,
    /// What the kernel is told.
    pub command_line: String,
    /// Disks in the order in which the guest finds them.
    pub disks: Vec<Disk>,
    /// How many processors it has.
    pub processors: u32,
    /// Its memory.
    pub memory_mib: u64,
    /// Ports of the host that lead into it.
    pub forwards: Vec<Forward>,
    /// A folder of the host that the guest can mount by 9p, by the tag `sandbox`.
    pub shared: Option<PathBuf>,
    /// `NAME=value`, which the guest can read from its firmware's `opt/mezz/environment`.
    pub environment: Vec<String>,
    /// The user and group that the monitor becomes, if not its caller's.
    pub user: Option<(u32, u32)>,
}

/// What runs virtual machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Monitor {
    /// qemu, with or without the processor's help.
    #[default]
    Qemu,
    /// Firecracker.
    Firecracker,
    /// Cloud Hypervisor.
    CloudHypervisor,
}

impl Monitor {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Qemu, Self::Firecracker, Self::CloudHypervisor];

    /// Its name, as tasks and flags have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Firecracker => "firecracker",
            Self::CloudHypervisor => "cloud-hypervisor",
        }
    }
}

/// What a machine looks like from inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Machine {
    /// A computer with PCI and ACPI.
    #[default]
    Q35,
    /// As little as a kernel needs: no PCI, virtio by memory.
    Micro,
}

impl Machine {
    /// The name of qemu's model.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q35 => "q35",
            Self::Micro => "microvm",
        }
    }
}

/// Who executes a guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceleration {
    /// The processor itself, by `/dev/kvm`.
    Kvm,
    /// Software.
    Emulated,
}

/// A disk, raw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The file that holds it.
    pub path: PathBuf,
    /// Whether it can be changed.
    pub access: DiskAccess,
}

/// Whether a disk can be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskAccess {
    /// It can.
    #[default]
    ReadWrite,
    /// It cannot.
    ReadOnly,
}

/// A port of the host that leads into the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Of which protocol.
    pub protocol: Protocol,
    /// The host's address.
    pub address: IpAddr,
    /// The host's port.
    pub host: u16,
    /// The guest's port.
    pub guest: u16,
}

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Protocol {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Why a machine cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// Nothing to boot.
    #[error("a virtual machine needs a kernel in command.value, or a disk to boot from")]
    NothingToBoot,
    /// Too little memory.
    #[error(
        "mem is {mib} MiB: a virtual machine needs at least {least} MiB, {overhead} of them for the machine itself"
    )]
    Memory {
        /// What the task has.
        mib: u64,
        /// What it needs.
        least: u64,
        /// The machine's own part.
        overhead: u64,
    },
    /// This monitor has no such thing.
    #[error("{monitor} cannot {what}; use the monitor qemu")]
    NotOf {
        /// Which monitor.
        monitor: &'static str,
        /// What it cannot.
        what: &'static str,
    },
    /// Monitors without emulation need the processor's help.
    #[error("{monitor} needs /dev/kvm with the support of the processor, which this host has not")]
    NoKvm {
        /// Which monitor.
        monitor: &'static str,
    },
    /// A path that cannot be said.
    #[error("the path {path:?} holds a comma or is not UTF-8, which monitors cannot take")]
    Path {
        /// The path.
        path: String,
    },
}

/// What a guest gets of its task's memory.
pub fn guest_memory_mib(mib: u64) -> Result<u64, GuestError> {
    let least = MACHINE_OVERHEAD_MIB + LEAST_MIB;
    if mib < least {
        return Err(GuestError::Memory {
            mib,
            least,
            overhead: MACHINE_OVERHEAD_MIB,
        });
    }
    Ok(mib - MACHINE_OVERHEAD_MIB)
}

/// How many processors a guest has whose task has so many thousandths of one.
pub fn processors(millis: u64) -> u32 {
    u32::try_from(millis.div_ceil(1000))
        .unwrap_or(u32::MAX)
        .clamp(1, 255)
}
