//! Tars built by hand, stores in temporary folders, and what is in a tree.

#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod registry;
pub(crate) mod world;

use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mezz_image::digest::{Digest, chain_ids};
use mezz_image::limits::Limits;
use mezz_image::store::{Store, StoreSettings};
use mezz_image::unpack::{Privilege, Rules, UnpackError, Unpacked, unpack};

/// A tar in the making. Nothing is checked: names and links may be whatever an attacker writes.
#[derive(Clone, Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn entry(
        mut self,
        kind: u8,
        path: &str,
        content: &[u8],
        change: impl FnOnce(&mut tar::Header),
    ) -> Self {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(content.len() as u64);
        header.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
        header.set_mtime(1_000_000);
        header.set_uid(0);
        header.set_gid(0);
        change(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        self.entry(b'0', path, content.as_bytes(), |_| {})
    }

    pub(crate) fn directory(self, path: &str) -> Self {
        self.entry(b'5', path, b"", |_| {})
    }

    pub(crate) fn link(self, kind: u8, path: &str, target: &str) -> Self {
        let target = target.to_owned();
        self.entry(kind, path, b"", |header| {
            header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
        })
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.link(b'2', path, target)
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.link(b'1', path, target)
    }

    pub(crate) fn device(self, kind: u8, path: &str, major: u32, minor: u32) -> Self {
        self.entry(kind, path, b"", |header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        })
    }

    /// Extended attributes of the next entry.
    pub(crate) fn attribute(self, name: &str, value: &str) -> Self {
        let rest = format!(" SCHILY.xattr.{name}={value}\n");
        let mut length = rest.len();
        while length != rest.len() + length.to_string().len() {
            length = rest.len() + length.to_string().len();
        }
        self.entry(b'x', "pax", format!("{length}{rest}").as_bytes(), |_| {})
    }

    pub(crate) fn bytes(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }

    pub(crate) fn gzip(self) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&self.bytes()).unwrap();
        packed.finish().unwrap()
    }
}

pub(crate) fn is_root() -> bool {
    Privilege::of_process() == Privilege::Root
}

/// Unpacks bytes into the folder, as what they are.
pub(crate) fn unpack_into(
    bytes: &[u8],
    folder: &Path,
    limits: &Limits,
) -> Result<Unpacked, UnpackError> {
    let mut plain = Vec::new();
    let packed = std::io::Cursor::new(bytes.to_vec());
    // A bomb must not be unpacked here to find its digest.
    let mut content = mezz_image::layer::decompressed(packed.clone()).unwrap();
    let mut capped = std::io::Read::take(&mut content, 64 << 20);
    let _ = std::io::Read::read_to_end(&mut capped, &mut plain);
    let rules = Rules {
        limits,
        privilege: Privilege::of_process(),
        given_up: &AtomicBool::new(false),
    };
    unpack(packed, folder, &Digest::of(&plain), &rules)
}

pub(crate) fn open_store(folder: &Path) -> Arc<Store> {
    Store::open(StoreSettings::new(folder)).unwrap()
}

/// Puts layers, lowest first, into a store; gives their chains.
pub(crate) fn put_layers(store: &Arc<Store>, layers: &[Tar]) -> Vec<Digest> {
    let layers: Vec<Vec<u8>> = layers.iter().map(|layer| layer.clone().bytes()).collect();
    let diff_ids: Vec<Digest> = layers.iter().map(|bytes| Digest::of(bytes)).collect();
    let chains = chain_ids(&diff_ids);
    for (number, bytes) in layers.iter().enumerate() {
        let draft = store.draft_layer().unwrap();
        let unpacked = unpack_into(bytes, &draft.root(), store.limits()).unwrap();
        let (chain, diff_id) = (&chains[number], &diff_ids[number]);
        store
            .commit_layer(draft, &chains[..number], chain, diff_id, &unpacked)
            .unwrap();
    }
    chains
}

/// A line for each entry: path, kind, mode, what is in it or where it leads.
pub(crate) fn tree(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    walk(root, root, &mut lines);
    lines.sort();
    lines
}

fn walk(root: &Path, folder: &Path, lines: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let data = path.symlink_metadata().unwrap();
        let kind = data.file_type();
        let what = if kind.is_symlink() {
            format!("-> {}", path.read_link().unwrap().display())
        } else if kind.is_file() {
            format!("{:?}", std::fs::read_to_string(&path).unwrap())
        } else if kind.is_char_device() && data.rdev() == 0 {
            "gone".to_owned()
        } else if kind.is_char_device() {
            "device".to_owned()
        } else if kind.is_fifo() {
            "pipe".to_owned()
        } else {
            "directory".to_owned()
        };
        let name = path.strip_prefix(root).unwrap().display().to_string();
        lines.push(format!("{name} {what}"));
        if kind.is_dir() {
            walk(root, &path, lines);
        }
    }
}
