//! From what the operator has chosen to what is done, at the start: what this host cannot do is refused.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mezz_agent_core::{KnownContainer, KnownContainerState, LaunchId, Limitation};
use mezz_cgroup::{
    Below, Controller, Counted, DeviceKind, DeviceList, DeviceSelector, GroupError, GroupName,
    GroupNameError, Groups, Layout, LayoutError,
};
use mezz_launch_plan::{HostFacts, Privilege};
use mezz_resource::Ranges;
use rustix::fs::FileType;

use super::disk::{self, DiskRules, Pause, Stopper};
use super::groups::{ContainerGroups, tree_of};
use super::limits::LimitRules;
use super::options::{AllowedDevice, GuardedPorts, LimitOptions, ProcessCount};
use super::ports::{self, PortRules};
use super::statistics::Statistics;
use super::tenants::{Tenant, TenantState, Tenants};
use super::{Activity, Isolators, out_of_memory};
use crate::inbox::Inbox;
use crate::options::{AgentOptions, Isolator};
use crate::work_dir::WorkDir;

/// Groups of other agents that are as old as this and empty are nobody's.
const OLD: Duration = Duration::from_mins(10);

/// Why containers cannot be held to their limits as the operator wants it.
#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    /// Groups are root's.
    #[error("--isolation: cgroups need root, and the agent runs as uid {uid}")]
    NotRoot {
        /// Whose.
        uid: u32,
    },
    /// A hierarchy is not there.
    #[error("--isolation: {0}")]
    Layout(#[from] LayoutError),
    /// The hierarchies cannot be found out.
    #[error("--isolation: the hierarchies of cgroups cannot be read: {0}")]
    Hierarchies(io::Error),
    /// The name of the agent's own group.
    #[error("--cgroups-root: {0}")]
    Root(#[from] GroupNameError),
    /// The hierarchies are elsewhere.
    #[error("--cgroups-hierarchy: '{}' has no hierarchy of cgroups that is used; one is at '{}'", wanted.display(), found.display())]
    Elsewhere {
        /// What was said.
        wanted: PathBuf,
        /// What is.
        found: PathBuf,
    },
    /// The agent's own group.
    #[error("--isolation: {0}")]
    Group(#[from] GroupError),
    /// A device file.
    #[error("--allowed-devices: '{}': {problem}", path.display())]
    Device {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Where no group holds a container, its processes cannot be told.
    #[error(
        "--isolation: network/ports needs a cgroup for each container, which this host does not let the agent make"
    )]
    PortsWithoutGroups,
    /// A thread or a descriptor.
    #[error("--isolation: {0}")]
    System(io::Error),
}

/// What isolators are started among.
pub(crate) struct Surroundings<'a> {
    pub(crate) work_dir: &'a WorkDir,
    pub(crate) facts: &'a HostFacts,
    pub(crate) containers: &'a [KnownContainer],
    /// The ports that the agent offers.
    pub(crate) ports: Ranges,
    pub(crate) inbox: &'a Arc<Inbox>,
}

impl Isolators {
    /// Also says which containers that have ended meanwhile had used too much.
    pub(crate) fn start(
        options: &AgentOptions,
        around: &Surroundings<'_>,
    ) -> Result<(Self, Vec<(LaunchId, Limitation)>), IsolationError> {
        let limits = &options.limits;
        let tenants = Arc::new(Tenants::default());
        let controllers = controllers(&options.isolation)?;
        let started = if controllers.is_empty() {
            None
        } else {
            Some(start_groups(controllers, limits, around)?)
        };
        let mut limited = Vec::new();
        let groups = started.map(|(groups, found)| {
            for (launch_id, group) in found {
                limited.extend(ended_for_memory(launch_id, &group, around.containers));
                let state = TenantState {
                    limits: groups.held(&group),
                    tree: groups.tree(&group),
                    ..TenantState::default()
                };
                tenants.insert(Tenant::new(launch_id, Some(group), state));
            }
            groups
        });
        let has = |isolator| options.isolation.contains(&isolator);
        let active = groups.is_some() || has(Isolator::DiskUsage) || has(Isolator::Ports);
        if active {
            find_again(&tenants, around);
        }
        let mut stoppers = Vec::new();
        if has(Isolator::DiskUsage) {
            stoppers.push(start_disk(limits, &tenants, around.inbox)?);
        }
        if has(Isolator::Ports) {
            stoppers.push(start_ports(limits, &tenants, around)?);
        }
        let counted = Counted {
            swap: false,
            processes: limits.processes == ProcessCount::On,
            pressure: false,
        };
        let statistics = active.then(|| Arc::new(Statistics::new(Arc::clone(&tenants), counted)));
        let isolators = Self {
            tenants,
            groups,
            activity: if active {
                Activity::Active
            } else {
                Activity::Idle
            },
            statistics,
            _stoppers: stoppers,
        };
        Ok((isolators, limited))
    }
}

