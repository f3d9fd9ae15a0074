//! File operations that the kernel keeps inside of one directory: no absolute path, `..`, link or mount leads out.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, chmodat, mkdirat, openat2, statat,
    unlinkat,
};
use rustix::io::Errno;

/// A directory beneath which everything happens.
#[derive(Debug)]
pub(crate) struct Root {
    root: OwnedFd,
}

/// The only place from which paths are resolved.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::RDONLY)
    .union(OFlags::CLOEXEC);

impl Root {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let root = rustix::fs::open(path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Self { root })
    }

    /// A directory; links on the way are followed as far as they stay beneath the root.
    pub(crate) fn directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open_at(path, DIRECTORY)
    }

    /// A file without following a link in its place.
    pub(crate) fn file(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        self.open_at(path, flags)
    }

    fn open_at(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        // A rename elsewhere makes the kernel unsure whether a `..` still leads inside; it says so at once.
        let mut tries = 0;
        loop {
            match openat2(&self.root, path, flags, Mode::empty(), BENEATH) {
                Err(Errno::AGAIN) if tries < 100 => tries += 1,
                result => return result,
            }
        }
    }
}

/// What stands under the name, `None` if nothing does.
pub(crate) fn look(directory: impl AsFd, name: &OsStr) -> Result<Option<Stat>, Errno> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The kind of what was looked at.
pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether it is overlayfs's own mark for a name that is gone.
pub(crate) fn is_overlay_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Makes a directory unless there is one.
pub(crate) fn make_directory(parent: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

/// Removes whatever stands under the name, with all that is in it; follows no link.
pub(crate) fn remove(parent: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    match unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    empty(open_below(&parent, name)?)?;
    unlinkat(&parent, name, AtFlags::REMOVEDIR)
}

/// Removes all that is in the directory, without recursion: a layer may be as deep as paths can be.
pub(crate) fn empty(directory: impl AsFd) -> Result<(), Errno> {
    let mut path: Vec<(OwnedFd, CString)> = Vec::new();
    let mut here = rustix::fs::openat(&directory, ".", DIRECTORY, Mode::empty())?;
    loop {
        match remove_files(&here)? {
            Some(name) => {
                let below = open_below(&here, os(&name))?;
                path.push((std::mem::replace(&mut here, below), name));
            }
            None => match path.pop() {
                None => return Ok(()),
                Some((parent, name)) => {
                    unlinkat(&parent, &name, AtFlags::REMOVEDIR)?;
                    here = parent;
                }
            },
        }
    }
}

/// A directory that is to be emptied, even if it forbids that to us, its owner.
fn open_below(parent: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = DIRECTORY | OFlags::NOFOLLOW;
    match rustix::fs::openat(&parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            chmodat(&parent, name, Mode::RWXU, AtFlags::empty())?;
            rustix::fs::openat(&parent, name, flags, Mode::empty())
        }
        result => result,
    }
}

/// Removes what is no directory; gives the first directory that was met.
fn remove_files(directory: &OwnedFd) -> Result<Option<CString>, Errno> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_dots(name) {
            continue;
        }
        match unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR | Errno::PERM) => return Ok(Some(name.to_owned())),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Names of a directory, in their order.
pub(crate) fn names(directory: impl AsFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !is_dots(entry.file_name()) {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn is_dots(name: &CStr) -> bool {
    name == c"." || name == c".."
}

/// As text of paths.
pub(crate) fn os(name: &CStr) -> &OsStr {
    OsStr::from_bytes(name.to_bytes())
}
