//! Archives of `docker save` before version 25: `manifest.json`, and layers under names of its own.
//!
//! They have no manifest of an image, so one is made of what they have.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::archive::{Archive, ArchiveError};
use crate::digest::Digest;
use crate::media;
use crate::reference::Reference;
use crate::registry::Answer;

const LIST: &str = "manifest.json";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The images of an archive, and what has which digest.
#[derive(Debug)]
pub(super) struct Contents {
    images: Vec<Listed>,
    names: BTreeMap<Digest, String>,
    sizes: BTreeMap<String, (Digest, u64)>,
}

impl Contents {
    pub(super) fn read(archive: &Archive) -> Result<Self, ArchiveError> {
        let bytes = archive.read(LIST)?;
        let images: Vec<Listed> = serde_json::from_slice(&bytes)
            .map_err(|error| archive.invalid(LIST, &error.to_string()))?;
        let (mut names, mut sizes) = (BTreeMap::new(), BTreeMap::new());
        let most = archive.limits.layers.saturating_add(1);
        for image in &images {
            let layers = image.layers.iter().flatten();
            for name in layers.chain([&image.config]) {
                if sizes.contains_key(name) {
                    continue;
                }
                if sizes.len() > most {
                    return Err(archive.invalid(LIST, &format!("more than {most} files")));
                }
                let (digest, length) = archive.digest_of(name)?;
                names.insert(digest.clone(), name.clone());
                sizes.insert(name.clone(), (digest, length));
            }
        }
        Ok(Self {
            images,
            names,
            sizes,
        })
    }

    /// The file that has this digest; there is one for each that was given out.
    pub(super) fn name(&self, digest: &Digest) -> &str {
        self.names.get(digest).map_or("", String::as_str)
    }

    pub(super) fn document(
        &self,
        archive: &Archive,
        reference: &Reference,
    ) -> Result<Answer, ArchiveError> {
        let is = |image: &&Listed| {
            let mut tags = image.repo_tags.iter().flatten();
            tags.any(|tag| Reference::parse(tag).is_ok_and(|tag| tag == *reference))
        };
        let image = match (self.images.iter().find(is), self.images.as_slice()) {
            (Some(image), _) => image,
            (None, [only]) if only.repo_tags.iter().flatten().next().is_none() => only,
            _ => {
                let tags = self
                    .images
                    .iter()
                    .flat_map(|image| image.repo_tags.iter().flatten());
                let tags: Vec<&str> = tags.take(20).map(String::as_str).collect();
                return Err(ArchiveError::OtherImages {
                    path: archive.path.clone(),
                    reference: reference.clone(),
                    found: if tags.is_empty() {
                        "images without names".into()
                    } else {
                        tags.join(", ")
                    },
                });
            }
        };
        let part = |name: &String, media_type: &str| {
            let (digest, size) = &self.sizes[name];
            json!({ "mediaType": media_type, "digest": digest, "size": size })
        };
        let layers = image.layers.iter().flatten();
        let layers: Vec<_> = layers
            .map(|name| part(name, media::DOCKER_LAYER_PLAIN))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media::DOCKER_MANIFEST,
            "config": part(&image.config, media::DOCKER_CONFIG),
            "layers": layers,
        });
        let bytes = manifest.to_string().into_bytes();
        Ok(Answer {
            digest: Digest::of(&bytes),
            bytes,
            media_type: Some(media::DOCKER_MANIFEST.to_owned()),
        })
    }
}
