//! What a container asks for, in the words of launch plans.
//!
//! Must never look at the host but for the profiles of system calls, which lie in a folder of the operator's.

use std::io;
use std::path::{Path, PathBuf};

use mezz_launch_plan::isolation::{PrivilegeGrowth, Propagation};
use mezz_launch_plan::seccomp::{ProfileError, parse_profile};
use mezz_launch_plan::{
    Access, Capability, CapabilitySet, CapabilitySpec, ContainerSpec, IsolationSpec, LaunchId,
    NamespaceSpec, Rlimit, RlimitResource, SeccompSpec, SharedMemorySpec, VolumeSource, VolumeSpec,
};
use mezz_proto::v1::linux_info::IpcMode;
use mezz_proto::v1::r_limit_info::r_limit::Type as LimitType;
use mezz_proto::v1::volume::source::Type as SourceType;
use mezz_proto::v1::volume::source::sandbox_path::Type as PathType;
use mezz_proto::v1::{
    CapabilityInfo, ContainerInfo, LinuxInfo, RLimitInfo, SeccompInfo, Volume, mount_propagation,
    volume,
};

use crate::options::{Isolator, Unshared};

/// Why a container cannot be had as it was asked for. The text becomes the task's message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContainerError {
    #[error("Only one of 'capability_info' or 'effective_capabilities' is allowed")]
    TwoCapabilities,
    #[error("Bounding capabilities '{requested}', but only '{allowed}' are allowed")]
    Bounding {
        requested: CapabilitySet,
        allowed: CapabilitySet,
    },
    #[error("Sharing agent pid namespace with top-level container is not allowed")]
    SharedProcessIds,
    #[error("Sharing agent IPC namespace with top-level container is not allowed")]
    SharedIpc,
    #[error("container.linux_info: unknown capability {number}")]
    Capability { number: i32 },
    #[error("Only support specifying the size of /dev/shm when the IPC mode is `PRIVATE`")]
    SharedMemorySize,
    #[error("container.linux_info.ipc_mode: unknown IPC mode")]
    IpcMode,
    #[error("container.linux_info.seccomp: 'profile_name' and 'unconfined' exclude each other")]
    ProfileAndNone,
    #[error(
        "container.linux_info.seccomp.profile_name {name:?}: the agent has no --seccomp-config-dir; \
         without one there is only 'default'"
    )]
    NoProfiles { name: String },
    #[error(
        "container.linux_info.seccomp.profile_name {name:?} is not a path within --seccomp-config-dir"
    )]
    ProfileName { name: String },
    #[error("container.linux_info.seccomp.profile_name {name:?}: {source}")]
    ReadProfile { name: String, source: io::Error },
    #[error("container.linux_info.seccomp.profile_name {name:?}: {source}")]
    Profile { name: String, source: ProfileError },
    #[error("container.rlimit_info.rlimits[{index}].type is not known")]
    LimitType { index: usize },
    #[error(
        "container.rlimit_info.rlimits[{index}]: set both 'soft' and 'hard', or neither for no limit"
    )]
    HalfLimit { index: usize },
    #[error("container.volumes[{index}]: Path '{path}' in HOST_PATH volume is not absolute")]
    HostPath { index: usize, path: String },
    #[error("container.volumes[{index}]: Path '{path}' in SANDBOX_PATH volume is absolute")]
    SandboxPath { index: usize, path: String },
    #[error(
        "container.volumes[{index}]: 'container_path' is relative for SANDBOX_PATH volume SELF type"
    )]
    RelativeTarget { index: usize },
    #[error(
        "container.volumes[{index}]: PARENT type is not supported for SANDBOX_PATH volume of a container without parent"
    )]
    NoParent { index: usize },
    #[error("container.volumes[{index}]: its source is not built")]
    VolumeSource { index: usize },
}

