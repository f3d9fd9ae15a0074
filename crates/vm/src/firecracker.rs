//! The command line and the configuration of Firecracker.
//!
//! Its guests have no network here: that needs a device of the host's, which nobody makes yet.

use crate::guest::{DiskAccess, Guest, GuestError};
use crate::invocation::{Control, File, Invocation, Places, plain_path, refuse_extras};
use serde_json::{Value, json};
use std::path::Path;

const CONFIG: &str = "firecracker.json";
/// `SIGTERM`: it ends, and its guest with it.
const END: i32 = 15;

pub(crate) fn invocation(
    guest: &Guest,
    program: &Path,
    places: Places<'_>,
) -> Result<Invocation, GuestError> {
    refuse_extras(guest)?;
    if !guest.environment.is_empty() {
        return Err(GuestError::NotOf {
            monitor: guest.monitor.name(),
            what: "hand the task's environment on",
        });
    }
    let kernel = guest.kernel.as_deref().ok_or(GuestError::NothingToBoot)?;
    let mut boot =
        json!({ "kernel_image_path": plain_path(kernel)?, "boot_args": guest.command_line });
    if let Some(initrd) = &guest.initrd {
        boot["initrd_path"] = json!(plain_path(initrd)?);
    }
    let mut drives = Vec::new();
    for (index, disk) in guest.disks.iter().enumerate() {
        drives.push(json!({
            "drive_id": format!("disk{index}"),
            "path_on_host": plain_path(&disk.path)?,
            // The kernel's command line names the root, as with other monitors.
            "is_root_device": false,
            "is_read_only": disk.access == DiskAccess::ReadOnly,
        }));
    }
    let config: Value = json!({
        "boot-source": boot,
        "drives": drives,
        "machine-config": { "vcpu_count": guest.processors, "mem_size_mib": guest.memory_mib },
    });
    let arguments = [
        "--no-api".to_owned(),
        "--config-file".to_owned(),
        plain_path(&places.folder.join(CONFIG))?,
    ];
    Ok(Invocation {
        program: program.to_owned(),
        arguments: arguments.to_vec(),
        files: vec![File {
            name: CONFIG,
            text: config.to_string(),
        }],
        control: Control::Signal(END),
    })
}
