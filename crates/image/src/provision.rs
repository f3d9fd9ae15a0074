//! What a container stands on: a stack of layers for overlayfs, or a copy of what the stack shows.

mod copy;
mod overlay;

use std::os::fd::AsFd;

use rustix::fs::{Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use crate::unpack::Privilege;

pub(crate) use copy::copy_layers;
pub use overlay::{Overlay, Stack};

/// How layers become one tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The kernel stacks them: costs nothing.
    Overlay,
    /// Files are copied one by one: works everywhere.
    Copy,
}

impl Backend {
    /// The better one of those that work here. Whether the mount itself is allowed only trying it can tell.
    pub fn of_host() -> Self {
        let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        let is_overlay = |line: &str| line.split_whitespace().next_back() == Some("overlay");
        if known.lines().any(is_overlay) {
            Self::Overlay
        } else {
            Self::Copy
        }
    }
}

/// Owner, mode, attributes and times of one directory for another.
pub(crate) fn copy_directory_attributes(
    from: impl AsFd,
    to: impl AsFd,
    privilege: Privilege,
) -> Result<(), Errno> {
    copy_attributes(&from, &to, privilege)?;
    let stat = rustix::fs::fstat(&from)?;
    rustix::fs::futimens(&to, &times(&stat))
}

/// Owner, mode and attributes, but for the marks of overlayfs.
fn copy_attributes(from: impl AsFd, to: impl AsFd, privilege: Privilege) -> Result<(), Errno> {
    let stat = rustix::fs::fstat(&from)?;
    if privilege == Privilege::Root {
        let (uid, gid) = owner(&stat);
        rustix::fs::fchown(&to, Some(uid), Some(gid))?;
    }
    rustix::fs::fchmod(&to, rustix::fs::Mode::from_raw_mode(stat.st_mode))?;
    for name in attribute_names(&from)? {
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        let mut value = vec![0; rustix::fs::fgetxattr_query(&from, &*name)?];
        let length = rustix::fs::fgetxattr(&from, &*name, &mut value[..])?;
        match rustix::fs::fsetxattr(&to, &*name, &value[..length], XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP) => {}
            Err(Errno::PERM) if privilege == Privilege::Unprivileged => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a directory hides all that is below it.
pub(crate) fn is_opaque(directory: impl AsFd, privilege: Privilege) -> Result<bool, Errno> {
    let mut value = [0];
    match rustix::fs::fgetxattr(directory, privilege.opaque_attribute(), &mut value[..]) {
        Ok(_) => Ok(value == *b"y"),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(false),
        Err(error) => Err(error),
    }
}

fn attribute_names(file: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let length = match rustix::fs::flistxattr_query(&file) {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        length => length?,
    };
    let mut list = vec![0; length];
    let length = rustix::fs::flistxattr(&file, &mut list[..])?;
    let names = list[..length].split(|byte| *byte == 0);
    Ok(names
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}

fn owner(stat: &rustix::fs::Stat) -> (rustix::fs::Uid, rustix::fs::Gid) {
    let (uid, gid) = (stat.st_uid, stat.st_gid);
    (
        rustix::fs::Uid::from_raw(uid),
        rustix::fs::Gid::from_raw(gid),
    )
}

pub(crate) fn times(stat: &rustix::fs::Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}