/// What the operator gives every container, and allows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContainerSettings {
    pub(crate) isolation: Vec<Isolator>,
    /// Capabilities of containers that name none; the bounding ones are the most that any can name.
    pub(crate) effective: Option<CapabilitySet>,
    pub(crate) bounding: Option<CapabilitySet>,
    /// The size of `/dev/shm` of containers that have their own and name none.
    pub(crate) shared_memory_bytes: Option<u64>,
    /// What containers may not share with the agent.
    pub(crate) unshared: Vec<Unshared>,
    /// Where the profiles of system calls are.
    pub(crate) profiles: Option<PathBuf>,
    /// The profile of containers that name none.
    pub(crate) default_profile: Option<String>,
}

impl ContainerSettings {
    fn gives(&self, isolator: Isolator) -> bool {
        self.isolation.contains(&isolator)
    }
}

/// The name of the profile that is built in, unless the operator has one of that name.
const BUILT_IN: &str = "default";

/// Adds what every container has, and what this one asks for.
pub(crate) fn apply(
    (container, parent): (Option<&ContainerInfo>, Option<&Path>),
    settings: &ContainerSettings,
    made: &[(usize, VolumeSpec)],
    spec: &mut ContainerSpec,
) -> Result<(), ContainerError> {
    let isolation = &mut spec.isolation;
    for (isolator, namespace) in [
        (Isolator::Mounts, &mut isolation.mount),
        (Isolator::ProcessIds, &mut isolation.pid),
        (Isolator::Ipc, &mut isolation.ipc),
    ] {
        if settings.gives(isolator) {
            *namespace = NamespaceSpec::Own;
        }
    }
    if settings.gives(Isolator::NoNewPrivileges) {
        isolation.growth = PrivilegeGrowth::Never;
    }
    isolation.capabilities = CapabilitySpec {
        bounding: settings.bounding,
        effective: settings.effective,
    };
    let asked = container.and_then(|container| container.linux_info.as_ref());
    let seccomp = asked.and_then(|linux| linux.seccomp.as_ref());
    if seccomp.is_some() || settings.default_profile.is_some() {
        isolation.seccomp = profile(seccomp, settings)?;
    }
    let Some(container) = container else {
        return Ok(());
    };
    isolation.hostname.clone_from(&container.hostname);
    if let Some(linux) = &container.linux_info {
        self::linux(linux, settings, isolation)?;
    }
    for (index, volume) in container.volumes.iter().enumerate() {
        let made = made.iter().find(|(place, _)| *place == index);
        isolation.volumes.push(match made {
            Some((_, made)) => made.clone(),
            None => self::volume(index, volume, parent)?,
        });
    }
    if let Some(limits) = &container.rlimit_info {
        spec.rlimits = rlimits(limits)?;
    }
    Ok(())
}

/// For a command that looks after a container: in that one's namespaces, with no more privileges.
pub(crate) fn join(spec: &mut ContainerSpec, launch: LaunchId) {
    if spec.isolation != IsolationSpec::default() {
        join_all(spec, launch);
    }
}

/// Likewise, for a container of which something was prepared.
pub(crate) fn join_all(spec: &mut ContainerSpec, launch: LaunchId) {
    let isolation = &mut spec.isolation;
    // It finds there what was mounted.
    isolation.volumes.clear();
    isolation.hostname = None;
    isolation.shared_memory = SharedMemorySpec::Inherit;
    let of = || NamespaceSpec::Of(launch);
    (isolation.mount, isolation.uts, isolation.ipc) = (of(), of(), of());
    (isolation.network, isolation.cgroup) = (of(), of());
    if isolation.pid == NamespaceSpec::Own {
        isolation.pid = of();
    }
}

