//! File operations that the kernel keeps inside of one directory: no absolute path, `..` or link leads out.

use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, fchmod, mkdirat,
    openat2, symlinkat, unlinkat,
};

/// A directory beneath which everything happens.
#[derive(Debug)]
pub(crate) struct Sandbox {
    root: OwnedFd,
}

/// Whether a path names something inside, by its words alone.
pub(super) fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some()
        && !path.contains('\0')
        && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

impl Sandbox {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(Self {
            root: rustix::fs::open(path, flags, Mode::empty())?,
        })
    }

    /// The directory behind this descriptor.
    pub(crate) fn of(root: OwnedFd) -> Self {
        Self { root }
    }

    fn open_at(&self, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        // A mount or rename anywhere on the host makes the kernel unsure whether a `..` still leads inside.
        let mut tries = 0;
        loop {
            match openat2(&self.root, path, flags, mode, resolve) {
                Err(Errno::AGAIN) if tries < 100 => tries += 1,
                result => return Ok(result?),
            }
        }
    }

    /// Opens a file for reading.
    pub(crate) fn read(&self, path: &str) -> io::Result<File> {
        self.open_at(path, OFlags::RDONLY, Mode::empty())
            .map(File::from)
    }

    /// Makes a file with the directories above it; what stood in its place is removed.
    pub(crate) fn create(&self, path: &str) -> io::Result<File> {
        self.make_parent(path)?;
        self.remove_file(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        self.open_at(path, flags, Mode::from_raw_mode(0o644))
            .map(File::from)
    }

    /// Makes a directory with those above it.
    pub(super) fn make_directory(&self, path: &str) -> io::Result<()> {
        let mut done = String::new();
        for part in Path::new(path).components() {
            let Component::Normal(part) = part else {
                continue;
            };
            let parent = self.directory(&done)?;
            let part = part.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
            match mkdirat(&parent, part, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            if !done.is_empty() {
                done.push('/');
            }
            done.push_str(part);
        }
        self.directory(&done).map(drop)
    }

    /// Makes a symbolic link; where it leads does not matter, since nothing here follows it out.
    pub(crate) fn link(&self, path: &str, target: &str) -> io::Result<()> {
        self.make_parent(path)?;
        self.remove_file(path)?;
        let (parent, name) = split(path);
        Ok(symlinkat(target, self.directory(parent)?, name)?)
    }

    /// Sets the permission bits; set-id bits are dropped.
    pub(crate) fn set_mode(&self, path: &str, mode: u32) -> io::Result<()> {
        let file = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
        Ok(fchmod(&file, Mode::from_raw_mode(mode & 0o777))?)
    }

    pub(super) fn make_executable(&self, path: &str) -> io::Result<()> {
        self.set_mode(path, 0o755)
    }

    /// Gives everything inside to a user. Links themselves, never what they lead to.
    pub(crate) fn give_to(&self, uid: u32, gid: u32) -> io::Result<()> {
        let owner = (Uid::from_raw(uid), Gid::from_raw(gid));
        let mut directories = vec![self.directory("")?];
        while let Some(directory) = directories.pop() {
            let entries = Dir::read_from(&directory)?;
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name();
                if name == c"." || name == c".." {
                    continue;
                }
                chownat(
                    &directory,
                    name,
                    Some(owner.0),
                    Some(owner.1),
                    AtFlags::SYMLINK_NOFOLLOW,
                )?;
                if entry.file_type() == FileType::Directory {
                    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    directories.push(rustix::fs::openat(&directory, name, flags, Mode::empty())?);
                }
            }
        }
        Ok(())
    }

    fn directory(&self, path: &str) -> io::Result<OwnedFd> {
        if path.is_empty() {
            return self.root.as_fd().try_clone_to_owned();
        }
        self.open_at(path, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty())
    }

    fn make_parent(&self, path: &str) -> io::Result<()> {
        let (parent, _) = split(path);
        if parent.is_empty() {
            Ok(())
        } else {
            self.make_directory(parent)
        }
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        let (parent, name) = split(path);
        match unlinkat(self.directory(parent)?, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
