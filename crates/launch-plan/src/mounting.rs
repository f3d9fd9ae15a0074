//! What is made and mounted in a container's root, in which order.
//!
//! Must never lead a path out of the root or the sandbox it belongs to: the plan says within what each is resolved.

use crate::isolation::{
    Depth, Missing, Mount, MountAttributes, MountSource, Overlay, OverlayUpper, Propagation,
    RootStep, Spot,
};
use crate::isolation_spec::{
    Access, IsolationSpec, NamespaceSpec, RootSpec, SANDBOX_IN_ROOT, SharedMemorySpec,
    TemporarySpec, VolumeSource, VolumeSpec,
};
use crate::planning::{PlanError, c_path, c_string};
use std::ffi::CString;
use std::path::{Component, Path};

/// Why something cannot be mounted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// A path of the host is not absolute.
    #[error("{field} {path:?} is not an absolute path without '..'")]
    NotAbsolute {
        /// What it is.
        field: String,
        /// The path.
        path: String,
    },
    /// A path in the sandbox leads out of it.
    #[error("{field} {path:?} is not a path within the sandbox")]
    OutOfSandbox {
        /// What it is.
        field: String,
        /// The path.
        path: String,
    },
    /// An overlay of nothing.
    #[error("an overlay needs at least one layer")]
    NoLayer,
}

const TEMPORARY: MountAttributes = MountAttributes::NO_SUID.and(MountAttributes::NO_DEV);
const PROC: MountAttributes = TEMPORARY.and(MountAttributes::NO_EXEC);

/// Characteristics of the machine that are nobody's business.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// What changes the whole machine when it is written.
const UNCHANGEABLE: &[&str] = &[
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];
const DEVICES: &[(&str, u32, u32)] = &[
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];
const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// The usual number of the group `tty`, to which terminals belong.
const TTY_GROUP: u32 = 5;

/// Where the container finds its sandbox.
pub(crate) fn sandbox_in_container<'a>(spec: &IsolationSpec, sandbox: &'a Path) -> &'a Path {
    match spec.root {
        RootSpec::Host => sandbox,
        RootSpec::Joined | RootSpec::Folder { .. } | RootSpec::Overlay { .. } => {
            Path::new(SANDBOX_IN_ROOT)
        }
    }
}

/// Whether its root is made for it.
fn has_own_root(spec: &IsolationSpec) -> bool {
    matches!(
        spec.root,
        RootSpec::Folder { .. } | RootSpec::Overlay { .. }
    )
}

/// Everything that is made and mounted.
pub(crate) fn steps(spec: &IsolationSpec, sandbox: &Path) -> Result<Vec<RootStep>, PlanError> {
    let own_root = has_own_root(spec);
    let mut steps = Vec::new();
    if own_root {
        system_folders(spec, &mut steps)?;
    } else if spec.pid == NamespaceSpec::Own {
        steps.push(fresh("/proc", "proc", &[], PROC)?);
    }
    shared_memory(spec, own_root, &mut steps)?;
    temporary(spec, own_root, sandbox, &mut steps)?;
    if own_root {
        let source = Spot::new(absolute("sandbox", sandbox)?);
        let target = Spot::new(c_string("sandbox", SANDBOX_IN_ROOT)?);
        steps.push(bind(source, target, Missing::Make));
        for path in UNCHANGEABLE {
            steps.push(RootStep::ReadOnly { spot: spot(path)? });
        }
        for path in MASKED {
            steps.push(RootStep::Mask { spot: spot(path)? });
        }
    }
    for (index, volume) in spec.volumes.iter().enumerate() {
        steps.push(self::volume(index, volume, spec, sandbox)?);
    }
    Ok(steps)
}

