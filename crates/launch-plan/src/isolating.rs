//! From what shall set a container apart to how it is done: namespaces, users, privileges.
//!
//! Owns the rules of what goes with what; what is mounted is decided in `mounting`.

use crate::capability::{Capability, CapabilitySet};
use crate::isolation::{
    Capabilities, GroupChanges, IdRange, Isolation, MountAttributes, Namespace, NamespaceKind,
    NamespaceSource, PrivilegeGrowth, Privileges, Root, RootRule, UserMap,
};
use crate::isolation_spec::{
    Access, CapabilitySpec, IsolationSpec, NamespaceSpec, RootSpec, SeccompSpec,
};
use crate::mounting::{self, MountError};
use crate::plan::Credentials;
use crate::planning::{PlanError, c_path, c_string};
use crate::seccomp::{self, SeccompError};
use crate::spec::{ContainerSpec, HostFacts, KernelFacts, MountCalls, Privilege, UserNamespaces};
use std::borrow::Cow;

/// Why a container cannot be set apart as it shall be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsolationError {
    /// Only root can, outside of a user namespace.
    #[error("{what} need an agent that runs as root, or a user namespace of the container's own")]
    NotPrivileged {
        /// What.
        what: &'static str,
    },
    /// The host has no user namespaces.
    #[error("this host has no user namespaces (see user.max_user_namespaces of sysctl)")]
    NoUserNamespaces,
    /// A user namespace of its own has no ids.
    #[error("a user namespace needs at least one range of {what} ids")]
    NoIds {
        /// Whose ids.
        what: &'static str,
    },
    /// A new pid namespace in a user namespace of somebody else.
    #[error("a container in another's user namespace cannot have a {kind} namespace of its own")]
    NewInJoined {
        /// Of which kind.
        kind: &'static str,
    },
    /// Process ids are joined by container.
    #[error("a pid namespace can be joined by its container, not by a path")]
    PidByPath,
    /// The kernel is too old.
    #[error("what is mounted for a container needs Linux 5.12 or later")]
    OldKernel,
    /// A name that the kernel does not take.
    #[error("hostname {name:?} is empty or longer than 64 bytes")]
    Hostname {
        /// The name.
        name: String,
    },
    /// A name for somebody else's namespace.
    #[error("hostname {name:?} needs a uts namespace of the container's own")]
    HostnameOfOthers {
        /// The name.
        name: String,
    },
    /// Something is to be mounted in somebody else's namespace.
    #[error(
        "a container in another's mount namespace can have no root, /proc or volumes of its own"
    )]
    MountsOfOthers,
    /// More than it could ever have.
    #[error("effective capabilities {missing} are not among the bounding ones")]
    Effective {
        /// Which.
        missing: CapabilitySet,
    },
    /// More than the agent has.
    #[error("effective capabilities {missing} cannot be given: the agent itself lacks them")]
    Lacking {
        /// Which.
        missing: CapabilitySet,
    },
    /// Profiles are for machines that we know.
    #[error("seccomp is not built for this machine's architecture")]
    Architecture,
    /// No program for the profile.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
    /// Something cannot be mounted.
    #[error(transparent)]
    Mount(#[from] MountError),
}

/// How the container is set apart; `None` if nothing does.
pub(crate) fn isolate(
    spec: &ContainerSpec,
    host: &HostFacts,
    user: Option<&Credentials>,
) -> Result<Option<Box<Isolation>>, PlanError> {
    if spec.isolation == IsolationSpec::default() {
        return Ok(None);
    }
    let wanted = complete(&spec.isolation);
    let wanted = wanted.as_ref();
    let steps = mounting::steps(wanted, &spec.sandbox)?;
    let needs_mounts =
        !steps.is_empty() || !matches!(wanted.root, RootSpec::Host | RootSpec::Joined);
    let namespaces = namespaces(wanted, needs_mounts)?;
    check_means(wanted, needs_mounts, &namespaces, host)?;
    let (root, root_attributes) = root(&wanted.root)?;
    Ok(Some(Box::new(Isolation {
        users: user_map(wanted, host)?,
        namespaces,
        root,
        steps,
        root_attributes,
        hostname: hostname(wanted)?,
        privileges: privileges(wanted, host, user)?,
    })))
}

