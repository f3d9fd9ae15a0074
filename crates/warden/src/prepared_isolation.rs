//! The isolation of a plan turned into what the child needs, and what the warden does for it around the clone.
//!
//! Owns everything of it that must stay in memory until the child has executed. Must never clone anything itself.

use crate::child_isolation::{ChildIsolation, Join};
use crate::child_mounts::MountRoom;
use crate::prepared::{PrepareError, fail};
use crate::protocol::LaunchStep;
use mezz_launch_plan::LaunchId;
use mezz_launch_plan::isolation::{
    GroupChanges, IdRange, Isolation, NamespaceKind, NamespaceSource, Overlay, Root, RootStep,
    UserMap,
};
use rustix::io::Errno;
use std::ffi::{CStr, CString, c_int};
use std::fmt::Write as _;
use std::os::fd::{OwnedFd, RawFd};

/// Everything of an isolation that a child reads.
#[derive(Debug)]
pub(crate) struct PreparedIsolation<'a> {
    pub(crate) plan: &'a Isolation,
    /// The pidfd of the process whose pid namespace the child is made in.
    pub(crate) pid_of: Option<RawFd>,
    /// Closed in the warden when the ids have been written.
    pub(crate) gate: Option<OwnedFd>,
    joins: Vec<Join>,
    sources: Vec<RawFd>,
    overlay_data: Option<CString>,
}

impl<'a> PreparedIsolation<'a> {
    /// Looks up the containers whose namespaces are shared.
    pub(crate) fn new(
        plan: &'a Isolation,
        main_process: impl Fn(LaunchId) -> Option<RawFd>,
    ) -> Result<Self, PrepareError> {
        let mut pid_of = None;
        let mut joins: Vec<Join> = Vec::new();
        for namespace in &plan.namespaces {
            let flags = namespace.kind.flag().cast_signed();
            match &namespace.source {
                NamespaceSource::New => {}
                NamespaceSource::Path(_) if namespace.kind == NamespaceKind::Pid => {
                    return Err(fail(
                        LaunchStep::Namespaces,
                        Errno::INVAL,
                        "a pid namespace cannot be joined by a path",
                    ));
                }
                NamespaceSource::Path(path) => joins.push(Join {
                    fd: -1,
                    path: path.as_ptr(),
                    flags,
                }),
                NamespaceSource::OfLaunch(launch) => {
                    let Some(fd) = main_process(*launch) else {
                        let what = format!("a container that it shall join has ended ({launch})");
                        return Err(fail(LaunchStep::Namespaces, Errno::SRCH, what));
                    };
                    if namespace.kind == NamespaceKind::Pid {
                        pid_of = Some(fd);
                    } else if let Some(same) = joins.last_mut().filter(|last| last.fd == fd) {
                        same.flags |= flags;
                    } else {
                        joins.push(Join {
                            fd,
                            path: std::ptr::null(),
                            flags,
                        });
                    }
                }
            }
        }
        let overlay_data = match &plan.root {
            Root::Overlay(overlay) => overlay_text(overlay),
            Root::Host | Root::Folder { .. } => None,
        };
        Ok(Self {
            plan,
            pid_of,
            gate: None,
            joins,
            sources: vec![-1; plan.steps.len()],
            overlay_data,
        })
    }

    /// The namespaces that are made together with the process: the one for cgroups is made when it has joined them.
    pub(crate) fn clone_flags(&self) -> u64 {
        let made = NamespaceKind::ALL
            .iter()
            .filter(|kind| **kind != NamespaceKind::Cgroup && self.plan.makes(**kind));
        made.fold(0, |flags, kind| flags | u64::from(kind.flag()))
    }

    /// The child's view, which borrows by pointers.
    pub(crate) fn child(&mut self, gate: [RawFd; 2]) -> ChildIsolation {
        ChildIsolation {
            plan: self.plan,
            gate,
            joins: self.joins.as_ptr(),
            join_count: self.joins.len(),
            mounts: MountRoom {
                sources: self.sources.as_mut_ptr(),
                count: self.sources.len(),
                overlay_data: self
                    .overlay_data
                    .as_ref()
                    .map_or(std::ptr::null(), |text| text.as_ptr()),
            },
        }
    }
}