fn ended_for_memory(
    launch_id: LaunchId,
    group: &mezz_cgroup::Group,
    containers: &[KnownContainer],
) -> Option<(LaunchId, Limitation)> {
    let ended = containers.iter().any(|container| {
        container.launch_id == launch_id
            && matches!(container.state, KnownContainerState::Exited { wait_status } if wait_status != 0)
    });
    ended
        .then(|| out_of_memory(group))
        .flatten()
        .map(|limitation| (launch_id, limitation))
}

/// Containers without a group of ours are looked after too.
fn find_again(tenants: &Tenants, around: &Surroundings<'_>) {
    for container in around.containers {
        let launch_id = container.launch_id;
        let known = tenants.get(launch_id);
        let tree =
            mezz_launch_plan::kill_method(mezz_launch_plan::LaunchId(launch_id.0), around.facts)
                .ok()
                .as_ref()
                .and_then(tree_of);
        match known {
            Some(tenant) => {
                let mut state = tenant.state();
                state.tree = state.tree.take().or(tree);
            }
            None => tenants.insert(Tenant::new(
                launch_id,
                None,
                TenantState {
                    tree,
                    ..TenantState::default()
                },
            )),
        }
    }
}

fn controllers(isolation: &[Isolator]) -> Result<BTreeSet<Controller>, IsolationError> {
    if isolation.contains(&Isolator::AllCgroups) {
        let host = mezz_cgroup::hierarchies().map_err(IsolationError::Hierarchies)?;
        let all = Controller::ALL.into_iter();
        // Trees are the warden's to stop.
        return Ok(all
            .filter(|each| *each != Controller::Freezer && host.absence(*each).is_none())
            .collect());
    }
    let named = isolation.iter().filter_map(|isolator| match isolator {
        Isolator::Cgroup(controller) => Some(*controller),
        _ => None,
    });
    Ok(named.collect())
}

fn start_groups(
    controllers: BTreeSet<Controller>,
    limits: &LimitOptions,
    around: &Surroundings<'_>,
) -> Result<(ContainerGroups, super::groups::Found), IsolationError> {
    if let Privilege::User { uid } = around.facts.privilege {
        return Err(IsolationError::NotRoot { uid });
    }
    let host = mezz_cgroup::hierarchies().map_err(IsolationError::Hierarchies)?;
    let root = limits.cgroups_root.trim_matches('/');
    let root = GroupName::new(root)?.nested(around.work_dir.scope())?;
    let layout = Layout::new(&host, &root, Below::Mount, &controllers)?;
    let elsewhere = layout
        .roots()
        .find(|root| !root.starts_with(&limits.cgroups_hierarchy));
    if let Some(found) = elsewhere {
        return Err(IsolationError::Elsewhere {
            wanted: limits.cgroups_hierarchy.clone(),
            found: found.to_owned(),
        });
    }
    clear_old(&layout, around.facts);
    let (groups, notes) = Groups::prepare(layout)?;
    for note in notes {
        tracing::info!(file = note.file, "{}", note.text);
    }
    let rules = LimitRules {
        controllers,
        cpus: limits.cpus,
        swap: limits.swap,
        most_processes: limits.most_processes,
        devices: devices(&limits.allowed_devices)?,
    };
    let kept = around
        .containers
        .iter()
        .map(|container| container.launch_id)
        .collect();
    let generation = around.work_dir.generation();
    ContainerGroups::start(groups, rules, generation, &kept, Arc::clone(around.inbox))
        .map_err(IsolationError::System)
}

