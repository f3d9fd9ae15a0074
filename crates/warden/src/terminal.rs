//! Pseudo-terminals for children.
//!
//! Owns their making only; whoever has the other end reads, writes and sets the size.

use crate::sys::owned;
use mezz_launch_plan::{Credentials, TerminalSize};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// The end that is kept, and the other one once for each stream of a child.
pub(crate) fn open(
    size: TerminalSize,
    user: Option<&Credentials>,
) -> Result<(OwnedFd, [OwnedFd; 3]), Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let ours = rustix::fs::open("/dev/ptmx", flags, Mode::empty())?;
    let unlocked: libc::c_int = 0;
    // SAFETY: the number is valid for reads.
    if unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) } < 0 {
        return Err(last());
    }
    let peer_flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: no pointers are involved.
    let peer = unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, peer_flags) };
    let theirs = owned(peer).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let window = libc::winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the structure is valid for reads.
    if unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCSWINSZ, &raw const window) } < 0 {
        return Err(last());
    }
    if let Some(user) = user {
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        rustix::fs::fchown(&theirs, Some(uid), Some(gid))?;
    }
    let copy = || rustix::io::fcntl_dupfd_cloexec(&theirs, 3);
    let (second, third) = (copy()?, copy()?);
    Ok((ours, [theirs, second, third]))
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
