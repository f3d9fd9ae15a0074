//! One rotation: the front of a file goes to the file beside it, and leaves the first.
//!
//! Where the file system can take blocks out at the front, nothing is lost: what a task writes meanwhile stays. Where
//! it cannot, the file is copied to its end and truncated; what is written in between is lost, as by logrotate.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    AtFlags, FallocateFlags, Gid, Mode, OFlags, ResolveFlags, Uid, XattrFlags, fallocate, fchown,
    fgetxattr, fsetxattr, fstatvfs, openat2, renameat, unlinkat,
};
use rustix::io::Errno;

use super::rules::LogRule;

/// Where the count is kept, so that positions stay what they are over a restart.
const COUNT: &str = "user.mezz.passed";

/// What readers must know of the rotations of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turned {
    /// So many bytes have left the file at its front.
    pub(crate) passed: u64,
    /// Which of them are in the newest of the older files.
    pub(crate) previous: Option<(u64, u64)>,
}

/// How many bytes have left a file at its front, as it says itself.
pub(crate) fn passed(file: &File) -> u64 {
    let mut bytes = [0; 8];
    // A file system without such attributes has no count: then it begins at 0.
    match fgetxattr(file, COUNT, &mut bytes) {
        Ok(8) => u64::from_le_bytes(bytes),
        _ => 0,
    }
}

impl Turned {
    /// What an earlier life of the agent has rotated away.
    pub(super) fn recall(sandbox: &Path, name: &str) -> Self {
        let file = open_folder(sandbox).and_then(|folder| open_output(&folder, name));
        Self {
            passed: file.map_or(0, |file| passed(&file)),
            previous: None,
        }
    }
}

/// Rotates the file if it is longer than its rule allows. Whether it grows fast.
pub(super) fn turn(
    sandbox: &Path,
    name: &str,
    rule: &LogRule,
    turned: &Mutex<Turned>,
) -> io::Result<bool> {
    let folder = open_folder(sandbox)?;
    let mut file = open_output(&folder, name)?;
    let length = file.metadata()?.len();
    if length <= rule.max_bytes {
        return Ok(length > rule.max_bytes / 2 && length > 1 << 20);
    }
    let block = fstatvfs(&file)?.f_bsize.max(1);
    // The kernel takes whole blocks out, and never the last byte.
    let cut = (length - 1) / block * block;
    // A file that was not looked at for long keeps its newest part.
    let begin = cut.saturating_sub(rule.max_bytes * 2);
    let mut kept = keep(&folder, name, rule, &file)?;
    if let Some(kept) = &mut kept {
        file.seek(SeekFrom::Start(begin))?;
        io::copy(&mut io::Read::take(&mut file, cut - begin), kept)?;
    }
    // Written out before the file is held: the kernel would do it while the task waits.
    file.sync_data()?;
    let mut turned = turned.lock().unwrap_or_else(PoisonError::into_inner);
    let left = take_front(&mut file, kept.as_mut(), cut)?;
    let from = turned.passed;
    turned.passed = from.saturating_add(left);
    turned.previous = kept.map(|_| (from.saturating_add(begin), turned.passed));
    // Only positions over a restart depend on it.
    let _ = fsetxattr(
        &file,
        COUNT,
        &turned.passed.to_le_bytes(),
        XattrFlags::empty(),
    );
    Ok(true)
}

