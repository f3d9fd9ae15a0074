//! Who a container runs as, by the accounts of its image.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use mezz_image::store::Rootfs;
use mezz_image::users::{self, User, UserError};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

/// The most that is read of a list of accounts.
const MOST_BYTES: u64 = 4 << 20;

/// The lists of accounts of one image.
#[derive(Debug)]
pub(super) struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// As the container will see them.
    pub(super) fn of(root: &Rootfs) -> Self {
        let trees: Vec<&Path> = match root {
            Rootfs::Overlay(overlay) => overlay.stack.trees.iter().map(AsRef::as_ref).collect(),
            Rootfs::Copy { root } => vec![root],
        };
        let trees: Vec<OwnedFd> = trees.iter().filter_map(|tree| folder(tree)).collect();
        Self {
            passwd: read(&trees, "etc/passwd").unwrap_or_default(),
            group: read(&trees, "etc/group").unwrap_or_default(),
        }
    }

    /// The user of this name.
    pub(super) fn find(&self, text: &str) -> Result<User, UserError> {
        users::find(text, &self.passwd, &self.group)
    }
}

fn folder(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).ok()
}

/// From the highest layer that has it. A layer may say that there is none.
fn read(trees: &[OwnedFd], path: &str) -> Option<String> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for tree in trees {
        let look = OFlags::PATH | OFlags::CLOEXEC;
        let Ok(found) = openat2(tree, path, look, Mode::empty(), resolve) else {
            continue;
        };
        let kind = rustix::fs::fstat(&found).ok()?.st_mode;
        if rustix::fs::FileType::from_raw_mode(kind) != rustix::fs::FileType::RegularFile {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = openat2(tree, path, flags, Mode::empty(), resolve).ok()?;
        let mut bytes = Vec::new();
        let mut file = std::fs::File::from(file).take(MOST_BYTES);
        file.read_to_end(&mut bytes).ok()?;
        return Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    None
}
