//! What this host has for virtual machines.

use crate::guest::{Acceleration, Monitor};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

/// Who executes the instructions of guests here. `/dev/kvm` alone does not say it: where the host is itself a virtual
/// machine something else can be behind it, under which ordinary kernels hang.
pub fn acceleration() -> Acceleration {
    let device = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    let vendors = ["/sys/module/kvm_intel", "/sys/module/kvm_amd"];
    let by_processor =
        cfg!(target_arch = "aarch64") || vendors.iter().any(|vendor| Path::new(vendor).exists());
    if device.is_ok() && by_processor {
        Acceleration::Kvm
    } else {
        Acceleration::Emulated
    }
}

/// Where a monitor is, among the usual folders.
pub fn find(monitor: Monitor) -> Option<PathBuf> {
    let name = match monitor {
        Monitor::Qemu => "qemu-system-x86_64",
        other => other.name(),
    };
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(name));
    paths.find(|path| path.is_file())
}