/// Off this thread: what killed agents with temporary folders have left.
fn clear_old(layout: &Layout, facts: &HostFacts) {
    let roots: Vec<PathBuf> = layout
        .roots()
        .filter_map(|root| root.parent().map(PathBuf::from))
        .collect();
    let facts = HostFacts {
        cgroup_v2: None,
        ..facts.clone()
    };
    let thread = std::thread::Builder::new().name("cgroup-gc".to_owned());
    // Whatever is left does no harm but its place; the next start removes it.
    let _ = thread.spawn(move || {
        for root in roots {
            let facts = HostFacts {
                freezer_v1: Some(root),
                ..facts.clone()
            };
            mezz_warden::host::remove_stale_cgroups(&facts, OLD);
        }
    });
}

fn devices(allowed: &[AllowedDevice]) -> Result<DeviceList, IsolationError> {
    let mut list = DeviceList::standard();
    for AllowedDevice { path, access } in allowed {
        let wrong = |problem: String| IsolationError::Device {
            path: path.clone(),
            problem,
        };
        let status = rustix::fs::stat(path).map_err(|error| wrong(error.to_string()))?;
        let kind = match FileType::from_raw_mode(status.st_mode) {
            FileType::BlockDevice => DeviceKind::Block,
            FileType::CharacterDevice => DeviceKind::Character,
            _ => return Err(wrong("it is no device file".to_owned())),
        };
        let selector = DeviceSelector {
            kind,
            major: Some(rustix::fs::major(status.st_rdev)),
            minor: Some(rustix::fs::minor(status.st_rdev)),
        };
        list.allow(selector, *access);
    }
    Ok(list)
}

fn start_disk(
    limits: &LimitOptions,
    tenants: &Arc<Tenants>,
    inbox: &Arc<Inbox>,
) -> Result<Stopper, IsolationError> {
    let rules = DiskRules {
        interval: limits.disk_interval,
        enforcement: limits.disk,
    };
    let (tenants, inbox) = (Arc::clone(tenants), Arc::clone(inbox));
    spawn("disk-usage", move |pause| {
        disk::watch(rules, &tenants, &inbox, &pause);
    })
}

fn start_ports(
    limits: &LimitOptions,
    tenants: &Arc<Tenants>,
    around: &Surroundings<'_>,
) -> Result<Stopper, IsolationError> {
    if around.facts.freezer_v1.is_none() && around.facts.cgroup_v2.is_none() {
        return Err(IsolationError::PortsWithoutGroups);
    }
    let guarded = match &limits.guarded_ports {
        GuardedPorts::All => None,
        GuardedPorts::Offered => Some(around.ports.clone()),
        GuardedPorts::Ranges(ranges) => {
            let one = |(begin, end): &(u64, u64)| mezz_resource::Range {
                begin: *begin,
                end: *end,
            };
            Some(ranges.iter().map(one).collect())
        }
    };
    let rules = PortRules {
        interval: limits.ports_interval,
        enforcement: limits.ports,
        guarded,
    };
    let (tenants, inbox) = (Arc::clone(tenants), Arc::clone(around.inbox));
    spawn("ports", move |pause| {
        ports::watch(&rules, &tenants, &inbox, &pause);
    })
}

fn spawn(name: &str, work: impl FnOnce(Pause) + Send + 'static) -> Result<Stopper, IsolationError> {
    let stopper = Stopper::default();
    let pause = stopper.pause();
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread
        .spawn(move || work(pause))
        .map_err(IsolationError::System)?;
    Ok(stopper)
}
