//! Where images come from: registries, archives of `docker save`, OCI layouts as folders or tars.

mod archive;
mod docker_archive;
mod layout;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::digest::Digest;
use crate::manifest::{Descriptor, ManifestError};
use crate::reference::{Reference, Selector};
use crate::registry::{Answer, RegistryError, Session, Told};
use crate::store::{Store, StoreError};

use archive::Archive;
pub use archive::ArchiveError;

/// Where to look for images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The registry that an image's name says.
    Registry,
    /// A folder of archives, `REPOSITORY:TAG.tar` each, as Mesos has them in its `--docker_registry`.
    ArchiveFolder(PathBuf),
    /// One archive of `docker save`, or an OCI layout in a tar.
    Archive(PathBuf),
    /// An OCI layout.
    Layout(PathBuf),
}

/// Why a source gives nothing.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A file or a folder.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What came cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A document that is no image.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A thread that ended.
    #[error("the source was given up: {0}")]
    GivenUp(String),
}

/// A source that is open for one image.
#[derive(Debug)]
pub(crate) enum Bearer {
    Registry(Session),
    Local(Arc<Archive>, Reference),
}

impl Bearer {
    /// Opens the file or folder in which this image is.
    pub(crate) async fn local(
        source: &Source,
        reference: &Reference,
        store: &Arc<Store>,
    ) -> Result<Self, SourceError> {
        let path = match source {
            Source::ArchiveFolder(folder) => archive_of(folder, reference),
            Source::Archive(path) | Source::Layout(path) => path.clone(),
            Source::Registry => return Err(SourceError::GivenUp("a registry is no file".into())),
        };
        let limits = store.limits().clone();
        let archive = blocking(move || Ok(Archive::open(&path, &limits)?)).await?;
        Ok(Self::Local(Arc::new(archive), reference.clone()))
    }

    /// What the image is now, if that is cheap to know.
    pub(crate) async fn digest(&self) -> Result<Option<Digest>, SourceError> {
        match self {
            Self::Registry(session) => Ok(session.digest().await?),
            Self::Local(..) => Ok(None),
        }
    }

    /// The document that the name of the image stands for.
    pub(crate) async fn document(&self) -> Result<Answer, SourceError> {
        match self {
            Self::Registry(session) => Ok(session.document().await?),
            Self::Local(archive, reference) => {
                let (archive, reference) = (Arc::clone(archive), reference.clone());
                blocking(move || Ok(archive.document(&reference)?)).await
            }
        }
    }

    /// A document of an index.
    pub(crate) async fn manifest(&self, descriptor: &Descriptor) -> Result<Answer, SourceError> {
        match self {
            Self::Registry(session) => {
                let selector = Selector::Digest(descriptor.digest.clone());
                Ok(session.manifest(&selector).await?)
            }
            Self::Local(archive, _) => {
                let (archive, descriptor) = (Arc::clone(archive), descriptor.clone());
                blocking(move || Ok(archive.manifest(&descriptor)?)).await
            }
        }
    }

    /// Brings content into the store.
    pub(crate) async fn blob(
        &self,
        store: &Arc<Store>,
        descriptor: &Descriptor,
        told: &Told,
    ) -> Result<(), SourceError> {
        match self {
            Self::Registry(session) => Ok(session.blob(store, descriptor, told).await?),
            Self::Local(archive, _) => {
                let (archive, store) = (Arc::clone(archive), Arc::clone(store));
                let (descriptor, told) = (descriptor.clone(), Arc::clone(told));
                blocking(move || archive.blob(&store, &descriptor, &told)).await
            }
        }
    }
}

/// `library/busybox` of Docker Hub is `busybox:latest.tar`, other names are folders.
fn archive_of(folder: &Path, reference: &Reference) -> PathBuf {
    let name = reference.familiar();
    let relative = name
        .rsplit_once('@')
        .map_or(name.as_str(), |(name, _)| name);
    folder.join(format!("{relative}.tar"))
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(SourceError::GivenUp(error.to_string())))
}
