//! Puts the entries of a layer into their places, one after the other; later ones win over earlier ones.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, XattrFlags, linkat, makedev, mknodat, openat, symlinkat,
};
use rustix::io::Errno;

use super::set::Attributes;
use super::{LeftOut, Privilege, Rules, UnpackError, Unpacked, devices, meter};
use crate::beneath::{Root, is_overlay_whiteout, kind, look, make_directory, remove};
use crate::layer::{Entry, EntryKind, LayerError, LayerPath, Mark, mark};

const BUFFER: usize = 128 << 10;

/// A layer half unpacked.
pub(super) struct Placing<'a> {
    root: &'a Root,
    pub(super) rules: &'a Rules<'a>,
    /// What directories become when everything is in them.
    directories: BTreeMap<LayerPath, Attributes>,
    implied: BTreeSet<LayerPath>,
    whiteouts: BTreeSet<LayerPath>,
    /// Entries come by directory, mostly.
    present: Option<(LayerPath, Rc<OwnedFd>)>,
    buffer: Vec<u8>,
    bytes: u64,
    entries: u64,
    opaque_root: bool,
    pub(super) left_out: LeftOut,
}

pub(super) type Result<T> = std::result::Result<T, UnpackError>;

pub(super) fn files(path: &LayerPath, step: &'static str) -> impl FnOnce(Errno) -> UnpackError {
    let path = path.shown();
    move |error| UnpackError::Files { path, step, error }
}

impl<'a> Placing<'a> {
    pub(super) fn new(root: &'a Root, rules: &'a Rules<'a>) -> Self {
        Self {
            root,
            rules,
            directories: BTreeMap::new(),
            // The root itself, until the layer says what it is.
            implied: BTreeSet::from([LayerPath::default()]),
            whiteouts: BTreeSet::new(),
            present: None,
            buffer: vec![0; BUFFER],
            bytes: 0,
            entries: 0,
            opaque_root: false,
            left_out: LeftOut::default(),
        }
    }

