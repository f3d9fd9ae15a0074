//! Ending whole trees, and sending signals to them: one attempt at a time, never sleeping.
//!
//! Must never signal by number: every process is held by a pidfd and looked at again before it is signalled.

use crate::proc_tree;
use mezz_launch_plan::KillMethod;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What is known of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeId {
    pub(crate) kill: KillMethod,
    /// The main process, alive or not; 0 if it was never known.
    pub(crate) pid: u32,
    /// Its start time; 0 if it was never known, or nobody needs it since a cgroup holds the tree.
    pub(crate) start_ticks: u64,
    pub(crate) marker: CString,
}

/// Whether anything is left of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    Something,
}

pub(crate) fn path_of(path: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

impl TreeId {
    /// Kills what there is and says whether to come again.
    pub(crate) fn kill_once(&self) -> Left {
        match &self.kill {
            KillMethod::FreezerV1 { path } => kill_frozen(path_of(path)),
            KillMethod::CgroupV2 { path } => kill_cgroup(path_of(path)),
            KillMethod::PidNamespace | KillMethod::Session => kill_found(self),
        }
    }

    /// Removes the cgroup, if there is one and nobody is in it.
    pub(crate) fn remove_if_empty(&self) -> Left {
        match &self.kill {
            KillMethod::FreezerV1 { path } | KillMethod::CgroupV2 { path } => {
                remove_cgroup(path_of(path))
            }
            KillMethod::PidNamespace | KillMethod::Session => Left::Nothing,
        }
    }

    /// The processes that are in the tree now.
    pub(crate) fn members(&self) -> BTreeSet<u32> {
        match &self.kill {
            KillMethod::FreezerV1 { path } | KillMethod::CgroupV2 { path } => {
                cgroup_members(path_of(path))
            }
            KillMethod::PidNamespace | KillMethod::Session => proc_tree::members(self),
        }
    }

    /// Sends a signal to every process that is in the tree now, but for one; says how many got it.
    pub(crate) fn signal(&self, signal: Signal, except: Option<u32>) -> usize {
        let members = || {
            let mut members = self.members();
            if let Some(except) = except {
                members.remove(&except);
            }
            members
        };
        signal_members(members, signal)
    }
}

/// Opens every member, looks again, and signals those that are members still: a number may have been reused between.
fn signal_members(members: impl Fn() -> BTreeSet<u32>, signal: Signal) -> usize {
    let held: Vec<_> = members()
        .into_iter()
        .filter_map(|pid| Some((pid, open(pid)?)))
        .collect();
    let still = members();
    held.into_iter()
        .filter(|(pid, fd)| still.contains(pid) && pidfd_send_signal(fd, signal).is_ok())
        .count()
}

fn open(pid: u32) -> Option<std::os::fd::OwnedFd> {
    pidfd_open(
        Pid::from_raw(i32::try_from(pid).ok()?)?,
        PidfdFlags::empty(),
    )
    .ok()
}

/// A frozen group cannot fork away from the list that is being worked off.
fn kill_frozen(path: &Path) -> Left {
    if remove_cgroup(path) == Left::Nothing {
        return Left::Nothing;
    }
    // A group that does not freeze in time is killed all the same, and looked at again.
    let _ = fs::write(path.join("freezer.state"), "FROZEN");
    signal_members(|| cgroup_members(path), Signal::KILL);
    let _ = fs::write(path.join("freezer.state"), "THAWED");
    remove_cgroup(path)
}

fn kill_cgroup(path: &Path) -> Left {
    if remove_cgroup(path) == Left::Nothing {
        return Left::Nothing;
    }
    if fs::write(path.join("cgroup.kill"), "1").is_err() {
        signal_members(|| cgroup_members(path), Signal::KILL);
    }
    remove_cgroup(path)
}

fn kill_found(tree: &TreeId) -> Left {
    /// How often a tree that grows while it is killed is looked at before others get their turn.
    const ROUNDS: usize = 8;
    for _ in 0..ROUNDS {
        if proc_tree::members(tree).is_empty() {
            return Left::Nothing;
        }
        signal_members(|| proc_tree::members(tree), Signal::KILL);
    }
    Left::Something
}

/// The processes of a group and of the groups that its processes made in it.
fn cgroup_members(path: &Path) -> BTreeSet<u32> {
    let mut members = BTreeSet::new();
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        let procs = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        members.extend(
            procs
                .lines()
                .filter_map(|line| line.parse::<u32>().ok())
                .filter(|pid| *pid != 0),
        );
        directories.extend(subdirectories(&directory));
    }
    members
}

