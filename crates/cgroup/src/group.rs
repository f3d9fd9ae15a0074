//! One group: who is in it, stopping it, killing it, removing it.
//!
//! Every call is one attempt that does not sleep; processes are signalled through pidfds only.

use crate::directory::Directory;
use crate::layout::{GroupName, Layout, TreeControl};
use crate::plan::{Inner, joined, joined_v2};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether anything is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It is gone.
    Nothing,
    /// Come again.
    Something,
}

/// How far a group is with standing still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freezing {
    /// It runs.
    Thawed,
    /// It was told to stop and does not yet stand still as a whole.
    Underway,
    /// It stands still.
    Frozen,
}

/// The attributes that hold a label.
const LABELS: [&str; 2] = ["trusted.mezz.label", "user.mezz.label"];

/// One group in all its hierarchies.
#[derive(Clone, Debug)]
pub struct Group {
    layout: Arc<Layout>,
    name: GroupName,
    inner: Inner,
}

impl Group {
    pub(crate) fn new(layout: Arc<Layout>, name: GroupName, inner: Inner) -> Self {
        Self {
            layout,
            name,
            inner,
        }
    }

    /// Its name below the agent's roots.
    pub fn name(&self) -> &GroupName {
        &self.name
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Writes on the group itself whose it is: a label that goes with it.
    pub fn label(&self, text: &str) -> io::Result<()> {
        let Some(path) = self.directories().into_iter().next() else {
            return Ok(());
        };
        let put = |name| {
            rustix::fs::setxattr(
                &path,
                name,
                text.as_bytes(),
                rustix::fs::XattrFlags::empty(),
            )
        };
        // Only root may write the first kind.
        put(LABELS[0]).or_else(|_| put(LABELS[1]))?;
        Ok(())
    }

    /// What was written on it, if anything.
    pub fn label_text(&self) -> Option<String> {
        let path = self.directories().into_iter().next()?;
        let mut buffer = [0u8; 256];
        let length = LABELS
            .iter()
            .find_map(|name| rustix::fs::getxattr(&path, *name, &mut buffer).ok())?;
        let text = buffer.get(..length)?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// The directories of its limits.
    pub fn directories(&self) -> Vec<PathBuf> {
        self.layout.directories(&self.name)
    }

    /// The directories that its processes join.
    pub fn joined(&self) -> Vec<PathBuf> {
        joined(&self.layout, &self.name, self.inner)
    }

    /// Those of version 1 only: what a process joins that was cloned into the group of version 2.
    pub fn joined_v1(&self) -> Vec<PathBuf> {
        let v1 = self.layout.v1.iter();
        v1.map(|root| root.path.join(self.name.as_str())).collect()
    }

    /// The directory to clone into (`CLONE_INTO_CGROUP`), if version 2 is used.
    pub fn clone_directory(&self) -> Option<io::Result<OwnedFd>> {
        let path = joined_v2(&self.layout, &self.name, self.inner)?;
        Some(Directory::open(&path).map(Directory::into_fd))
    }

    /// Moves a process, with all its threads, into the group.
    pub fn attach(&self, pid: u32) -> io::Result<()> {
        let pid = pid.to_string();
        self.joined()
            .iter()
            .try_for_each(|path| Directory::open(path)?.write("cgroup.procs", &pid))
    }

    /// The processes in it and in the groups within it.
    pub fn members(&self) -> BTreeSet<u32> {
        let mut members = BTreeSet::new();
        for path in self.tree_directory().into_iter().chain(self.directories()) {
            members_of(&path, &mut members);
        }
        members
    }

    /// Where the whole tree is stopped and killed.
    fn tree_directory(&self) -> Option<PathBuf> {
        let root = match self.layout.tree.as_ref()? {
            TreeControl::V2 => &self.layout.v2.as_ref()?.path,
            TreeControl::FreezerV1(at) => &self.layout.v1.get(*at)?.path,
        };
        Some(root.join(self.name.as_str()))
    }

    fn tree(&self) -> io::Result<(TreeControl, Directory)> {
        let none = || io::Error::new(io::ErrorKind::Unsupported, "no freezer is used");
        let control = self.layout.tree.clone().ok_or_else(none)?;
        let path = self.tree_directory().ok_or_else(none)?;
        Ok((control, Directory::open(&path)?))
    }

    /// Tells it to stand still.
    pub fn freeze(&self) -> io::Result<()> {
        match self.tree()? {
            (TreeControl::V2, directory) => directory.write("cgroup.freeze", "1"),
            (TreeControl::FreezerV1(_), directory) => directory.write("freezer.state", "FROZEN"),
        }
    }

    /// Tells it to go on.
    pub fn thaw(&self) -> io::Result<()> {
        match self.tree()? {
            (TreeControl::V2, directory) => directory.write("cgroup.freeze", "0"),
            (TreeControl::FreezerV1(_), directory) => directory.write("freezer.state", "THAWED"),
        }
    }

    /// How far it is with that.
    pub fn freezing(&self) -> io::Result<Freezing> {
        match self.tree()? {
            (TreeControl::V2, directory) => {
                let told = directory.read("cgroup.freeze")?;
                let events = directory.read("cgroup.events")?;
                Ok(freezing_v2(&told, &events))
            }
            (TreeControl::FreezerV1(_), directory) => {
                Ok(freezing_v1(&directory.read("freezer.state")?))
            }
        }
    }

    /// Kills whoever is in it and removes it; come again while something is left.
    ///
    /// A group that does not stand still in time is killed all the same: what it has forked meanwhile is found the
    /// next time.
    pub fn kill_once(&self) -> Left {
        if self.remove_once() == Left::Nothing {
            return Left::Nothing;
        }
        let killed = match self.tree() {
            Ok((TreeControl::V2, directory)) => directory.write("cgroup.kill", "1").is_ok(),
            Ok((TreeControl::FreezerV1(_), _)) | Err(_) => false,
        };
        if !killed {
            let frozen = self.freeze().is_ok();
            signal_members(|| self.members(), Signal::KILL);
            if frozen {
                // Somebody may have removed it between.
                let _ = self.thaw();
            }
        }
        self.remove_once()
    }

    /// Sends a signal to whoever is in it; says how many got it.
    pub fn signal(&self, signal: Signal) -> usize {
        signal_members(|| self.members(), signal)
    }

    /// Removes it with the groups within it, where nobody is in them.
    pub fn remove_once(&self) -> Left {
        let mut left = Left::Nothing;
        for path in self.directories() {
            if remove(&path) == Left::Something {
                left = Left::Something;
            }
        }
        left
    }
}

fn freezing_v1(state: &str) -> Freezing {
    match state.trim_end() {
        "FROZEN" => Freezing::Frozen,
        "FREEZING" => Freezing::Underway,
        _ => Freezing::Thawed,
    }
}

fn freezing_v2(told: &str, events: &str) -> Freezing {
    let frozen = events.lines().any(|line| line == "frozen 1");
    match (told.trim_end(), frozen) {
        (_, true) => Freezing::Frozen,
        ("1", false) => Freezing::Underway,
        _ => Freezing::Thawed,
    }
}

/// Opens everybody, looks again, and signals those that are members still: a number may have been reused between.
fn signal_members(members: impl Fn() -> BTreeSet<u32>, signal: Signal) -> usize {
    let open = |pid: u32| {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        pidfd_open(pid, PidfdFlags::empty()).ok()
    };
    let held: Vec<_> = members()
        .into_iter()
        .filter_map(|pid| Some((pid, open(pid)?)))
        .collect();
    let still = members();
    held.into_iter()
        .filter(|(pid, fd)| still.contains(pid) && pidfd_send_signal(fd, signal).is_ok())
        .count()
}

fn members_of(path: &Path, members: &mut BTreeSet<u32>) {
    let procs = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    // Process 0 is one of another pid namespace, which nobody here can signal.
    members.extend(
        procs
            .lines()
            .filter_map(|line| line.parse::<u32>().ok())
            .filter(|pid| *pid != 0),
    );
    for inner in inner_groups(path) {
        members_of(&inner, members);
    }
}

pub(crate) fn inner_groups(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Without looking inside first: mostly there is nothing.
fn remove(path: &Path) -> Left {
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => return Left::Nothing,
        Err(_) => {}
    }
    let inner = inner_groups(path);
    if inner.is_empty() || inner.iter().any(|inner| remove(inner) == Left::Something) {
        return Left::Something;
    }
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Left::Nothing,
        Err(_) => Left::Something,
    }
}
