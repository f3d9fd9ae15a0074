//! What the host has: which hierarchies are mounted where, with which controllers, and where this process is in them.
//!
//! Pure: reads texts of `/proc`, never the files themselves.

use crate::controller::{Controller, InV2};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The texts of the kernel that [`Hierarchies::parse`] reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostTexts<'a> {
    /// `/proc/self/mountinfo`
    pub mountinfo: &'a str,
    /// `/proc/cgroups`; empty where the kernel has no version 1.
    pub cgroups: &'a str,
    /// `/proc/self/cgroup`
    pub own: &'a str,
    /// `cgroup.controllers` at the mount point of version 2; empty where it is not mounted.
    pub v2_controllers: &'a str,
}

/// A mounted hierarchy of version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HierarchyV1 {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// What this process's own group is, below the mount point.
    pub own: PathBuf,
    /// What it limits; mounted together they share their groups.
    pub controllers: BTreeSet<Controller>,
}

/// The mounted hierarchy of version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HierarchyV2 {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// What this process's own group is, below the mount point.
    pub own: PathBuf,
    /// What it can limit, among what has to be enabled.
    pub controllers: BTreeSet<Controller>,
}

/// Why a controller cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The kernel was built without it.
    NotInKernel,
    /// It was switched off at boot (`cgroup_disable=`).
    Disabled,
    /// No hierarchy with it is mounted.
    NotMounted,
    /// Version 2 has nothing of the kind, and version 1 is not mounted.
    OnlyInV1,
}

impl std::fmt::Display for Absence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotInKernel => "the kernel was built without it",
            Self::Disabled => "it was disabled when the kernel was started",
            Self::NotMounted => "no hierarchy with it is mounted",
            Self::OnlyInV1 => "it exists in cgroup version 1 only, which is not mounted",
        })
    }
}

/// Which layout the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Nothing is mounted.
    None,
    /// Only version 1.
    V1,
    /// Only version 2.
    V2,
    /// Both: the controllers are divided between them.
    Hybrid,
}

/// All mounted hierarchies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchies {
    /// Those of version 1 that have controllers, in the order of their mounts.
    pub v1: Vec<HierarchyV1>,
    /// That of version 2.
    pub v2: Option<HierarchyV2>,
    /// What the kernel lists for version 1: whether it is enabled.
    listed: BTreeMap<Controller, bool>,
}

impl Hierarchies {
    /// Reads the kernel's texts; lines that are not understood are passed over, since kernels add to them.
    pub fn parse(texts: HostTexts<'_>) -> Self {
        let mut found = Self {
            listed: parse_listed(texts.cgroups),
            ..Self::default()
        };
        for mount in texts.mountinfo.lines().filter_map(Mount::parse) {
            found.add(&mount, texts);
        }
        found
    }

    /// Where version 2 is mounted, to read `cgroup.controllers` there before parsing for good.
    pub fn v2_mount(mountinfo: &str) -> Option<PathBuf> {
        mountinfo
            .lines()
            .filter_map(Mount::parse)
            .find(|mount| mount.kind == "cgroup2")
            .map(|mount| mount.point)
    }

    fn add(&mut self, mount: &Mount<'_>, texts: HostTexts<'_>) {
        match mount.kind {
            "cgroup2" if self.v2.is_none() => {
                self.v2 = Some(HierarchyV2 {
                    own: mount.below(own_path(texts.own, str::is_empty)),
                    mount: mount.point.clone(),
                    controllers: texts
                        .v2_controllers
                        .split_whitespace()
                        .filter_map(Controller::from_v2_name)
                        .collect(),
                });
            }
            "cgroup" => {
                let controllers: BTreeSet<_> = mount
                    .options
                    .split(',')
                    .filter_map(Controller::from_v1_name)
                    .collect();
                let known = self.v1.iter().any(|other| other.controllers == controllers);
                let Some(first) = controllers.first().copied().filter(|_| !known) else {
                    return;
                };
                let own = own_path(texts.own, |names| {
                    names.split(',').any(|name| name == first.v1_name())
                });
                self.v1.push(HierarchyV1 {
                    own: mount.below(own),
                    mount: mount.point.clone(),
                    controllers,
                });
            }
            _ => {}
        }
    }

    /// Which layout this is.
    pub fn version(&self) -> Version {
        match (self.v1.is_empty(), self.v2.is_some()) {
            (true, false) => Version::None,
            (false, false) => Version::V1,
            (true, true) => Version::V2,
            (false, true) => Version::Hybrid,
        }
    }

    /// Which hierarchy of version 1 has the controller.
    pub fn v1_with(&self, controller: Controller) -> Option<usize> {
        self.v1
            .iter()
            .position(|each| each.controllers.contains(&controller))
    }

    /// Whether version 2 has the controller: a controller that is mounted in version 1 is not there as well.
    pub fn v2_has(&self, controller: Controller) -> bool {
        let Some(v2) = &self.v2 else { return false };
        match controller.v2() {
            InV2::Listed(_) => v2.controllers.contains(&controller),
            InV2::Always => controller == Controller::Freezer || self.v1_with(controller).is_none(),
            InV2::Never => false,
        }
    }

    /// Why the controller is in neither version; `None` if it is in one.
    pub fn absence(&self, controller: Controller) -> Option<Absence> {
        if self.v2_has(controller) || self.v1_with(controller).is_some() {
            return None;
        }
        Some(match self.listed.get(&controller) {
            Some(false) => Absence::Disabled,
            Some(true) if controller.v2() == InV2::Never && self.version() == Version::V2 => {
                Absence::OnlyInV1
            }
            Some(true) => Absence::NotMounted,
            None if self.version() == Version::None => Absence::NotMounted,
            None if controller.v2() == InV2::Never => Absence::OnlyInV1,
            None => Absence::NotInKernel,
        })
    }
}

/// A line of `mountinfo`, as far as it matters here.
struct Mount<'a> {
    root: PathBuf,
    point: PathBuf,
    kind: &'a str,
    /// Of the file system, not of the mount.
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let kind = after.next()?;
        Some(Self {
            root: unescape(root),
            point: unescape(point),
            kind,
            options: after.nth(1).unwrap_or(""),
        })
    }

    /// A path within the hierarchy as seen below the mount point: a container sees a part of the hierarchy only.
    fn below(&self, path: &str) -> PathBuf {
        let path = Path::new(path);
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        // A process outside of its cgroup namespace's root has a path that climbs: the best below the mount is its top.
        if path.components().any(|part| part.as_os_str() == "..") {
            return PathBuf::new();
        }
        path.strip_prefix("/").unwrap_or(path).to_owned()
    }
}

/// The path behind the second colon of the line whose controllers please.
fn own_path(own: &str, mut wanted: impl FnMut(&str) -> bool) -> &str {
    own.lines()
        .find_map(|line| {
            let (number, rest) = line.split_once(':')?;
            let (names, path) = rest.split_once(':')?;
            (wanted(names) && (!names.is_empty() || number == "0")).then_some(path)
        })
        .unwrap_or("/")
}

fn parse_listed(text: &str) -> BTreeMap<Controller, bool> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let controller = Controller::from_v1_name(words.next()?)?;
            Some((controller, words.nth(2)? == "1"))
        })
        .collect()
}

/// The kernel writes blanks, tabs, line ends and backslashes as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        rest = if let Some(byte) = octal {
            bytes.push(byte);
            &after[3..]
        } else {
            bytes.push(*first);
            after
        };
    }
    PathBuf::from(OsString::from_vec(bytes))
}
