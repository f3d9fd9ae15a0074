//! Whether an exec could hang on something foreign: a network or user-space file system on the way to the program.
//!
//! Owns the looking only; what follows from it is decided in `mezz-launch-plan`. Must never itself walk into a
//! mount that may hang: paths are followed inside of one local mount, and anything else counts as foreign.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use mezz_launch_plan::Place;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat2};

/// How long an answer holds.
const FRESH: Duration = Duration::from_secs(1);
/// More answers than this are not kept.
const REMEMBERED: usize = 256;
/// An interpreter may be a script too, but not for ever.
const DEEPEST: usize = 4;
/// As much of a program as is looked at; the kernel reads less of a script's first line.
const HEAD_BYTES: usize = 4096;
/// File systems whose answers depend on this machine alone.
const LOCAL: &[&str] = &[
    "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "bcachefs", "tmpfs", "ramfs",
];

/// Answers, each kept for a moment: a burst of tasks mostly starts one program.
#[derive(Debug, Default)]
pub(crate) struct LocalDisk {
    programs: HashMap<PathBuf, (Instant, Place)>,
}

impl LocalDisk {
    /// Where a program and its interpreters lie.
    pub(crate) fn program(&mut self, path: &Path) -> Place {
        let now = Instant::now();
        if let Some((at, place)) = self.programs.get(path)
            && now.duration_since(*at) < FRESH
        {
            return *place;
        }
        let place = if is_local_program(path, DEEPEST) {
            Place::LocalDisk
        } else {
            Place::Unknown
        };
        if self.programs.len() >= REMEMBERED {
            self.programs.clear();
        }
        self.programs.insert(path.to_owned(), (now, place));
        place
    }
}

/// Where a directory lies that tasks start in.
pub(crate) fn directory(path: &Path) -> Place {
    if open_local(path).is_some() {
        Place::LocalDisk
    } else {
        Place::Unknown
    }
}

fn is_local_program(path: &Path, depth: usize) -> bool {
    depth > 0
        && head(path).is_some_and(|head| match interpreter(&head) {
            Some(Interpreter::None) => true,
            Some(Interpreter::At(path)) => is_local_program(&path, depth - 1),
            None => false,
        })
}

/// The beginning of a regular file on a local disk.
fn head(path: &Path) -> Option<Vec<u8>> {
    let found = open_local(path)?;
    let data = rustix::fs::fstat(&found).ok()?;
    if FileType::from_raw_mode(data.st_mode) != FileType::RegularFile {
        return None;
    }
    let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()?;
    let mut head = vec![0; HEAD_BYTES];
    let length = file.read_at(&mut head, 0).ok()?;
    head.truncate(length);
    Some(head)
}

/// Opens a path without touching any mount but local ones; `None` if there is no such way.
fn open_local(path: &Path) -> Option<OwnedFd> {
    let mut parts = path.components();
    if parts.next() != Some(Component::RootDir)
        || !parts.all(|part| matches!(part, Component::Normal(_)))
    {
        return None;
    }
    let mounts = Mounts::read()?;
    let mount = mounts.local_mount_of(path)?;
    if mount == Path::new("/") {
        // Absolute links in it are followed only if the way begins as an absolute path itself.
        return open_inside(CWD, path, ResolveFlags::NO_XDEV);
    }
    let root = open_inside(CWD, &mount, ResolveFlags::empty())?;
    match path
        .strip_prefix(&mount)
        .ok()
        .filter(|inside| !inside.as_os_str().is_empty())
    {
        None => Some(root),
        // Links that lead out of the mount fail, absolute ones always.
        Some(inside) => open_inside(root, inside, ResolveFlags::NO_XDEV),
    }
}

fn open_inside(at: impl AsFd, path: &Path, resolve: ResolveFlags) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat2(
        at,
        path,
        flags,
        Mode::empty(),
        resolve | ResolveFlags::NO_MAGICLINKS,
    )
    .ok()
}

/// The mounts of this process: where, and whether of a local kind.
#[derive(Debug)]
struct Mounts(Vec<(PathBuf, bool)>);

impl Mounts {
    fn read() -> Option<Self> {
        Some(Self::parse(&fs::read("/proc/self/mountinfo").ok()?))
    }

    fn parse(text: &[u8]) -> Self {
        let mount = |line: &[u8]| {
            let mut words = line.split(|byte| *byte == b' ');
            let point = words.nth(4)?;
            let kind = words.skip_while(|word| *word != b"-").nth(1)?;
            let point = PathBuf::from(std::ffi::OsString::from_vec(unescaped(point)));
            // Whatever the root is: without it this process does not live either.
            let local = point == Path::new("/") || LOCAL.iter().any(|name| name.as_bytes() == kind);
            Some((point, local))
        };
        Self(
            text.split(|byte| *byte == b'\n')
                .filter_map(mount)
                .collect(),
        )
    }

    /// The mount that holds `path` by its words, if it and all above it are local.
    fn local_mount_of(&self, path: &Path) -> Option<PathBuf> {
        let above: Vec<_> = self
            .0
            .iter()
            .filter(|(point, _)| path.starts_with(point))
            .collect();
        let all_local = above.iter().all(|(_, local)| *local);
        let deepest = above
            .into_iter()
            .max_by_key(|(point, _)| point.as_os_str().len())?;
        all_local.then(|| deepest.0.clone())
    }
}