/// What the steps of a plan are about, for messages.
pub(crate) fn step_names(plan: &Isolation) -> Vec<String> {
    let spot = |step: &RootStep| match step {
        RootStep::Mount(mount) => mount.target.clone(),
        RootStep::Directory { spot, .. }
        | RootStep::Link { spot, .. }
        | RootStep::Device { spot, .. }
        | RootStep::Mask { spot }
        | RootStep::ReadOnly { spot } => spot.clone(),
    };
    let name = |step: &RootStep| spot(step).path.to_string_lossy().into_owned();
    plan.steps.iter().map(name).collect()
}

/// What `mount` takes as one text, if it is short enough for it.
fn overlay_text(overlay: &Overlay) -> Option<CString> {
    /// A page, with its end.
    const LONGEST: usize = 4095;
    let mut text = b"lowerdir=".to_vec();
    for (index, layer) in overlay.lower.iter().enumerate() {
        if index > 0 {
            text.push(b':');
        }
        escape(layer, &mut text);
    }
    if let Some(upper) = &overlay.upper {
        for (key, path) in [(",upperdir=", &upper.upper), (",workdir=", &upper.work)] {
            text.extend_from_slice(key.as_bytes());
            escape(path, &mut text);
        }
    }
    for option in &overlay.options {
        text.push(b',');
        text.extend_from_slice(option.to_bytes());
    }
    if text.len() > LONGEST {
        return None;
    }
    CString::new(text).ok()
}

fn escape(path: &CStr, text: &mut Vec<u8>) {
    for byte in path.to_bytes() {
        if b":,\\".contains(byte) {
            text.push(b'\\');
        }
        text.push(*byte);
    }
}

/// Writes who the users of a child's new namespace are outside of it.
pub(crate) fn write_users(pid: u32, users: &UserMap) -> Result<(), PrepareError> {
    let lines = |ranges: &[IdRange]| {
        ranges.iter().fold(String::new(), |mut text, range| {
            let _ = writeln!(text, "{} {} {}", range.inside, range.outside, range.count);
            text
        })
    };
    let write = |file: &str, text: &str| {
        std::fs::write(format!("/proc/{pid}/{file}"), text).map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::INVAL);
            fail(LaunchStep::UserMap, errno, format!("cannot write {file}"))
        })
    };
    if users.groups == GroupChanges::Denied {
        write("setgroups", "deny")?;
    }
    write("gid_map", &lines(&users.gids))?;
    write("uid_map", &lines(&users.uids))
}

/// Makes the children of this process in another pid namespace, as long as it lives.
#[derive(Debug)]
pub(crate) struct PidNamespaceVisit {
    own: OwnedFd,
}

impl PidNamespaceVisit {
    /// Begins, where there is one to be in.
    pub(crate) fn begin(of: Option<RawFd>) -> Result<Option<Self>, Errno> {
        let Some(pidfd) = of else { return Ok(None) };
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
        let own = rustix::fs::open("/proc/self/ns/pid", flags, rustix::fs::Mode::empty())?;
        enter(pidfd)?;
        Ok(Some(Self { own }))
    }
}

impl Drop for PidNamespaceVisit {
    fn drop(&mut self) {
        if let Err(errno) = enter(std::os::fd::AsRawFd::as_raw_fd(&self.own)) {
            // Every later child would be in the wrong place.
            note!("cannot go back to the own pid namespace: {errno}");
            std::process::abort();
        }
    }
}

fn enter(fd: RawFd) -> Result<(), Errno> {
    let kind: c_int = libc::CLONE_NEWPID;
    // SAFETY: no pointers are involved; only where later children are made changes.
    if unsafe { libc::setns(fd, kind) } < 0 {
        let error = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::INVAL));
    }
    Ok(())
}
