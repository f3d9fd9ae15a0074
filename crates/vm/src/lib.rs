//! Virtual machines as containers: a kernel, or a unikernel, as a task whose output is its serial console.
//!
//! Modules without I/O turn what a task wants ([`Guest`]) into the command lines of monitors: qemu, Firecracker and
//! Cloud Hypervisor. The shell around them is small: [`host`] looks for the processor's help, and [`stand_in`] is the
//! process of the host that stands for a machine. It must never decide what a guest may have.

mod cloud_hypervisor;
mod ending;
mod firecracker;
mod guest;
pub mod host;
mod invocation;
mod labels;
mod qemu;
mod qmp;
mod stand_in;

pub use ending::{Ended, NOT_STARTED, PANICKED, Seen, exit_code};
pub use guest::{
    Acceleration, Disk, DiskAccess, Forward, Guest, GuestError, MACHINE_OVERHEAD_MIB, Machine,
    Monitor, Protocol, guest_memory_mib, processors,
};
pub use invocation::{Control, File, Invocation, Places, Programs, invocation};
pub use labels::{LABEL_PREFIX, LabelError, Wishes};
pub use qmp::{Told, read as read_qmp};
pub use stand_in::{StandIn, run as stand_in};
