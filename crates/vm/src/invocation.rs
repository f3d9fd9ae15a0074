//! The program that runs a machine, with its arguments and the files that it reads.
//!
//! Owns what all monitors share; must never touch the host.

use crate::guest::{Acceleration, Guest, GuestError, Monitor};
use crate::{cloud_hypervisor, firecracker, qemu};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where each monitor is on a host.
pub type Programs = BTreeMap<Monitor, PathBuf>;

/// Folders of a machine's own.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Where its [`File`]s are written before it is started; nobody else may look into it.
    pub folder: &'a Path,
}

/// What is run for a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The monitor.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub arguments: Vec<String>,
    /// What must lie in the machine's folder before.
    pub files: Vec<File>,
    /// How it is asked to end.
    pub control: Control,
}

/// A file for a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name in the machine's folder.
    pub name: &'static str,
    /// What it holds.
    pub text: String,
}

/// How a monitor is asked to press the guest's power button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// By qemu's protocol, over a socket that it inherits.
    Qmp,
    /// By this signal to the monitor, which then ends the guest.
    Signal(i32),
}

/// What is run for this guest. The monitor is found among `programs`, and is looked for by name otherwise.
pub fn invocation(
    guest: &Guest,
    program: &Path,
    places: Places<'_>,
) -> Result<Invocation, GuestError> {
    if guest.kernel.is_none() && guest.disks.is_empty() {
        return Err(GuestError::NothingToBoot);
    }
    let monitor = guest.monitor;
    if monitor != Monitor::Qemu && guest.acceleration == Acceleration::Emulated {
        let monitor = monitor.name();
        return Err(GuestError::NoKvm { monitor });
    }
    match monitor {
        Monitor::Qemu => qemu::invocation(guest, program, places),
        Monitor::Firecracker => firecracker::invocation(guest, program, places),
        Monitor::CloudHypervisor => cloud_hypervisor::invocation(guest, program),
    }
}

/// What only qemu has.
pub(crate) fn refuse_extras(guest: &Guest) -> Result<(), GuestError> {
    let monitor = guest.monitor.name();
    let wanted = [
        (
            !guest.forwards.is_empty(),
            "forward ports without a network of the host's own",
        ),
        (guest.shared.is_some(), "share the sandbox"),
        (
            guest.user.is_some(),
            "run as the task's user by itself, without its jailer",
        ),
        (
            guest.kernel.is_none(),
            "boot from a disk without a kernel of its own",
        ),
    ];
    match wanted.iter().find(|(wanted, _)| *wanted) {
        Some((_, what)) => Err(GuestError::NotOf { monitor, what }),
        None => Ok(()),
    }
}

/// A path as a part of an option whose parts are separated by commas.
pub(crate) fn option_path(path: &Path) -> Result<&str, GuestError> {
    path.to_str()
        .filter(|text| !text.contains(','))
        .ok_or_else(|| GuestError::Path {
            path: path.display().to_string(),
        })
}

/// A path as an argument of its own.
pub(crate) fn plain_path(path: &Path) -> Result<String, GuestError> {
    let text = path.to_str().ok_or_else(|| GuestError::Path {
        path: path.display().to_string(),
    })?;
    Ok(text.to_owned())
}
