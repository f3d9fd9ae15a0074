//! The copy back end: what a stack of layers shows, as a tree of its own.
//!
//! Layers are gone through from the lowest up, as overlayfs would show them: a mark takes away what is below it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, chmodat, chownat, linkat, mknodat, openat, readlinkat,
    symlinkat, utimensat,
};
use rustix::io::Errno;

use super::{Stack, copy_attributes, copy_directory_attributes, is_opaque, owner, times};
use crate::beneath::{
    Root, empty, is_overlay_whiteout, kind, look, make_directory, names, os, remove,
};
use crate::unpack::Privilege;

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::RDONLY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Copies what the stack shows into an empty directory.
pub(crate) fn copy_layers(stack: &Stack, root: &Path, privilege: Privilege) -> io::Result<()> {
    let to = Root::open(root)?;
    for tree in stack.trees.iter().rev() {
        let mut layer = Layer {
            privilege,
            to: &to,
            linked: BTreeMap::new(),
        };
        layer.copy(File::open(tree)?.into())?;
    }
    Ok(())
}

/// A layer on its way into the tree.
struct Layer<'a> {
    privilege: Privilege,
    to: &'a Root,
    /// Files with several names, by their number: where the first name is now.
    linked: BTreeMap<u64, PathBuf>,
}

/// A directory half copied.
struct Open {
    path: PathBuf,
    from: OwnedFd,
    to: OwnedFd,
    left: std::vec::IntoIter<CString>,
}

impl Layer<'_> {
    fn copy(&mut self, from: OwnedFd) -> io::Result<()> {
        let top = self.open(PathBuf::new(), from, self.to.directory(Path::new(""))?)?;
        let mut path = vec![top];
        while let Some(open) = path.last_mut() {
            if let Some(name) = open.left.next() {
                let below = self.entry(open, &name)?;
                path.extend(below);
            } else {
                copy_directory_attributes(&open.from, &open.to, self.privilege)?;
                path.pop();
            }
        }
        Ok(())
    }

    fn open(&self, path: PathBuf, from: OwnedFd, to: OwnedFd) -> io::Result<Open> {
        if is_opaque(&from, self.privilege)? {
            empty(&to)?;
        }
        let left = names(&from)?.into_iter();
        Ok(Open {
            path,
            from,
            to,
            left,
        })
    }

    /// Copies one entry; a directory is given back, to be gone through.
    fn entry(&mut self, open: &Open, name: &CStr) -> io::Result<Option<Open>> {
        let (from, to, name) = (&open.from, &open.to, os(name));
        let Some(stat) = look(from, name)? else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let present = look(to, name)?;
        let both_directories = kind(&stat) == FileType::Directory
            && present.is_some_and(|present| kind(&present) == FileType::Directory);
        if present.is_some() && !both_directories {
            remove(to, name)?;
        }
        if is_overlay_whiteout(&stat) {
            return Ok(None);
        }
        let path = open.path.join(name);
        if kind(&stat) == FileType::Directory {
            make_directory(to, name)?;
            let [from, to] =
                [from, to].map(|parent| openat(parent, name, DIRECTORY, Mode::empty()));
            return self.open(path, from?, to?).map(Some);
        }
        if let Some(first) = self.linked.get(&stat.st_ino) {
            let parent = self.to.directory(first.parent().unwrap_or(Path::new("")))?;
            let first = first.file_name().unwrap_or_default();
            linkat(parent, first, to, name, AtFlags::empty())?;
            return Ok(None);
        }
        match kind(&stat) {
            FileType::RegularFile => self.file(from, to, name, &stat)?,
            FileType::Symlink => symlinkat(readlinkat(from, name, Vec::new())?, to, name)?,
            special => mknodat(to, name, special, Mode::RUSR, stat.st_rdev)?,
        }
        if kind(&stat) != FileType::RegularFile {
            self.finish(to, name, &stat)?;
        }
        if stat.st_nlink > 1 {
            self.linked.insert(stat.st_ino, path);
        }
        Ok(None)
    }

    fn file(&self, from: &OwnedFd, to: &OwnedFd, name: &OsStr, stat: &Stat) -> io::Result<()> {
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut from = File::from(openat(from, name, read, Mode::empty())?);
        let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut to = File::from(openat(to, name, write, Mode::RUSR | Mode::WUSR)?);
        // Within the kernel, and without copying where the file system can share blocks.
        io::copy(&mut from, &mut to)?;
        copy_attributes(&from, &to, self.privilege)?;
        Ok(rustix::fs::futimens(&to, &times(stat))?)
    }

    fn finish(&self, to: impl AsFd, name: &OsStr, stat: &Stat) -> Result<(), Errno> {
        if self.privilege == Privilege::Root {
            let (uid, gid) = owner(stat);
            chownat(&to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if kind(stat) != FileType::Symlink {
            chmodat(
                &to,
                name,
                Mode::from_raw_mode(stat.st_mode),
                AtFlags::empty(),
            )?;
        }
        utimensat(&to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)
    }
}
