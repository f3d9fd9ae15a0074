//! The thread that sends bulk answers: a connection moves there for as long as its answer lasts, so that the threads that
//! serve everybody else never spend a millisecond on filling one socket.
//!
//! It decides nothing about connections or answers.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use crate::stream::StreamReader;

type Stay = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The thread; it starts with the first bulk answer and ends with its server.
#[derive(Debug)]
pub(crate) struct BulkThread {
    on_start: fn(),
    queue: OnceLock<Option<mpsc::UnboundedSender<Stay>>>,
}

impl BulkThread {
    pub(crate) fn new(on_start: fn()) -> Self {
        Self {
            on_start,
            queue: OnceLock::new(),
        }
    }

    /// Runs a connection's stay there, or here where the thread cannot be started. `None` when it has ended in the
    /// middle.
    pub(crate) async fn carry<T: Send + 'static>(
        &self,
        stay: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let Some(queue) = self.queue.get_or_init(|| start(self.on_start)) else {
            return Some(stay.await);
        };
        let (sender, receiver) = oneshot::channel();
        let stay = Box::pin(async move {
            let _ = sender.send(stay.await);
        });
        queue.send(stay).ok()?;
        receiver.await.ok()
    }
}

fn start(on_start: fn()) -> Option<mpsc::UnboundedSender<Stay>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let (sender, mut stays) = mpsc::unbounded_channel();
    let started = runtime.and_then(|runtime| {
        let life = move || {
            on_start();
            runtime.block_on(async {
                while let Some(stay) = stays.recv().await {
                    tokio::spawn(stay);
                }
            });
        };
        std::thread::Builder::new()
            .name("bulk-sender".into())
            .spawn(life)
    });
    started
        .inspect_err(|error| {
            tracing::warn!(%error, "a thread for bulk answers cannot be started");
        })
        .ok()
        .map(|_| sender)
}

/// A document that is made while it is sent.
#[derive(Debug)]
pub struct Bulk {
    pub(crate) reader: StreamReader,
    pub(crate) carried: Option<Carried>,
}

impl Bulk {
    /// Takes the document from a stream.
    pub fn new(reader: StreamReader) -> Self {
        Self {
            reader,
            carried: None,
        }
    }
}

/// Marks a connection as long as its bulk answer lasts.
#[derive(Debug)]
pub(crate) struct Carried(Arc<AtomicBool>);

impl Carried {
    pub(crate) fn begin(mark: Arc<AtomicBool>) -> Self {
        mark.store(true, Ordering::Relaxed);
        Self(mark)
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
