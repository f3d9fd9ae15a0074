//! From a container and its host to a bundle: `config.json`, and what must be there before the runtime is run.
//!
//! Must never say more than the plan of the same container, nor leave out what the plan says.

use crate::config::{
    self, Config, ConsoleSize, CpuLimits, DeviceRule, IdMapping, Linux, LinuxResources,
    MemoryLimits, PidsLimit, Process,
};
use crate::mounts::{self, Contents};
use crate::privileges::{self, DEFAULT_CAPABILITIES};
use crate::seccomp;
use mezz_launch_plan::isolation::{
    IdRange, Isolation, MountAttributes, NamespaceKind, NamespaceSource, Overlay, PrivilegeGrowth,
    Propagation, Root, Spot,
};
use mezz_launch_plan::{
    CapabilitySet, CapabilitySpec, CommandSpec, ContainerSpec, HostFacts, LaunchPlan, PlanError,
    Privilege, RootSpec, SeccompSpec,
};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::CStr;

/// The name of the file in a bundle that says everything.
pub const CONFIG_FILE: &str = "config.json";

/// Why a container cannot be run by an OCI runtime.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OciError {
    /// It cannot be run at all.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It has no root of its own.
    #[error("an OCI runtime needs an image: the container has no root file system of its own")]
    NoRoot,
    /// The agent is an ordinary user.
    #[error("OCI runtimes need an agent that runs as root; this one runs as uid {uid}")]
    Unprivileged {
        /// The agent's user id.
        uid: u32,
    },
    /// It is to be in the namespace of another launch.
    #[error(
        "a container of an OCI runtime cannot join the {kind} namespace of another container; \
         run both on the native runtime"
    )]
    Joined {
        /// Which kind.
        kind: &'static str,
    },
    /// Root with less than the bounding set.
    #[error(
        "effective capabilities {effective} of root are fewer than the bounding ones {bounding}, \
         which OCI runtimes cannot hold to: give both the same, or name another user"
    )]
    PlainRoot {
        /// What it has.
        effective: CapabilitySet,
        /// What it could have.
        bounding: CapabilitySet,
    },
    /// What a profile says cannot be said.
    #[error(
        "the seccomp profile has conditions for {call} that the OCI runtime specification cannot \
         express: use the native runtime, or a profile whose default action is what happens where \
         they do not hold"
    )]
    Seccomp {
        /// The system call.
        call: String,
    },
    /// Something outside of `/dev` that only the warden makes.
    #[error("an OCI runtime cannot make {place}")]
    Place {
        /// Where.
        place: String,
    },
    /// JSON holds no such text.
    #[error("{field} is not valid UTF-8, and the configuration of an OCI runtime is JSON")]
    NotUtf8 {
        /// What.
        field: &'static str,
    },
}

/// What a container may use, where the runtime sees to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Processors.
    pub cpu: Option<CpuLimits>,
    /// Memory.
    pub memory: Option<MemoryLimits>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Where its cgroups are: absolute from the root of each hierarchy, or relative to those of the runtime's own process.
    /// Of this container alone: runtimes kill whatever is in there.
    pub cgroups_path: String,
}

impl Resources {
    /// No limits.
    pub fn unlimited(cgroups_path: impl Into<String>) -> Self {
        Self {
            cpu: None,
            memory: None,
            pids: None,
            cgroups_path: cgroups_path.into(),
        }
    }
}

/// A folder for a runtime, as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// What `config.json` says.
    pub config: Config,
    /// What is to be mounted on its `at` before the runtime is run, where the root consists of layers.
    pub overlay: Option<Overlay>,
    /// Folders within sandboxes that are mounted: to be made, and not to lead out, before the runtime is run.
    pub sources: Vec<Spot>,
}

impl Bundle {
    /// The text of `config.json`.
    pub fn config_json(&self) -> String {
        serde_json::to_string_pretty(&self.config).expect("maps with texts as keys")
    }
}

