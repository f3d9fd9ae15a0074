//! Unpacked layers, each in the place that its chain gives it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folders::{LAYER_RECORD, ROOT, SETTLED, digest_of, link_name};
use super::{Inside, Store, StoreError, at};
use crate::digest::Digest;
use crate::unpack::Unpacked;

/// What is known of an unpacked layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// What it holds.
    pub diff_id: Digest,
    /// Bytes of its files.
    pub bytes: u64,
    /// Files, directories, links and marks.
    pub entries: u64,
    /// Whether it hides all layers below.
    pub opaque_root: bool,
    /// Its short name.
    pub(super) link: u32,
    /// The run of the machine in which it was unpacked.
    boot_id: String,
    /// Whether it outlives a loss of power.
    #[serde(skip)]
    pub(super) settled: bool,
}

/// A layer that is being unpacked. What is not committed is removed.
#[derive(Debug)]
pub struct LayerDraft {
    folder: PathBuf,
}

impl LayerDraft {
    /// Where its files go.
    pub fn root(&self) -> PathBuf {
        self.folder.join(ROOT)
    }
}

impl Drop for LayerDraft {
    fn drop(&mut self) {
        if let Err(error) = super::remove_tree(&self.folder) {
            tracing::warn!(%error, "an unfinished layer is left until the next start");
        }
    }
}

impl Store {
    /// What is known of a layer that is there.
    pub fn layer(&self, chain: &Digest) -> Option<LayerRecord> {
        self.lock().layers.get(chain).cloned()
    }

    /// The tree of a layer.
    pub fn layer_root(&self, chain: &Digest) -> PathBuf {
        self.folders.layer(chain).join(ROOT)
    }

    /// Makes an empty tree to unpack into.
    pub fn draft_layer(&self) -> Result<LayerDraft, StoreError> {
        let folder = self.temporary("layer");
        let draft = LayerDraft { folder };
        for (path, mode) in [(draft.folder.clone(), 0o700), (draft.root(), 0o755)] {
            let made = DirBuilder::new().mode(mode).create(&path);
            made.map_err(at("make", &path))?;
        }
        Ok(draft)
    }

    /// Makes a draft the layer of this chain. The chain below, lowest first, has to be there.
    pub fn commit_layer(
        &self,
        draft: LayerDraft,
        below: &[Digest],
        chain: &Digest,
        diff_id: &Digest,
        unpacked: &Unpacked,
    ) -> Result<(), StoreError> {
        self.fit(&draft.root(), below, unpacked)?;
        let mut inside = self.lock();
        if inside.layers.contains_key(chain) {
            return Ok(());
        }
        let record = LayerRecord {
            diff_id: diff_id.clone(),
            bytes: unpacked.bytes,
            entries: unpacked.entries,
            opaque_root: unpacked.opaque_root,
            link: inside.next_link,
            boot_id: self.settings.boot_id.clone(),
            settled: false,
        };
        let path = draft.folder.join(LAYER_RECORD);
        fs::write(&path, serde_json::to_vec(&record)?).map_err(at("write", &path))?;
        self.make_link(record.link, chain)?;
        inside.next_link += 1;
        let place = self.folders.layer(chain);
        fs::rename(&draft.folder, &place).map_err(at("rename", &place))?;
        inside.layers.insert(chain.clone(), record);
        Ok(())
    }

    fn make_link(&self, link: u32, chain: &Digest) -> Result<(), StoreError> {
        let path = self.folders.link(link);
        let layer = self.folders.layer(chain);
        let name = layer.file_name().unwrap_or_default();
        let target = Path::new("../layers").join(name).join(ROOT);
        super::blobs::remove_file(&path)?;
        symlink(&target, &path).map_err(at("link", &path))
    }

    /// What is there and can be trusted; the rest is removed.
    pub(super) fn load_layers(&self) -> Result<BTreeMap<Digest, LayerRecord>, StoreError> {
        let mut layers = BTreeMap::new();
        let folder = self.folders.layers();
        for name in super::names(&folder)? {
            let place = folder.join(&name);
            let settled = place.join(SETTLED).exists();
            let record = self.read_layer(&place, settled);
            if let (Some(chain), Some(record)) = (digest_of(&name), record) {
                layers.insert(chain, record);
            } else {
                tracing::info!(layer = name, "a layer that may not be whole is removed");
                self.discard(&place)?;
            }
        }
        Ok(layers)
    }

    fn read_layer(&self, place: &Path, settled: bool) -> Option<LayerRecord> {
        let bytes = fs::read(place.join(LAYER_RECORD)).ok()?;
        let record: LayerRecord = serde_json::from_slice(&bytes).ok()?;
        let trusted = settled || record.boot_id == self.settings.boot_id;
        (trusted && place.join(ROOT).is_dir()).then_some(LayerRecord { settled, ..record })
    }

    /// Every layer has its short name, and no short name leads anywhere else.
    pub(super) fn sweep_links(&self, inside: &Inside) -> Result<(), StoreError> {
        let known: BTreeSet<String> = inside
            .layers
            .values()
            .map(|layer| link_name(layer.link))
            .collect();
        for name in super::names(&self.folders.links())? {
            if !known.contains(&name) {
                super::blobs::remove_file(&self.folders.links().join(name))?;
            }
        }
        for (chain, layer) in &inside.layers {
            match fs::symlink_metadata(self.folders.link(layer.link)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.make_link(layer.link, chain)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
