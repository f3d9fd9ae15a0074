//! Fits a layer upon those below: what it leaves unsaid is as below, and marks that hide nothing go.
//!
//! Overlayfs looks for whiteouts only in directories that it merges: in any other their names would show.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, openat};
use rustix::io::Errno;

use super::{Store, StoreError, at};
use crate::beneath::{Root, is_overlay_whiteout, kind, look, remove};
use crate::digest::Digest;
use crate::provision::{copy_directory_attributes, is_opaque};
use crate::unpack::{Privilege, Unpacked};

/// Trees below, highest first.
struct Below {
    trees: Vec<OwnedFd>,
    privilege: Privilege,
}

impl Store {
    /// Changes a tree that was unpacked for itself so that it can stand upon these layers, lowest first.
    pub(super) fn fit(
        &self,
        root: &Path,
        below: &[Digest],
        unpacked: &Unpacked,
    ) -> Result<(), StoreError> {
        let tree = Root::open(root).map_err(at("open", root))?;
        let privilege = self.privilege();
        let mut trees = Vec::new();
        // Nothing below an opaque root shows.
        let shown = if unpacked.opaque_root { &[] } else { below };
        for chain in shown.iter().rev() {
            let path = self.layer_root(chain);
            let opened = Root::open(&path).map_err(at("open", &path))?;
            let opened = opened.directory(Path::new(""));
            trees.push(opened.map_err(|error| at("open", &path)(error.into()))?);
            if self.layer(chain).is_some_and(|layer| layer.opaque_root) {
                break;
            }
        }
        let below = Below { trees, privilege };
        let failed = |path: &Path, error: Errno| at("fit", &root.join(path))(error.into());
        for path in &unpacked.implied {
            below
                .describe(&tree, path)
                .map_err(|error| failed(path, error))?;
        }
        for path in &unpacked.whiteouts {
            below
                .keep_or_remove(&tree, path)
                .map_err(|error| failed(path, error))?;
        }
        Ok(())
    }
}

impl Below {
    /// Gives a directory the attributes that it has below.
    fn describe(&self, tree: &Root, path: &Path) -> Result<(), Errno> {
        if let Some(lower) = self.shown(path)?.first() {
            copy_directory_attributes(lower, tree.directory(path)?, self.privilege)?;
        }
        Ok(())
    }

    /// Removes a whiteout in a directory that will not be merged with one below.
    fn keep_or_remove(&self, tree: &Root, path: &Path) -> Result<(), Errno> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        let mut hidden = false;
        for above in parent
            .ancestors()
            .filter(|path| !path.as_os_str().is_empty())
        {
            hidden = hidden || is_opaque(tree.directory(above)?, self.privilege)?;
        }
        if hidden || self.shown(parent)?.is_empty() {
            // The time of a directory is what the layer says, whatever happens in it.
            let directory = tree.directory(parent)?;
            let stat = rustix::fs::fstat(&directory)?;
            remove(&directory, name)?;
            rustix::fs::futimens(&directory, &crate::provision::times(&stat))?;
        }
        Ok(())
    }

    /// The directories that overlayfs would merge at this path, highest first.
    fn shown(&self, path: &Path) -> Result<Vec<OwnedFd>, Errno> {
        let mut here = Vec::new();
        for tree in &self.trees {
            here.push(openat(tree, ".", DIRECTORY, Mode::empty())?);
        }
        for part in path {
            let mut next = Vec::new();
            for directory in &here {
                let Some(stat) = look(directory, part)? else {
                    continue;
                };
                if is_overlay_whiteout(&stat) || kind(&stat) != FileType::Directory {
                    break;
                }
                let below = openat(directory, part, DIRECTORY, Mode::empty())?;
                let opaque = is_opaque(&below, self.privilege)?;
                next.push(below);
                if opaque {
                    break;
                }
            }
            here = next;
        }
        Ok(here)
    }
}

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::RDONLY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
