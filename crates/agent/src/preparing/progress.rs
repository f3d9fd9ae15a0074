//! What is being done for containers that are prepared, in words for people.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mezz_agent_core::ContainerId;

/// What is being done for each container that is prepared. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProgressBoard {
    texts: Arc<Mutex<BTreeMap<ContainerId, String>>>,
}

impl ProgressBoard {
    /// The place of one container, until it is dropped.
    pub(crate) fn place(&self, container: ContainerId) -> Progress {
        self.lock().insert(container, "preparing".to_owned());
        Progress {
            board: self.clone(),
            container,
        }
    }

    /// What is done for a container at the moment, if it is being prepared.
    pub(crate) fn of(&self, container: ContainerId) -> Option<String> {
        self.lock().get(&container).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ContainerId, String>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one container on the board.
#[derive(Debug)]
pub(crate) struct Progress {
    board: ProgressBoard,
    container: ContainerId,
}

impl Progress {
    /// From now on this is being done.
    pub(crate) fn tell(&self, text: impl Into<String>) {
        if let Some(place) = self.board.lock().get_mut(&self.container) {
            *place = text.into();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.board.lock().remove(&self.container);
    }
}