fn linux(
    linux: &LinuxInfo,
    settings: &ContainerSettings,
    isolation: &mut IsolationSpec,
) -> Result<(), ContainerError> {
    if linux.capability_info.is_some() && linux.effective_capabilities.is_some() {
        return Err(ContainerError::TwoCapabilities);
    }
    let effective = linux
        .effective_capabilities
        .as_ref()
        .or(linux.capability_info.as_ref());
    if let Some(effective) = effective {
        isolation.capabilities.effective = Some(capabilities(effective)?);
    }
    if let Some(bounding) = &linux.bounding_capabilities {
        let requested = capabilities(bounding)?;
        if let Some(allowed) = settings.bounding
            && !requested.without(allowed).is_empty()
        {
            return Err(ContainerError::Bounding { requested, allowed });
        }
        isolation.capabilities.bounding = Some(requested);
    }
    match linux.share_pid_namespace {
        Some(true) if settings.unshared.contains(&Unshared::ProcessIds) => {
            return Err(ContainerError::SharedProcessIds);
        }
        Some(true) => isolation.pid = NamespaceSpec::Host,
        Some(false) => isolation.pid = NamespaceSpec::Own,
        None => {}
    }
    if linux.shm_size.is_some() && linux.ipc_mode() != IpcMode::Private {
        return Err(ContainerError::SharedMemorySize);
    }
    if linux.ipc_mode.is_some() {
        match linux.ipc_mode() {
            IpcMode::Private => {
                isolation.ipc = NamespaceSpec::Own;
                isolation.shared_memory = SharedMemorySpec::Own {
                    bytes: linux
                        .shm_size
                        .map(|mib| u64::from(mib) << 20)
                        .or(settings.shared_memory_bytes),
                };
            }
            IpcMode::ShareParent if settings.unshared.contains(&Unshared::Ipc) => {
                return Err(ContainerError::SharedIpc);
            }
            IpcMode::ShareParent => {
                isolation.ipc = NamespaceSpec::Host;
                isolation.shared_memory = SharedMemorySpec::Host;
            }
            IpcMode::Unknown => return Err(ContainerError::IpcMode),
        }
    }
    Ok(())
}

fn capabilities(info: &CapabilityInfo) -> Result<CapabilitySet, ContainerError> {
    /// What the wire adds to the kernel's numbers.
    const OFFSET: i32 = 1000;
    let known = |number: &i32| {
        u8::try_from(number - OFFSET)
            .ok()
            .and_then(Capability::from_number)
            .ok_or(ContainerError::Capability { number: *number })
    };
    info.capabilities.iter().map(known).collect()
}

fn profile(
    wanted: Option<&SeccompInfo>,
    settings: &ContainerSettings,
) -> Result<SeccompSpec, ContainerError> {
    let none = SeccompInfo::default();
    let wanted = wanted.unwrap_or(&none);
    if wanted.unconfined() && wanted.profile_name.is_some() {
        return Err(ContainerError::ProfileAndNone);
    }
    if wanted.unconfined() {
        return Ok(SeccompSpec::Unconfined);
    }
    let name = wanted
        .profile_name
        .as_ref()
        .or(settings.default_profile.as_ref());
    name.map_or(Ok(SeccompSpec::Unconfined), |name| {
        named_profile(name, settings)
    })
}

