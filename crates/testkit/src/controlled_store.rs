//! A store that a test can stop, let go on, and make fail.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mezz_store::{Backup, Batch, Completion, Entry, Epoch, Key, Outcome, Store, StoreError};

/// What happens to the batches that are submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    /// They go to the real store.
    #[default]
    Through,
    /// They wait.
    Held,
    /// They fail, as after an error of the disk.
    Failing,
}

#[derive(Default)]
struct Control {
    mode: Mode,
    waiting: VecDeque<(Batch, Completion)>,
}

/// Wraps a real store; everything but `submit` goes through.
#[derive(Clone)]
pub struct ControlledStore {
    inner: Arc<dyn Store>,
    control: Arc<Mutex<Control>>,
}

impl ControlledStore {
    /// A wrapper that lets everything through until it is told otherwise.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            control: Arc::default(),
        }
    }

    /// From now on batches wait, as on a disk that hangs.
    pub fn hold(&self) {
        self.control().mode = Mode::Held;
    }

    /// Lets the waiting batches through, in their order, and all later ones.
    pub fn release(&self) {
        let mut control = self.control();
        control.mode = Mode::Through;
        // Under the lock, so that no later batch overtakes them.
        for (batch, completion) in control.waiting.drain(..) {
            self.inner.submit(batch, completion);
        }
    }

    /// Fails the waiting batches and all later ones; nothing of them is written.
    pub fn fail(&self) {
        let waiting = {
            let mut control = self.control();
            control.mode = Mode::Failing;
            std::mem::take(&mut control.waiting)
        };
        for (batch, completion) in waiting {
            fail(&batch, completion);
        }
    }

    /// How many batches wait.
    pub fn waiting(&self) -> usize {
        self.control().waiting.len()
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fail(batch: &Batch, completion: Completion) {
    let error = StoreError::Backend {
        action: "commit",
        message: "made to fail by a test".into(),
    };
    completion(Outcome {
        token: batch.token,
        result: Err(error),
    });
}

impl fmt::Debug for ControlledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlledStore")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl Store for ControlledStore {
    fn submit(&self, batch: Batch, completion: Completion) {
        let mut control = self.control();
        match control.mode {
            Mode::Through => self.inner.submit(batch, completion),
            Mode::Held => control.waiting.push_back((batch, completion)),
            Mode::Failing => {
                drop(control);
                fail(&batch, completion);
            }
        }
    }

    fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key)
    }

    fn scan(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.inner.scan(prefix)
    }

    fn epoch(&self) -> Result<Epoch, StoreError> {
        self.inner.epoch()
    }

    fn backup(&self) -> Result<Backup, StoreError> {
        self.inner.backup()
    }

    fn restore(&self, backup: Backup) -> Result<Epoch, StoreError> {
        self.inner.restore(backup)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use mezz_store::{Candidate, Token, open_memory};

    use super::*;

    #[test]
    fn batches_wait_go_on_in_order_and_fail_as_told() {
        let backend = open_memory().unwrap();
        let leader = backend
            .election
            .campaign(Candidate::default())
            .blocking_recv()
            .unwrap()
            .unwrap();
        let store = ControlledStore::new(backend.store);
        let (sender, outcomes) = mpsc::channel();
        let submit = |token: u64| {
            let sender = sender.clone();
            let batch = Batch::new(Token(token), leader.epoch())
                .put(Key::new("k").unwrap(), token.to_string());
            store.submit(
                batch,
                Box::new(move |outcome| sender.send(outcome).unwrap()),
            );
        };
        store.hold();
        (1..=3).for_each(submit);
        assert_eq!((store.waiting(), outcomes.try_recv().is_err()), (3, true));
        assert_eq!(store.scan("").unwrap(), []);
        store.release();
        submit(4);
        let tokens: Vec<u64> = (0..4).map(|_| outcomes.recv().unwrap().token.0).collect();
        assert_eq!(tokens, [1, 2, 3, 4]);
        store.fail();
        submit(5);
        assert!(outcomes.recv().unwrap().result.is_err());
        assert_eq!(
            &store.get(&Key::new("k").unwrap()).unwrap().unwrap().value[..],
            b"4"
        );
    }
}
