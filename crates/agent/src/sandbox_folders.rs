//! Sandboxes inside of other sandboxes, whose folders belong to users: made, opened and removed without following any
//! link that a user may have put there.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use mezz_launch_plan::Credentials;
use rustix::fs::{Gid, Mode, OFlags, ResolveFlags, Uid, fchown, mkdirat, openat2};
use rustix::io::Errno;

/// What lies above the first folder that a user can change: `sandboxes/FRAMEWORK/CONTAINER`, or `containers/CONTAINER`.
fn split(relative: &str) -> (&str, &str) {
    let own = if relative.starts_with("sandboxes/") {
        3
    } else {
        2
    };
    let end = relative.match_indices('/').nth(own - 1);
    end.map_or((relative, ""), |(at, _)| {
        (&relative[..at], &relative[at + 1..])
    })
}

/// Makes a sandbox with all above it, and gives it to its owner.
pub(crate) fn make(work_dir: &Path, relative: &str, owner: Option<&Credentials>) -> io::Result<()> {
    let (outer, inner) = split(relative);
    let mut builder = DirBuilder::new();
    builder.mode(0o755).recursive(true);
    let outer = work_dir.join(outer);
    builder.create(&outer)?;
    let mut folder = open_plain(&outer)?;
    for part in inner.split('/').filter(|part| !part.is_empty()) {
        match mkdirat(&folder, part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        folder = open_beneath(&folder, part, OFlags::DIRECTORY | OFlags::RDONLY)?;
    }
    match owner {
        Some(owner) => give(&folder, owner),
        None => Ok(()),
    }
}

/// Opens a file in a sandbox for appending, and makes it if it is not there.
pub(crate) fn append(
    work_dir: &Path,
    relative: &str,
    name: &str,
    owner: Option<&Credentials>,
) -> io::Result<File> {
    let folder = open(work_dir, relative)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOCTTY;
    let file = openat2(
        &folder,
        name,
        flags | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::from_raw_mode(0o644),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    )?;
    if let Some(owner) = owner {
        give(&file, owner)?;
    }
    Ok(File::from(file))
}

/// Opens a sandbox, or a folder of sandboxes.
pub(crate) fn open(work_dir: &Path, relative: &str) -> io::Result<OwnedFd> {
    let (outer, inner) = split(relative);
    let folder = open_plain(&work_dir.join(outer))?;
    if inner.is_empty() {
        return Ok(folder);
    }
    open_beneath(&folder, inner, OFlags::DIRECTORY | OFlags::RDONLY)
}

fn open_plain(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn open_beneath(folder: &OwnedFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let flags = flags | OFlags::CLOEXEC;
    Ok(openat2(folder, path, flags, Mode::empty(), resolve)?)
}

fn give(file: &OwnedFd, owner: &Credentials) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    Ok(fchown(file, Some(uid), Some(gid))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_in_a_sandbox_leads_neither_new_sandboxes_nor_files_out_of_it() {
        let around = tempfile::tempdir().expect("a folder");
        let (work_dir, outside) = (around.path().join("work"), around.path().join("outside"));
        fs::create_dir_all(&outside).expect("a folder");
        make(&work_dir, "sandboxes/f/c", None).expect("a sandbox");
        symlink(&outside, work_dir.join("sandboxes/f/c/containers")).expect("a link");
        make(&work_dir, "sandboxes/f/c/containers/x", None).expect_err("a way out");
        symlink(
            outside.join("passwd"),
            work_dir.join("sandboxes/f/c/stdout"),
        )
        .expect("a link");
        append(&work_dir, "sandboxes/f/c", "stdout", None).expect_err("a way out");
        assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 0);
        make(&work_dir, "containers/a/containers/b", None).expect("a nested sandbox");
        append(&work_dir, "containers/a/containers/b", "stdout", None).expect("a file");
        assert!(work_dir.join("containers/a/containers/b/stdout").is_file());
    }
}
