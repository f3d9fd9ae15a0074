//! What an embedded backend must provide, and the one place where a batch is judged and applied.

use std::fmt;

use crate::{Batch, Committed, Entry, Epoch, Key, Operation, StoreError, Version};

/// An open write transaction: every call sees the earlier ones.
pub(crate) trait Transaction {
    fn version_of(&self, key: &Key) -> Result<Option<Version>, StoreError>;
    /// Returns the length of the value that was replaced.
    fn put(
        &mut self,
        key: &Key,
        version: Version,
        value: &[u8],
    ) -> Result<Option<usize>, StoreError>;
    /// Returns the length of the value that was removed.
    fn delete(&mut self, key: &Key) -> Result<Option<usize>, StoreError>;
    fn clear(&mut self) -> Result<(), StoreError>;
    fn epoch(&self) -> Result<Epoch, StoreError>;
    fn set_epoch(&mut self, epoch: Epoch) -> Result<(), StoreError>;
    fn revision(&self) -> Result<Version, StoreError>;
    fn set_revision(&mut self, revision: Version) -> Result<(), StoreError>;
}

/// Whether a transaction has anything to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Commit,
    Discard,
}

/// What is done inside a transaction.
pub(crate) type Work<'a> = &'a mut dyn FnMut(&mut dyn Transaction) -> Result<Verdict, StoreError>;

/// The write side of an embedded backend; owned by the writer thread.
pub(crate) trait Engine: Send + 'static {
    /// Runs `work` in one transaction. When this returns `Ok`, what it wrote is durable.
    fn transact(&mut self, work: Work<'_>) -> Result<(), StoreError>;
}

/// The read side of an embedded backend: sees only what is durable.
pub(crate) trait Reader: fmt::Debug + Send + Sync {
    fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError>;
    fn scan(&self, prefix: &str) -> Result<Vec<Entry>, StoreError>;
    fn epoch(&self) -> Result<Epoch, StoreError>;
    /// The epoch and all entries, from one snapshot.
    fn snapshot(&self) -> Result<(Epoch, Vec<Entry>), StoreError>;
}

/// Judges `batch` and applies it; on an error of the batch itself nothing has been written.
pub(crate) fn apply(
    transaction: &mut dyn Transaction,
    batch: &Batch,
) -> Result<Committed, StoreError> {
    let stored = transaction.epoch()?;
    if batch.epoch < stored {
        return Err(StoreError::Fenced {
            batch: batch.epoch,
            stored,
        });
    }
    if batch.epoch > stored {
        return Err(StoreError::UnknownEpoch {
            batch: batch.epoch,
            stored,
        });
    }
    batch.check_limits()?;
    for precondition in &batch.preconditions {
        let found = transaction.version_of(precondition.key())?;
        if !precondition.holds(found) {
            return Err(StoreError::PreconditionFailed {
                precondition: precondition.clone(),
                found,
            });
        }
    }
    if batch.operations.is_empty() {
        return Ok(Committed {
            version: transaction.revision()?,
            growth: 0,
        });
    }
    let version = Version(transaction.revision()?.0 + 1);
    transaction.set_revision(version)?;
    let mut growth = 0;
    for operation in &batch.operations {
        let (key, added, gone) = match operation {
            Operation::Put { key, value } => {
                let gone = transaction.put(key, version, value)?;
                (key, Some(value.len()), gone)
            }
            Operation::Delete { key } => (key, None, transaction.delete(key)?),
        };
        growth += entry_bytes(key, added) - entry_bytes(key, gone);
    }
    Ok(Committed { version, growth })
}

/// What an entry counts for: its key and its value, if there is one.
fn entry_bytes(key: &Key, value: Option<usize>) -> i64 {
    let bytes = value.map_or(0, |value| key.as_str().len() + value);
    i64::try_from(bytes).expect("keys and values are short")
}

/// Whether `error` speaks of the batch alone, so that the transaction around it is still sound.
pub(crate) fn concerns_only_the_batch(error: &StoreError) -> bool {
    !matches!(
        error,
        StoreError::Backend { .. } | StoreError::Damaged { .. } | StoreError::Closed
    )
}
