//! Deletion of a sandbox, whatever a task has put into it: links are not followed, folders without permissions are
//! opened all the same, and the depth of a tree costs neither stack nor open files.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, chmodat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::pace::{Going, Pace};

/// Folders deeper than this are moved up to the top first.
const DEEPEST: u32 = 32;

/// Deletes the folder and everything in it; one that is not there is deleted already.
pub(super) fn remove_tree(
    path: &Path,
    pace: &mut Pace<impl FnMut(Duration) -> Going>,
) -> io::Result<Going> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = match rustix::fs::open(parent, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(Going::On),
        parent => parent?,
    };
    remove_in(&parent, name, pace)
}

/// Deletes a folder of this name in another one.
pub(super) fn remove_in(
    parent: &OwnedFd,
    name: &OsStr,
    pace: &mut Pace<impl FnMut(Duration) -> Going>,
) -> io::Result<Going> {
    let root = match open_folder(parent, name) {
        Err(Errno::NOENT) => return Ok(Going::On),
        root => root?,
    };
    let mut removal = Removal {
        root,
        moved: 0,
        pace,
    };
    loop {
        let moved = removal.moved;
        let top = removal.root.try_clone()?;
        if removal.clear(&top, 0)? == Going::Stopped {
            return Ok(Going::Stopped);
        }
        if removal.moved == moved {
            break;
        }
    }
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(removal.pace.file_done()),
        Err(errno) => Err(errno.into()),
    }
}

struct Removal<'a, F> {
    root: OwnedFd,
    /// How many folders were moved to the top because they lay too deep.
    moved: u64,
    pace: &'a mut Pace<F>,
}

impl<F: FnMut(Duration) -> Going> Removal<'_, F> {
    fn clear(&mut self, folder: &OwnedFd, depth: u32) -> io::Result<Going> {
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let going = if is_folder(folder, name, entry.file_type())? {
                self.remove_folder(folder, name, depth)?
            } else {
                remove(folder, name, AtFlags::empty())?;
                Going::On
            };
            if going == Going::Stopped || self.pace.file_done() == Going::Stopped {
                return Ok(Going::Stopped);
            }
        }
        Ok(Going::On)
    }

    fn remove_folder(&mut self, folder: &OwnedFd, name: &CStr, depth: u32) -> io::Result<Going> {
        let inner = match open_folder(folder, name) {
            Err(Errno::NOENT) => return Ok(Going::On),
            inner => inner?,
        };
        if depth >= DEEPEST {
            self.moved += 1;
            let beside = format!(".mezz-gc-{}-{}", std::process::id(), self.moved);
            return match renameat(folder, name, &self.root, beside.as_str()) {
                Ok(()) => Ok(Going::On),
                Err(errno) => Err(errno.into()),
            };
        }
        if self.clear(&inner, depth + 1)? == Going::Stopped {
            return Ok(Going::Stopped);
        }
        remove(folder, name, AtFlags::REMOVEDIR)?;
        Ok(Going::On)
    }
}

fn remove(folder: &OwnedFd, name: &CStr, flags: AtFlags) -> io::Result<()> {
    match unlinkat(folder, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn is_folder(folder: &OwnedFd, name: &CStr, kind: FileType) -> io::Result<bool> {
    if kind != FileType::Unknown {
        return Ok(kind == FileType::Directory);
    }
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Opens a folder so that it can be emptied.
fn open_folder<N: rustix::path::Arg + Copy>(folder: &OwnedFd, name: N) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || openat(folder, name, flags, Mode::empty());
    match open() {
        // A task of our own user may have taken the permissions away.
        Err(Errno::ACCESS) => {
            chmodat(folder, name, Mode::RWXU, AtFlags::empty())?;
            open()
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn remove_all(path: &Path) -> Going {
        let mut pace = Pace::new(true, |_| Going::On);
        remove_tree(path, &mut pace).expect("a removal")
    }

    #[test]
    fn a_tree_of_any_depth_is_removed_and_what_its_links_lead_to_is_not() {
        let around = tempfile::tempdir().expect("a folder");
        let sandbox = around.path().join("sandbox");
        let kept = around.path().join("kept");
        fs::create_dir(&kept).expect("a folder");
        fs::write(kept.join("file"), "x").expect("a file");
        fs::create_dir(&sandbox).expect("a folder");
        symlink(&kept, sandbox.join("link")).expect("a link");
        // Far deeper than any path may be long.
        let mut folder = sandbox.clone();
        for _ in 0..300 {
            folder.push("deeper");
        }
        fs::create_dir_all(&folder).expect("folders");
        for index in 0..200 {
            fs::write(folder.join(index.to_string()), "x").expect("a file");
        }
        assert_eq!(remove_all(&sandbox), Going::On);
        assert!(!sandbox.exists() && kept.join("file").exists());
        assert_eq!(remove_all(&sandbox), Going::On, "it is gone already");
    }

    #[test]
    fn folders_without_permissions_are_removed_too() {
        let around = tempfile::tempdir().expect("a folder");
        let sandbox = around.path().join("sandbox");
        fs::create_dir_all(sandbox.join("closed/inner")).expect("folders");
        let closed = fs::Permissions::from_mode(0o000);
        fs::set_permissions(sandbox.join("closed"), closed).expect("permissions");
        assert_eq!(remove_all(&sandbox), Going::On);
        assert!(!sandbox.exists());
    }

    #[test]
    fn an_interrupted_removal_leaves_the_rest_for_later() {
        let around = tempfile::tempdir().expect("a folder");
        let sandbox = around.path().join("sandbox");
        fs::create_dir(&sandbox).expect("a folder");
        for index in 0..500 {
            fs::write(sandbox.join(index.to_string()), "x").expect("a file");
        }
        let mut pace = Pace::new(true, |_| Going::Stopped);
        assert_eq!(
            remove_tree(&sandbox, &mut pace).expect("a removal"),
            Going::Stopped
        );
        assert!(sandbox.exists());
        assert_eq!(remove_all(&sandbox), Going::On);
        assert!(!sandbox.exists());
    }
}
