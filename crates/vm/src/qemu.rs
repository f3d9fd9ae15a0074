//! The command line of qemu.
//!
//! Nothing is there that was not asked for: no defaults, no configuration of the host's user, no display. The console is
//! the serial line, on the standard output. Ports are forwarded by qemu's own network, which needs no privilege.

use crate::guest::{Acceleration, Disk, DiskAccess, Guest, GuestError, Machine};
use crate::invocation::{Control, File, Invocation, Places, option_path, plain_path};
use std::path::Path;

/// Where the file with the guest's environment is.
const ENVIRONMENT: &str = "environment";
/// The port to whose writes qemu ends; see `ending`.
const EXIT_PORT: &str = "isa-debug-exit,iobase=0xf4,iosize=0x04";

pub(crate) fn invocation(
    guest: &Guest,
    program: &Path,
    places: Places<'_>,
) -> Result<Invocation, GuestError> {
    let mut words: Vec<String> = ["-nodefaults", "-no-user-config", "-display", "none"]
        .map(str::to_owned)
        .to_vec();
    let mut add = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
    add(&["-machine", machine(guest.machine)]);
    add(match guest.acceleration {
        Acceleration::Kvm => &["-accel", "kvm", "-cpu", "host"],
        Acceleration::Emulated => &["-accel", "tcg", "-cpu", "max"],
    });
    add(&["-smp", &guest.processors.to_string()]);
    add(&["-m", &format!("{}M", guest.memory_mib)]);
    // A reset ends it: the guest's kernel may know no other way.
    add(&["-no-reboot", "-device", EXIT_PORT]);
    if guest.machine == Machine::Q35 {
        add(&["-device", "pvpanic"]);
    }
    add(&["-chardev", "stdio,id=console,signal=off"]);
    add(&["-serial", "chardev:console"]);
    boot(guest, &mut words)?;
    for (index, disk) in guest.disks.iter().enumerate() {
        self::disk(guest.machine, index, disk, &mut words)?;
    }
    network(guest, &mut words);
    if let Some(folder) = &guest.shared {
        share(guest.machine, option_path(folder)?, &mut words);
    }
    let mut files = Vec::new();
    if !guest.environment.is_empty() {
        let path = places.folder.join(ENVIRONMENT);
        let option = format!("name=opt/mezz/environment,file={}", option_path(&path)?);
        words.extend(["-fw_cfg".to_owned(), option]);
        files.push(File {
            name: ENVIRONMENT,
            text: guest.environment.join("\n") + "\n",
        });
    }
    confinement(guest, &mut words);
    Ok(Invocation {
        program: program.to_owned(),
        arguments: words,
        files,
        control: Control::Qmp,
    })
}

fn machine(machine: Machine) -> &'static str {
    match machine {
        Machine::Q35 => "q35,vmport=off",
        Machine::Micro => "microvm,acpi=on,rtc=on,isa-serial=on",
    }
}

fn boot(guest: &Guest, words: &mut Vec<String>) -> Result<(), GuestError> {
    let Some(kernel) = &guest.kernel else {
        return Ok(());
    };
    words.extend(["-kernel".to_owned(), plain_path(kernel)?]);
    if let Some(initrd) = &guest.initrd {
        // Kernels that take several modules have them in a list.
        words.extend(["-initrd".to_owned(), option_path(initrd)?.to_owned()]);
    }
    if !guest.command_line.is_empty() {
        words.extend(["-append".to_owned(), guest.command_line.clone()]);
    }
    Ok(())
}

fn disk(
    machine: Machine,
    index: usize,
    disk: &Disk,
    words: &mut Vec<String>,
) -> Result<(), GuestError> {
    let path = option_path(&disk.path)?;
    let read_only = match disk.access {
        DiskAccess::ReadWrite => "off",
        DiskAccess::ReadOnly => "on",
    };
    // Raw, whatever it holds: other formats can name files of the host.
    let drive =
        format!("id=disk{index},file={path},format=raw,if=none,cache=none,read-only={read_only}");
    let device = format!("{},drive=disk{index}", virtio(machine, "blk"));
    words.extend(["-drive".to_owned(), drive, "-device".to_owned(), device]);
    Ok(())
}

fn virtio(machine: Machine, kind: &str) -> String {
    match machine {
        Machine::Q35 => format!("virtio-{kind}-pci"),
        Machine::Micro => format!("virtio-{kind}-device"),
    }
}

fn network(guest: &Guest, words: &mut Vec<String>) {
    let mut netdev = "user,id=net0".to_owned();
    for forward in &guest.forwards {
        let address = match forward.address {
            address if address.is_unspecified() => String::new(),
            address => address.to_string(),
        };
        let (protocol, host) = (forward.protocol.name(), forward.host);
        let rule = format!(
            ",hostfwd={protocol}:{address}:{host}-:{guest}",
            guest = forward.guest
        );
        netdev.push_str(&rule);
    }
    let mut device = format!("{},netdev=net0", virtio(guest.machine, "net"));
    if guest.machine == Machine::Q35 {
        // Nothing boots from there, and not every host has the file.
        device.push_str(",romfile=");
    }
    words.extend(["-netdev".to_owned(), netdev, "-device".to_owned(), device]);
}

fn share(machine: Machine, folder: &str, words: &mut Vec<String>) {
    // Owners and modes are kept aside: a guest can make nobody's set-user-id program on the host.
    let device = format!("local,id=sandbox,path={folder},security_model=mapped-xattr");
    let mount = format!("{},fsdev=sandbox,mount_tag=sandbox", virtio(machine, "9p"));
    words.extend(["-fsdev".to_owned(), device, "-device".to_owned(), mount]);
}

fn confinement(guest: &Guest, words: &mut Vec<String>) {
    let mut denied = "on,obsolete=deny,spawn=deny,resourcecontrol=deny".to_owned();
    match guest.user {
        Some((uid, gid)) => words.extend(["-runas".to_owned(), format!("{uid}:{gid}")]),
        // Denied, it could not become that user either.
        None => denied.push_str(",elevateprivileges=deny"),
    }
    words.extend(["-sandbox".to_owned(), denied]);
}