fn system_folders(spec: &IsolationSpec, steps: &mut Vec<RootStep>) -> Result<(), PlanError> {
    let own_users = spec.user == NamespaceSpec::Own;
    steps.push(fresh("/proc", "proc", &[], PROC)?);
    // Who owns no network may not mount its view of the devices.
    if own_users && spec.network != NamespaceSpec::Own {
        let mut sys = mount_of(
            MountSource::Bind {
                spot: spot("/sys")?,
                depth: Depth::All,
                missing: Missing::Fail,
            },
            spot("/sys")?,
        );
        sys.attributes = PROC.and(MountAttributes::READ_ONLY);
        steps.push(RootStep::Mount(sys));
    } else {
        let attributes = PROC.and(MountAttributes::READ_ONLY);
        steps.push(fresh("/sys", "sysfs", &[], attributes)?);
    }
    let attributes = MountAttributes::NO_SUID.and(MountAttributes::NO_EXEC);
    steps.push(fresh(
        "/dev",
        "tmpfs",
        &["mode=755", "size=65536"],
        attributes,
    )?);
    for (name, major, minor) in DEVICES {
        let place = format!("/dev/{name}");
        steps.push(if own_users {
            // Nobody makes devices there; those of the host are shown instead.
            let device = spot(&place)?;
            bind(device.clone(), device, Missing::Make)
        } else {
            RootStep::Device {
                spot: spot(&place)?,
                mode: 0o666,
                major: *major,
                minor: *minor,
            }
        });
    }
    for (name, target) in LINKS {
        steps.push(RootStep::Link {
            spot: spot(&format!("/dev/{name}"))?,
            target: c_string("link", target)?,
        });
    }
    let group = format!("gid={TTY_GROUP}");
    let mut options = vec!["newinstance", "ptmxmode=0666", "mode=0620"];
    let mapped = |range: &crate::isolation::IdRange| {
        range.inside <= TTY_GROUP && TTY_GROUP - range.inside < range.count
    };
    if !own_users || spec.gids.iter().any(mapped) {
        options.push(&group);
    }
    let terminals = MountAttributes::NO_SUID.and(MountAttributes::NO_EXEC);
    steps.push(fresh("/dev/pts", "devpts", &options, terminals)?);
    if spec.ipc == NamespaceSpec::Own || !own_users {
        steps.push(fresh("/dev/mqueue", "mqueue", &[], PROC)?);
    }
    Ok(())
}

fn shared_memory(
    spec: &IsolationSpec,
    own_root: bool,
    steps: &mut Vec<RootStep>,
) -> Result<(), PlanError> {
    let bytes = match spec.shared_memory {
        SharedMemorySpec::Inherit if own_root => None,
        SharedMemorySpec::Own { bytes } => bytes,
        SharedMemorySpec::Host if own_root => {
            steps.push(bind(spot("/dev/shm")?, spot("/dev/shm")?, Missing::Make));
            return Ok(());
        }
        SharedMemorySpec::Inherit | SharedMemorySpec::Host => return Ok(()),
    };
    steps.push(memory(spot("/dev/shm")?, bytes)?);
    Ok(())
}

fn temporary(
    spec: &IsolationSpec,
    own_root: bool,
    sandbox: &Path,
    steps: &mut Vec<RootStep>,
) -> Result<(), PlanError> {
    if spec.temporary == TemporarySpec::OfRoot {
        return Ok(());
    }
    for folder in ["/tmp", "/var/tmp"] {
        steps.push(memory(spot(folder)?, None)?);
        // It must not vanish beneath what was just mounted.
        if !own_root && sandbox.starts_with(folder) {
            let place = Spot::new(absolute("sandbox", sandbox)?);
            steps.push(bind(place.clone(), place, Missing::Make));
        }
    }
    Ok(())
}

fn volume(
    index: usize,
    volume: &VolumeSpec,
    spec: &IsolationSpec,
    sandbox: &Path,
) -> Result<RootStep, PlanError> {
    let own_root = has_own_root(spec);
    let field = |what: &str| format!("volumes[{index}].{what}");
    let (target, missing_target) = if volume.target.is_absolute() {
        let path = absolute(&field("container_path"), &volume.target)?;
        // Nothing is made on the host for a container that shares its root.
        let missing = if own_root {
            Missing::Make
        } else {
            Missing::Fail
        };
        (Spot::new(path), missing)
    } else {
        let place = sandbox_in_container(spec, sandbox);
        let path = relative(&field("container_path"), &volume.target)?;
        let within = c_path("sandbox", place)?;
        (Spot { within, path }, Missing::Make)
    };
    let source = match &volume.source {
        VolumeSource::HostPath(path) => MountSource::Bind {
            spot: Spot::new(absolute(&field("source.host_path.path"), path)?),
            depth: Depth::All,
            missing: Missing::Fail,
        },
        VolumeSource::SandboxPath(path) => MountSource::Bind {
            spot: Spot {
                within: absolute("sandbox", sandbox)?,
                path: relative(&field("source.sandbox_path.path"), path)?,
            },
            depth: Depth::All,
            missing: Missing::Make,
        },
        VolumeSource::SharedPath { sandbox, path } => MountSource::Bind {
            spot: Spot {
                within: absolute("parent sandbox", sandbox)?,
                path: relative(&field("source.sandbox_path.path"), path)?,
            },
            depth: Depth::All,
            missing: Missing::Make,
        },
        VolumeSource::Memory { bytes } => memory_source(*bytes)?,
    };
    Ok(RootStep::Mount(Mount {
        source,
        target,
        missing_target,
        attributes: match volume.access {
            Access::ReadWrite => MountAttributes::default(),
            Access::ReadOnly => MountAttributes::READ_ONLY,
        },
        propagation: volume.propagation,
    }))
}

