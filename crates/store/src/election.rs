//! Who leads: the interface of every election.

use std::fmt;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use crate::{Epoch, StoreError};

/// A master that wants to lead.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidate {
    /// Its unique id.
    pub id: String,
    /// Where others reach it, `IP:PORT`.
    pub address: String,
    /// What is published for clients while it leads (the encoded `MasterInfo`).
    pub info: Bytes,
}

/// The master that leads, or led, under an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Who it is.
    pub candidate: Candidate,
    /// Its fencing epoch.
    pub epoch: Epoch,
}

/// Whether an elected master still leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeadershipState {
    /// It leads.
    Held,
    /// It has resigned or was deposed; its batches will be fenced.
    Lost,
}

/// Why a campaign ended without leadership.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ElectionError {
    /// The epoch could not be made durable.
    #[error("the election failed: {0}")]
    Store(#[from] StoreError),
}

/// Leadership of one campaign; dropping it resigns.
pub struct Leadership {
    leader: Leader,
    state: watch::Receiver<LeadershipState>,
    resign: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Leadership {
    pub(crate) fn new(
        leader: Leader,
        state: watch::Receiver<LeadershipState>,
        resign: Box<dyn FnOnce() + Send + Sync>,
    ) -> Self {
        Self {
            leader,
            state,
            resign: Some(resign),
        }
    }

    /// The epoch that every batch of this leader carries.
    pub fn epoch(&self) -> Epoch {
        self.leader.epoch
    }

    /// The winner of the campaign.
    pub fn leader(&self) -> &Leader {
        &self.leader
    }

    /// Whether it still leads; changes at most once.
    pub fn state(&self) -> watch::Receiver<LeadershipState> {
        self.state.clone()
    }

    /// Gives leadership up; batches that were submitted before are still committed.
    pub fn resign(self) {}
}

impl Drop for Leadership {
    fn drop(&mut self) {
        if let Some(resign) = self.resign.take() {
            resign();
        }
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership")
            .field("leader", &self.leader)
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}

/// Chooses one leader among the candidates of a store; each gets a higher epoch than the last.
pub trait Election: fmt::Debug + Send + Sync {
    /// Stands for election. The answer comes when the candidate leads; dropping the receiver withdraws.
    fn campaign(
        &self,
        candidate: Candidate,
    ) -> oneshot::Receiver<Result<Leadership, ElectionError>>;

    /// The present leader, and every later one.
    fn observe(&self) -> watch::Receiver<Option<Leader>>;
}
