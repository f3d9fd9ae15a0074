//! Work that is done once for all who want the same, and ends when none of them waits any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::PullError;

type Outcome<T> = Option<Result<T, Arc<PullError>>>;

/// Work under way, by what it is about.
#[derive(Debug)]
pub(super) struct Flights<K, P, T> {
    under_way: Mutex<BTreeMap<K, Weak<Flight<P, T>>>>,
}

impl<K, P, T> Default for Flights<K, P, T> {
    fn default() -> Self {
        Self {
            under_way: Mutex::new(BTreeMap::new()),
        }
    }
}

/// One piece of work, held by each who waits for it.
#[derive(Debug)]
pub(super) struct Flight<P, T> {
    progress: watch::Receiver<P>,
    outcome: watch::Receiver<Outcome<T>>,
    task: AbortHandle,
}

impl<P, T> Drop for Flight<P, T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<K, P, T> Flights<K, P, T>
where
    K: Ord,
    P: Default + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// The work about this, begun if nobody has; what has ended is begun again.
    pub(super) fn join<F>(
        &self,
        key: K,
        begin: impl FnOnce(watch::Sender<P>) -> F,
    ) -> Arc<Flight<P, T>>
    where
        F: Future<Output = Result<T, PullError>> + Send + 'static,
    {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let present = under_way.get(&key).and_then(Weak::upgrade);
        if let Some(flight) = present
            && flight.outcome.borrow().is_none()
        {
            return flight;
        }
        let (tell_progress, progress) = watch::channel(P::default());
        let (tell_outcome, outcome) = watch::channel(None);
        let work = begin(tell_progress);
        let task = tokio::spawn(async move {
            let result = work.await.map_err(|error| match error {
                PullError::Shared(error) => error,
                error => Arc::new(error),
            });
            tell_outcome.send_replace(Some(result));
        });
        let flight = Arc::new(Flight {
            progress,
            outcome,
            task: task.abort_handle(),
        });
        under_way.retain(|_, flight| flight.strong_count() > 0);
        under_way.insert(key, Arc::downgrade(&flight));
        flight
    }
}

impl<P: Clone, T: Clone> Flight<P, T> {
    pub(super) fn progress(&self) -> watch::Receiver<P> {
        self.progress.clone()
    }

    pub(super) async fn outcome(&self) -> Result<T, Arc<PullError>> {
        let mut outcome = self.outcome.clone();
        let outcome = outcome.wait_for(Option::is_some).await;
        match outcome.as_deref() {
            Ok(Some(result)) => result.clone(),
            // The task panicked, or its runtime ends.
            _ => Err(Arc::new(PullError::GivenUp)),
        }
    }
}
