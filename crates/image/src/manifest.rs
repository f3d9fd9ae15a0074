//! Manifests and indexes, of Docker (version 2, schema 2) and of OCI.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use crate::digest::Digest;
use crate::limits::Limits;
use crate::media::{self, Kind};
use crate::platform::Platform;

/// Why a document describes no image that we can take.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// More than documents may have.
    #[error("the manifest has {0} bytes, the limit is {1}")]
    TooLarge(u64, u64),
    /// No JSON, or not of the right shape.
    #[error("the manifest is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// `schemaVersion` 1.
    #[error(
        "the manifest is of Docker's schema 1, which is not supported: push the image again with a current client"
    )]
    FirstSchema,
    /// `schemaVersion` of another kind.
    #[error("schemaVersion {0} of the manifest is not supported, only 2 is")]
    SchemaVersion(u64),
    /// A media type that is neither manifest nor index.
    #[error("'{0}' is no image: an image manifest or an index of them is needed")]
    NoImage(String),
    /// Two readers could take it for two things.
    #[error("the manifest has both {0} and {1}, so that it could be read in two ways")]
    Ambiguous(&'static str, &'static str),
    /// What the registry said differs from what the document says of itself.
    #[error("the manifest came as '{0}' but says that it is '{1}'")]
    OtherType(String, String),
    /// A field that is needed.
    #[error("the manifest has no {0}")]
    Missing(&'static str),
    /// A stack too high.
    #[error("the image has {0} layers, the limit is {1}")]
    TooManyLayers(usize, usize),
    /// A list too long.
    #[error("the index lists {0} manifests, the limit is {1}")]
    TooManyManifests(usize, usize),
    /// A layer that is no layer.
    #[error("layer {0} is of type '{1}', which is not supported: {2}")]
    Layer(usize, String, &'static str),
    /// A layer above its cap.
    #[error("layer {0} has {1} bytes, the limit is {2}")]
    LayerTooLarge(usize, u64, u64),
    /// A configuration above its cap.
    #[error("the configuration of the image has {0} bytes, the limit is {1}")]
    ConfigTooLarge(u64, u64),
    /// An index without an image for here.
    #[error("no image for {here}: there are {offered}")]
    NoPlatform {
        /// What was looked for.
        here: Platform,
        /// What the index has.
        offered: String,
    },
}

/// Names content and says what it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// What it runs on, in an index.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// Words about it.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    /// The name that a layout's index gives the image.
    pub fn reference_name(&self) -> Option<&str> {
        let annotations = self.annotations.as_ref()?;
        annotations
            .get("org.opencontainers.image.ref.name")
            .map(String::as_str)
    }
}

/// The parts of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// Manifests for several platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// In the order of the document.
    pub manifests: Vec<Descriptor>,
}

impl Index {
    /// The manifest, or a further index, for this platform.
    pub fn choose(&self, here: &Platform) -> Result<&Descriptor, ManifestError> {
        let images = || self.manifests.iter().filter(|entry| is_image(entry));
        let chosen = here
            .choose(images().map(|entry| entry.platform.as_ref()))
            .and_then(|place| images().nth(place));
        // A lone entry need not say what it runs on; its configuration does.
        let mut unsaid = images().filter(|entry| entry.platform.is_none());
        let lone = unsaid.next().filter(|_| images().count() == 1);
        chosen.or(lone).ok_or_else(|| ManifestError::NoPlatform {
            here: here.clone(),
            offered: offered(images()),
        })
    }
}

/// Attestations and the like lie beside images in an index.
fn is_image(entry: &Descriptor) -> bool {
    let attestation = entry
        .annotations
        .as_ref()
        .is_some_and(|words| words.contains_key("vnd.docker.reference.type"));
    matches!(media::kind(&entry.media_type), Kind::Index | Kind::Manifest) && !attestation
}

