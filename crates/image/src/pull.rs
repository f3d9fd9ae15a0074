//! Pulls images: by policy, each thing once however many want it, told as it goes on, ended when nobody waits any more.

mod bring;
mod flights;
mod layers;

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{Semaphore, watch};

use crate::config::ConfigError;
use crate::credentials::{CredentialsError, DockerConfig};
use crate::digest::Digest;
use crate::manifest::ManifestError;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::Registries;
use crate::source::{Source, SourceError};
use crate::store::{Image, Store, StoreError};
use crate::unpack::UnpackError;

use flights::{Flight, Flights};

/// When a registry is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PullPolicy {
    /// Each time; what has not changed is not downloaded again.
    Always,
    /// If the image is not here.
    IfNotPresent,
    /// Never.
    Never,
}

impl PullPolicy {
    /// What Mesos's `Image.cached` means.
    pub fn of_cached(cached: bool) -> Self {
        if cached {
            Self::IfNotPresent
        } else {
            Self::Always
        }
    }
}

/// Why an image is not there.
#[derive(Debug, Error)]
pub enum PullError {
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Who we are cannot be told.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Its manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An index of indexes of indexes.
    #[error("the index of the image leads to further indexes, more than {0} deep")]
    TooDeep(usize),
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// One of its layers.
    #[error("layer {number} ({digest}): {error}")]
    Layer {
        /// Counted from the lowest.
        number: usize,
        /// What was downloaded.
        digest: Digest,
        /// Why.
        error: UnpackError,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was not to be pulled.
    #[error("{0} is not on this machine, and the policy is never to pull")]
    NotPresent(Reference),
    /// It is somebody else's.
    #[error(
        "{0} is on this machine, but was pulled with other credentials, and the policy is never to ask"
    )]
    NotAllowed(Reference),
    /// What several waited for.
    #[error(transparent)]
    Shared(Arc<PullError>),
    /// A task that ended.
    #[error("the pull was given up")]
    GivenUp,
}

/// How far a pull is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The registry is asked what the image is.
    #[default]
    Resolving,
    /// Layers are downloaded and unpacked.
    Layers,
    /// The image is there.
    Done,
}

/// How far a pull is, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Layers of the image.
    pub layers: usize,
    /// Those that are unpacked.
    pub layers_done: usize,
    /// Bytes that had to be downloaded.
    pub bytes: u64,
    /// Those that are there.
    pub bytes_done: u64,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// The image.
    pub reference: Reference,
    /// Whether its registry is asked.
    pub policy: PullPolicy,
    /// Credentials of whoever wants it; without, those of the agent.
    pub config: Option<Arc<DockerConfig>>,
}

/// How images are pulled.
#[derive(Clone, Debug)]
pub struct PullSettings {
    /// From where.
    pub source: Source,
    /// Who the agent itself is.
    pub config: Arc<DockerConfig>,
    /// For what.
    pub platform: Platform,
    /// Downloads at the same time.
    pub downloads: usize,
    /// Unpackings at the same time.
    pub unpackings: usize,
}

impl Default for PullSettings {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            source: Source::Registry,
            config: Arc::default(),
            platform: Platform::host(),
            downloads: 6,
            unpackings: processors.min(4),
        }
    }
}

type ImageKey = (Reference, PullPolicy, Option<Digest>);

/// Pulls into one store.
#[derive(Debug)]
pub struct Puller {
    store: Arc<Store>,
    registries: Arc<Registries>,
    settings: PullSettings,
    images: Flights<ImageKey, Progress, Image>,
    layers: Flights<Digest, (), ()>,
    blobs: Flights<Digest, u64, bool>,
    downloads: Arc<Semaphore>,
    unpackings: Arc<Semaphore>,
}

impl Puller {
    /// Pulls nothing yet.
    pub fn new(
        store: Arc<Store>,
        registries: Arc<Registries>,
        settings: PullSettings,
    ) -> Arc<Self> {
        let slots = |count: usize| Arc::new(Semaphore::new(count.max(1)));
        Arc::new(Self {
            downloads: slots(settings.downloads),
            unpackings: slots(settings.unpackings),
            store,
            registries,
            settings,
            images: Flights::default(),
            layers: Flights::default(),
            blobs: Flights::default(),
        })
    }

    /// Begins to pull, or joins a pull of the same image. It ends when the last one who waits for it has gone.
    pub fn pull(self: &Arc<Self>, request: PullRequest) -> Pull {
        let fingerprint = request.config.as_ref();
        let fingerprint = fingerprint.and_then(|config| config.fingerprint().cloned());
        let key = (request.reference.clone(), request.policy, fingerprint);
        let puller = Arc::clone(self);
        let flight = self
            .images
            .join(key, |progress| puller.bring(request, progress));
        Pull { flight }
    }
}

/// A pull under way, as one of those who wait for it sees it.
#[derive(Debug)]
pub struct Pull {
    flight: Arc<Flight<Progress, Image>>,
}

impl Pull {
    /// How far it is, now and later.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.flight.progress()
    }

    /// The image, when it is there.
    pub async fn image(&self) -> Result<Image, Arc<PullError>> {
        self.flight.outcome().await
    }
}
