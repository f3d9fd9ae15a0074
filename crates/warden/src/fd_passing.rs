//! Bytes and descriptors over a unix stream socket, and socket paths of any length.
//!
//! Must never block: every call is made with `MSG_DONTWAIT`.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The most descriptors that go with one message: the standard streams of one launch.
pub(crate) const MAX_DESCRIPTORS: usize = 3;
/// What one receive may bring: the kernel never joins two messages with descriptors, but leave room.
const RECEIVE_DESCRIPTORS: usize = 16;

/// Sends what fits; the descriptors go with the first byte.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    loop {
        match sendmsg(
            socket,
            &[IoSlice::new(bytes)],
            &mut ancillary,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        ) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Appends what is there to `bytes` and `descriptors`; `Ok(0)` is the end of the stream.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    bytes: &mut Vec<u8>,
    room: usize,
    descriptors: &mut impl Extend<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(RECEIVE_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let start = bytes.len();
    bytes.resize(start + room, 0);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = loop {
        match recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut bytes[start..])],
            &mut ancillary,
            flags,
        ) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other,
        }
    };
    bytes.truncate(start + received.as_ref().map_or(0, |message| message.bytes));
    let received = received?.bytes;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            descriptors.extend(fds);
        }
    }
    Ok(received)
}

/// A path of the socket that fits `sun_path`, and the directory that must stay open while it is used.
pub(crate) fn short_path(path: &Path) -> io::Result<(PathBuf, Option<OwnedFd>)> {
    const SUN_PATH_BYTES: usize = 108;
    if path.as_os_str().len() < SUN_PATH_BYTES {
        return Ok((path.to_owned(), None));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    };
    let flags =
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, rustix::fs::Mode::empty())?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok((short, Some(directory)))
}