/// Makes the bundle of a container. Capabilities that it does not name are those of
/// [`DEFAULT_CAPABILITIES`]; everything else is as the warden would have it.
pub fn bundle(
    spec: &ContainerSpec,
    host: &HostFacts,
    resources: &Resources,
    annotations: BTreeMap<String, String>,
) -> Result<Bundle, OciError> {
    if let Privilege::User { uid } = host.privilege {
        return Err(OciError::Unprivileged { uid });
    }
    if spec.isolation.root == RootSpec::Host {
        return Err(OciError::NoRoot);
    }
    let spec = with_capabilities(spec, host);
    let plan = mezz_launch_plan::plan(&spec, host)?;
    let isolation = plan.isolation.as_deref().ok_or(OciError::NoRoot)?;
    let contents = mounts::contents(&isolation.steps)?;
    let (root, overlay) = root(isolation)?;
    Ok(Bundle {
        overlay,
        sources: contents.sources.clone(),
        config: Config {
            oci_version: config::VERSION,
            process: process(&spec, &plan, isolation)?,
            root,
            hostname: isolation
                .hostname
                .as_deref()
                .map(|name| text("hostname", name))
                .transpose()?,
            mounts: contents.mounts.clone(),
            linux: linux(&spec, host, isolation, resources, contents)?,
            annotations,
        },
    })
}

fn with_capabilities<'a>(spec: &'a ContainerSpec, host: &HostFacts) -> Cow<'a, ContainerSpec> {
    let wanted = spec.isolation.capabilities;
    if wanted.bounding.is_some() || wanted.effective.is_some() {
        return Cow::Borrowed(spec);
    }
    let mut spec = spec.clone();
    spec.isolation.capabilities = CapabilitySpec {
        bounding: Some(DEFAULT_CAPABILITIES.common(host.kernel.capabilities)),
        effective: None,
    };
    Cow::Owned(spec)
}

fn process(
    spec: &ContainerSpec,
    plan: &LaunchPlan,
    isolation: &Isolation,
) -> Result<Process, OciError> {
    let user = plan.user.as_ref();
    let uid = user.map_or(0, |user| user.uid);
    let sets = isolation.privileges.capabilities;
    let capabilities = sets.map(|sets| privileges::capabilities(&sets, uid));
    Ok(Process {
        terminal: plan.terminal.is_some(),
        console_size: plan.terminal.map(|size| ConsoleSize {
            height: size.rows,
            width: size.columns,
        }),
        user: config::User {
            uid,
            gid: user.map_or(0, |user| user.gid),
            umask: plan.umask,
            additional_gids: user.map(|user| user.groups.clone()).unwrap_or_default(),
        },
        args: arguments(&spec.command),
        env: plan
            .env
            .iter()
            .map(|entry| text("environment", entry))
            .collect::<Result<_, _>>()?,
        cwd: text("working_directory", &plan.directory)?,
        capabilities: capabilities.transpose()?.unwrap_or_default(),
        rlimits: plan.rlimits.iter().map(rlimit).collect(),
        no_new_privileges: isolation.privileges.growth == PrivilegeGrowth::Never,
    })
}

/// The specification has no name of a program apart from its first argument.
fn arguments(command: &CommandSpec) -> Vec<String> {
    match command {
        CommandSpec::Shell(text) => ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
        CommandSpec::Argv { program, argv } => {
            let rest = argv.iter().skip(1).cloned();
            std::iter::once(program.clone()).chain(rest).collect()
        }
    }
}

fn rlimit(limit: &mezz_launch_plan::Rlimit) -> config::Rlimit {
    config::Rlimit {
        kind: limit.resource.name(),
        soft: limit.soft.unwrap_or(u64::MAX),
        hard: limit.hard.unwrap_or(u64::MAX),
    }
}

