//! Collection: which images and layers go when room is needed, or when somebody asks for all that can go.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::folders::digest_of;
use super::{Inside, Store, StoreError, at};
use crate::digest::Digest;
use crate::reference::Reference;

/// When to make room, and how much, in per cent of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// Above this much use, images go.
    pub high: u8,
    /// Until use would be this much.
    pub low: u8,
}

impl Watermarks {
    /// Bytes to be freed on a file system of this size with so much free.
    pub fn excess(self, total: u64, free: u64) -> Option<u64> {
        let part = |percent: u8| total / 100 * u64::from(percent);
        let used = total.saturating_sub(free);
        (used > part(self.high)).then(|| used.saturating_sub(part(self.low.min(self.high))))
    }
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Images that have to be pulled again when they are wanted.
    pub images: Vec<Reference>,
    /// Layers of which no image is left.
    pub layers: usize,
    /// Bytes of their files.
    pub bytes: u64,
}

/// An image that could go.
#[derive(Debug)]
struct Candidate<'a> {
    reference: &'a Reference,
    layers: &'a [Digest],
    last_used: u64,
}

/// Who stays and who goes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    images: Vec<Reference>,
    layers: Vec<Digest>,
    bytes: u64,
}

/// Layers that nobody needs go first, then images, the longest unused first, until so much is freed.
fn plan(
    mut candidates: Vec<Candidate<'_>>,
    sizes: &BTreeMap<Digest, u64>,
    kept: &BTreeSet<Digest>,
    excluded: &BTreeSet<Reference>,
    wanted: u64,
) -> Plan {
    let mut users: BTreeMap<&Digest, usize> = BTreeMap::new();
    for layer in candidates.iter().flat_map(|image| image.layers) {
        *users.entry(layer).or_default() += 1;
    }
    let mut plan = Plan::default();
    for (layer, size) in sizes {
        if !users.contains_key(layer) && !kept.contains(layer) {
            plan.layers.push(layer.clone());
            plan.bytes += size;
        }
    }
    candidates.sort_by_key(|image| (image.last_used, image.reference));
    for image in candidates {
        let in_use = image.layers.last().is_some_and(|top| kept.contains(top));
        if plan.bytes >= wanted {
            break;
        }
        if in_use || excluded.contains(image.reference) {
            continue;
        }
        plan.images.push(image.reference.clone());
        for layer in image.layers {
            let Some(left) = users.get_mut(layer) else {
                continue;
            };
            *left -= 1;
            if *left == 0 && !kept.contains(layer) {
                plan.layers.push(layer.clone());
                plan.bytes += sizes.get(layer).copied().unwrap_or(0);
            }
        }
    }
    plan
}

impl Store {
    /// Removes all that nobody uses, but for these images.
    pub fn prune(&self, excluded: &BTreeSet<Reference>) -> Result<Collected, StoreError> {
        self.collect(excluded, u64::MAX)
    }

    /// Removes what is needed to come down to the low watermark, if the file system is above the high one.
    pub fn collect_above(
        &self,
        marks: Watermarks,
        excluded: &BTreeSet<Reference>,
    ) -> Result<Option<Collected>, StoreError> {
        let (total, free) = self.room()?;
        match marks.excess(total, free) {
            None => Ok(None),
            Some(bytes) => self.collect(excluded, bytes).map(Some),
        }
    }

    /// Size of the file system and how much of it is free.
    fn room(&self) -> Result<(u64, u64), StoreError> {
        let folder = self.folder();
        let data =
            rustix::fs::statvfs(folder).map_err(|error| at("measure", folder)(error.into()))?;
        Ok((data.f_blocks * data.f_frsize, data.f_bavail * data.f_frsize))
    }

    /// Removes at least so many bytes of layers, as far as nobody uses them.
    pub fn collect(
        &self,
        excluded: &BTreeSet<Reference>,
        wanted: u64,
    ) -> Result<Collected, StoreError> {
        let mut trash = Vec::new();
        let collected = {
            let mut inside = self.lock();
            let plan = plan(
                candidates(&inside),
                &inside.sizes(),
                &inside.kept(),
                excluded,
                wanted,
            );
            for reference in &plan.images {
                super::blobs::remove_file(&self.image_file(reference))?;
                inside.images.remove(reference);
            }
            // A layer never goes before those above it, so that no stack loses its ground.
            for chain in &plan.layers {
                let place = self.temporary("trash");
                let layer = self.folders.layer(chain);
                fs::rename(&layer, &place).map_err(at("rename", &layer))?;
                trash.push(place);
                if let Some(layer) = inside.layers.remove(chain) {
                    super::blobs::remove_file(&self.folders.link(layer.link))?;
                }
            }
            self.remove_unused_blobs(&inside)?;
            Collected {
                images: plan.images,
                layers: plan.layers.len(),
                bytes: plan.bytes,
            }
        };
        for place in trash {
            super::remove_tree(&place)?;
        }
        Ok(collected)
    }

