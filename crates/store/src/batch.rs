//! The unit of change: what a writer submits and what it gets back.

use std::fmt;

use bytes::Bytes;

use crate::{Key, StoreError};

/// Sizes that every backend, built or planned, can carry.
pub mod limits {
    /// The longest key, in bytes.
    pub const KEY_BYTES: usize = 512;
    /// The largest value, in bytes.
    pub const VALUE_BYTES: usize = 512 * 1024;
    /// The most operations in one batch, and the most preconditions.
    pub const BATCH_ITEMS: usize = 128;
    /// The largest sum of keys and values in one batch, in bytes (below ZooKeeper's 1 MiB packet).
    pub const BATCH_BYTES: usize = 1_000_000;
}

/// The writer's own name for a batch; it comes back with the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Token(pub u64);

/// How many times leadership has changed hands; the higher epoch is obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// The version of a value: it changes with every write of the key and never comes back, also not
/// after a deletion. Compare versions for equality only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Writes a value, new or in place of another.
    Put {
        /// The key to write.
        key: Key,
        /// The new value.
        value: Bytes,
    },
    /// Removes a key; removing an absent key is no error.
    Delete {
        /// The key to remove.
        key: Key,
    },
}

/// What must hold before a batch is applied; checked against the state before the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// The key has no value.
    Absent {
        /// The key that is looked at.
        key: Key,
    },
    /// The key has a value, of any version.
    Present {
        /// The key that is looked at.
        key: Key,
    },
    /// The key has exactly this version.
    VersionIs {
        /// The key that is looked at.
        key: Key,
        /// The version that it must have.
        version: Version,
    },
}

impl Precondition {
    /// The key that is looked at.
    pub fn key(&self) -> &Key {
        match self {
            Self::Absent { key } | Self::Present { key } | Self::VersionIs { key, .. } => key,
        }
    }

    /// Whether it holds for a key that has the version `found`.
    pub(crate) fn holds(&self, found: Option<Version>) -> bool {
        match self {
            Self::Absent { .. } => found.is_none(),
            Self::Present { .. } => found.is_some(),
            Self::VersionIs { version, .. } => found == Some(*version),
        }
    }
}

/// Changes that are made together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The writer's name for this batch.
    pub token: Token,
    /// The writer's epoch, from its [`Leadership`](crate::Leadership).
    pub epoch: Epoch,
    /// The changes, applied in this order.
    pub operations: Vec<Operation>,
    /// What must hold first.
    pub preconditions: Vec<Precondition>,
}

impl Batch {
    /// An empty batch, which serves as a barrier: it completes after all earlier ones.
    pub fn new(token: Token, epoch: Epoch) -> Self {
        Self {
            token,
            epoch,
            ..Self::default()
        }
    }

    /// Adds the writing of a value.
    pub fn put(mut self, key: Key, value: impl Into<Bytes>) -> Self {
        self.operations.push(Operation::Put {
            key,
            value: value.into(),
        });
        self
    }

    /// Adds the removal of a key.
    pub fn delete(mut self, key: Key) -> Self {
        self.operations.push(Operation::Delete { key });
        self
    }

    /// Adds a precondition.
    pub fn require(mut self, precondition: Precondition) -> Self {
        self.preconditions.push(precondition);
        self
    }

    /// Refuses a batch that some backend could not carry.
    pub(crate) fn check_limits(&self) -> Result<(), StoreError> {
        let too_large = |what, actual, limit| {
            Err(StoreError::TooLarge {
                what,
                actual,
                limit,
            })
        };
        if self.operations.len() > limits::BATCH_ITEMS {
            return too_large(
                "operations of a batch",
                self.operations.len(),
                limits::BATCH_ITEMS,
            );
        }
        if self.preconditions.len() > limits::BATCH_ITEMS {
            return too_large(
                "preconditions of a batch",
                self.preconditions.len(),
                limits::BATCH_ITEMS,
            );
        }
        let mut total = 0;
        for operation in &self.operations {
            match operation {
                Operation::Put { key, value } if value.len() > limits::VALUE_BYTES => {
                    return Err(StoreError::ValueTooLarge {
                        key: key.clone(),
                        actual: value.len(),
                        limit: limits::VALUE_BYTES,
                    });
                }
                Operation::Put { key, value } => total += key.as_str().len() + value.len(),
                Operation::Delete { key } => total += key.as_str().len(),
            }
        }
        if total > limits::BATCH_BYTES {
            return too_large("bytes of a batch", total, limits::BATCH_BYTES);
        }
        Ok(())
    }
}

/// A batch that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The version that every key written by the batch now has.
    pub version: Version,
    /// By how many bytes of keys and values the store has grown.
    pub growth: i64,
}

/// What became of a batch.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The token of the batch.
    pub token: Token,
    /// Its fate.
    pub result: Result<Committed, StoreError>,
}

/// Called once with the outcome, on the store's writer thread: hand the outcome over and return.
pub type Completion = Box<dyn FnOnce(Outcome) + Send>;
