//! What a folder takes on its disk, as `du` counts it.
//!
//! Must never follow a link or leave the disk: what lies there was made by tasks.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;

/// Folders within folders beyond which nothing is counted: each is kept open on the way.
pub(super) const DEPTH: usize = 512;
/// Bytes of one block as `stat` counts them.
const BLOCK: u64 = 512;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) bytes: u64,
    pub(super) whole: Whole,
}

/// Whether everything was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Whole {
    #[default]
    Yes,
    /// Folders are nested too deep.
    TooDeep,
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Measures it; what vanishes meanwhile is not counted.
pub(super) fn measure(folder: &Path) -> io::Result<Measured> {
    let root = rustix::fs::open(folder, FOLDER, Mode::empty())?;
    let status = fstat(&root)?;
    let device = status.st_dev;
    let mut measured = Measured {
        bytes: blocks(&status),
        whole: Whole::Yes,
    };
    let mut linked = BTreeSet::new();
    let mut open: Vec<(OwnedFd, Dir)> = vec![opened(root)?];
    while let Some((folder, entries)) = open.last_mut() {
        let Some(entry) = entries.next() else {
            open.pop();
            continue;
        };
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let Ok(status) = statat(folder.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        // Something mounted, or a file that was counted under another name.
        if status.st_dev != device
            || (status.st_nlink > 1 && !is_folder(&status) && !linked.insert(status.st_ino))
        {
            continue;
        }
        measured.bytes += blocks(&status);
        if !is_folder(&status) {
            continue;
        }
        match openat(folder.as_fd(), name, FOLDER, Mode::empty()) {
            Ok(_) if open.len() >= DEPTH => measured.whole = Whole::TooDeep,
            Ok(inner) => open.push(opened(inner)?),
            // It is gone, or has become something else.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(measured)
}

fn opened(folder: OwnedFd) -> io::Result<(OwnedFd, Dir)> {
    let entries = Dir::read_from(&folder)?;
    Ok((folder, entries))
}

fn blocks(status: &rustix::fs::Stat) -> u64 {
    u64::try_from(status.st_blocks).unwrap_or(0) * BLOCK
}

fn is_folder(status: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == FileType::Directory
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_count_once_and_links_lead_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let empty = measure(folder.path()).unwrap().bytes;
        let data = vec![7; 1 << 20];
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(folder.path().join("in/file"), &data).unwrap();
        fs::hard_link(folder.path().join("in/file"), folder.path().join("again")).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("file"), &data).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("away")).unwrap();
        let grown = measure(folder.path()).unwrap().bytes - empty;
        assert!((1 << 20..(1 << 20) + 65536).contains(&grown), "{grown}");
    }

    #[test]
    fn folders_that_are_nested_too_deep_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let deep: std::path::PathBuf = (0..DEPTH + 2).map(|_| "d").collect();
        fs::create_dir_all(folder.path().join(deep)).unwrap();
        assert_eq!(measure(folder.path()).unwrap().whole, Whole::TooDeep);
    }
}