/// The parts of an overlay.
pub(crate) fn overlay(
    at: &Path,
    lower: &[std::path::PathBuf],
    upper: Option<&(std::path::PathBuf, std::path::PathBuf)>,
) -> Result<Overlay, PlanError> {
    if lower.is_empty() {
        return Err(error(MountError::NoLayer));
    }
    let upper = match upper {
        Some((upper, work)) => Some(OverlayUpper {
            upper: absolute("root.upper", upper)?,
            work: absolute("root.work", work)?,
        }),
        None => None,
    };
    Ok(Overlay {
        at: absolute("root.at", at)?,
        lower: lower
            .iter()
            .enumerate()
            .map(|(index, path)| absolute(&format!("root.lower[{index}]"), path))
            .collect::<Result<_, _>>()?,
        upper,
        options: Vec::new(),
    })
}

fn error(error: MountError) -> PlanError {
    crate::isolating::IsolationError::from(error).into()
}

/// A path of the host, or from the root.
pub(crate) fn absolute(field: &str, path: &Path) -> Result<CString, PlanError> {
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain {
        return Err(error(MountError::NotAbsolute {
            field: field.to_owned(),
            path: path.display().to_string(),
        }));
    }
    c_path(field, path)
}

fn relative(field: &str, path: &Path) -> Result<CString, PlanError> {
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if path.as_os_str().is_empty() || !plain {
        return Err(error(MountError::OutOfSandbox {
            field: field.to_owned(),
            path: path.display().to_string(),
        }));
    }
    c_path(field, path)
}

fn spot(path: &str) -> Result<Spot, PlanError> {
    Ok(Spot::new(c_string("path", path)?))
}

fn mount_of(source: MountSource, target: Spot) -> Mount {
    Mount {
        source,
        target,
        missing_target: Missing::Make,
        attributes: MountAttributes::default(),
        propagation: Propagation::Private,
    }
}

fn bind(source: Spot, target: Spot, missing_target: Missing) -> RootStep {
    let source = MountSource::Bind {
        spot: source,
        depth: Depth::All,
        missing: Missing::Fail,
    };
    RootStep::Mount(Mount {
        missing_target,
        ..mount_of(source, target)
    })
}

fn fresh(
    path: &str,
    kind: &str,
    options: &[&str],
    attributes: MountAttributes,
) -> Result<RootStep, PlanError> {
    let source = MountSource::New {
        kind: c_string("file system", kind)?,
        name: c_string("file system", kind)?,
        options: options
            .iter()
            .map(|option| c_string("mount option", option))
            .collect::<Result<_, _>>()?,
    };
    Ok(RootStep::Mount(Mount {
        attributes,
        ..mount_of(source, spot(path)?)
    }))
}

fn memory_source(bytes: Option<u64>) -> Result<MountSource, PlanError> {
    let size = bytes.map(|bytes| format!("size={bytes}"));
    let options = [Some("mode=1777".to_owned()), size];
    Ok(MountSource::New {
        kind: c"tmpfs".to_owned(),
        name: c"tmpfs".to_owned(),
        options: options
            .into_iter()
            .flatten()
            .map(|option| c_string("mount option", &option))
            .collect::<Result<_, _>>()?,
    })
}

fn memory(target: Spot, bytes: Option<u64>) -> Result<RootStep, PlanError> {
    Ok(RootStep::Mount(Mount {
        attributes: TEMPORARY,
        ..mount_of(memory_source(bytes)?, target)
    }))
}
