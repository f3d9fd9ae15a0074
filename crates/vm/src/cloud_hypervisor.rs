//! The command line of Cloud Hypervisor.
//!
//! Its guests have no network here: that needs a device of the host's, which nobody makes yet.

use crate::guest::{DiskAccess, Guest, GuestError};
use crate::invocation::{Control, Invocation, option_path, plain_path, refuse_extras};
use std::path::Path;

/// `SIGTERM`: it ends, and its guest with it.
const END: i32 = 15;

pub(crate) fn invocation(guest: &Guest, program: &Path) -> Result<Invocation, GuestError> {
    refuse_extras(guest)?;
    if !guest.environment.is_empty() {
        return Err(GuestError::NotOf {
            monitor: guest.monitor.name(),
            what: "hand the task's environment on",
        });
    }
    let kernel = guest.kernel.as_deref().ok_or(GuestError::NothingToBoot)?;
    let mut words = vec![
        "--kernel".to_owned(),
        plain_path(kernel)?,
        "--cpus".to_owned(),
        format!("boot={}", guest.processors),
        "--memory".to_owned(),
        format!("size={}M", guest.memory_mib),
        "--serial".to_owned(),
        "tty".to_owned(),
        "--console".to_owned(),
        "off".to_owned(),
        "--seccomp".to_owned(),
        "true".to_owned(),
    ];
    if !guest.command_line.is_empty() {
        words.extend(["--cmdline".to_owned(), guest.command_line.clone()]);
    }
    if let Some(initrd) = &guest.initrd {
        words.extend(["--initramfs".to_owned(), plain_path(initrd)?]);
    }
    if !guest.disks.is_empty() {
        words.push("--disk".to_owned());
    }
    for disk in &guest.disks {
        let read_only = match disk.access {
            DiskAccess::ReadWrite => "off",
            DiskAccess::ReadOnly => "on",
        };
        words.push(format!(
            "path={},readonly={read_only}",
            option_path(&disk.path)?
        ));
    }
    Ok(Invocation {
        program: program.to_owned(),
        arguments: words,
        files: Vec::new(),
        control: Control::Signal(END),
    })
}
