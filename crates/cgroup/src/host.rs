//! Reads the host's own texts, and makes room in a delegated group.
//!
//! Must hold no policy: what the texts mean is decided in `hierarchies`.

use crate::hierarchies::{Hierarchies, HostTexts};
use std::fs;
use std::io;
use std::path::Path;

/// What this host has.
pub fn hierarchies() -> io::Result<Hierarchies> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    // A kernel without version 1 has no such file.
    let cgroups = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let v2_controllers = match Hierarchies::v2_mount(&mountinfo) {
        Some(mount) => fs::read_to_string(mount.join("cgroup.controllers"))?,
        None => String::new(),
    };
    Ok(Hierarchies::parse(HostTexts {
        mountinfo: &mountinfo,
        cgroups: &cgroups,
        own: &own,
        v2_controllers: &v2_controllers,
    }))
}

/// Moves whoever is in a group of version 2 into a group within it: the kernel enables controllers only for groups
/// without processes of their own. Says how many went.
pub fn vacate(group: &Path, into: &str) -> io::Result<usize> {
    const ROUNDS: usize = 16;
    let inner = group.join(into);
    match fs::create_dir(&inner) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let mut moved = 0;
    // Whoever was forked meanwhile is found in the next round; a process that has ended is none to move.
    for _ in 0..ROUNDS {
        let procs = fs::read_to_string(group.join("cgroup.procs"))?;
        if procs.trim().is_empty() {
            return Ok(moved);
        }
        for pid in procs.lines() {
            match fs::write(inner.join("cgroup.procs"), pid) {
                Ok(()) => moved += 1,
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Err(io::Error::other(
        "processes appear in the group faster than they can be moved out of it",
    ))
}
