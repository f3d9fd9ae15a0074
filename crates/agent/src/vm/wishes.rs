//! From a launch to the machine that it wants.
//!
//! Must never take a path of the task's without having looked where it leads.

use std::io;
use std::path::{Path, PathBuf};

use mezz_agent_core::{Command, Launch};
use mezz_proto::v1::{ContainerInfo, container_info};
use mezz_vm::{Disk, Forward, Guest, Protocol, Wishes, guest_memory_mib, processors};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};

use super::{Settings, VmError};
use crate::preparing::Wanted;

/// More than anybody maps by hand.
const MOST_PORTS: usize = 64;

pub(super) fn guest(wanted: &Wanted, settings: &Settings) -> Result<Guest, VmError> {
    let launch = &wanted.launch;
    let container = launch.surroundings.container.as_deref();
    if let Some(field) = container.and_then(not_for_machines) {
        return Err(VmError::NotForMachines { field });
    }
    let labels = launch.surroundings.labels.iter();
    let wishes = Wishes::read(labels.map(|(name, value)| (&**name, &**value)))?;
    let (kernel, command_line) = command(&launch.command)?;
    let file = |field, path: &Path| file(&wanted.sandbox, field, path);
    let kernel = kernel.map(|path| file("command.value", path)).transpose()?;
    let initrd = wishes.initrd.as_deref();
    let disks = wishes.disks.iter().map(|(path, access)| {
        Ok(Disk {
            path: file("label mezzanine.vm.disks", path)?,
            access: *access,
        })
    });
    Ok(Guest {
        monitor: wishes.monitor,
        machine: wishes.machine,
        acceleration: settings.acceleration,
        kernel,
        initrd: initrd
            .map(|path| file("label mezzanine.vm.initrd", path))
            .transpose()?,
        command_line,
        disks: disks.collect::<Result<_, VmError>>()?,
        processors: processors(thousandths(launch.allotment.cpus)),
        memory_mib: guest_memory_mib(thousandths(launch.allotment.mem) / 1000)?,
        forwards: forwards(launch, container, settings)?,
        shared: wishes.shares_sandbox.then(|| wanted.sandbox.clone()),
        environment: environment(launch, wishes.monitor),
        user: wanted.owner.as_ref().map(|owner| (owner.uid, owner.gid)),
    })
}

/// What a guest has no part in must not be passed over.
fn not_for_machines(container: &ContainerInfo) -> Option<&'static str> {
    let image = container
        .mesos
        .as_ref()
        .is_some_and(|mesos| mesos.image.is_some());
    let named = container
        .network_infos
        .iter()
        .any(|network| network.name.is_some());
    let docker = container.r#type() == container_info::Type::Docker;
    let wanted = [
        (docker || container.docker.is_some(), "container.docker"),
        (image, "container.mesos.image"),
        (named, "container.network_infos.name"),
        (!container.volumes.is_empty(), "container.volumes"),
        (container.linux_info.is_some(), "container.linux_info"),
        (container.rlimit_info.is_some(), "container.rlimit_info"),
        (container.tty_info.is_some(), "container.tty_info"),
        (container.hostname.is_some(), "container.hostname"),
    ];
    let mut found = wanted.into_iter().filter(|(wanted, _)| *wanted);
    found.next().map(|(_, field)| field)
}

/// The kernel, and what it is told: the first argument is its name, as of any program.
fn command(command: &Command) -> Result<(Option<&Path>, String), VmError> {
    match command {
        Command::Shell(_) => Err(VmError::Shell),
        Command::Argv { program, argv } => {
            let kernel = (!program.is_empty()).then(|| Path::new(program.as_str()));
            let words: Vec<&str> = argv.iter().skip(1).map(String::as_str).collect();
            Ok((kernel, words.join(" ")))
        }
    }
}

/// Where a file of the sandbox is in truth. Links are followed as long as they stay within.
fn file(sandbox: &Path, field: &'static str, path: &Path) -> Result<PathBuf, VmError> {
    find(sandbox, path).map_err(|source| VmError::File {
        field,
        path: path.display().to_string(),
        source,
    })
}

fn find(sandbox: &Path, path: &Path) -> io::Result<PathBuf> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let root = rustix::fs::open(sandbox, flags, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let found = openat2(
        &root,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )?;
    if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // Nobody else writes into the sandbox before the task has started: the links on the way stay as they are.
    let canonical = sandbox.join(path).canonicalize()?;
    if canonical.starts_with(sandbox.canonicalize()?) {
        Ok(canonical)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// Mapped ports, or all ports of the task as they are.
fn forwards(
    launch: &Launch,
    container: Option<&ContainerInfo>,
    settings: &Settings,
) -> Result<Vec<Forward>, VmError> {
    let networks = container
        .into_iter()
        .flat_map(|container| &container.network_infos);
    let mut mappings = networks
        .flat_map(|network| &network.port_mappings)
        .peekable();
    let mut forwards = Vec::new();
    if mappings.peek().is_some() {
        for mapping in mappings {
            let protocol = match mapping.protocol.as_deref() {
                None | Some("tcp") => Protocol::Tcp,
                Some("udp") => Protocol::Udp,
                Some(other) => {
                    let protocol = other.to_owned();
                    return Err(VmError::Protocol { protocol });
                }
            };
            forwards.push(Forward {
                protocol,
                address: settings.address,
                host: port(mapping.host_port)?,
                guest: port(mapping.container_port)?,
            });
        }
    } else {
        let ranges = launch.allotment.ports.iter();
        let numbers = ranges.flat_map(|range| range.begin..=range.end);
        for number in numbers.take(MOST_PORTS + 1) {
            let number = port(u32::try_from(number).unwrap_or(u32::MAX))?;
            forwards.push(Forward {
                protocol: Protocol::Tcp,
                address: settings.address,
                host: number,
                guest: number,
            });
        }
    }
    if forwards.len() > MOST_PORTS {
        return Err(VmError::Ports { most: MOST_PORTS });
    }
    Ok(forwards)
}

fn port(number: u32) -> Result<u16, VmError> {
    let port = u16::try_from(number).ok().filter(|port| *port > 0);
    port.ok_or(VmError::Port { number })
}

/// A guest that can read it gets all of it; the host's folders mean nothing there.
fn environment(launch: &Launch, monitor: mezz_vm::Monitor) -> Vec<String> {
    if monitor != mezz_vm::Monitor::Qemu {
        return Vec::new();
    }
    let variables = launch.environment.iter();
    let known = variables
        .filter(|(name, _)| !matches!(name.as_str(), "MESOS_DIRECTORY" | "MESOS_SANDBOX" | "PATH"));
    known
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn thousandths(scalar: mezz_resource::Scalar) -> u64 {
    u64::try_from(scalar.0).unwrap_or(0)
}