fn root(isolation: &Isolation) -> Result<(config::Root, Option<Overlay>), OciError> {
    let readonly = isolation.root_attributes.0 & MountAttributes::READ_ONLY.0 != 0;
    let (path, overlay) = match &isolation.root {
        Root::Host => return Err(OciError::NoRoot),
        Root::Folder { path } => (path, None),
        Root::Overlay(overlay) => (&overlay.at, Some(overlay.clone())),
    };
    let path = text("root.path", path)?;
    Ok((config::Root { path, readonly }, overlay))
}

fn linux(
    spec: &ContainerSpec,
    host: &HostFacts,
    isolation: &Isolation,
    resources: &Resources,
    contents: Contents,
) -> Result<Linux, OciError> {
    let mappings = |ranges: &[IdRange]| ranges.iter().map(mapping).collect();
    let users = isolation.users.as_ref();
    let propagation = contents.propagation.unwrap_or(Propagation::Private);
    Ok(Linux {
        namespaces: namespaces(isolation)?,
        uid_mappings: users.map(|map| mappings(&map.uids)).unwrap_or_default(),
        gid_mappings: users.map(|map| mappings(&map.gids)).unwrap_or_default(),
        cgroups_path: resources.cgroups_path.clone(),
        resources: LinuxResources {
            // Runtimes add the few that they make themselves.
            devices: vec![DeviceRule {
                allow: false,
                access: "rwm",
            }],
            memory: resources.memory,
            cpu: resources.cpu.clone(),
            pids: resources.pids.map(|limit| PidsLimit { limit }),
        },
        seccomp: filter(spec, host)?,
        rootfs_propagation: mounts::propagation(propagation),
        masked_paths: contents.masked,
        readonly_paths: contents.unchangeable,
    })
}

fn filter(spec: &ContainerSpec, host: &HostFacts) -> Result<Option<config::Seccomp>, OciError> {
    use mezz_launch_plan::seccomp::{Host, decisions, default_profile};
    let default;
    let profile = match &spec.isolation.seccomp {
        SeccompSpec::Unconfined => return Ok(None),
        SeccompSpec::Default => {
            default = default_profile();
            &default
        }
        SeccompSpec::Profile(profile) => profile.as_ref(),
    };
    let architecture = host.kernel.architecture;
    let architecture = architecture.ok_or(PlanError::from(
        mezz_launch_plan::IsolationError::Architecture,
    ))?;
    let wanted = spec.isolation.capabilities;
    let bounding = wanted.bounding.or(wanted.effective).unwrap_or_default();
    let host = Host {
        architecture,
        kernel: host.kernel.version,
        capabilities: bounding.common(host.kernel.capabilities),
    };
    seccomp::seccomp(&decisions(profile, &host)).map(Some)
}

fn mapping(range: &IdRange) -> IdMapping {
    IdMapping {
        container_id: range.inside,
        host_id: range.outside,
        size: range.count,
    }
}

fn namespaces(isolation: &Isolation) -> Result<Vec<config::Namespace>, OciError> {
    let all = isolation.namespaces.iter();
    all.map(|namespace| {
        let kind = namespace.kind;
        let path = match &namespace.source {
            NamespaceSource::New => None,
            NamespaceSource::OfLaunch(_) => return Err(OciError::Joined { kind: kind.name() }),
            NamespaceSource::Path(path) => Some(text("namespace path", path)?),
        };
        let kind = kind_name(kind);
        Ok(config::Namespace { kind, path })
    })
    .collect()
}

fn kind_name(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::User => "user",
        NamespaceKind::Mount => "mount",
        NamespaceKind::Uts => "uts",
        NamespaceKind::Ipc => "ipc",
        NamespaceKind::Network => "network",
        NamespaceKind::Pid => "pid",
        NamespaceKind::Cgroup => "cgroup",
    }
}

pub(crate) fn text(field: &'static str, of: &CStr) -> Result<String, OciError> {
    let text = of.to_str().map_err(|_| OciError::NotUtf8 { field })?;
    Ok(text.to_owned())
}