    /// Takes an entry, whose content can be read.
    pub(super) fn place(&mut self, entry: Entry, content: &mut impl Read) -> Result<()> {
        if self.rules.given_up.load(Ordering::Relaxed) {
            return Err(UnpackError::GivenUp);
        }
        self.entries += 1;
        let path = entry.path.clone();
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            if entry.kind != EntryKind::Directory {
                return Err(UnpackError::Root);
            }
            let attributes = self.attributes(entry)?;
            self.implied.remove(&path);
            self.directories.insert(path, attributes);
            return Ok(());
        };
        let hidden = |part: &OsStr| mark(part) != Mark::Plain;
        if parent.as_path().iter().any(hidden) {
            let is_bookkeeping = |part| mark(part) == Mark::Bookkeeping;
            if parent.as_path().iter().any(is_bookkeeping) {
                return Ok(());
            }
            return Err(UnpackError::Whiteout(path.shown()));
        }
        match mark(name) {
            Mark::Plain => self.plain(entry, &parent, name, content),
            Mark::Gone(gone) => self.gone(&path, &parent, gone),
            Mark::Opaque => self.opaque(&parent),
            Mark::Bookkeeping => Ok(()),
            Mark::Broken => Err(UnpackError::Whiteout(path.shown())),
        }
    }

    fn plain(
        &mut self,
        entry: Entry,
        parent: &LayerPath,
        name: &OsStr,
        content: &mut impl Read,
    ) -> Result<()> {
        if devices::verdict(&entry.path.shown(), &entry.kind)? == devices::Verdict::LeaveOut {
            self.left_out.devices += 1;
            return Ok(());
        }
        let directory = self.parent(parent)?;
        let path = entry.path.clone();
        match &entry.kind {
            EntryKind::Directory => self.directory(entry, &directory, name),
            EntryKind::HardLink(target) => self.hard_link(&path, target, &directory, name),
            EntryKind::File(_) => self.file(entry, &directory, name, content),
            EntryKind::SymbolicLink(target) => {
                self.make_room(&path, &directory, name)?;
                symlinkat(OsStr::from_bytes(target), &*directory, name)
                    .map_err(files(&path, "link"))?;
                self.finish_special(entry, &directory, name)
            }
            EntryKind::Fifo => {
                self.make_room(&path, &directory, name)?;
                mknodat(
                    &*directory,
                    name,
                    FileType::Fifo,
                    Mode::from_raw_mode(0o600),
                    0,
                )
                .map_err(files(&path, "make a pipe"))?;
                self.finish_special(entry, &directory, name)
            }
            EntryKind::CharacterDevice(major, minor) | EntryKind::BlockDevice(major, minor) => {
                if self.rules.privilege == Privilege::Unprivileged {
                    self.left_out.devices += 1;
                    return Ok(());
                }
                let number = makedev(*major, *minor);
                self.make_room(&path, &directory, name)?;
                let kind = FileType::CharacterDevice;
                mknodat(&*directory, name, kind, Mode::from_raw_mode(0o600), number)
                    .map_err(files(&path, "make a device"))?;
                self.finish_special(entry, &directory, name)
            }
        }
    }

    /// The directory at the path, made if need be with those above it.
    fn parent(&mut self, path: &LayerPath) -> Result<Rc<OwnedFd>> {
        if let Some((present, directory)) = &self.present
            && present == path
        {
            return Ok(Rc::clone(directory));
        }
        let directory = match self.root.directory(path.as_path()) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR) => {
                self.imply(path)?;
                self.resolve(path)?
            }
            Err(error) => return Err(unresolved(path, error)),
        };
        let directory = Rc::new(directory);
        self.present = Some((path.clone(), Rc::clone(&directory)));
        Ok(directory)
    }

    fn resolve(&self, path: &LayerPath) -> Result<OwnedFd> {
        let directory = self.root.directory(path.as_path());
        directory.map_err(|error| unresolved(path, error))
    }

    /// Makes directories that the layer goes through without having named them.
    fn imply(&mut self, path: &LayerPath) -> Result<()> {
        let mut here = LayerPath::default();
        for part in path.as_path() {
            let directory = self.resolve(&here)?;
            here = here.join(part);
            let found = look(&directory, part).map_err(files(&here, "look"))?;
            let was_gone = found.as_ref().is_some_and(is_overlay_whiteout);
            if found.is_some() && !was_gone {
                continue;
            }
            if was_gone {
                self.whiteouts.remove(&here);
                remove(&directory, part).map_err(files(&here, "remove"))?;
            } else {
                self.implied.insert(here.clone());
            }
            make_directory(&directory, part).map_err(files(&here, "make a directory"))?;
            if was_gone {
                self.hide_below(&here)?;
            }
        }
        Ok(())
    }

    fn directory(&mut self, entry: Entry, parent: &OwnedFd, name: &OsStr) -> Result<()> {
        let path = entry.path.clone();
        let found = look(parent, name).map_err(files(&path, "look"))?;
        let was_gone = found.as_ref().is_some_and(is_overlay_whiteout);
        if found.is_some_and(|found| kind(&found) != FileType::Directory) {
            remove(parent, name).map_err(files(&path, "remove"))?;
        }
        make_directory(parent, name).map_err(files(&path, "make a directory"))?;
        self.whiteouts.remove(&path);
        if was_gone {
            self.hide_below(&path)?;
        }
        self.implied.remove(&path);
        let attributes = self.attributes(entry)?;
        self.directories.insert(path, attributes);
        Ok(())
    }

    fn file(
        &mut self,
        entry: Entry,
        parent: &OwnedFd,
        name: &OsStr,
        content: &mut impl Read,
    ) -> Result<()> {
        let path = entry.path.clone();
        self.make_room(&path, parent, name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(0o600);
        let file = openat(parent, name, flags | OFlags::CLOEXEC, mode)
            .map_err(files(&path, "make a file"))?;
        let mut file = File::from(file);
        loop {
            let count = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Err(meter::reason(LayerError::Read(error))),
            };
            if self.rules.given_up.load(Ordering::Relaxed) {
                return Err(UnpackError::GivenUp);
            }
            file.write_all(&self.buffer[..count]).map_err(|error| {
                let error = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                files(&path, "write")(error)
            })?;
            self.bytes += count as u64;
        }
        let attributes = self.attributes(entry)?;
        self.apply(&path, &file, &attributes)
    }

    fn hard_link(
        &mut self,
        path: &LayerPath,
        target: &LayerPath,
        parent: &OwnedFd,
        name: &OsStr,
    ) -> Result<()> {
        let (shown, target_shown) = (path.shown(), target.shown());
        let bad = || UnpackError::BadTarget {
            path: shown.clone(),
            target: target_shown.clone(),
        };
        let none = || UnpackError::NoTarget {
            path: shown.clone(),
            target: target_shown.clone(),
        };
        let (Some(above), Some(target_name)) = (target.parent(), target.name()) else {
            return Err(bad());
        };
        let above = match self.root.directory(above.as_path()) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(none()),
            Err(error) => return Err(unresolved(target, error)),
        };
        let found = look(&above, target_name).map_err(files(target, "look"))?;
        let found = found.ok_or_else(none)?;
        if kind(&found) == FileType::Directory || is_overlay_whiteout(&found) {
            return Err(bad());
        }
        let present = look(parent, name).map_err(files(path, "look"))?;
        if present.is_some_and(|present| present.st_ino == found.st_ino) {
            return Ok(());
        }
        self.make_room(path, parent, name)?;
        match linkat(&above, target_name, parent, name, AtFlags::empty()) {
            // It lay in what made room.
            Err(Errno::NOENT) => Err(none()),
            result => result.map_err(files(path, "link")),
        }
    }

    /// Removes what stands in the place of an entry that is no directory.
    fn make_room(&mut self, path: &LayerPath, parent: &OwnedFd, name: &OsStr) -> Result<()> {
        let found = look(parent, name).map_err(files(path, "look"))?;
        let Some(found) = found else { return Ok(()) };
        remove(parent, name).map_err(files(path, "remove"))?;
        self.whiteouts.remove(path);
        if kind(&found) == FileType::Directory {
            self.forget(path);
        }
        Ok(())
    }

    /// Nothing that was said about a directory, or what was in it, holds any more.
    fn forget(&mut self, path: &LayerPath) {
        let beneath = |other: &LayerPath| other.as_path().starts_with(path.as_path());
        self.directories.retain(|other, _| !beneath(other));
        self.implied.retain(|other| !beneath(other));
        self.whiteouts.retain(|other| !beneath(other));
        self.present = None;
    }

    fn gone(&mut self, path: &LayerPath, parent: &LayerPath, name: &OsStr) -> Result<()> {
        let directory = self.parent(parent)?;
        let place = parent.join(name);
        match look(&*directory, name).map_err(files(&place, "look"))? {
            // What this layer has there stays; only what is below goes.
            Some(found) if kind(&found) == FileType::Directory => self.hide_below(&place),
            Some(_) => Ok(()),
            None => {
                let (kind, mode) = (FileType::CharacterDevice, Mode::empty());
                mknodat(&*directory, name, kind, mode, makedev(0, 0))
                    .map_err(files(path, "make a whiteout"))?;
                self.whiteouts.insert(place);
                Ok(())
            }
        }
    }

    fn opaque(&mut self, parent: &LayerPath) -> Result<()> {
        if parent.is_root() {
            // Overlayfs merges roots in any case, so whoever stacks layers has to leave out those below.
            self.opaque_root = true;
            return Ok(());
        }
        self.parent(parent)?;
        self.implied.remove(parent);
        self.hide_below(parent)
    }

    fn hide_below(&mut self, path: &LayerPath) -> Result<()> {
        let directory = self.resolve(path)?;
        let name = self.rules.privilege.opaque_attribute();
        rustix::fs::fsetxattr(directory, name, b"y", XattrFlags::empty())
            .map_err(files(path, "mark as opaque"))
    }

    /// Gives directories their modes and times, the deepest first: a directory may forbid what is done in it.
    pub(super) fn finish(mut self) -> Result<Unpacked> {
        let directories = std::mem::take(&mut self.directories);
        for (path, attributes) in directories.iter().rev() {
            let directory = self.resolve(path)?;
            self.apply(path, directory, attributes)?;
        }
        let plain = |paths: BTreeSet<LayerPath>| {
            let paths = paths.iter();
            paths.map(|path| path.as_path().to_owned()).collect()
        };
        Ok(Unpacked {
            bytes: self.bytes,
            entries: self.entries,
            opaque_root: self.opaque_root,
            implied: plain(self.implied),
            whiteouts: plain(self.whiteouts),
            left_out: self.left_out,
        })
    }
}

fn unresolved(path: &LayerPath, error: Errno) -> UnpackError {
    match error {
        Errno::XDEV | Errno::LOOP => UnpackError::Escape(path.shown()),
        Errno::NOTDIR => UnpackError::NoDirectory(path.shown()),
        error => files(path, "open")(error),
    }
}