/// What follows from the wishes: a name needs somewhere to be, process numbers need a `/proc`.
fn complete(spec: &IsolationSpec) -> Cow<'_, IsolationSpec> {
    if spec.hostname.is_some() && spec.uts == NamespaceSpec::Host {
        return Cow::Owned(IsolationSpec {
            uts: NamespaceSpec::Own,
            ..spec.clone()
        });
    }
    Cow::Borrowed(spec)
}

fn namespaces(wanted: &IsolationSpec, needs_mounts: bool) -> Result<Vec<Namespace>, PlanError> {
    let mut namespaces = Vec::new();
    for kind in NamespaceKind::ALL {
        let choice = match kind {
            NamespaceKind::User => &wanted.user,
            NamespaceKind::Mount if needs_mounts && wanted.mount == NamespaceSpec::Host => {
                &NamespaceSpec::Own
            }
            NamespaceKind::Mount => &wanted.mount,
            NamespaceKind::Uts => &wanted.uts,
            NamespaceKind::Ipc => &wanted.ipc,
            NamespaceKind::Network => &wanted.network,
            NamespaceKind::Pid => &wanted.pid,
            NamespaceKind::Cgroup => &wanted.cgroup,
        };
        let source = match choice {
            NamespaceSpec::Host => continue,
            NamespaceSpec::Own => NamespaceSource::New,
            NamespaceSpec::Of(launch) => NamespaceSource::OfLaunch(*launch),
            NamespaceSpec::Path(_) if *kind == NamespaceKind::Pid => {
                return Err(IsolationError::PidByPath.into());
            }
            NamespaceSpec::Path(path) => NamespaceSource::Path(c_path("namespace path", path)?),
        };
        namespaces.push(Namespace {
            kind: *kind,
            source,
        });
    }
    Ok(namespaces)
}

fn check_means(
    wanted: &IsolationSpec,
    needs_mounts: bool,
    namespaces: &[Namespace],
    host: &HostFacts,
) -> Result<(), IsolationError> {
    let joins_users = !matches!(wanted.user, NamespaceSpec::Host | NamespaceSpec::Own);
    let made = |kind: &&Namespace| kind.source == NamespaceSource::New;
    if let Some(new) = namespaces.iter().find(made).filter(|_| joins_users) {
        return Err(IsolationError::NewInJoined {
            kind: new.kind.name(),
        });
    }
    if wanted.user == NamespaceSpec::Own
        && host.kernel.user_namespaces == UserNamespaces::Unavailable
    {
        return Err(IsolationError::NoUserNamespaces);
    }
    let unprivileged = matches!(host.privilege, Privilege::User { .. });
    if unprivileged && wanted.user == NamespaceSpec::Host && !namespaces.is_empty() {
        return Err(IsolationError::NotPrivileged {
            what: "namespaces and mounts",
        });
    }
    if needs_mounts {
        if !matches!(wanted.mount, NamespaceSpec::Host | NamespaceSpec::Own) {
            return Err(IsolationError::MountsOfOthers);
        }
        if host.kernel.mount_calls == MountCalls::Missing {
            return Err(IsolationError::OldKernel);
        }
    }
    Ok(())
}

fn hostname(wanted: &IsolationSpec) -> Result<Option<std::ffi::CString>, PlanError> {
    /// `__NEW_UTS_LEN`
    const LONGEST: usize = 64;
    let Some(name) = &wanted.hostname else {
        return Ok(None);
    };
    if name.is_empty() || name.len() > LONGEST {
        return Err(IsolationError::Hostname { name: name.clone() }.into());
    }
    if wanted.uts != NamespaceSpec::Own {
        return Err(IsolationError::HostnameOfOthers { name: name.clone() }.into());
    }
    Ok(Some(c_string("hostname", name)?))
}

/// An unprivileged agent can map nobody but its own user.
fn user_map(wanted: &IsolationSpec, host: &HostFacts) -> Result<Option<UserMap>, IsolationError> {
    if wanted.user != NamespaceSpec::Own {
        return Ok(None);
    }
    let no_ids = |what: &'static str, ids: &[IdRange]| {
        let counted = ids.iter().any(|range| range.count > 0);
        counted.then_some(()).ok_or(IsolationError::NoIds { what })
    };
    no_ids("user", &wanted.uids)?;
    no_ids("group", &wanted.gids)?;
    let groups = match host.privilege {
        Privilege::Root => GroupChanges::Allowed,
        Privilege::User { .. } => GroupChanges::Denied,
    };
    Ok(Some(UserMap {
        uids: wanted.uids.clone(),
        gids: wanted.gids.clone(),
        groups,
    }))
}

