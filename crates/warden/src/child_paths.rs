//! Paths in a container's root, resolved and made without ever leaving the folder they belong to.
//!
//! What lies there may have been made by anybody: every link is followed by the kernel as if the folder were the root.
//! Async-signal-safe; must never allocate.

use crate::kernel_calls::{close, open_in_root, status};
use mezz_launch_plan::isolation::{Missing, Spot};
use std::ffi::{CStr, c_int};
use std::os::fd::RawFd;

/// What is made where nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
}

impl Kind {
    /// Of what is open.
    pub(crate) fn of(fd: RawFd) -> Result<Self, c_int> {
        let (mode, ..) = status(fd)?;
        Ok(if mode & libc::S_IFMT == libc::S_IFDIR {
            Self::Folder
        } else {
            Self::File
        })
    }
}

const LONGEST: usize = libc::PATH_MAX as usize;

/// Opens a spot of the tree whose root is open; answers with a descriptor or a negative error number.
pub(crate) fn resolve(root: RawFd, spot: &Spot, missing: Missing, kind: Kind) -> c_int {
    let within = open_in_root(root, spot.within.as_ptr(), libc::O_DIRECTORY);
    if within < 0 {
        return within;
    }
    let mut found = open_in_root(within, spot.path.as_ptr(), 0);
    if found == -libc::ENOENT && missing == Missing::Make {
        found = make(within, &spot.path, kind);
    }
    close(within);
    found
}

/// Opens the folder of a spot, making it if needed, and says where the spot's own name begins in its path.
pub(crate) fn parent(root: RawFd, spot: &Spot) -> Result<(RawFd, usize), c_int> {
    let bytes = spot.path.to_bytes();
    let Some(slash) = bytes.iter().rposition(|byte| *byte == b'/') else {
        let folder = open_in_root(root, spot.within.as_ptr(), libc::O_DIRECTORY);
        return if folder < 0 {
            Err(-folder)
        } else {
            Ok((folder, 0))
        };
    };
    let within = open_in_root(root, spot.within.as_ptr(), libc::O_DIRECTORY);
    if within < 0 {
        return Err(-within);
    }
    let mut buffer = [0u8; LONGEST];
    if slash >= LONGEST {
        close(within);
        return Err(libc::ENAMETOOLONG);
    }
    for (to, from) in buffer.iter_mut().zip(bytes).take(slash) {
        *to = *from;
    }
    let path = match CStr::from_bytes_until_nul(&buffer) {
        Ok(path) if slash > 0 => path,
        _ => c"/",
    };
    let mut folder = open_in_root(within, path.as_ptr(), libc::O_DIRECTORY);
    if folder == -libc::ENOENT {
        folder = make(within, path, Kind::Folder);
    }
    close(within);
    if folder < 0 {
        Err(-folder)
    } else {
        Ok((folder, slash + 1))
    }
}

/// Makes what is missing of a path, with the owner of the folder it is kept within; opens its end.
fn make(within: RawFd, path: &CStr, kind: Kind) -> c_int {
    let owner = match status(within) {
        Ok((_, user, group)) => (user, group),
        Err(errno) => return -errno,
    };
    let bytes = path.to_bytes();
    let mut prefix = [0u8; LONGEST];
    if bytes.len() >= LONGEST {
        return -libc::ENAMETOOLONG;
    }
    let mut parent = open_in_root(within, c"/".as_ptr(), libc::O_DIRECTORY);
    let mut name_at = 0;
    for (at, byte) in bytes.iter().copied().chain([b'/']).enumerate() {
        if parent < 0 {
            return parent;
        }
        if byte == b'/' && at > name_at {
            // Up to here the prefix ends with a NUL, and so does the name in it.
            let last = bytes
                .get(at..)
                .is_none_or(|rest| rest.iter().all(|byte| *byte == b'/'));
            let wanted = if last { kind } else { Kind::Folder };
            // SAFETY: both lie in the buffer, which is longer than the path.
            let next = unsafe {
                let name = prefix.as_ptr().add(name_at).cast();
                step(within, parent, prefix.as_ptr().cast(), name, wanted, owner)
            };
            close(parent);
            parent = next;
        }
        if byte == b'/' {
            name_at = at + 1;
        }
        if let Some(to) = prefix.get_mut(at) {
            *to = byte;
        }
    }
    parent
}

/// Opens one more component, made if it is not there.
///
/// # Safety
/// `prefix` and `name` point to strings that end with a NUL.
unsafe fn step(
    within: RawFd,
    parent: RawFd,
    prefix: *const libc::c_char,
    name: *const libc::c_char,
    kind: Kind,
    (user, group): (u32, u32),
) -> c_int {
    let found = open_in_root(within, prefix, 0);
    if found != -libc::ENOENT {
        return found;
    }
    // SAFETY: by the contract of this function.
    let made = unsafe {
        match kind {
            Kind::Folder => libc::mkdirat(parent, name, 0o755),
            Kind::File => {
                let flags = libc::O_CREAT
                    | libc::O_EXCL
                    | libc::O_WRONLY
                    | libc::O_NOFOLLOW
                    | libc::O_CLOEXEC;
                let file = libc::openat(parent, name, flags, 0o644);
                close(file);
                file.min(0)
            }
        }
    };
    if made == 0 {
        // SAFETY: likewise; the last component is not followed.
        unsafe { libc::fchownat(parent, name, user, group, libc::AT_SYMLINK_NOFOLLOW) };
    } else {
        // SAFETY: the location is valid in every thread.
        let errno = unsafe { *libc::__errno_location() };
        if errno != libc::EEXIST {
            return -errno;
        }
    }
    open_in_root(within, prefix, 0)
}
