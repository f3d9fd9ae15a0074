//! The interface of every backend.

use std::fmt;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{Batch, Committed, Completion, Epoch, Key, Outcome, StoreError, Version};

/// What a restore adds to the epoch, so that agents which have seen the lost epochs obey again.
pub const RESTORE_EPOCH_STEP: u64 = 1 << 20;

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The version of the value.
    pub version: Version,
    /// The value.
    pub value: Bytes,
}

/// All that a store holds, for backup and for migration between backends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backup {
    /// The epoch at the time of the copy.
    pub epoch: Epoch,
    /// Every entry, in the order of the keys.
    pub entries: Vec<Entry>,
}

/// Versioned keys with atomic, ordered and fenced batches.
///
/// Reads block for as long as the backend takes; call them outside an async task. `submit` never
/// waits for the backend.
pub trait Store: fmt::Debug + Send + Sync {
    /// Queues a batch. Batches are committed, and `completion` is called, in the order of submission.
    fn submit(&self, batch: Batch, completion: Completion);

    /// The durable value of one key.
    fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError>;

    /// Every durable entry whose key begins with `prefix`, in the order of the keys, as one snapshot.
    fn scan(&self, prefix: &str) -> Result<Vec<Entry>, StoreError>;

    /// The epoch of the last election or restore.
    fn epoch(&self) -> Result<Epoch, StoreError>;

    /// A copy of everything, as one snapshot.
    fn backup(&self) -> Result<Backup, StoreError>;

    /// Replaces everything by `backup`. The epoch becomes the higher of the two plus
    /// [`RESTORE_EPOCH_STEP`], which fences off any leader.
    fn restore(&self, backup: Backup) -> Result<Epoch, StoreError>;
}

impl dyn Store {
    /// Submits a batch and waits until it is durable.
    pub async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.submit_oneshot(batch)
            .await
            .map_or(Err(StoreError::Closed), |outcome| outcome.result)
    }

    /// Submits a batch and blocks until it is durable; not for async tasks.
    pub fn commit_blocking(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.submit_oneshot(batch)
            .blocking_recv()
            .map_or(Err(StoreError::Closed), |outcome| outcome.result)
    }

    /// Submits a batch; the outcome arrives in the returned channel.
    pub fn submit_oneshot(&self, batch: Batch) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        // A writer that no longer waits for the outcome has dropped its receiver.
        self.submit(batch, Box::new(move |outcome| drop(sender.send(outcome))));
        receiver
    }
}
