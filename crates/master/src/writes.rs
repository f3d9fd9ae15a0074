//! The way of the core's writes into the store, and what Mesos calls its registrar: how large, how slow, how many wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use mezz_core::effect::StoreOperation;
use mezz_core::event::Event;
use mezz_core::key::Token;
use mezz_store::{Batch, Committed, Entry, Epoch, Key, Operation, Store, StoreError, limits};
use mezz_warden::crash_point;

use crate::inbox::{Inbox, Input};
use crate::timings::Series;

/// What readers are told of the store. Written by whoever reads or writes it; it decides nothing.
#[derive(Debug, Default)]
pub(crate) struct Registrar {
    /// A write to the store, until it is durable.
    state_store: Series,
    /// Reading the store after the election.
    state_fetch: Series,
    /// Keys and values that are durable.
    bytes: AtomicI64,
    /// Batches that are not durable yet.
    queued: AtomicI64,
}

impl Registrar {
    /// All that the store holds was read.
    pub(crate) fn fetched(&self, entries: &[Entry], took: Duration) {
        self.state_fetch.add(took);
        let bytes: usize = entries
            .iter()
            .map(|entry| entry.key.as_str().len() + entry.value.len())
            .sum();
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    fn begun(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, result: &Result<Committed, StoreError>, began: Instant) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
        if let Ok(committed) = result {
            self.bytes.fetch_add(committed.growth, Ordering::Relaxed);
            self.state_store.add(began.elapsed());
        }
    }

    /// Under Mesos's names.
    pub(crate) fn show(&self, mut show: impl FnMut(String, f64)) {
        let number = |of: &AtomicI64| of.load(Ordering::Relaxed) as f64;
        show("registrar/registry_size_bytes".into(), number(&self.bytes));
        show("registrar/queued_operations".into(), number(&self.queued));
        self.state_store.show("registrar/state_store_ms", &mut show);
        // Mesos shows no distribution of what happens once.
        self.state_fetch
            .show("registrar/state_fetch_ms", |name, value| {
                if name.ends_with("state_fetch_ms") {
                    show(name, value);
                }
            });
    }
}

/// Where the core thread's writes go.
pub(crate) struct Writes {
    store: Arc<dyn Store>,
    registrar: Arc<Registrar>,
    inbox: Arc<Inbox>,
    epoch: Epoch,
    issued: Token,
}

impl Writes {
    pub(crate) fn new(store: Arc<dyn Store>, registrar: Arc<Registrar>, inbox: Arc<Inbox>) -> Self {
        Self {
            store,
            registrar,
            inbox,
            epoch: Epoch::default(),
            issued: Token::default(),
        }
    }

    /// Everything from now on is written in this epoch.
    pub(crate) fn lead(&mut self, epoch: u64) {
        self.epoch = Epoch(epoch);
    }

    /// The last token that was handed over.
    pub(crate) fn issued(&self) -> Token {
        self.issued
    }

    /// Hands over what belongs to one token; the core hears of it when all of it is durable.
    pub(crate) fn persist(
        &mut self,
        token: Token,
        operations: Vec<StoreOperation>,
    ) -> Result<(), String> {
        crash_point("master.before_persist");
        self.issued = self.issued.max(token);
        let mut operations = operations.into_iter().peekable();
        loop {
            let mut batch = Batch::new(mezz_store::Token(token.0), self.epoch);
            let mut bytes = 0;
            while let Some(next) = operations.peek() {
                bytes += size(next);
                let is_full = batch.operations.len() == limits::BATCH_ITEMS
                    || bytes > limits::BATCH_BYTES && !batch.operations.is_empty();
                let Some(operation) = operations.next_if(|_| !is_full) else {
                    break;
                };
                let operation = store_operation(operation)
                    .map_err(|error| format!("a key cannot be stored: {error}"))?;
                batch.operations.push(operation);
            }
            let is_last = operations.peek().is_none();
            self.submit(batch, is_last.then_some(token));
            if is_last {
                crash_point("master.after_persist");
                return Ok(());
            }
        }
    }

    fn submit(&self, batch: Batch, completes: Option<Token>) {
        let (inbox, registrar) = (self.inbox.clone(), self.registrar.clone());
        let token = Token(batch.token.0);
        let began = Instant::now();
        registrar.begun();
        self.store.submit(
            batch,
            Box::new(move |outcome| {
                registrar.ended(&outcome.result, began);
                match outcome.result {
                    Ok(_) => {
                        if let Some(token) = completes {
                            inbox.push(Input::Event(Event::Persisted(token)));
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "a write to the store failed");
                        inbox.push(Input::Event(Event::PersistFailed(token)));
                    }
                }
            }),
        );
    }
}

/// Bytes of key and value.
fn size(operation: &StoreOperation) -> usize {
    match operation {
        StoreOperation::Put { key, value } => key.len() + value.len(),
        StoreOperation::Delete { key } => key.len(),
    }
}

fn store_operation(operation: StoreOperation) -> Result<Operation, mezz_store::KeyError> {
    Ok(match operation {
        StoreOperation::Put { key, value } => Operation::Put {
            key: Key::new(key)?,
            value,
        },
        StoreOperation::Delete { key } => Operation::Delete {
            key: Key::new(key)?,
        },
    })
}
