//! Limits + layout -> what to write where, for a new group and for one that changes.
//!
//! Pure. Owns the order that the kernel needs and the choice of what may be missing.

use crate::controller::Controller;
use crate::layout::{GroupName, LEAF, Layout};
use crate::limits::{Ceiling, Limits};
use crate::settings::Settings;
use crate::write::{Missing, Steps, Text, Write};
use std::path::{Path, PathBuf};

/// Whether groups will be made within a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inner {
    /// Processes are in the group itself.
    #[default]
    None,
    /// Nested containers get groups of their own: in version 2 processes go to a leaf.
    Groups,
}

/// Whether a hard limit of memory may be lowered, which can kill processes that were within the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lowering {
    /// It stays as it is, as in Mesos.
    #[default]
    Never,
    /// It follows.
    Allowed,
}

/// Limits that cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The agent does not use the controller.
    #[error(
        "{setting} is limited, but the agent does not isolate with the cgroup controller {controller}"
    )]
    NotUsed {
        /// Which field.
        setting: &'static str,
        /// Which controller it needs.
        controller: Controller,
    },
    /// A value that the kernel would refuse or misread.
    #[error("{setting}: {problem}")]
    Value {
        /// Which field.
        setting: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// A change of limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What to do.
    pub steps: Steps,
    /// What holds afterwards: to be kept for the next change.
    pub limits: Limits,
}

/// What has to be there before the first group: the agent's roots, with their controllers enabled.
pub fn root_steps(layout: &Layout) -> Steps {
    let mut steps = Steps::default();
    for root in &layout.v1 {
        steps.directories.push(root.path.clone());
        if root.controllers.contains(&Controller::Cpuset) {
            for directory in below(&root.top, &root.path) {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    steps.writes.push(inherited(&directory, file));
                }
            }
        }
        if root.controllers.contains(&Controller::Memory) {
            steps.writes.push(Write {
                directory: root.path.clone(),
                file: "memory.use_hierarchy".to_owned(),
                text: Text::Literal("1".to_owned()),
                missing: Missing::Skip("groups always count what is in groups below them"),
            });
        }
    }
    if let Some(root) = &layout.v2 {
        steps.directories.push(root.path.clone());
        let mut levels = vec![root.top.clone()];
        levels.extend(below(&root.top, &root.path));
        for level in levels {
            steps.writes.extend(enabling(&level, root.to_enable()));
        }
    }
    steps
}

/// The steps to a new group with these limits.
pub fn creation(
    layout: &Layout,
    name: &GroupName,
    inner: Inner,
    limits: &Limits,
) -> Result<Steps, PlanError> {
    check(limits)?;
    let mut steps = Steps {
        directories: layout.directories(name),
        ..Steps::default()
    };
    let mut settings = Settings::new(layout, name);
    settings.cpuset_of_new(limits.cpuset.as_ref())?;
    settings.all(&Limits::default(), limits)?;
    (steps.writes, steps.gate) = settings.finish();
    if let (Inner::Groups, Some(root)) = (inner, &layout.v2) {
        let group = root.path.join(name.as_str());
        steps.directories.push(group.join(LEAF));
        steps.writes.extend(enabling(&group, root.to_enable()));
    }
    Ok(steps)
}

/// The steps after which groups can be made within a group.
pub(crate) fn inner_steps(layout: &Layout, name: &GroupName) -> Steps {
    let mut steps = Steps::default();
    if let Some(root) = &layout.v2 {
        let group = root.path.join(name.as_str());
        steps.writes.extend(enabling(&group, root.to_enable()));
    }
    steps
}

/// The directories that a process of the group joins: one in each hierarchy.
pub fn joined(layout: &Layout, name: &GroupName, inner: Inner) -> Vec<PathBuf> {
    let v1 = layout.v1.iter().map(|root| root.path.join(name.as_str()));
    v1.chain(joined_v2(layout, name, inner)).collect()
}

/// The directory in version 2 into which a process can be cloned.
pub fn joined_v2(layout: &Layout, name: &GroupName, inner: Inner) -> Option<PathBuf> {
    let group = layout.v2.as_ref()?.path.join(name.as_str());
    Some(match inner {
        Inner::None => group,
        Inner::Groups => group.join(LEAF),
    })
}

