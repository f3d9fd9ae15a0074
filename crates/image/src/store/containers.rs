//! What containers stand on: one folder for each, which keeps the layers beneath it in the store.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::folders::{CONTAINER_RECORD, ROOT, link_name};
use super::{Image, Store, StoreError, at};
use crate::digest::Digest;
use crate::provision::{Backend, Overlay, Stack, copy_directory_attributes, copy_layers};

/// A container's name as one part of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerName(Box<str>);

impl FromStr for ContainerName {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let usable = !matches!(text, "" | "." | "..")
            && text.len() <= 255
            && !text.contains(['/', '\0', ',', ':', '\\']);
        if usable {
            Ok(Self(text.into()))
        } else {
            Err(StoreError::ContainerName(text.to_owned()))
        }
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContainerRecord {
    pub(super) layers: Vec<Digest>,
}

/// A container's tree of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rootfs {
    /// To be mounted.
    Overlay(Overlay),
    /// A tree that is its own.
    Copy {
        /// Where.
        root: PathBuf,
    },
}

const UPPER: &str = "upper";
const WORK: &str = "work";

impl Store {
    /// Makes what a container of this image stands on. It is there as a whole or not at all.
    pub fn provision(
        &self,
        container: &ContainerName,
        image: &Image,
        backend: Backend,
    ) -> Result<Rootfs, StoreError> {
        let place = self.folders.containers().join(&*container.0);
        if self.lock().containers.contains_key(container) {
            return Err(StoreError::ContainerExists(container.clone()));
        }
        self.touch(&image.reference);
        let draft = self.temporary("container");
        let made = self.fill(&draft, image, backend).and_then(|()| {
            let record = ContainerRecord {
                layers: image.layers.clone(),
            };
            let path = draft.join(CONTAINER_RECORD);
            fs::write(&path, serde_json::to_vec(&record)?).map_err(at("write", &path))?;
            let mut inside = self.lock();
            if inside.containers.contains_key(container) {
                return Err(StoreError::ContainerExists(container.clone()));
            }
            fs::rename(&draft, &place).map_err(at("rename", &place))?;
            inside.containers.insert(container.clone(), record);
            Ok(())
        });
        if let Err(error) = made {
            if let Err(error) = super::remove_tree(&draft) {
                tracing::warn!(%error, "an unfinished container is left until the next start");
            }
            return Err(error);
        }
        self.rootfs(container, &place, &image.layers)
    }

    fn fill(&self, draft: &Path, image: &Image, backend: Backend) -> Result<(), StoreError> {
        let make = |path: &Path, mode| {
            let made = DirBuilder::new().mode(mode).create(path);
            made.map_err(at("make", path))
        };
        make(draft, 0o700)?;
        let stack = self.stack(&image.layers)?;
        match backend {
            Backend::Overlay => {
                let upper = draft.join(UPPER);
                make(&upper, 0o755)?;
                make(&draft.join(WORK), 0o755)?;
                // The root that a container sees is the upper one's.
                let Some(top) = stack.trees.first() else {
                    return Ok(());
                };
                let [from, to] =
                    [top, &upper].map(|path| fs::File::open(path).map_err(at("open", path)));
                copy_directory_attributes(from?, to?, self.privilege())
                    .map_err(|error| at("set attributes of", &upper)(error.into()))
            }
            Backend::Copy => {
                let root = draft.join(ROOT);
                make(&root, 0o755)?;
                copy_layers(&stack, &root, self.privilege())
                    .map_err(|error| at("copy an image into", &root)(error))
            }
        }
    }

    /// The trees of an image that show, highest first: what is below an opaque root does not.
    pub fn stack(&self, layers: &[Digest]) -> Result<Stack, StoreError> {
        let inside = self.lock();
        let mut stack = Stack {
            links: self.folders.links(),
            ..Stack::default()
        };
        for chain in layers.iter().rev() {
            let layer = inside.layers.get(chain);
            let layer = layer.ok_or_else(|| StoreError::NoLayer(chain.clone()))?;
            stack.trees.push(self.layer_root(chain));
            stack.names.push(link_name(layer.link));
            if layer.opaque_root {
                break;
            }
        }
        Ok(stack)
    }

    fn rootfs(
        &self,
        container: &ContainerName,
        place: &Path,
        layers: &[Digest],
    ) -> Result<Rootfs, StoreError> {
        let root = place.join(ROOT);
        if root.exists() {
            return Ok(Rootfs::Copy { root });
        }
        tracing::debug!(%container, layers = layers.len(), "stands on an overlay");
        Ok(Rootfs::Overlay(Overlay {
            stack: self.stack(layers)?,
            upper: place.join(UPPER),
            work: place.join(WORK),
            privilege: self.privilege(),
        }))
    }

    /// What a container stands on, if it was provisioned: in this life of the agent or in an earlier one.
    pub fn provisioned(&self, container: &ContainerName) -> Result<Option<Rootfs>, StoreError> {
        let Some(record) = self.lock().containers.get(container).cloned() else {
            return Ok(None);
        };
        let place = self.folders.containers().join(&*container.0);
        self.rootfs(container, &place, &record.layers).map(Some)
    }

    /// All containers that stand on something of the store.
    pub fn containers(&self) -> Vec<ContainerName> {
        self.lock().containers.keys().cloned().collect()
    }

    /// Removes what a container stood on, which must be unmounted. It may have been removed already.
    pub fn destroy(&self, container: &ContainerName) -> Result<(), StoreError> {
        let place = self.folders.containers().join(&*container.0);
        let trash = self.temporary("trash");
        {
            let mut inside = self.lock();
            match fs::rename(&place, &trash) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(at("rename", &place)(error));
                }
                Err(_) => {
                    inside.containers.remove(container);
                    return Ok(());
                }
                Ok(()) => drop(inside.containers.remove(container)),
            }
        }
        super::remove_tree(&trash)
    }

    pub(super) fn load_containers(
        &self,
    ) -> Result<BTreeMap<ContainerName, ContainerRecord>, StoreError> {
        let mut containers = BTreeMap::new();
        let folder = self.folders.containers();
        for name in super::names(&folder)? {
            let place = folder.join(&name);
            let record = fs::read(place.join(CONTAINER_RECORD)).ok();
            let record = record.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            if let (Ok(name), Some(record)) = (name.parse(), record) {
                containers.insert(name, record);
            } else {
                tracing::info!(
                    container = name,
                    "a container's files without a record are removed"
                );
                self.discard(&place)?;
            }
        }
        Ok(containers)
    }
}