    fn remove_unused_blobs(&self, inside: &Inside) -> Result<(), StoreError> {
        let documents: BTreeSet<&Digest> = inside
            .images
            .values()
            .flat_map(|image| [&image.manifest, &image.config])
            .collect();
        for folder in [self.folders.blobs(), self.folders.partials()] {
            for name in super::names(&folder)? {
                let digest = digest_of(&name);
                let needed =
                    |digest| documents.contains(digest) || inside.pins.contains_key(digest);
                if !digest.as_ref().is_some_and(needed) {
                    super::blobs::remove_file(&folder.join(name))?;
                }
            }
        }
        Ok(())
    }
}

fn candidates(inside: &Inside) -> Vec<Candidate<'_>> {
    let images = inside.images.iter();
    images
        .map(|(reference, record)| Candidate {
            reference,
            layers: &record.layers,
            last_used: record.last_used,
        })
        .collect()
}

impl Inside {
    fn sizes(&self) -> BTreeMap<Digest, u64> {
        let layers = self.layers.iter();
        layers
            .map(|(chain, layer)| (chain.clone(), layer.bytes))
            .collect()
    }

    fn kept(&self) -> BTreeSet<Digest> {
        let containers = self.containers.values();
        let stood_on = containers.flat_map(|container| &container.layers);
        stood_on.chain(self.pins.keys()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        images: Vec<(Reference, Vec<Digest>, u64)>,
        sizes: BTreeMap<Digest, u64>,
    }

    fn layer(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// Two images on one base, an older one of its own, and a layer of none. Each layer has 10 bytes.
    fn world() -> World {
        let image = |name: &str, layers: &[&str], used| {
            let layers = layers.iter().map(|name| layer(name)).collect();
            (Reference::parse(name).unwrap(), layers, used)
        };
        let names = ["base", "a", "b", "c", "stray"];
        World {
            images: vec![
                image("a", &["base", "a"], 3),
                image("b", &["base", "b"], 2),
                image("c", &["c"], 1),
            ],
            sizes: names.iter().map(|name| (layer(name), 10)).collect(),
        }
    }

    fn planned(kept: &[&str], excluded: &[&str], wanted: u64) -> (String, u64) {
        let world = world();
        let candidates = world
            .images
            .iter()
            .map(|(reference, layers, used)| Candidate {
                reference,
                layers,
                last_used: *used,
            });
        let kept = kept.iter().map(|name| layer(name)).collect();
        let excluded = excluded
            .iter()
            .map(|name| Reference::parse(name).unwrap())
            .collect();
        let plan = plan(candidates.collect(), &world.sizes, &kept, &excluded, wanted);
        let images: Vec<String> = plan.images.iter().map(Reference::familiar).collect();
        assert_eq!(plan.layers.len() as u64 * 10, plan.bytes);
        (images.join(" "), plan.bytes)
    }

    #[test]
    fn the_longest_unused_images_go_until_there_is_room() {
        for (kept, excluded, wanted, images, bytes) in [
            (&[][..], &[][..], 0, "", 10),
            (&[], &[], 15, "c:latest", 20),
            (&[], &[], 25, "c:latest b:latest", 30),
            (&[], &[], u64::MAX, "c:latest b:latest a:latest", 50),
            (&["stray"], &[], 5, "c:latest", 10),
            (&["c"], &[], 15, "b:latest", 20),
            (&[], &["c"], 15, "b:latest", 20),
            (&["base", "a"], &[], u64::MAX, "c:latest b:latest", 30),
            (&[], &["a", "b", "c"], u64::MAX, "", 10),
        ] {
            let found = planned(kept, excluded, wanted);
            assert_eq!(
                found,
                (images.to_owned(), bytes),
                "{kept:?} {excluded:?} {wanted}"
            );
        }
    }

    #[test]
    fn room_is_made_only_above_the_high_watermark_and_down_to_the_low_one() {
        let marks = Watermarks { high: 90, low: 80 };
        assert_eq!(marks.excess(1000, 100), None);
        assert_eq!(marks.excess(1000, 50), Some(150));
        assert_eq!(Watermarks { high: 90, low: 95 }.excess(1000, 50), Some(50));
    }
}
