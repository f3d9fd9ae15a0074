//! A bounded queue between a producer that never waits and one HTTP connection.
//!
//! A reader that is too slow is cut off: the queue never grows without end.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

/// How much may wait in one stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    pub max_records: usize,
    pub max_bytes: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            max_records: 65_536,
            max_bytes: 64 << 20,
        }
    }
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The reader fell behind; the stream is now closed.
    #[error("the reader is too slow: its queue is full, so it was cut off")]
    Full,
    /// The reader is gone or the stream was closed.
    #[error("the stream is closed")]
    Closed,
}

type OnClose = Box<dyn FnOnce() + Send>;

struct State {
    records: VecDeque<Bytes>,
    bytes: usize,
    /// Nothing more will come; what is queued is still delivered, unless the reader was cut off.
    ended: bool,
    reader_gone: bool,
    waker: Option<Waker>,
    /// Producers that wait for room (only those that may).
    room: Vec<Waker>,
    /// Producers that wait for the end.
    closing: Vec<Waker>,
    on_close: Option<OnClose>,
}

impl State {
    /// Tells every producer that the stream has come to its end.
    fn wake_producers(&mut self) {
        for waker in self.room.drain(..).chain(self.closing.drain(..)) {
            waker.wake();
        }
    }
}

struct Shared {
    limits: StreamLimits,
    state: Mutex<State>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The producing end. Clones feed the same stream.
#[derive(Clone)]
pub struct StreamSender {
    shared: Arc<Shared>,
}

/// The consuming end, a part of a [`crate::Body`].
pub struct StreamReader {
    shared: Arc<Shared>,
}

impl fmt::Debug for StreamSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamSender")
    }
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamReader")
    }
}

/// Makes a stream.
pub fn stream(limits: StreamLimits) -> (StreamSender, StreamReader) {
    let state = State {
        records: VecDeque::new(),
        bytes: 0,
        ended: false,
        reader_gone: false,
        waker: None,
        room: Vec::new(),
        closing: Vec::new(),
        on_close: None,
    };
    let shared = Arc::new(Shared {
        limits,
        state: Mutex::new(state),
    });
    (
        StreamSender {
            shared: shared.clone(),
        },
        StreamReader { shared },
    )
}

impl StreamSender {
    /// Queues one record, which becomes one HTTP chunk. Never waits.
    pub fn send(&self, record: Bytes) -> Result<(), StreamError> {
        if record.is_empty() {
            return Ok(());
        }
        let mut state = self.shared.lock();
        if state.ended || state.reader_gone {
            return Err(StreamError::Closed);
        }
        if state.records.len() >= self.shared.limits.max_records
            || state.bytes.saturating_add(record.len()) > self.shared.limits.max_bytes
        {
            state.records.clear();
            state.bytes = 0;
            state.ended = true;
            wake(state.waker.take());
            state.wake_producers();
            return Err(StreamError::Full);
        }
        state.bytes += record.len();
        state.records.push_back(record);
        let waker = state.waker.take();
        drop(state);
        wake(waker);
        Ok(())
    }

    /// Queues one record, waiting for room: for producers that may wait (file downloads, proxies).
    pub async fn send_waiting(&self, record: Bytes) -> Result<(), StreamError> {
        if record.is_empty() {
            return Ok(());
        }
        std::future::poll_fn(|context| {
            let mut state = self.shared.lock();
            if state.ended || state.reader_gone {
                return Poll::Ready(());
            }
            // One record always fits an empty queue, however long it is.
            if state.records.is_empty()
                || state.bytes + record.len() <= self.shared.limits.max_bytes
            {
                return Poll::Ready(());
            }
            state.room.push(context.waker().clone());
            Poll::Pending
        })
        .await;
        let mut state = self.shared.lock();
        if state.ended || state.reader_gone {
            return Err(StreamError::Closed);
        }
        state.bytes += record.len();
        state.records.push_back(record);
        wake(state.waker.take());
        Ok(())
    }

    /// Ends the stream after what is queued.
    pub fn end(&self) {
        let mut state = self.shared.lock();
        state.ended = true;
        wake(state.waker.take());
        state.wake_producers();
    }

    /// Whether the reader is gone or the stream has ended.
    pub fn is_closed(&self) -> bool {
        let state = self.shared.lock();
        state.ended || state.reader_gone
    }

    /// Resolves when the reader is gone or the stream has ended.
    pub async fn closed(&self) {
        std::future::poll_fn(|context| {
            let mut state = self.shared.lock();
            if state.ended || state.reader_gone {
                return Poll::Ready(());
            }
            if !state
                .closing
                .iter()
                .any(|waker| waker.will_wake(context.waker()))
            {
                state.closing.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Calls back once when the connection that reads is gone, however that came about.
    pub fn on_close(&self, callback: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.lock();
        if state.reader_gone {
            drop(state);
            callback();
        } else {
            state.on_close = Some(Box::new(callback));
        }
    }
}

impl StreamReader {
    /// The next record, or the end.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.shared.lock();
        if let Some(record) = state.records.pop_front() {
            state.bytes -= record.len();
            for waker in state.room.drain(..) {
                waker.wake();
            }
            return Poll::Ready(Some(record));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// The next record, or the end.
    pub async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.reader_gone = true;
        state.records.clear();
        state.bytes = 0;
        let callback = state.on_close.take();
        state.wake_producers();
        drop(state);
        if let Some(callback) = callback {
            callback();
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_reader_is_cut_off_instead_of_buffered_without_end() {
        let (sender, mut reader) = stream(StreamLimits {
            max_records: 2,
            max_bytes: 100,
        });
        sender.send(Bytes::from_static(b"a")).unwrap();
        sender.send(Bytes::from_static(b"b")).unwrap();
        assert_eq!(
            sender.send(Bytes::from_static(b"c")),
            Err(StreamError::Full)
        );
        assert_eq!(reader.next().await, None);
        assert_eq!(
            sender.send(Bytes::from_static(b"d")),
            Err(StreamError::Closed)
        );
    }

    #[tokio::test]
    async fn what_was_queued_before_the_end_is_still_delivered() {
        let (sender, mut reader) = stream(StreamLimits::default());
        sender.send(Bytes::from_static(b"last")).unwrap();
        sender.end();
        assert_eq!(reader.next().await.as_deref(), Some(&b"last"[..]));
        assert_eq!(reader.next().await, None);
    }

    #[test]
    fn the_producer_learns_that_the_reader_is_gone() {
        let (sender, reader) = stream(StreamLimits::default());
        let seen = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let flag = seen.clone();
        sender.on_close(move || flag.store(true, std::sync::atomic::Ordering::SeqCst));
        drop(reader);
        assert!(seen.load(std::sync::atomic::Ordering::SeqCst));
        assert_eq!(
            sender.send(Bytes::from_static(b"x")),
            Err(StreamError::Closed)
        );
    }
}