fn root(spec: &RootSpec) -> Result<(Root, MountAttributes), PlanError> {
    let attributes = |access: Access| match access {
        Access::ReadWrite => MountAttributes::default(),
        Access::ReadOnly => MountAttributes::READ_ONLY,
    };
    Ok(match spec {
        // What is joined is as it is.
        RootSpec::Host | RootSpec::Joined => (Root::Host, MountAttributes::default()),
        RootSpec::Folder { path, access } => {
            let path = mounting::absolute("root.path", path)?;
            (Root::Folder { path }, attributes(*access))
        }
        RootSpec::Overlay { at, lower, upper } => {
            let access = if upper.is_some() {
                Access::ReadWrite
            } else {
                Access::ReadOnly
            };
            let overlay = mounting::overlay(at, lower, upper.as_ref())?;
            (Root::Overlay(overlay), attributes(access))
        }
    })
}

fn privileges(
    wanted: &IsolationSpec,
    host: &HostFacts,
    user: Option<&Credentials>,
) -> Result<Privileges, PlanError> {
    let own_users = wanted.user != NamespaceSpec::Host;
    let has = if own_users {
        CapabilitySet::ALL
    } else {
        host.kernel.capabilities
    };
    let mut capabilities = capabilities(wanted.capabilities, has, user)?;
    if capabilities.is_some() && has.is_empty() {
        return Err(IsolationError::NotPrivileged {
            what: "capability sets",
        }
        .into());
    }
    let bounding = capabilities.map_or(has, |sets| sets.bounding.common(has));
    let program = match &wanted.seccomp {
        SeccompSpec::Unconfined => Vec::new(),
        SeccompSpec::Default => filter(&seccomp::default_profile(), &host.kernel, bounding)?,
        SeccompSpec::Profile(profile) => filter(profile, &host.kernel, bounding)?,
    };
    let mut growth = wanted.growth;
    if !program.is_empty() && growth == PrivilegeGrowth::Allowed {
        if !has.contains(Capability::SYS_ADMIN) {
            // The kernel takes no filter otherwise: a set-user-id program could be led astray by it.
            growth = PrivilegeGrowth::Never;
        } else if capabilities.is_none() && user.is_some() {
            // The filter comes last, when another user has no capabilities any more: kept until then.
            capabilities = Some(Capabilities {
                bounding: CapabilitySet(u64::MAX),
                effective: CapabilitySet::EMPTY,
                root: RootRule::Special,
            });
        }
    }
    Ok(Privileges {
        capabilities,
        growth,
        seccomp: program,
    })
}

fn capabilities(
    wanted: CapabilitySpec,
    has: CapabilitySet,
    user: Option<&Credentials>,
) -> Result<Option<Capabilities>, IsolationError> {
    let Some(bounding) = wanted.bounding.or(wanted.effective) else {
        return Ok(None);
    };
    let is_root = user.is_none_or(|user| user.uid == 0);
    let effective = wanted.effective.unwrap_or(if is_root {
        bounding.common(has)
    } else {
        CapabilitySet::EMPTY
    });
    let missing = effective.without(bounding);
    if !missing.is_empty() {
        return Err(IsolationError::Effective { missing });
    }
    let missing = effective.without(has);
    if !missing.is_empty() {
        return Err(IsolationError::Lacking { missing });
    }
    let root = if is_root && effective != bounding.common(has) {
        RootRule::Plain
    } else {
        RootRule::Special
    };
    Ok(Some(Capabilities {
        bounding,
        effective,
        root,
    }))
}

fn filter(
    profile: &seccomp::Profile,
    kernel: &KernelFacts,
    capabilities: CapabilitySet,
) -> Result<Vec<seccomp::Instruction>, IsolationError> {
    let architecture = kernel.architecture.ok_or(IsolationError::Architecture)?;
    let host = seccomp::Host {
        architecture,
        kernel: kernel.version,
        capabilities,
    };
    Ok(seccomp::compile(profile, &host)?)
}
