//! One layer: downloaded, unpacked beside the others, put upon the one below.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use super::{Flight, PullError, Puller};
use crate::digest::Digest;
use crate::manifest::Descriptor;
use crate::registry::Told;
use crate::source::{Bearer, blocking};
use crate::store::{LayerDraft, Store};
use crate::unpack::{Rules, UnpackError, Unpacked, unpack};

/// What it takes to make a layer.
pub(super) struct Job {
    /// Counted from the lowest.
    pub(super) number: usize,
    pub(super) descriptor: Descriptor,
    pub(super) diff_id: Digest,
    /// Of the layers below, and last its own.
    pub(super) chains: Vec<Digest>,
    pub(super) download: Arc<Flight<u64, bool>>,
    /// The nearest one below that is not there yet.
    pub(super) below: Option<Arc<Flight<(), ()>>>,
    pub(super) bearer: Arc<Bearer>,
}

/// Ends an unpacking on its thread when what waits for it is dropped.
struct GiveUp(Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Puller {
    /// The download of some content. Tells whether it was there before.
    pub(super) fn blob(
        self: &Arc<Self>,
        bearer: &Arc<Bearer>,
        descriptor: &Descriptor,
    ) -> Arc<Flight<u64, bool>> {
        let (puller, bearer) = (Arc::clone(self), Arc::clone(bearer));
        let descriptor = descriptor.clone();
        let digest = descriptor.digest.clone();
        self.blobs.join(digest, |progress| async move {
            if puller.store.has_blob(&descriptor.digest) {
                progress.send_replace(descriptor.size);
                return Ok(true);
            }
            let _slot = slot(&puller.downloads).await?;
            let told: Told = Arc::new(move |bytes| {
                progress.send_replace(bytes);
            });
            bearer.blob(&puller.store, &descriptor, &told).await?;
            Ok(false)
        })
    }

    pub(super) fn layer(self: &Arc<Self>, job: Job) -> Arc<Flight<(), ()>> {
        let chain = job
            .chains
            .last()
            .expect("a layer has its own chain")
            .clone();
        let puller = Arc::clone(self);
        self.layers
            .join(chain, |_| async move { puller.make(job).await })
    }

    async fn make(self: Arc<Self>, job: Job) -> Result<(), PullError> {
        let (chain, below) = job.chains.split_last().expect("a layer has its own chain");
        if self.store.layer(chain).is_some() {
            return Ok(());
        }
        let was_there = job.download.outcome().await.map_err(PullError::Shared)?;
        let (draft, unpacked) = match self.unpack(&job).await {
            Err(_) if was_there => {
                // What lay here may have been damaged; what comes now is checked as it comes.
                self.store.discard_blob(&job.descriptor.digest)?;
                let again = self.blob(&job.bearer, &job.descriptor);
                again.outcome().await.map_err(PullError::Shared)?;
                self.unpack(&job).await?
            }
            result => result?,
        };
        if let Some(below) = &job.below {
            below.outcome().await.map_err(PullError::Shared)?;
        }
        let store = Arc::clone(&self.store);
        let (chain, below, diff_id) = (chain.clone(), below.to_vec(), job.diff_id.clone());
        let committed =
            blocking(move || Ok(store.commit_layer(draft, &below, &chain, &diff_id, &unpacked)?));
        Ok(committed.await?)
    }

    async fn unpack(&self, job: &Job) -> Result<(LayerDraft, Unpacked), PullError> {
        let _slot = slot(&self.unpackings).await?;
        let given_up = Arc::new(AtomicBool::new(false));
        let _guard = GiveUp(Arc::clone(&given_up));
        let store = Arc::clone(&self.store);
        let (digest, diff_id) = (job.descriptor.digest.clone(), job.diff_id.clone());
        let work = move || -> Result<_, crate::source::SourceError> {
            let draft = store.draft_layer()?;
            let unpacked = unpack_blob(&store, &draft, &digest, &diff_id, &given_up)?;
            Ok((draft, unpacked))
        };
        let (draft, unpacked) = blocking(work).await?;
        let unpacked = unpacked.map_err(|error| PullError::Layer {
            number: job.number,
            digest: job.descriptor.digest.clone(),
            error,
        })?;
        Ok((draft, unpacked))
    }
}

fn unpack_blob(
    store: &Store,
    draft: &LayerDraft,
    digest: &Digest,
    diff_id: &Digest,
    given_up: &AtomicBool,
) -> Result<Result<Unpacked, UnpackError>, crate::store::StoreError> {
    let packed = store.open_blob(digest)?;
    let rules = Rules {
        limits: store.limits(),
        privilege: store.privilege(),
        given_up,
    };
    Ok(unpack(packed, &draft.root(), diff_id, &rules))
}

async fn slot(slots: &Arc<Semaphore>) -> Result<tokio::sync::OwnedSemaphorePermit, PullError> {
    let slot = Arc::clone(slots).acquire_owned().await;
    slot.map_err(|_| PullError::GivenUp)
}
