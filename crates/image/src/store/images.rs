//! Images by name: which documents and layers they are of, who may have them, when they were used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Pin, Store, StoreError, at, now_seconds};
use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::reference::Reference;

/// Who may have an image without asking its registry again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// It was given to the agent itself.
    Everyone,
    /// It was given to those who came with these credentials.
    Holders(BTreeSet<Digest>),
}

impl Access {
    /// Whether whoever comes with these credentials, or none of their own, may have it.
    pub fn allows(&self, credentials: Option<&Digest>) -> bool {
        match (self, credentials) {
            (Self::Everyone, _) => true,
            (Self::Holders(holders), Some(digest)) => holders.contains(digest),
            (Self::Holders(_), None) => false,
        }
    }

    /// With these let in as well.
    #[must_use]
    pub fn with(self, credentials: Option<&Digest>) -> Self {
        match (self, credentials) {
            (Self::Holders(mut holders), Some(digest)) => {
                holders.insert(digest.clone());
                Self::Holders(holders)
            }
            _ => Self::Everyone,
        }
    }

    /// Only for who comes with these.
    pub fn only(credentials: Option<&Digest>) -> Self {
        match credentials {
            Some(digest) => Self::Holders(BTreeSet::from([digest.clone()])),
            None => Self::Everyone,
        }
    }
}

/// What the store keeps of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ImageRecord {
    reference: Reference,
    pub(super) manifest: Digest,
    pub(super) config: Digest,
    pub(super) layers: Vec<Digest>,
    pub(super) access: Access,
    /// The file's time says it from one life to the next.
    #[serde(skip)]
    pub(super) last_used: u64,
}

/// An image that is there, with all its layers, for as long as this is held.
#[derive(Clone, Debug)]
pub struct Image {
    /// How it was asked for.
    pub reference: Reference,
    /// Its name for ever.
    pub manifest: Digest,
    /// What Docker calls its id.
    pub id: Digest,
    /// How it is run.
    pub config: Arc<ImageConfig>,
    /// Its stacks of layers, lowest first.
    pub layers: Vec<Digest>,
    _pin: Arc<Pin>,
}

/// A line of a list of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSummary {
    /// Its name.
    pub reference: Reference,
    /// Its name for ever.
    pub manifest: Digest,
    /// Bytes of its layers, which other images may share.
    pub bytes: u64,
    /// Seconds since 1970.
    pub last_used: u64,
}

impl Store {
    /// Names an image whose documents and layers are there.
    pub fn put_image(
        &self,
        reference: &Reference,
        manifest: &Digest,
        config: &Digest,
        layers: &[Digest],
        access: Access,
    ) -> Result<(), StoreError> {
        let record = ImageRecord {
            reference: reference.clone(),
            manifest: manifest.clone(),
            config: config.clone(),
            layers: layers.to_vec(),
            access,
            last_used: now_seconds(),
        };
        let mut inside = self.lock();
        if let Some(missing) = layers
            .iter()
            .find(|chain| !inside.layers.contains_key(*chain))
        {
            return Err(StoreError::NoLayer(missing.clone()));
        }
        self.write_whole(&self.image_file(reference), &serde_json::to_vec(&record)?)?;
        inside.images.insert(reference.clone(), record);
        Ok(())
    }

    /// The image, if it is there as a whole. A document that has been damaged counts as missing.
    pub fn image(self: &Arc<Self>, reference: &Reference) -> Result<Option<Image>, StoreError> {
        let Some(record) = self.lock().images.get(reference).cloned() else {
            return Ok(None);
        };
        let needed = [&record.manifest, &record.config];
        let pin = self.pin(needed.into_iter().chain(&record.layers).cloned());
        {
            let inside = self.lock();
            let is_there = |chain| inside.layers.contains_key(chain);
            if !record.layers.iter().all(is_there) {
                return Ok(None);
            }
        }
        let config = match self.read_document(&record.config) {
            Ok(bytes) => ImageConfig::parse(&bytes, self.limits())?,
            Err(error) => {
                tracing::warn!(%reference, %error, "the image is taken for missing");
                return Ok(None);
            }
        };
        Ok(Some(Image {
            reference: record.reference,
            manifest: record.manifest,
            id: record.config,
            config: Arc::new(config),
            layers: record.layers,
            _pin: Arc::new(pin),
        }))
    }

    /// Who may have an image.
    pub fn access(&self, reference: &Reference) -> Option<Access> {
        let inside = self.lock();
        Some(inside.images.get(reference)?.access.clone())
    }

    /// The name for ever of what the name stands for here.
    pub fn manifest_of(&self, reference: &Reference) -> Option<Digest> {
        Some(self.lock().images.get(reference)?.manifest.clone())
    }

    /// Says that an image was used now.
    pub fn touch(&self, reference: &Reference) {
        let now = now_seconds();
        if let Some(record) = self.lock().images.get_mut(reference) {
            record.last_used = now;
        }
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        let touched =
            File::open(self.image_file(reference)).and_then(|file| file.set_modified(time));
        if let Err(error) = touched {
            tracing::debug!(%reference, %error, "the time of the image's last use is not kept");
        }
    }

    /// What is there.
    pub fn images(&self) -> Vec<ImageSummary> {
        let inside = self.lock();
        let size = |chain| inside.layers.get(chain).map_or(0, |layer| layer.bytes);
        let images = inside.images.iter();
        images
            .map(|(reference, record)| ImageSummary {
                reference: reference.clone(),
                manifest: record.manifest.clone(),
                bytes: record.layers.iter().map(size).sum(),
                last_used: record.last_used,
            })
            .collect()
    }

    pub(super) fn image_file(&self, reference: &Reference) -> PathBuf {
        let name = Digest::of(reference.to_string().as_bytes());
        self.folders.images().join(format!("{}.json", name.hex()))
    }

    pub(super) fn load_images(&self) -> Result<BTreeMap<Reference, ImageRecord>, StoreError> {
        let mut images = BTreeMap::new();
        for name in super::names(&self.folders.images())? {
            let path = self.folders.images().join(name);
            let bytes = fs::read(&path).map_err(at("read", &path))?;
            let record: Option<ImageRecord> = serde_json::from_slice(&bytes).ok();
            let Some(mut record) =
                record.filter(|record| self.image_file(&record.reference) == path)
            else {
                // The image is pulled again when it is wanted.
                tracing::info!(path = %path.display(), "a broken record of an image is removed");
                super::blobs::remove_file(&path)?;
                continue;
            };
            let used = fs::metadata(&path).and_then(|data| data.modified()).ok();
            let used = used.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
            record.last_used = used.map_or(0, |since| since.as_secs());
            images.insert(record.reference.clone(), record);
        }
        Ok(images)
    }
}
