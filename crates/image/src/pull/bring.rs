//! One image: whether it has to be pulled, what it consists of, and its layers together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Flight, Phase, Progress, PullError, PullPolicy, PullRequest, Puller};
use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::manifest::{Document, Manifest};
use crate::registry::Answer;
use crate::source::{Bearer, Source, SourceError, blocking};
use crate::store::{Access, Image, Pin};

/// An index may list an index, but nothing sensible goes further.
const DEEPEST_INDEX: usize = 3;
/// How often progress is told.
const RHYTHM: Duration = Duration::from_millis(100);

/// What an image consists of.
struct Parts {
    /// What the name stands for.
    top: Digest,
    manifest: Manifest,
    config: ImageConfig,
    chains: Vec<Digest>,
    /// Keeps documents and layers until the image has its name.
    _pin: Pin,
}

impl Puller {
    pub(super) async fn bring(
        self: Arc<Self>,
        request: PullRequest,
        progress: watch::Sender<Progress>,
    ) -> Result<Image, PullError> {
        let image = match self.present(&request).await? {
            Some(image) => image,
            None => self.download(&request, &progress).await?,
        };
        progress.send_modify(|progress| {
            progress.phase = Phase::Done;
            progress.layers = image.layers.len();
            progress.layers_done = progress.layers;
            progress.bytes_done = progress.bytes;
        });
        Ok(image)
    }

    /// The image that is here, if it is the right one and whoever asks may have it.
    async fn present(&self, request: &PullRequest) -> Result<Option<Image>, PullError> {
        let (store, reference) = (Arc::clone(&self.store), request.reference.clone());
        let image = blocking(move || Ok(store.image(&reference)?)).await?;
        let Some(image) = image else {
            return match request.policy {
                PullPolicy::Never => Err(PullError::NotPresent(request.reference.clone())),
                _ => Ok(None),
            };
        };
        let fingerprint = request.config.as_ref();
        let fingerprint = fingerprint.and_then(|config| config.fingerprint());
        let access = self.store.access(&request.reference);
        let allowed = access
            .as_ref()
            .is_some_and(|access| access.allows(fingerprint));
        match request.policy {
            PullPolicy::Never | PullPolicy::IfNotPresent if allowed => return Ok(Some(image)),
            PullPolicy::Never => return Err(PullError::NotAllowed(request.reference.clone())),
            PullPolicy::IfNotPresent | PullPolicy::Always => {}
        }
        // To be answered at all is to be allowed.
        let now = self.open(request).await?.digest().await?;
        if now.as_ref() != Some(&image.manifest) {
            return Ok(None);
        }
        if !allowed && let Some(access) = access {
            let access = access.with(fingerprint);
            self.name(
                request,
                image.manifest.clone(),
                image.id.clone(),
                &image.layers,
                access,
            )
            .await?;
        }
        Ok(Some(image))
    }

    async fn open(&self, request: &PullRequest) -> Result<Bearer, PullError> {
        let reference = &request.reference;
        if self.settings.source != Source::Registry {
            return Ok(Bearer::local(&self.settings.source, reference, &self.store).await?);
        }
        let (config, own) = match &request.config {
            Some(config) => (config, config.fingerprint().cloned()),
            None => (&self.settings.config, None),
        };
        let credential = config.for_host(reference.host())?.cloned();
        let limits = self.store.limits();
        let session = self.registries.session(reference, credential, own, limits);
        Ok(Bearer::Registry(session))
    }

    async fn download(
        self: &Arc<Self>,
        request: &PullRequest,
        progress: &watch::Sender<Progress>,
    ) -> Result<Image, PullError> {
        let bearer = Arc::new(self.open(request).await?);
        let parts = self.resolve(&bearer).await?;
        let downloads = parts
            .manifest
            .layers
            .iter()
            .map(|layer| layer.digest.clone());
        let downloads: Vec<Digest> = downloads.collect();
        let pin = self.store.pin(downloads.iter().cloned());
        self.bring_layers(&bearer, &parts, progress).await?;
        let fingerprint = request.config.as_ref();
        let fingerprint = fingerprint.and_then(|config| config.fingerprint());
        let access = match self.store.access(&request.reference) {
            Some(access)
                if self.store.manifest_of(&request.reference) == Some(parts.top.clone()) =>
            {
                access.with(fingerprint)
            }
            _ => Access::only(fingerprint),
        };
        let config = parts.manifest.config.digest.clone();
        self.name(request, parts.top.clone(), config, &parts.chains, access)
            .await?;
        drop(pin);
        let (store, reference) = (Arc::clone(&self.store), request.reference.clone());
        let image = blocking(move || {
            for download in &downloads {
                store.remove_blob(download)?;
            }
            Ok(store.image(&reference)?)
        });
        let image = image.await?;
        self.settle();
        image.ok_or_else(|| PullError::NotPresent(request.reference.clone()))
    }

