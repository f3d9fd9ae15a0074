//! The ways in which reading and writing fail.

use std::sync::Arc;

use crate::{Epoch, Key, Precondition, Version};

/// Why a read or a batch failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another leader has been elected since; the writer must step down.
    #[error("fenced: the batch carries epoch {batch}, the store is at epoch {stored}")]
    Fenced {
        /// The epoch of the batch.
        batch: Epoch,
        /// The epoch of the store.
        stored: Epoch,
    },
    /// The batch carries an epoch that the store has never given out.
    #[error(
        "the batch carries epoch {batch}, which this store (epoch {stored}) never gave out; was an older copy put in place?"
    )]
    UnknownEpoch {
        /// The epoch of the batch.
        batch: Epoch,
        /// The epoch of the store.
        stored: Epoch,
    },
    /// An earlier batch of this epoch failed, so nothing more of it is taken.
    #[error("an earlier batch of epoch {epoch} failed; nothing more is written under it")]
    EpochEnded {
        /// The epoch that ended.
        epoch: Epoch,
    },
    /// A precondition does not hold.
    #[error("precondition failed: {} {}", .precondition.key(), describe(.precondition, *.found))]
    PreconditionFailed {
        /// The first precondition that does not hold.
        precondition: Precondition,
        /// The version that the key has.
        found: Option<Version>,
    },
    /// A value exceeds what every backend can carry.
    #[error("the value of {key} has {actual} bytes, more than {limit}")]
    ValueTooLarge {
        /// Its key.
        key: Key,
        /// Its size.
        actual: usize,
        /// The largest size.
        limit: usize,
    },
    /// A batch exceeds what every backend can carry.
    #[error("{what}: {actual}, more than {limit}")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// The count.
        actual: usize,
        /// The largest count.
        limit: usize,
    },
    /// The backend failed; whether the batch is durable is unknown.
    #[error("the store failed to {action}: {message}")]
    Backend {
        /// What was being done.
        action: &'static str,
        /// The backend's own words.
        message: Arc<str>,
    },
    /// The stored bytes are not what this program writes.
    #[error("the store is damaged: {message}")]
    Damaged {
        /// What is wrong.
        message: Arc<str>,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    pub(crate) fn backend(action: &'static str, error: impl std::fmt::Display) -> Self {
        Self::Backend {
            action,
            message: error.to_string().into(),
        }
    }
}

fn describe(precondition: &Precondition, found: Option<Version>) -> String {
    let found = found.map_or_else(
        || "is absent".to_owned(),
        |version| format!("has version {version}"),
    );
    match precondition {
        Precondition::Absent { .. } => format!("should be absent, {found}"),
        Precondition::Present { .. } => format!("should be present, {found}"),
        Precondition::VersionIs { version, .. } => {
            format!("should have version {version}, {found}")
        }
    }
}
