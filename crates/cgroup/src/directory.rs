//! Files of one directory of a hierarchy, opened below a descriptor of the directory.
//!
//! Must hold no policy.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// An open directory.
#[derive(Debug)]
pub(crate) struct Directory(OwnedFd);

impl Directory {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    pub(crate) fn open_to_read(&self, file: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.0, file, flags, Mode::empty())?;
        Ok(File::from(fd))
    }

    pub(crate) fn read(&self, file: &str) -> io::Result<String> {
        let mut text = String::new();
        self.open_to_read(file)?.read_to_string(&mut text)?;
        Ok(text)
    }

    /// The kernel takes each write as a whole. The file is never made: what is not there is an error.
    pub(crate) fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.0, file, flags, Mode::empty())?;
        File::from(fd).write_all(text.as_bytes())
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
