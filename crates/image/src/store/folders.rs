//! Where things are in the store.

use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// Says that a layer outlives a loss of power.
pub(super) const SETTLED: &str = "settled";
/// What a layer is.
pub(super) const LAYER_RECORD: &str = "layer.json";
/// What a container stands on.
pub(super) const CONTAINER_RECORD: &str = "container.json";
/// A tree of files.
pub(super) const ROOT: &str = "root";

/// Paths of the store.
#[derive(Debug)]
pub(super) struct Folders(PathBuf);

impl Folders {
    pub(super) fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }

    pub(super) fn root(&self) -> &Path {
        &self.0
    }

    pub(super) fn all(&self) -> [PathBuf; 7] {
        [
            self.blobs(),
            self.partials(),
            self.layers(),
            self.links(),
            self.images(),
            self.containers(),
            self.temporary(),
        ]
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub(super) fn version(&self) -> PathBuf {
        self.0.join("version")
    }

    /// Whole content by digest.
    pub(super) fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// Downloads that are not whole yet, and can go on.
    pub(super) fn partials(&self) -> PathBuf {
        self.0.join("partial")
    }

    /// Unpacked layers by chain.
    pub(super) fn layers(&self) -> PathBuf {
        self.0.join("layers")
    }

    /// Short names of unpacked layers: all that are mounted at once have to fit into one page.
    pub(super) fn links(&self) -> PathBuf {
        self.0.join("l")
    }

    /// Images by name.
    pub(super) fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    /// What containers stand on.
    pub(super) fn containers(&self) -> PathBuf {
        self.0.join("containers")
    }

    /// What is being made, and what is being removed.
    pub(super) fn temporary(&self) -> PathBuf {
        self.0.join("temporary")
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(name_of(digest))
    }

    pub(super) fn partial(&self, digest: &Digest) -> PathBuf {
        self.partials().join(name_of(digest))
    }

    pub(super) fn layer(&self, chain: &Digest) -> PathBuf {
        self.layers().join(name_of(chain))
    }

    pub(super) fn link(&self, number: u32) -> PathBuf {
        self.links().join(link_name(number))
    }
}

fn name_of(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().name(), digest.hex())
}

/// The digest of a file's or folder's name.
pub(super) fn digest_of(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.split_once('-')?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// Short: 500 of them and their colons must fit into 4,096 bytes beside the other options.
pub(super) fn link_name(number: u32) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut left = number as usize;
    let mut name = Vec::new();
    loop {
        name.push(char::from(DIGITS[left % DIGITS.len()]));
        left /= DIGITS.len();
        if left == 0 {
            return name.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_links_are_short_and_differ() {
        let names: std::collections::BTreeSet<String> = (0..50_000).map(link_name).collect();
        assert_eq!(names.len(), 50_000);
        assert!(names.iter().all(|name| name.len() <= 4));
    }

    #[test]
    fn digests_survive_as_names() {
        let digest = Digest::of(b"x");
        assert_eq!(digest_of(&name_of(&digest)), Some(digest));
        assert_eq!(digest_of("sha256-.."), None);
    }
}
