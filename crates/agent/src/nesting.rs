//! In which namespaces a container is that lies in another one: in those of its parent, and in those of its own that it
//! asks for.
//!
//! Decides from what was asked for only; must never look at a running process.

use std::path::PathBuf;

use mezz_agent_core::{ContainerClass, Nesting};
use mezz_launch_plan::{
    ContainerSpec, IsolationSpec, LaunchId, NamespaceSpec, RootSpec, SANDBOX_IN_ROOT,
    SharedMemorySpec, TemporarySpec, VolumeSpec,
};
use mezz_proto::v1::ContainerInfo;

use crate::containers::{self, ContainerError, ContainerSettings};

/// Whose each namespace is that a container is in; the host's without an owner.
#[derive(Clone, Copy, Debug, Default)]
struct Owners {
    pid: Option<LaunchId>,
    mount: Option<LaunchId>,
    ipc: Option<LaunchId>,
    uts: Option<LaunchId>,
    network: Option<LaunchId>,
    cgroup: Option<LaunchId>,
    /// The mounts have a root of their own.
    rooted: bool,
}

/// Puts a container into those around it.
pub(crate) fn nest(
    spec: &mut ContainerSpec,
    own: Option<&ContainerInfo>,
    nesting: &Nesting,
    (settings, made): (&ContainerSettings, &[(usize, VolumeSpec)]),
) -> Result<(), ContainerError> {
    // What only containers on the host itself may not share.
    let settings = ContainerSettings {
        unshared: Vec::new(),
        ..settings.clone()
    };
    let owners = owners(nesting, &settings)?;
    let asked = match (nesting.class, own) {
        // Who looks into a container has its privileges.
        (
            ContainerClass::Session,
            None
            | Some(ContainerInfo {
                linux_info: None, ..
            }),
        ) => nesting
            .around
            .last()
            .and_then(|parent| parent.container.as_deref()),
        _ => own,
    };
    containers::apply((asked, None), &settings, made, spec)?;
    let isolation = &mut spec.isolation;
    share(&mut isolation.network, owners.network);
    share(&mut isolation.cgroup, owners.cgroup);
    match nesting.class {
        ContainerClass::Ordinary => {
            share(&mut isolation.pid, owners.pid);
            share(&mut isolation.ipc, owners.ipc);
            if isolation.hostname.is_none() {
                share(&mut isolation.uts, owners.uts);
            }
        }
        ContainerClass::Session => {
            // It finds there what was mounted.
            isolation.volumes.clear();
            isolation.hostname = None;
            isolation.root = RootSpec::Host;
            isolation.shared_memory = SharedMemorySpec::Inherit;
            isolation.temporary = TemporarySpec::OfRoot;
            for (namespace, owner) in [
                (&mut isolation.pid, owners.pid),
                (&mut isolation.mount, owners.mount),
                (&mut isolation.ipc, owners.ipc),
                (&mut isolation.uts, owners.uts),
                (&mut isolation.network, owners.network),
                (&mut isolation.cgroup, owners.cgroup),
            ] {
                *namespace = owner.map_or(NamespaceSpec::Host, NamespaceSpec::Of);
            }
            if owners.rooted {
                spec.working_directory = Some(PathBuf::from(SANDBOX_IN_ROOT));
            }
        }
    }
    Ok(())
}

/// Who has none of its own is in that of its parent.
fn share(namespace: &mut NamespaceSpec, owner: Option<LaunchId>) {
    if let (NamespaceSpec::Host, Some(owner)) = (&*namespace, owner) {
        *namespace = NamespaceSpec::Of(owner);
    }
}

fn owners(nesting: &Nesting, settings: &ContainerSettings) -> Result<Owners, ContainerError> {
    let mut owners = Owners::default();
    for around in &nesting.around {
        let launch = LaunchId(around.launch.0);
        let container = around.container.as_deref();
        let command = mezz_launch_plan::CommandSpec::Shell(String::new());
        let mut spec = ContainerSpec::new(launch, command, "/");
        containers::apply((container, None), settings, &[], &mut spec)?;
        if around.class == ContainerClass::Session {
            // It is in all that is around it.
            continue;
        }
        let own = &spec.isolation;
        let take = |owner: &mut Option<LaunchId>, namespace: &NamespaceSpec| {
            if *namespace == NamespaceSpec::Own {
                *owner = Some(launch);
            }
        };
        take(&mut owners.pid, &own.pid);
        take(&mut owners.ipc, &own.ipc);
        take(&mut owners.cgroup, &own.cgroup);
        take(&mut owners.network, &own.network);
        if own.uts == NamespaceSpec::Own || own.hostname.is_some() {
            owners.uts = Some(launch);
        }
        let named = |container: &ContainerInfo| {
            let mut networks = container.network_infos.iter();
            networks.any(|network| network.name.is_some())
        };
        if container.is_some_and(named) {
            (owners.network, owners.uts) = (Some(launch), Some(launch));
        }
        let image = |container: &ContainerInfo| {
            let mesos = container.mesos.as_ref();
            mesos.is_some_and(|mesos| mesos.image.is_some())
        };
        owners.rooted = container.is_some_and(image);
        // An ordinary container has the host's mounts but for its own, whatever is around it.
        owners.mount = (owners.rooted || has_mounts(own)).then_some(launch);
    }
    Ok(owners)
}

fn has_mounts(spec: &IsolationSpec) -> bool {
    spec.mount == NamespaceSpec::Own
        || spec.pid == NamespaceSpec::Own
        || spec.root != RootSpec::Host
        || !spec.volumes.is_empty()
        || matches!(spec.shared_memory, SharedMemorySpec::Own { .. })
        || spec.temporary == TemporarySpec::Own
}