    async fn name(
        &self,
        request: &PullRequest,
        top: Digest,
        config: Digest,
        chains: &[Digest],
        access: Access,
    ) -> Result<(), PullError> {
        let (store, reference) = (Arc::clone(&self.store), request.reference.clone());
        let chains = chains.to_vec();
        let named =
            blocking(move || Ok(store.put_image(&reference, &top, &config, &chains, access)?));
        Ok(named.await?)
    }

    /// In the background: a container need not wait for what only a loss of power makes a difference to.
    fn settle(&self) {
        let store = Arc::clone(&self.store);
        drop(tokio::task::spawn_blocking(move || {
            if let Err(error) = store.settle() {
                tracing::warn!(%error, "layers would be pulled again after a loss of power");
            }
        }));
    }

    /// Finds out what the image consists of.
    async fn resolve(&self, bearer: &Bearer) -> Result<Parts, PullError> {
        let limits = self.store.limits();
        let mut answer = bearer.document().await?;
        let top = answer.digest.clone();
        self.keep(answer.clone()).await?;
        let mut depth = 0;
        let manifest = loop {
            let media_type = answer.media_type.as_deref();
            match Document::parse(&answer.bytes, media_type, limits)? {
                Document::Manifest(manifest) => break manifest,
                Document::Index(index) => {
                    depth += 1;
                    if depth > DEEPEST_INDEX {
                        return Err(PullError::TooDeep(DEEPEST_INDEX));
                    }
                    let chosen = index.choose(&self.settings.platform)?;
                    answer = bearer.manifest(chosen).await?;
                }
            }
        };
        let documents = self
            .store
            .pin([top.clone(), manifest.config.digest.clone()]);
        let told: crate::registry::Told = Arc::new(|_| {});
        if !self.store.has_blob(&manifest.config.digest) {
            bearer.blob(&self.store, &manifest.config, &told).await?;
        }
        let bytes = if let Ok(bytes) = self.store.read_document(&manifest.config.digest) {
            bytes
        } else {
            // It was damaged while it lay here.
            bearer.blob(&self.store, &manifest.config, &told).await?;
            self.store.read_document(&manifest.config.digest)?
        };
        let config = ImageConfig::parse(&bytes, limits)?;
        config.check(&manifest, &self.settings.platform)?;
        let chains = config.chain_ids();
        let all = [top.clone(), manifest.config.digest.clone()];
        let pin = self
            .store
            .pin(all.into_iter().chain(chains.iter().cloned()));
        drop(documents);
        Ok(Parts {
            top,
            manifest,
            config,
            chains,
            _pin: pin,
        })
    }

    async fn keep(&self, answer: Answer) -> Result<(), SourceError> {
        let store = Arc::clone(&self.store);
        blocking(move || Ok(store.write_document(&answer.digest, &answer.bytes)?)).await
    }

    async fn bring_layers(
        self: &Arc<Self>,
        bearer: &Arc<Bearer>,
        parts: &Parts,
        progress: &watch::Sender<Progress>,
    ) -> Result<(), PullError> {
        let mut downloads = Vec::new();
        let mut layers: Vec<Arc<Flight<(), ()>>> = Vec::new();
        let mut present = 0;
        for (number, chain) in parts.chains.iter().enumerate() {
            if self.store.layer(chain).is_some() {
                present += 1;
                continue;
            }
            let descriptor = &parts.manifest.layers[number];
            let download = self.blob(bearer, descriptor);
            downloads.push((descriptor.size, Arc::clone(&download)));
            let job = super::layers::Job {
                number,
                descriptor: descriptor.clone(),
                diff_id: parts.config.diff_ids[number].clone(),
                chains: parts.chains[..=number].to_vec(),
                download,
                below: layers.last().cloned(),
                bearer: Arc::clone(bearer),
            };
            layers.push(self.layer(job));
        }
        let bytes = downloads.iter().map(|(size, _)| size).sum();
        progress.send_modify(|progress| {
            progress.phase = Phase::Layers;
            progress.layers = parts.chains.len();
            progress.layers_done = present;
            progress.bytes = bytes;
        });
        for layer in &layers {
            let mut rhythm = tokio::time::interval(RHYTHM);
            let outcome = layer.outcome();
            tokio::pin!(outcome);
            loop {
                tokio::select! {
                    done = &mut outcome => {
                        done.map_err(PullError::Shared)?;
                        break;
                    }
                    _ = rhythm.tick() => tell(progress, &downloads),
                }
            }
            progress.send_modify(|progress| progress.layers_done += 1);
        }
        Ok(())
    }
}

fn tell(progress: &watch::Sender<Progress>, downloads: &[(u64, Arc<Flight<u64, bool>>)]) {
    let there = downloads
        .iter()
        .map(|(size, download)| (*download.progress().borrow()).min(*size));
    let there = there.sum();
    progress.send_if_modified(|progress| {
        let changed = progress.bytes_done != there;
        progress.bytes_done = there;
        changed
    });
}
