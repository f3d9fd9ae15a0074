//! OCI layouts: `index.json`, and everything else by digest.

use super::archive::{Archive, ArchiveError};
use crate::digest::Digest;
use crate::manifest::{Descriptor, Document, Index};
use crate::media;
use crate::reference::{Reference, Selector};
use crate::registry::Answer;

const INDEX: &str = "index.json";
/// The full name of an image, as containerd and newer Docker write it.
const FULL_NAME: &str = "io.containerd.image.name";

pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// What stands for this image in the layout.
pub(super) fn document(archive: &Archive, reference: &Reference) -> Result<Answer, ArchiveError> {
    let bytes = archive.read(INDEX)?;
    let parsed = Document::parse(&bytes, Some(media::OCI_INDEX), &archive.limits);
    let index = match parsed {
        Ok(Document::Index(index)) => index,
        Ok(Document::Manifest(_)) => return Err(archive.invalid(INDEX, "it is no index")),
        Err(error) => return Err(archive.invalid(INDEX, &error.to_string())),
    };
    let named = index.manifests.iter().find(|entry| is(entry, reference));
    match (named, index.manifests.as_slice()) {
        (Some(entry), _) => archive.manifest(entry),
        (None, [only]) if names(only).is_empty() => archive.manifest(only),
        // One image for several platforms, with one manifest each.
        (None, several)
            if !several.is_empty()
                && several
                    .iter()
                    .all(|entry| entry.platform.is_some() && names(entry).is_empty()) =>
        {
            Ok(Answer {
                digest: Digest::of(&bytes),
                bytes,
                media_type: Some(media::OCI_INDEX.to_owned()),
            })
        }
        _ => Err(ArchiveError::OtherImages {
            path: archive.path.clone(),
            reference: reference.clone(),
            found: found(&index),
        }),
    }
}

fn names(entry: &Descriptor) -> Vec<&str> {
    let annotations = entry.annotations.as_ref();
    let full = annotations.and_then(|words| words.get(FULL_NAME));
    let names = full.map(String::as_str).into_iter();
    names.chain(entry.reference_name()).collect()
}

fn is(entry: &Descriptor, reference: &Reference) -> bool {
    let is_whole = |name: &str| Reference::parse(name).is_ok_and(|name| name == *reference);
    match reference.selector() {
        Selector::Digest(digest) => entry.digest == *digest,
        Selector::Tag(tag) => {
            let names = names(entry);
            let full = entry
                .annotations
                .as_ref()
                .and_then(|words| words.get(FULL_NAME));
            match full {
                Some(full) => is_whole(full),
                // Most tools write the tag alone; some the whole name.
                None => names
                    .iter()
                    .any(|name| **name == **tag || (name.contains('/') && is_whole(name))),
            }
        }
    }
}

fn found(index: &Index) -> String {
    let all: Vec<String> = index
        .manifests
        .iter()
        .take(20)
        .map(|entry| match names(entry).first() {
            Some(name) => (*name).to_owned(),
            None => entry.digest.to_string(),
        })
        .collect();
    if all.is_empty() {
        "none".to_owned()
    } else {
        all.join(", ")
    }
}
