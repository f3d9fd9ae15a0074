//! Where the groups of one agent lie, and how a group may be called.
//!
//! Pure: paths are put together here, never made.

use crate::controller::{Controller, InV2};
use crate::hierarchies::{Absence, Hierarchies};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// The child group that holds the processes where a group has further groups in it: version 2 wants them apart.
pub const LEAF: &str = "leaf";

/// The name of a group below the agent's root: `container`, or `container/nested`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupName(String);

/// A name that a group cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("group name {name:?}: {problem}")]
pub struct GroupNameError {
    /// The name.
    pub name: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl GroupName {
    /// Takes a name if the kernel can tell it from its own files.
    pub fn new(name: impl Into<String>) -> Result<Self, GroupNameError> {
        let name = name.into();
        match name.split('/').find_map(problem_of) {
            Some(problem) => Err(GroupNameError { name, problem }),
            None => Ok(Self(name)),
        }
    }

    /// The group of this name within this one.
    pub fn nested(&self, name: &str) -> Result<Self, GroupNameError> {
        Self::new(format!("{}/{name}", self.0))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn problem_of(part: &str) -> Option<&'static str> {
    let reserved = ["tasks", "notify_on_release", "release_agent", LEAF];
    let prefix = part.split_once('.').map(|(before, _)| before);
    let of_kernel = |prefix: &str| {
        prefix == "cgroup"
            || Controller::from_v1_name(prefix).is_some()
            || Controller::from_v2_name(prefix).is_some()
    };
    match part {
        "" => Some("a part of it is empty"),
        "." | ".." => Some("a part of it is `.` or `..`"),
        _ if part.len() > 255 => Some("a part of it is longer than 255 bytes"),
        _ if part.contains(['\n', '\0', '\\']) => {
            Some("it contains a line end, a NUL or a backslash")
        }
        _ if reserved.contains(&part) || prefix.is_some_and(of_kernel) => {
            Some("a part of it is the name of a file of the kernel's or of the inner group `leaf`")
        }
        _ => None,
    }
}

/// Below what the agent's root lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Below {
    /// The top of the hierarchy, as Mesos does.
    #[default]
    Mount,
    /// The group in which this process is: what a service manager has delegated.
    Own,
}

/// How whole trees are stopped and killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeControl {
    /// `cgroup.freeze` and `cgroup.kill`.
    V2,
    /// `freezer.state` of the hierarchy of this place in [`Layout::v1`].
    FreezerV1(usize),
}

/// The agent's root in one hierarchy of version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootV1 {
    /// The directory.
    pub path: PathBuf,
    /// From where downwards groups have to be prepared: the mount point, or the own group.
    pub top: PathBuf,
    /// Which of the wanted controllers it has.
    pub controllers: BTreeSet<Controller>,
}

/// The agent's root in version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootV2 {
    /// The directory.
    pub path: PathBuf,
    /// From where downwards groups have to be prepared: the mount point, or the own group.
    pub top: PathBuf,
    /// What is wanted of it.
    pub controllers: BTreeSet<Controller>,
}

impl RootV2 {
    /// What is written to `cgroup.subtree_control`, one controller after another.
    pub(crate) fn to_enable(&self) -> impl Iterator<Item = &'static str> {
        self.controllers.iter().filter_map(|each| match each.v2() {
            InV2::Listed(name) => Some(name),
            InV2::Always | InV2::Never => None,
        })
    }
}

/// Where the groups of one agent lie, for the controllers that it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// In version 1: only hierarchies that are used.
    pub v1: Vec<RootV1>,
    /// In version 2, if anything of it is used.
    pub v2: Option<RootV2>,
    /// How trees are stopped; `None` if the freezer was not wanted.
    pub tree: Option<TreeControl>,
}

/// Why a layout cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A wanted controller is not there.
    #[error("the cgroup controller {controller} cannot be used: {absence}")]
    Missing {
        /// Which.
        controller: Controller,
        /// Why.
        absence: Absence,
    },
}

impl Layout {
    /// The roots called `name` in all hierarchies that the wanted controllers need. Processor time is counted wherever
    /// it is limited.
    pub fn new(
        host: &Hierarchies,
        name: &GroupName,
        below: Below,
        wanted: &BTreeSet<Controller>,
    ) -> Result<Self, LayoutError> {
        let mut wanted = wanted.clone();
        if wanted.contains(&Controller::Cpu) && host.absence(Controller::Cpuacct).is_none() {
            wanted.insert(Controller::Cpuacct);
        }
        for controller in &wanted {
            if let Some(absence) = host.absence(*controller) {
                return Err(LayoutError::Missing {
                    controller: *controller,
                    absence,
                });
            }
        }
        let top = |mount: &Path, own: &Path| match below {
            Below::Mount => mount.to_owned(),
            Below::Own => mount.join(own),
        };
        let (in_v2, in_v1): (BTreeSet<_>, BTreeSet<_>) =
            wanted.iter().partition(|each| host.v2_has(**each));
        let v1: Vec<_> = host
            .v1
            .iter()
            .filter_map(|hierarchy| {
                let controllers: BTreeSet<_> = in_v1
                    .intersection(&hierarchy.controllers)
                    .copied()
                    .collect();
                let top = top(&hierarchy.mount, &hierarchy.own);
                (!controllers.is_empty()).then(|| RootV1 {
                    path: top.join(name.as_str()),
                    top,
                    controllers,
                })
            })
            .collect();
        let freezer = v1
            .iter()
            .position(|each| each.controllers.contains(&Controller::Freezer))
            .map(TreeControl::FreezerV1);
        let tree = if in_v2.contains(&Controller::Freezer) {
            Some(TreeControl::V2)
        } else {
            freezer
        };
        let v2 = host.v2.as_ref().filter(|_| !in_v2.is_empty()).map(|v2| {
            let top = top(&v2.mount, &v2.own);
            RootV2 {
                path: top.join(name.as_str()),
                top,
                controllers: in_v2,
            }
        });
        Ok(Self { v1, v2, tree })
    }

    /// Whether the controller is used, in either version.
    pub fn uses(&self, controller: Controller) -> bool {
        self.v1_root(controller).is_some() || self.v2_uses(controller)
    }

    /// The root in version 1 of the controller.
    pub fn v1_root(&self, controller: Controller) -> Option<&RootV1> {
        self.v1
            .iter()
            .find(|root| root.controllers.contains(&controller))
    }

    /// Whether the controller is used in version 2.
    pub fn v2_uses(&self, controller: Controller) -> bool {
        self.v2
            .as_ref()
            .is_some_and(|root| root.controllers.contains(&controller))
    }

    /// All roots.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        let v1 = self.v1.iter().map(|root| root.path.as_path());
        v1.chain(self.v2.iter().map(|root| root.path.as_path()))
    }

    /// All directories of a group.
    pub fn directories(&self, name: &GroupName) -> Vec<PathBuf> {
        self.roots().map(|root| root.join(name.as_str())).collect()
    }
}
