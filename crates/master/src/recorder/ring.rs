//! The files of a ring: their names, in whose order they were written, and the removal of the oldest.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The ending of the files' names.
const ENDING: &str = "mezzrec";

/// The segment files of a folder, oldest first.
pub fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

pub(super) fn create(folder: &Path, run: u64, segment: u32) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join(format!("{run:020}-{segment:06}.{ENDING}")))
}

/// Removes the oldest files until all but the newest have at most so many bytes together.
pub(super) fn trim(folder: &Path, most_bytes: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for path in segments(folder)? {
        let length = fs::metadata(&path)?.len();
        files.push((path, length));
    }
    let mut total: u64 = files.iter().map(|(_, length)| length).sum();
    let count = files.len().saturating_sub(1);
    for (path, length) in files.into_iter().take(count) {
        if total <= most_bytes {
            break;
        }
        fs::remove_file(path)?;
        total -= length;
    }
    Ok(())
}
