//! Durability and leadership: versioned keys, atomic batches and an election with a fencing epoch.
//!
//! This crate owns what must outlive a master. It never decides what is worth keeping, and it knows
//! nothing of agents, frameworks or HTTP.
//!
//! # Rules that every backend keeps
//! - Batches are committed in the order of their submission, and their completions run in that order.
//! - A batch is applied whole or not at all. Its completion runs after it is durable, never before.
//! - After a batch has failed, every later batch of the same epoch fails too
//!   ([`StoreError::EpochEnded`]): what was computed on top of a lost write must not be kept.
//! - A batch carries the epoch of its writer; a batch of an older epoch is fenced off.
//! - The limits in [`limits`] are those of the narrowest planned backend, so that a cluster that
//!   begins on the embedded store can move to etcd or ZooKeeper.
//!
//! Two backends exist: memory (lost with the process) and redb (one file, one node). `etcd://` and
//! `zk://` are recognised and refused with [`OpenError::NotBuilt`].

mod batch;
mod election;
mod engine;
mod error;
mod key;
mod local_election;
mod lock_file;
mod memory;
mod open;
mod redb_engine;
mod store;
mod writer;

pub use batch::{
    Batch, Committed, Completion, Epoch, Operation, Outcome, Precondition, Token, Version, limits,
};
pub use election::{Candidate, Election, ElectionError, Leader, Leadership, LeadershipState};
pub use error::StoreError;
pub use key::{Key, KeyError};
pub use open::{Backend, Location, OpenError, open, open_memory, open_redb};
pub use store::{Backup, Entry, RESTORE_EPOCH_STEP, Store};
