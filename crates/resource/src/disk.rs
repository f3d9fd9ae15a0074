//! What makes one disk different from another: its source and its persistent volume.

use crate::reservation::Labels;
use mezz_proto::v1;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The kinds of disk sources.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum DiskSourceKind {
    /// A folder.
    Path,
    /// A whole file system.
    Mount,
    /// A block device.
    Block,
    /// A device that is not formatted.
    Raw,
}

/// Where a disk comes from.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct DiskSource {
    /// The kind.
    pub kind: DiskSourceKind,
    /// The folder of `Path` (outer: whether `path` was given at all).
    pub path: Option<Option<String>>,
    /// The mount point of `Mount` (outer: whether `mount` was given at all).
    pub mount: Option<Option<String>>,
    /// The vendor of the storage plugin.
    pub vendor: Option<String>,
    /// The id that the storage plugin gave.
    pub id: Option<String>,
    /// Metadata of the storage plugin.
    pub metadata: Option<Labels>,
    /// The profile of the storage plugin.
    pub profile: Option<String>,
}

/// A persistent volume.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Persistence {
    /// Unique within the role on its agent.
    pub id: String,
    /// Who made it; no part of its identity.
    pub principal: Option<String>,
}

/// The disk part of a resource.
///
/// Two disks are equal when source and persistence id are: how a volume is mounted is a matter of
/// each use, and its creator is a note.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Disk {
    /// Where it comes from; none is the agent's work directory.
    pub source: Option<DiskSource>,
    /// The persistent volume on it.
    pub persistence: Option<Persistence>,
    /// How this use mounts it.
    pub volume: Option<v1::Volume>,
}

impl Disk {
    fn identity(&self) -> (Option<&DiskSource>, Option<&str>) {
        (
            self.source.as_ref(),
            self.persistence.as_ref().map(|p| p.id.as_str()),
        )
    }

    /// Whether it can only be taken whole and never merged with an equal one.
    pub fn is_indivisible(&self) -> bool {
        self.persistence.is_some()
            || self
                .source
                .as_ref()
                .is_some_and(|source| match source.kind {
                    DiskSourceKind::Path => false,
                    DiskSourceKind::Mount | DiskSourceKind::Block => true,
                    DiskSourceKind::Raw => source.id.is_some(),
                })
    }
}

impl PartialEq for Disk {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Disk {}

impl PartialOrd for Disk {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Disk {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}

impl Hash for Disk {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Display for DiskSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, root) = match self.kind {
            DiskSourceKind::Path => ("PATH", self.path.as_ref()),
            DiskSourceKind::Mount => ("MOUNT", self.mount.as_ref()),
            DiskSourceKind::Block => ("BLOCK", None),
            DiskSourceKind::Raw => ("RAW", None),
        };
        f.write_str(kind)?;
        if self.id.is_some() || self.profile.is_some() {
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            return write!(
                f,
                "({},{},{})",
                text(&self.vendor),
                text(&self.id),
                text(&self.profile)
            );
        }
        match root {
            Some(Some(root)) => write!(f, ":{root}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}")?;
        }
        if let Some(persistence) = &self.persistence {
            let separator = if self.source.is_some() { "," } else { "" };
            write!(f, "{separator}{}", persistence.id)?;
        }
        let Some(volume) = &self.volume else {
            return Ok(());
        };
        f.write_str(":")?;
        let Some(host_path) = &volume.host_path else {
            return f.write_str(&volume.container_path);
        };
        let mode = match v1::volume::Mode::try_from(volume.mode) {
            Ok(v1::volume::Mode::Rw) => ":rw",
            Ok(v1::volume::Mode::Ro) => ":ro",
            Err(_) => "",
        };
        write!(f, "{host_path}:{}{mode}", volume.container_path)
    }
}