/// The steps from the limits that hold to others. What the new ones leave open stays as it is.
pub fn change(
    layout: &Layout,
    name: &GroupName,
    held: &Limits,
    wanted: &Limits,
    lowering: Lowering,
) -> Result<Change, PlanError> {
    check(wanted)?;
    let limits = merged(held, wanted, lowering);
    let mut settings = Settings::new(layout, name);
    settings.cpuset_of_old(held.cpuset.as_ref(), limits.cpuset.as_ref())?;
    settings.all(held, &limits)?;
    let (writes, gate) = settings.finish();
    let steps = Steps {
        directories: Vec::new(),
        writes,
        gate,
    };
    Ok(Change { steps, limits })
}

fn merged(held: &Limits, wanted: &Limits, lowering: Lowering) -> Limits {
    let mut memory = wanted.memory.or(held.memory);
    if let (Lowering::Never, Some(new), Some(old)) = (lowering, &mut memory, held.memory)
        && new.hard < old.hard
    {
        new.hard = old.hard;
    }
    let mut hugetlb = held.hugetlb.clone();
    hugetlb.extend(
        wanted
            .hugetlb
            .iter()
            .map(|(size, most)| (size.clone(), *most)),
    );
    let mut io = held.io.clone();
    io.weight = wanted.io.weight.or(io.weight);
    io.throttles.extend(&wanted.io.throttles);
    Limits {
        cpu: wanted.cpu.or(held.cpu),
        cpuset: wanted.cpuset.clone().or_else(|| held.cpuset.clone()),
        memory,
        pids: wanted.pids.or(held.pids),
        io,
        devices: wanted.devices.clone().or_else(|| held.devices.clone()),
        hugetlb,
        net_cls: wanted.net_cls.or(held.net_cls),
    }
}

fn check(limits: &Limits) -> Result<(), PlanError> {
    let refuse = |setting, problem: &str| {
        Err(PlanError::Value {
            setting,
            problem: problem.to_owned(),
        })
    };
    if let Some(cpu) = &limits.cpu
        && cpu.burst_us > 0
    {
        match cpu.quota_us() {
            None => return refuse("cpu.burst_us", "there is no quota of which to save"),
            Some(Ceiling::At(quota)) if cpu.burst_us > quota => {
                return refuse("cpu.burst_us", "it is greater than the quota of one period");
            }
            Some(_) => {}
        }
    }
    if let Some(memory) = &limits.memory
        && Ceiling::At(memory.soft) > memory.hard
    {
        return refuse("memory.hard", "it is below the soft limit");
    }
    if limits
        .io
        .weight
        .is_some_and(|weight| !(1..=10_000).contains(&weight))
    {
        return refuse("io.weight", "it is not 1 to 10000");
    }
    if let Some(cpuset) = &limits.cpuset {
        let strange =
            |list: &str| list.contains(|c: char| !c.is_ascii_digit() && c != '-' && c != ',');
        if strange(&cpuset.cpus) {
            return refuse("cpuset.cpus", "it is not a list like 0-3,8");
        }
        if strange(&cpuset.mems) {
            return refuse("cpuset.mems", "it is not a list like 0-1");
        }
    }
    if !limits.hugetlb.keys().all(|size| is_page_size(size)) {
        return refuse("hugetlb", "a page size is not written like 2MB or 1GB");
    }
    Ok(())
}

fn is_page_size(text: &str) -> bool {
    ["KB", "MB", "GB"].iter().any(|unit| {
        text.strip_suffix(unit)
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// The directories between `top` and `path`, without the former and with the latter.
fn below(top: &Path, path: &Path) -> Vec<PathBuf> {
    let mut levels: Vec<_> = path
        .ancestors()
        .take_while(|level| *level != top)
        .map(Path::to_owned)
        .collect();
    levels.reverse();
    levels
}

fn inherited(directory: &Path, file: &str) -> Write {
    Write {
        directory: directory.to_owned(),
        file: file.to_owned(),
        text: Text::Inherited,
        missing: Missing::Fail,
    }
}

fn enabling<'a>(
    directory: &'a Path,
    names: impl Iterator<Item = &'static str> + 'a,
) -> impl Iterator<Item = Write> + 'a {
    names.map(|name| Write {
        directory: directory.to_owned(),
        file: "cgroup.subtree_control".to_owned(),
        text: Text::Literal(format!("+{name}")),
        missing: Missing::Fail,
    })
}