/// Takes `cut` bytes away at the front, or everything if the file system cannot; how much it was.
fn take_front(file: &mut File, kept: Option<&mut File>, cut: u64) -> io::Result<u64> {
    match fallocate(&*file, FallocateFlags::COLLAPSE_RANGE, 0, cut) {
        Ok(()) => return Ok(cut),
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    let mut left = cut;
    if let Some(kept) = kept {
        file.seek(SeekFrom::Start(cut))?;
        left += io::copy(file, kept)?;
    } else {
        left = file.metadata()?.len();
    }
    file.set_len(0)?;
    Ok(left)
}

/// Moves older files one further and makes a new first one; none if none are to be kept.
fn keep(folder: &OwnedFd, name: &str, rule: &LogRule, like: &File) -> io::Result<Option<File>> {
    if rule.kept_files == 0 {
        return Ok(None);
    }
    for number in (1..rule.kept_files).rev() {
        let (from, to) = (format!("{name}.{number}"), format!("{name}.{}", number + 1));
        match renameat(folder, from.as_str(), folder, to.as_str()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let first = format!("{name}.1");
    match unlinkat(folder, first.as_str(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let data = like.metadata()?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let mode = Mode::from_raw_mode(data.mode() & 0o777);
    let made = File::from(open_in(folder, &first, flags, mode)?);
    // Where we may not give it away, it is the same user's already.
    let _ = fchown(
        &made,
        Some(Uid::from_raw(data.uid())),
        Some(Gid::from_raw(data.gid())),
    );
    Ok(Some(made))
}

fn open_folder(sandbox: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(sandbox, flags, Mode::empty())?)
}

/// The output file itself: a task that puts a link in its place must not make us write elsewhere.
fn open_output(folder: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(open_in(folder, name, flags, Mode::empty())?);
    let data = file.metadata()?;
    if !data.is_file() || data.nlink() != 1 {
        return Err(io::Error::other("not the output file any more"));
    }
    Ok(file)
}

fn open_in(folder: &OwnedFd, name: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(openat2(
        folder,
        name,
        flags | OFlags::CLOEXEC,
        mode,
        resolve,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    const RULE: LogRule = LogRule {
        max_bytes: 8192,
        kept_files: 2,
    };

    fn write(path: &Path, text: &[u8]) {
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(path)
            .expect("a file");
        file.write_all(text).expect("room");
    }

    #[test]
    fn nothing_is_lost_and_the_older_files_are_moved_on() {
        let sandbox = tempfile::tempdir().expect("a folder");
        let output = sandbox.path().join("stdout");
        let turned = Mutex::new(Turned::default());
        let mut all = Vec::new();
        for round in 0_u8..3 {
            let text = vec![b'a' + round; 10_000];
            write(&output, &text);
            all.extend_from_slice(&text);
            assert!(turn(sandbox.path(), "stdout", &RULE, &turned).expect("a rotation"));
        }
        let read = |name: &str| fs::read(sandbox.path().join(name)).expect("a file");
        let joined = [read("stdout.2"), read("stdout.1"), read("stdout")].concat();
        assert!(all.ends_with(&joined), "the newest bytes, in order");
        let turned = *turned.lock().expect("no panic");
        let length = |bytes: Vec<u8>| bytes.len() as u64;
        assert_eq!(turned.passed + length(read("stdout")), all.len() as u64);
        let (begin, end) = turned.previous.expect("a file beside");
        assert_eq!(end - begin, length(read("stdout.1")));
        assert_eq!(
            Turned::recall(sandbox.path(), "stdout").passed,
            turned.passed
        );
        assert!(!sandbox.path().join("stdout.3").exists());
    }

    #[test]
    fn a_link_in_the_place_of_the_output_is_left_alone() {
        let other = tempfile::tempdir().expect("a folder");
        let sandbox = tempfile::tempdir().expect("a folder");
        let secret = other.path().join("secret");
        write(&secret, &vec![b'x'; 20_000]);
        let links: [fn(&Path, &Path) -> io::Result<()>; 2] = [
            |from, to| std::os::unix::fs::symlink(from, to),
            |from, to| fs::hard_link(from, to),
        ];
        for make in links {
            let output = sandbox.path().join("stdout");
            make(&secret, &output).expect("a link");
            turn(sandbox.path(), "stdout", &RULE, &Mutex::default()).expect_err("a refusal");
            assert_eq!(fs::metadata(&secret).expect("a file").len(), 20_000);
            fs::remove_file(output).expect("a link");
        }
    }
}
