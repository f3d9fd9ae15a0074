//! The sending direction: the queue and its credit. The task that writes lies beside.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mezz_proto::agent_protocol::frame::Body;
use tokio::sync::Notify;

use super::{SessionConfig, SessionError};

/// Room for the fields of a frame beside its body.
const FRAME_OVERHEAD: usize = 64;

/// Whether the sender should slow down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// The queue is short.
    Flowing,
    /// More than the high-water mark waits; stop producing until [`Sender::drained`].
    Backed,
}

pub(super) struct Queue {
    pub(super) urgent: VecDeque<(u32, Body)>,
    pub(super) ordered: VecDeque<(u32, Body, usize)>,
    pub(super) queued_bytes: usize,
    pub(super) peer_window: u32,
    pub(super) peer_acknowledged: u64,
    pub(super) sent: u64,
    pub(super) taken: u64,
    pub(super) acknowledged: u64,
    /// Everything that was queued is written.
    pub(super) flushed: bool,
    pub(super) closed: Option<SessionError>,
}

/// What both directions of a session share.
pub(super) struct Link {
    pub(super) config: SessionConfig,
    queue: Mutex<Queue>,
    pub(super) wake_writer: Notify,
    pub(super) drained: Notify,
    pub(super) ended: Notify,
    pub(super) writer_ended: Notify,
    pub(super) senders: AtomicUsize,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(config: SessionConfig) -> Self {
        let queue = Queue {
            urgent: VecDeque::new(),
            ordered: VecDeque::new(),
            queued_bytes: 0,
            peer_window: SessionConfig::default().window.min(config.window),
            peer_acknowledged: 0,
            sent: 0,
            taken: 0,
            acknowledged: 0,
            flushed: true,
            closed: None,
        };
        Self {
            config,
            queue: Mutex::new(queue),
            wake_writer: Notify::new(),
            drained: Notify::new(),
            ended: Notify::new(),
            writer_ended: Notify::new(),
            senders: AtomicUsize::new(1),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session in both directions; the first reason wins.
    pub(super) fn close(&self, reason: SessionError) {
        self.lock().closed.get_or_insert(reason);
        self.wake_writer.notify_one();
        self.drained.notify_waiters();
        self.ended.notify_one();
        self.writer_ended.notify_one();
    }

    pub(super) fn closed(&self) -> Option<SessionError> {
        self.lock().closed.clone()
    }

    /// The peer announced how many frames it takes in.
    pub(super) fn set_peer_window(&self, window: u32) {
        self.lock().peer_window = window.max(1);
        self.wake_writer.notify_one();
    }

    /// The peer has taken in everything up to `acknowledged`.
    pub(super) fn on_acknowledged(&self, acknowledged: u64) -> Result<(), SessionError> {
        let mut queue = self.lock();
        if acknowledged > queue.sent {
            return Err(SessionError::BadAcknowledgement {
                acknowledged,
                sent: queue.sent,
            });
        }
        if acknowledged > queue.peer_acknowledged {
            queue.peer_acknowledged = acknowledged;
            drop(queue);
            // Also with an empty queue: the writer may hold the rest of a long body.
            self.wake_writer.notify_one();
        }
        Ok(())
    }

    /// This side has taken in everything up to `taken`; returns credit when enough is due.
    pub(super) fn on_taken(&self, taken: u64) {
        let mut queue = self.lock();
        queue.taken = taken;
        if credit_is_due(&queue, self.config.window) {
            drop(queue);
            self.wake_writer.notify_one();
        }
    }
}

pub(super) fn credit_is_due(queue: &Queue, window: u32) -> bool {
    queue.taken - queue.acknowledged >= u64::from(window / 4).max(1)
}

/// Queues bodies for the peer; cheap to clone, usable from any thread.
#[derive(Debug)]
pub struct Sender {
    link: Arc<Link>,
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.link.senders.fetch_add(1, Ordering::Relaxed);
        Self {
            link: Arc::clone(&self.link),
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.link.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.link.wake_writer.notify_one();
        }
    }
}

impl Sender {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// Queues one body; never waits.
    pub fn send(&self, channel: u32, body: Body) -> Result<Pressure, SessionError> {
        self.send_all(std::iter::once((channel, body)))
    }

    /// Queues several bodies under one lock and one wake-up; never waits.
    pub fn send_all(
        &self,
        bodies: impl IntoIterator<Item = (u32, Body)>,
    ) -> Result<Pressure, SessionError> {
        let limit = self.link.config.limit_bytes;
        let mut queue = self.link.lock();
        if let Some(reason) = &queue.closed {
            return Err(reason.clone());
        }
        for (channel, body) in bodies {
            if matches!(body, Body::Ping(_) | Body::Pong(_)) {
                // A peer that reads nothing must not pile up pings either.
                if queue.urgent.len() < 4096 {
                    queue.urgent.push_back((channel, body));
                }
                continue;
            }
            let weight = body.encoded_len() + FRAME_OVERHEAD;
            queue.queued_bytes += weight;
            queue.ordered.push_back((channel, body, weight));
        }
        let queued = queue.queued_bytes;
        queue.flushed = false;
        drop(queue);
        if queued > limit {
            let error = SessionError::Overrun { queued, limit };
            self.link.close(error.clone());
            return Err(error);
        }
        self.link.wake_writer.notify_one();
        Ok(if queued > self.link.config.high_water_bytes {
            Pressure::Backed
        } else {
            Pressure::Flowing
        })
    }

    /// Waits until the queue is below the high-water mark.
    pub async fn drained(&self) -> Result<(), SessionError> {
        self.wait_until(|queue, config| queue.queued_bytes <= config.high_water_bytes)
            .await
    }

    /// Waits until everything queued so far has been handed to the connection.
    pub async fn flushed(&self) -> Result<(), SessionError> {
        self.wait_until(|queue, _| queue.flushed).await
    }

    async fn wait_until(
        &self,
        reached: impl Fn(&Queue, &SessionConfig) -> bool,
    ) -> Result<(), SessionError> {
        loop {
            let waiting = self.link.drained.notified();
            tokio::pin!(waiting);
            waiting.as_mut().enable();
            {
                let queue = self.link.lock();
                if let Some(reason) = &queue.closed {
                    return Err(reason.clone());
                }
                if reached(&queue, &self.link.config) {
                    return Ok(());
                }
            }
            waiting.await;
        }
    }

    /// Ends the session at once in both directions; what is queued is dropped.
    pub fn close(&self) {
        self.link.close(SessionError::Closed);
    }

    /// Whether the session has ended.
    pub fn is_closed(&self) -> bool {
        self.link.closed().is_some()
    }
}
