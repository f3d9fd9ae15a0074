//! Network namespaces that live by a bind mount of their own.
//!
//! A namespace is made by a thread that ends; nothing else of this process ever leaves its own.

use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::sys;

/// The file system of namespaces.
const NSFS_MAGIC: u64 = 0x6e73_6673;
/// How often a mount point can have been mounted upon; a crash leaves one.
const MOUNTS: usize = 16;

/// Makes a network namespace with its loopback up, and keeps it at `path`, where nothing may be yet.
pub fn make_namespace(path: &Path) -> io::Result<()> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?;
    let made = in_thread(|| {
        sys::unshare_network()?;
        sys::set_loopback_up()?;
        mount_bind("/proc/thread-self/ns/net", path).map_err(io::Error::from)
    });
    if made.is_err() {
        // Whatever kept the namespace from being made is told, not this.
        let _ = std::fs::remove_file(path);
    }
    made
}

/// Lets go of the namespace at `path`, which ends it if no process is in it. What is not there needs nothing.
pub fn remove_namespace(path: &Path) -> io::Result<()> {
    for _ in 0..MOUNTS {
        match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            // Nothing is mounted (any more), or nothing is there.
            Err(Errno::INVAL | Errno::NOENT) => break,
            Err(error) => return Err(error.into()),
        }
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a namespace is kept at `path`: after a reboot only the file is left.
pub fn is_namespace(path: &Path) -> bool {
    rustix::fs::statfs(path)
        .is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|kind| kind == NSFS_MAGIC))
}

/// Runs `work` in the network namespace at `path`. Sockets that it opens stay in that namespace.
pub fn enter<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let namespace = std::fs::File::open(path)?;
    in_thread(|| {
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), kind)?;
        Ok(work())
    })
}

/// A thread whose namespaces nobody uses afterwards.
fn in_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespace".to_owned());
        let thread = thread.spawn_scoped(scope, work)?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
    })
}
