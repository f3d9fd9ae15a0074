//! From facts to subscribers: operator event streams and the native watch. A slow subscriber is cut off.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use mezz_core::fact::Fact;
use tokio::sync::mpsc;

use crate::fact_ring::FactRing;
use crate::view::View;

/// Facts that became visible together, with the view that holds them.
#[derive(Debug)]
pub(crate) struct FactBatch {
    pub(crate) view: Arc<View>,
    pub(crate) facts: Vec<(u64, Arc<Fact>)>,
    /// Records of the operator stream, made once for all subscribers of an encoding.
    pub(crate) json: OnceLock<Vec<(u64, Bytes)>>,
    pub(crate) protobuf: OnceLock<Vec<(u64, Bytes)>>,
}

/// Batches that one subscriber may have waiting.
const QUEUE: usize = 256;

#[derive(Debug)]
struct Subscriber {
    id: u64,
    sender: mpsc::Sender<Arc<FactBatch>>,
}

/// All subscribers.
#[derive(Debug, Default)]
pub(crate) struct FactHub {
    count: AtomicUsize,
    state: Mutex<(u64, Vec<Subscriber>)>,
    /// The last facts, for readers that resume.
    pub(crate) ring: FactRing,
}

/// One subscription; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Subscription {
    hub: Arc<FactHub>,
    id: u64,
    receiver: mpsc::Receiver<Arc<FactBatch>>,
}

impl FactHub {
    /// Whether facts have to be kept at all.
    pub(crate) fn is_watched(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// Subscribers now.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Begins a subscription. Load a view only afterwards and skip facts up to its sequence: nothing is missed then.
    pub(crate) fn subscribe(self: &Arc<Self>) -> Subscription {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        let id = state.0;
        state.1.push(Subscriber { id, sender });
        self.count.store(state.1.len(), Ordering::SeqCst);
        Subscription {
            hub: self.clone(),
            id,
            receiver,
        }
    }

    /// Ends the oldest subscription when there are more than `limit`.
    pub(crate) fn limit(&self, limit: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.1.len() > limit {
            state.1.remove(0);
        }
        self.count.store(state.1.len(), Ordering::SeqCst);
    }

    /// Keeps facts and hands them to every subscriber; one whose queue is full is dropped.
    pub(crate) fn publish(&self, view: Arc<View>, facts: Vec<(u64, Arc<Fact>)>) {
        self.ring.push(&view, &facts);
        if !self.is_watched() {
            return;
        }
        let batch = Arc::new(FactBatch {
            view,
            facts,
            json: OnceLock::new(),
            protobuf: OnceLock::new(),
        });
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .1
            .retain(|subscriber| subscriber.sender.try_send(batch.clone()).is_ok());
        self.count.store(state.1.len(), Ordering::SeqCst);
    }
}

impl Subscription {
    /// The next facts; `None` when the subscriber was cut off.
    pub(crate) async fn next(&mut self) -> Option<Arc<FactBatch>> {
        self.receiver.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self
            .hub
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.1.retain(|subscriber| subscriber.id != self.id);
        self.hub.count.store(state.1.len(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mezz_core::key::AgentKey;

    fn publish(hub: &FactHub, sequence: u64) {
        let fact = Fact::AgentAdded { agent: AgentKey(0) };
        hub.publish(Arc::default(), vec![(sequence, Arc::new(fact))]);
    }

    #[tokio::test]
    async fn a_subscriber_that_reads_too_slowly_is_cut_off_and_others_are_not() {
        let hub = Arc::new(FactHub::default());
        let mut slow = hub.subscribe();
        let mut quick = hub.subscribe();
        for sequence in 0..=QUEUE as u64 {
            publish(&hub, sequence);
            assert_eq!(quick.next().await.unwrap().facts[0].0, sequence);
        }
        assert_eq!(hub.len(), 1);
        let mut seen = 0;
        while slow.next().await.is_some() {
            seen += 1;
        }
        assert_eq!(seen, QUEUE);
        drop(quick);
        assert!(!hub.is_watched());
    }
}
