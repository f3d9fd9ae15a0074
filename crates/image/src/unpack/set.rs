//! Owners, modes, attributes and times of what was put into its place.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, utimensat,
};
use rustix::io::Errno;

use super::place::{Placing, Result, files};
use super::{Privilege, UnpackError, attributes};
use crate::layer::{Entry, EntryKind, LayerPath, Timestamp};

/// What an entry is besides its content.
pub(super) struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    modified: Timestamp,
    extended: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Placing<'_> {
    pub(super) fn attributes(&mut self, entry: Entry) -> Result<Attributes> {
        let path = entry.path.shown();
        let mut extended = Vec::new();
        for (name, value) in entry.attributes {
            match attributes::verdict(&name) {
                attributes::Verdict::Set => extended.push((name, value)),
                attributes::Verdict::LeaveOut => self.left_out.attributes += 1,
                attributes::Verdict::Refuse => {
                    let name = String::from_utf8_lossy(&name).into_owned();
                    return Err(UnpackError::Attribute { path, name });
                }
            }
        }
        Ok(Attributes {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            modified: entry.modified,
            extended,
        })
    }

    /// Sets everything on an open file or directory. The owner comes first, since a new one takes away set-id bits.
    pub(super) fn apply(
        &mut self,
        path: &LayerPath,
        file: impl AsFd,
        attributes: &Attributes,
    ) -> Result<()> {
        match self.rules.privilege {
            Privilege::Root => {
                let owner = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
                rustix::fs::fchown(&file, Some(owner.0), Some(owner.1))
                    .map_err(files(path, "set the owner"))?;
            }
            Privilege::Unprivileged => {
                let own = rustix::process::geteuid().as_raw();
                self.left_out.owners += u64::from(attributes.uid != own);
            }
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(attributes.mode))
            .map_err(files(path, "set the mode"))?;
        for (name, value) in &attributes.extended {
            let name = OsStr::from_bytes(name);
            match rustix::fs::fsetxattr(&file, name, value, XattrFlags::empty()) {
                Ok(()) => {}
                Err(Errno::NOTSUP) => self.left_out.attributes += 1,
                Err(Errno::PERM) if self.rules.privilege == Privilege::Unprivileged => {
                    self.left_out.attributes += 1;
                }
                Err(error) => return Err(files(path, "set an attribute")(error)),
            }
        }
        rustix::fs::futimens(&file, &times(attributes.modified))
            .map_err(files(path, "set the time"))
    }

    /// As `apply`, for what cannot be opened. Nobody else is in the directory, so the name stands for what was made.
    pub(super) fn finish_special(
        &mut self,
        entry: Entry,
        parent: &OwnedFd,
        name: &OsStr,
    ) -> Result<()> {
        let path = entry.path.clone();
        let is_link = matches!(entry.kind, EntryKind::SymbolicLink(_));
        let attributes = self.attributes(entry)?;
        self.left_out.attributes += attributes.extended.len() as u64;
        if self.rules.privilege == Privilege::Root {
            let owner = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            chownat(parent, name, Some(owner.0), Some(owner.1), flags)
                .map_err(files(&path, "set the owner"))?;
        }
        if !is_link {
            chmodat(
                parent,
                name,
                Mode::from_raw_mode(attributes.mode),
                AtFlags::empty(),
            )
            .map_err(files(&path, "set the mode"))?;
        }
        let times = times(attributes.modified);
        utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(files(&path, "set the time"))
    }
}

fn times(modified: Timestamp) -> Timestamps {
    let time = Timespec {
        tv_sec: modified.seconds,
        tv_nsec: i64::from(modified.nanoseconds),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
