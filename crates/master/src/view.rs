//! The immutable view that every reader uses, and its publication.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use mezz_core::effect::Reply;
use mezz_core::fact::Fact;
use mezz_core::key::Token;
use mezz_core::records::Records;
use mezz_sched::FilterCounts;
use tokio::sync::{oneshot, watch};

use crate::indexes::Indexes;

/// Views are published at most this often, unless a reply waits for one.
const INTERVAL: Duration = Duration::from_millis(1);

/// Everything a reader may see, at one moment; durable up to that moment.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) records: Records,
    /// How many refusals stood in each role.
    pub(crate) filters: FilterCounts,
    /// When each part last changed, as far as published views tell.
    pub(crate) indexes: Indexes,
}

/// Where readers find the newest view.
#[derive(Debug)]
pub(crate) struct ViewCell {
    view: RwLock<Arc<View>>,
    /// The index of the newest view, for those who wait for a change.
    newest: watch::Sender<u64>,
}

impl Default for ViewCell {
    fn default() -> Self {
        Self {
            view: RwLock::default(),
            newest: watch::Sender::new(0),
        }
    }
}

impl ViewCell {
    /// The newest view.
    pub(crate) fn load(&self) -> Arc<View> {
        self.view
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Tells of every index that is published from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Whether somebody waits for changes.
    pub(crate) fn is_watched(&self) -> bool {
        self.newest.receiver_count() > 0
    }

    /// Publishes a view.
    pub(crate) fn store(&self, view: Arc<View>) {
        let index = view.indexes.newest;
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        self.newest.send_if_modified(|newest| {
            let changed = *newest != index;
            *newest = index;
            changed
        });
    }
}

/// A view that holds writes which are not durable yet.
struct Pending {
    token: Token,
    batch: u64,
    view: Arc<View>,
}

/// A reply that must not overtake the view with its effect.
pub(crate) struct WaitingReply {
    batch: u64,
    sender: oneshot::Sender<Reply>,
    reply: Reply,
}

/// What became visible by a publication.
pub(crate) struct Published {
    pub(crate) view: Arc<View>,
    pub(crate) facts: Vec<(u64, Arc<Fact>)>,
    pub(crate) replies: Vec<(oneshot::Sender<Reply>, Reply)>,
}

/// Decides when a view may and should be published. Owned by the core thread.
pub(crate) struct Views {
    cell: Arc<ViewCell>,
    pending: Option<Pending>,
    /// The batch of inputs that is being handled.
    batch: u64,
    dirty: bool,
    last: Instant,
    replies: VecDeque<WaitingReply>,
    facts: VecDeque<(u64, u64, Arc<Fact>)>,
}

impl Views {
    pub(crate) fn new(cell: Arc<ViewCell>) -> Self {
        let now = Instant::now();
        Self {
            cell,
            pending: None,
            batch: 1,
            dirty: true,
            last: now.checked_sub(INTERVAL).unwrap_or(now),
            replies: VecDeque::new(),
            facts: VecDeque::new(),
        }
    }

    /// The core has handled an event.
    pub(crate) fn touch(&mut self) {
        self.dirty = true;
    }

    /// Keeps a fact until its view is out.
    pub(crate) fn add_fact(&mut self, sequence: u64, fact: Arc<Fact>) {
        self.facts.push_back((self.batch, sequence, fact));
    }

    /// Keeps a reply until its view is out.
    pub(crate) fn add_reply(&mut self, sender: oneshot::Sender<Reply>, reply: Reply) {
        self.dirty = true;
        self.replies.push_back(WaitingReply {
            batch: self.batch,
            sender,
            reply,
        });
    }

    /// When [`Self::settle`] has to be called again although nothing happened.
    pub(crate) fn due(&self) -> Option<Instant> {
        (self.dirty && self.pending.is_none()).then(|| self.last + INTERVAL)
    }

    /// Ends a batch: publishes what may be and should be published.
    pub(crate) fn settle(
        &mut self,
        records: &Records,
        filters: &FilterCounts,
        durable: Token,
        issued: Token,
    ) -> Option<Published> {
        let mut published = None;
        if self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.token <= durable)
        {
            published = self.pending.take();
        }
        if self.pending.is_none() && published.is_none() && self.dirty && self.is_wanted() {
            // Nothing is pending, so the newest view is the one before this one.
            let indexes = Indexes::after(&self.cell.load(), records);
            let view = Arc::new(View {
                records: records.clone(),
                filters: filters.clone(),
                indexes,
            });
            let pending = Pending {
                token: issued,
                batch: self.batch,
                view,
            };
            self.dirty = false;
            if issued <= durable {
                published = Some(pending);
            } else {
                self.pending = Some(pending);
            }
        }
        self.batch += 1;
        published.map(|pending| self.publish(pending))
    }

    fn is_wanted(&self) -> bool {
        !self.replies.is_empty() || self.last.elapsed() >= INTERVAL
    }

    fn publish(&mut self, pending: Pending) -> Published {
        self.last = Instant::now();
        self.cell.store(pending.view.clone());
        let mut facts = Vec::new();
        while self
            .facts
            .front()
            .is_some_and(|(batch, ..)| *batch <= pending.batch)
        {
            facts.extend(
                self.facts
                    .pop_front()
                    .map(|(_, sequence, fact)| (sequence, fact)),
            );
        }
        let mut replies = Vec::new();
        while self
            .replies
            .front()
            .is_some_and(|reply| reply.batch <= pending.batch)
        {
            replies.extend(
                self.replies
                    .pop_front()
                    .map(|reply| (reply.sender, reply.reply)),
            );
        }
        Published {
            view: pending.view,
            facts,
            replies,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(sequence: u64) -> Records {
        Records {
            fact_sequence: sequence,
            ..Records::default()
        }
    }

    #[test]
    fn a_view_with_writes_that_are_not_durable_is_held_back() {
        let cell = Arc::new(ViewCell::default());
        let none = FilterCounts::default();
        let mut views = Views::new(cell.clone());
        let (sender, mut receiver) = oneshot::channel();
        views.add_reply(sender, Reply::Ok);
        assert!(
            views
                .settle(&records(1), &none, Token(0), Token(1))
                .is_none()
        );
        assert_eq!(cell.load().records.fact_sequence, 0);
        assert!(receiver.try_recv().is_err());
        let published = views
            .settle(&records(2), &none, Token(1), Token(1))
            .unwrap();
        assert_eq!(published.replies.len(), 1);
        assert_eq!(cell.load().records.fact_sequence, 1);
    }

    #[test]
    fn a_reply_given_while_a_view_is_held_back_waits_for_the_next_one() {
        let cell = Arc::new(ViewCell::default());
        let none = FilterCounts::default();
        let mut views = Views::new(cell.clone());
        views.touch();
        assert!(
            views
                .settle(&records(1), &none, Token(0), Token(1))
                .is_none()
        );
        let (sender, _receiver) = oneshot::channel();
        views.add_reply(sender, Reply::Ok);
        let first = views
            .settle(&records(2), &none, Token(1), Token(2))
            .unwrap();
        assert!(first.replies.is_empty());
        assert!(
            views
                .settle(&records(2), &none, Token(1), Token(2))
                .is_none()
        );
        let second = views
            .settle(&records(2), &none, Token(2), Token(2))
            .unwrap();
        assert_eq!(second.replies.len(), 1);
        assert_eq!(cell.load().records.fact_sequence, 2);
    }
}