/// As the kernel writes paths there: space, tab, newline and backslash as three octal digits.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail
            .get(..3)
            .filter(|digits| *first == b'\\' && digits.iter().all(u8::is_ascii_digit));
        if let Some(digits) = digits {
            plain.push(digits.iter().fold(0u8, |value, digit| {
                value.wrapping_mul(8).wrapping_add(digit - b'0')
            }));
            rest = &tail[3..];
        } else {
            plain.push(*first);
            rest = tail;
        }
    }
    plain
}

/// What the kernel opens beside the program when it executes it.
#[derive(Debug, PartialEq, Eq)]
enum Interpreter {
    None,
    At(PathBuf),
}

/// `None` for a file of a kind that somebody may have registered a handler for.
fn interpreter(head: &[u8]) -> Option<Interpreter> {
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii();
        let path = line
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .next()
            .filter(|path| !path.is_empty())?;
        return Some(Interpreter::At(PathBuf::from(std::ffi::OsStr::from_bytes(
            path,
        ))));
    }
    elf_interpreter(head)
}

/// Of a 64-bit little-endian program of this machine's kind; all its program headers must lie in the head.
fn elf_interpreter(head: &[u8]) -> Option<Interpreter> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, bytes: usize| {
        let field = head.get(at..at.checked_add(bytes)?)?;
        Some(
            field
                .iter()
                .rev()
                .fold(0u64, |value, byte| (value << 8) | u64::from(*byte)),
        )
    };
    let machine = if cfg!(target_arch = "x86_64") {
        62
    } else if cfg!(target_arch = "aarch64") {
        183
    } else {
        return None;
    };
    if head.get(..6)? != b"\x7fELF\x02\x01" || number(18, 2)? != machine {
        return None;
    }
    let place = |at: usize| usize::try_from(number(at, 8)?).ok();
    let (table, size, count) = (place(32)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let header = table.checked_add(usize::try_from(index * size).ok()?)?;
        if number(header, 4)? == PT_INTERP {
            let (offset, length) = (place(header + 8)?, place(header + 32)?);
            let path = head
                .get(offset..offset.checked_add(length)?)?
                .split(|byte| *byte == 0)
                .next()?;
            return Some(Interpreter::At(PathBuf::from(std::ffi::OsStr::from_bytes(
                path,
            ))));
        }
    }
    Some(Interpreter::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"1 0 8:1 / / rw - overlay none rw\n\
        2 1 8:2 / /data rw,relatime shared:1 - ext4 /dev/sdb rw\n\
        3 1 0:9 / /data/far rw - nfs4 host:/x rw\n\
        4 3 8:3 / /data/far/near rw - xfs /dev/sdc rw\n\
        5 1 8:4 / /a\\040b rw - ext4 /dev/sdd rw\n";

    #[test]
    fn a_path_is_local_only_if_every_mount_on_its_way_is() {
        let mounts = Mounts::parse(MOUNTS);
        let of = |path: &str| mounts.local_mount_of(Path::new(path));
        assert_eq!(of("/bin/true"), Some(PathBuf::from("/")));
        assert_eq!(of("/data/x"), Some(PathBuf::from("/data")));
        assert_eq!(of("/database/x"), Some(PathBuf::from("/")));
        assert_eq!(of("/data/far/x"), None);
        assert_eq!(of("/data/far/near/x"), None);
        assert_eq!(of("/a b/x"), Some(PathBuf::from("/a b")));
    }

    #[test]
    fn a_program_is_local_only_if_its_interpreters_are() {
        let dir = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let mut disk = LocalDisk::default();
        assert_eq!(
            disk.program(&std::env::current_exe().unwrap()),
            Place::LocalDisk
        );
        assert_eq!(
            disk.program(&script("good", "#! /bin/sh -e\ntrue\n")),
            Place::LocalDisk
        );
        assert_eq!(
            disk.program(&script("process", "#!/proc/self/exe\n")),
            Place::Unknown
        );
        assert_eq!(
            disk.program(&script("missing", "#!/no/such/thing\n")),
            Place::Unknown
        );
        assert_eq!(disk.program(&script("plain", "true\n")), Place::Unknown);
        let endless = dir.path().join("endless");
        assert_eq!(
            disk.program(&script("endless", &format!("#!{}\n", endless.display()))),
            Place::Unknown
        );
    }

    #[test]
    fn links_out_of_the_mount_and_what_is_no_file_are_foreign() {
        let dir = tempfile::tempdir().unwrap();
        let link = |name: &str, to: &str| {
            let path = dir.path().join(name);
            std::os::unix::fs::symlink(to, &path).unwrap();
            path
        };
        let mut disk = LocalDisk::default();
        assert_eq!(disk.program(&link("near", "/bin/sh")), Place::LocalDisk);
        assert_eq!(disk.program(&link("far", "/proc/self/exe")), Place::Unknown);
        assert_eq!(disk.program(Path::new("/proc/self/exe")), Place::Unknown);
        assert_eq!(disk.program(dir.path()), Place::Unknown);
        assert_eq!(disk.program(Path::new("bin/sh")), Place::Unknown);
        assert_eq!(disk.program(Path::new("/bin/../bin/sh")), Place::Unknown);
        assert_eq!(directory(dir.path()), Place::LocalDisk);
        assert_eq!(directory(Path::new("/proc")), Place::Unknown);
    }
}