fn offered<'a>(images: impl Iterator<Item = &'a Descriptor>) -> String {
    let names: Vec<String> = images
        .map(|entry| match &entry.platform {
            Some(platform) => platform.to_string(),
            None => "one that does not say for what".to_owned(),
        })
        .take(20)
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// What a registry answers for the name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// Several images.
    Index(Index),
    /// One image.
    Manifest(Manifest),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    /// Of schema 1.
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads a manifest or an index, which came with this type if its bearer said one.
    pub fn parse(
        bytes: &[u8],
        came_as: Option<&str>,
        limits: &Limits,
    ) -> Result<Self, ManifestError> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > limits.document_bytes {
            return Err(ManifestError::TooLarge(size, limits.document_bytes));
        }
        if came_as.is_some_and(|kind| media::kind(kind) == Kind::FirstSchema) {
            return Err(ManifestError::FirstSchema);
        }
        let raw: Raw = serde_json::from_slice(bytes)?;
        match raw.schema_version {
            Some(2) => {}
            Some(1) => return Err(ManifestError::FirstSchema),
            Some(other) => return Err(ManifestError::SchemaVersion(other)),
            None => return Err(ManifestError::Missing("schemaVersion")),
        }
        if raw.fs_layers.is_some() {
            return Err(ManifestError::Ambiguous("fsLayers", "schemaVersion 2"));
        }
        match raw.kind(came_as)? {
            Kind::Index => raw.into_index(limits).map(Self::Index),
            _ => raw.into_manifest(limits).map(Self::Manifest),
        }
    }
}

impl Raw {
    fn kind(&self, came_as: Option<&str>) -> Result<Kind, ManifestError> {
        // Some servers have one type for all that they do not know.
        let known = |media_type: &&str| media::kind(media_type) != Kind::Other;
        let came_as = came_as.filter(known);
        let says = self.media_type.as_deref();
        if let (Some(came_as), Some(says)) = (came_as, says)
            && media::kind(came_as) != media::kind(says)
        {
            return Err(ManifestError::OtherType(came_as.into(), says.into()));
        }
        if self.manifests.is_some() && (self.layers.is_some() || self.config.is_some()) {
            return Err(ManifestError::Ambiguous("manifests", "layers or config"));
        }
        match says.or(came_as) {
            None if self.manifests.is_some() => Ok(Kind::Index),
            None => Ok(Kind::Manifest),
            Some(media_type) => match media::kind(media_type) {
                kind @ (Kind::Index | Kind::Manifest) => Ok(kind),
                Kind::FirstSchema => Err(ManifestError::FirstSchema),
                _ => Err(ManifestError::NoImage(media_type.to_owned())),
            },
        }
    }

    fn into_index(self, limits: &Limits) -> Result<Index, ManifestError> {
        let manifests = self.manifests.ok_or(ManifestError::Missing("manifests"))?;
        if manifests.len() > limits.index_entries {
            let (count, limit) = (manifests.len(), limits.index_entries);
            return Err(ManifestError::TooManyManifests(count, limit));
        }
        Ok(Index { manifests })
    }

    fn into_manifest(self, limits: &Limits) -> Result<Manifest, ManifestError> {
        let config = self.config.ok_or(ManifestError::Missing("config"))?;
        let layers = self.layers.ok_or(ManifestError::Missing("layers"))?;
        if media::kind(&config.media_type) != Kind::Config {
            return Err(ManifestError::NoImage(config.media_type));
        }
        if config.size > limits.document_bytes {
            return Err(ManifestError::ConfigTooLarge(
                config.size,
                limits.document_bytes,
            ));
        }
        if layers.len() > limits.layers {
            return Err(ManifestError::TooManyLayers(layers.len(), limits.layers));
        }
        for (number, layer) in layers.iter().enumerate() {
            let refused = |why| Err(ManifestError::Layer(number, layer.media_type.clone(), why));
            match media::kind(&layer.media_type) {
                Kind::Layer => {}
                Kind::Foreign => return refused("its content is not in the registry"),
                Kind::Encrypted => return refused("it is encrypted"),
                _ => return refused("it is no layer of files"),
            }
            if layer.size > limits.blob_bytes {
                return Err(ManifestError::LayerTooLarge(
                    number,
                    layer.size,
                    limits.blob_bytes,
                ));
            }
        }
        Ok(Manifest { config, layers })
    }
}

#[cfg(test)]
mod tests;