fn subdirectories(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Removes the group, with the groups inside it, if no process is in any.
fn remove_cgroup(path: &Path) -> Left {
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT) => Left::Nothing,
        Err(_) => {
            let inside = subdirectories(path);
            let emptied = !inside.is_empty()
                && inside
                    .iter()
                    .all(|inner| remove_cgroup(inner) == Left::Nothing);
            if emptied && matches!(rustix::fs::rmdir(path), Ok(()) | Err(Errno::NOENT)) {
                Left::Nothing
            } else {
                Left::Something
            }
        }
    }
}

/// The kernel's files are plain ones here, and the test does what the kernel would do with them.
#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    struct Group {
        path: PathBuf,
        _around: tempfile::TempDir,
    }

    impl Group {
        fn new() -> Self {
            let around = tempfile::tempdir().expect("a folder");
            let path = around.path().join("launch");
            fs::create_dir(&path).expect("a folder");
            fs::write(path.join("cgroup.procs"), "").expect("a file");
            Self {
                path,
                _around: around,
            }
        }

        fn tree(&self) -> TreeId {
            let path = CString::new(self.path.as_os_str().as_bytes()).expect("no NUL");
            TreeId {
                kill: KillMethod::CgroupV2 { path },
                pid: 0,
                start_ticks: 0,
                marker: c"".to_owned(),
            }
        }

        /// What the kernel does when the last process has gone: the directory can be removed.
        fn empty(&self) {
            for entry in fs::read_dir(&self.path).expect("a folder").flatten() {
                if entry.path().is_dir() {
                    let _ = fs::remove_file(entry.path().join("cgroup.procs"));
                } else {
                    fs::remove_file(entry.path()).expect("a file");
                }
            }
        }
    }

    fn sleeper() -> Child {
        let mut command = Command::new("sleep");
        command.arg("1000").spawn().expect("a process")
    }

    #[test]
    fn a_group_is_killed_by_its_own_file_and_removed_when_it_is_empty() {
        let group = Group::new();
        fs::write(group.path.join("cgroup.kill"), "").expect("a file");
        let tree = group.tree();
        assert_eq!(tree.kill_once(), Left::Something);
        let written = fs::read_to_string(group.path.join("cgroup.kill"));
        assert_eq!(written.expect("a file"), "1");
        group.empty();
        assert_eq!(tree.kill_once(), Left::Nothing);
        assert!(!group.path.exists());
        assert_eq!(tree.kill_once(), Left::Nothing, "it is gone already");
    }

    #[test]
    fn without_that_file_every_process_is_killed_those_of_inner_groups_too() {
        let group = Group::new();
        // As on kernels before 5.14 it cannot be written to.
        fs::create_dir(group.path.join("cgroup.kill")).expect("a folder");
        let inner = group.path.join("inner");
        fs::create_dir(&inner).expect("a folder");
        let mut children = [sleeper(), sleeper()];
        for (folder, child) in [&group.path, &inner].into_iter().zip(&children) {
            // Process 0 is one of another pid namespace, which nobody can signal.
            let list = format!("{}\n0\n", child.id());
            fs::write(folder.join("cgroup.procs"), list).expect("a file");
        }
        let tree = group.tree();
        let pids: BTreeSet<u32> = children.iter().map(Child::id).collect();
        assert_eq!(tree.members(), pids);
        assert_eq!(tree.kill_once(), Left::Something);
        for child in &mut children {
            let status = child.wait().expect("a child");
            assert_eq!(
                std::os::unix::process::ExitStatusExt::signal(&status),
                Some(9)
            );
        }
        group.empty();
        assert_eq!(tree.remove_if_empty(), Left::Nothing);
    }

    #[test]
    fn a_signal_reaches_only_the_processes_of_the_group() {
        let group = Group::new();
        let (mut inside, mut outside) = (sleeper(), sleeper());
        fs::write(group.path.join("cgroup.procs"), inside.id().to_string()).expect("a file");
        assert_eq!(group.tree().signal(Signal::TERM, None), 1);
        assert!(!inside.wait().expect("a child").success());
        assert!(matches!(outside.try_wait(), Ok(None)));
        outside.kill().expect("it runs");
        outside.wait().expect("a child");
    }
}