/// The profile of this name, in the operator's folder or built in.
fn named_profile(name: &str, settings: &ContainerSettings) -> Result<SeccompSpec, ContainerError> {
    let owned = || name.to_owned();
    let Some(folder) = &settings.profiles else {
        return if name == BUILT_IN {
            Ok(SeccompSpec::Default)
        } else {
            Err(ContainerError::NoProfiles { name: owned() })
        };
    };
    let plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    if name.is_empty() || !Path::new(name).components().all(plain) {
        return Err(ContainerError::ProfileName { name: owned() });
    }
    match std::fs::read_to_string(folder.join(name)) {
        Ok(text) => {
            let profile = parse_profile(&text).map_err(|source| ContainerError::Profile {
                name: owned(),
                source,
            })?;
            Ok(SeccompSpec::Profile(Box::new(profile)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && name == BUILT_IN => {
            Ok(SeccompSpec::Default)
        }
        Err(source) => Err(ContainerError::ReadProfile {
            name: owned(),
            source,
        }),
    }
}

fn rlimits(info: &RLimitInfo) -> Result<Vec<Rlimit>, ContainerError> {
    let one = |(index, limit): (usize, &mezz_proto::v1::r_limit_info::RLimit)| {
        let resource = match limit.r#type() {
            LimitType::RlmtAs => RlimitResource::As,
            LimitType::RlmtCore => RlimitResource::Core,
            LimitType::RlmtCpu => RlimitResource::Cpu,
            LimitType::RlmtData => RlimitResource::Data,
            LimitType::RlmtFsize => RlimitResource::Fsize,
            LimitType::RlmtLocks => RlimitResource::Locks,
            LimitType::RlmtMemlock => RlimitResource::Memlock,
            LimitType::RlmtMsgqueue => RlimitResource::Msgqueue,
            LimitType::RlmtNice => RlimitResource::Nice,
            LimitType::RlmtNofile => RlimitResource::Nofile,
            LimitType::RlmtNproc => RlimitResource::Nproc,
            LimitType::RlmtRss => RlimitResource::Rss,
            LimitType::RlmtRtprio => RlimitResource::Rtprio,
            LimitType::RlmtRttime => RlimitResource::Rttime,
            LimitType::RlmtSigpending => RlimitResource::Sigpending,
            LimitType::RlmtStack => RlimitResource::Stack,
            LimitType::Unknown => return Err(ContainerError::LimitType { index }),
        };
        if limit.soft.is_some() != limit.hard.is_some() {
            return Err(ContainerError::HalfLimit { index });
        }
        Ok(Rlimit {
            resource,
            soft: limit.soft,
            hard: limit.hard,
        })
    };
    info.rlimits.iter().enumerate().map(one).collect()
}

fn volume(
    index: usize,
    volume: &Volume,
    parent: Option<&Path>,
) -> Result<VolumeSpec, ContainerError> {
    let target = PathBuf::from(&volume.container_path);
    let mut propagation = Propagation::FromHost;
    let of_host = |path: &str| VolumeSource::HostPath(PathBuf::from(path));
    let source = match (&volume.host_path, &volume.source) {
        (Some(path), _) if path.starts_with('/') => of_host(path),
        (Some(path), _) => VolumeSource::SandboxPath(PathBuf::from(path)),
        (None, Some(source)) => match (source.r#type(), &source.host_path, &source.sandbox_path) {
            (SourceType::HostPath, Some(host), _) => {
                let mode = host.mount_propagation.map(|propagation| propagation.mode());
                if mode == Some(mount_propagation::Mode::Bidirectional) {
                    propagation = Propagation::Both;
                }
                if !host.path.starts_with('/') {
                    let path = host.path.clone();
                    return Err(ContainerError::HostPath { index, path });
                }
                of_host(&host.path)
            }
            (SourceType::SandboxPath, _, Some(sandbox)) => {
                if sandbox.path.starts_with('/') {
                    let path = sandbox.path.clone();
                    return Err(ContainerError::SandboxPath { index, path });
                }
                let path = PathBuf::from(&sandbox.path);
                match (sandbox.r#type(), parent) {
                    (PathType::Parent, Some(parent)) => VolumeSource::SharedPath {
                        sandbox: parent.to_owned(),
                        path,
                    },
                    (PathType::Parent, None) => return Err(ContainerError::NoParent { index }),
                    _ => VolumeSource::SandboxPath(path),
                }
            }
            _ => return Err(ContainerError::VolumeSource { index }),
        },
        (None, None) => return Err(ContainerError::VolumeSource { index }),
    };
    if matches!(source, VolumeSource::SandboxPath(_)) && !target.is_absolute() {
        return Err(ContainerError::RelativeTarget { index });
    }
    Ok(VolumeSpec {
        source,
        target,
        access: match volume.mode() {
            volume::Mode::Rw => Access::ReadWrite,
            volume::Mode::Ro => Access::ReadOnly,
        },
        propagation,
    })
}
