//! The sending direction: the queue, its credit, and the task that writes many frames at a time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{Frame, Part};
use prost::Message;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use super::{SessionConfig, SessionError};

/// Bytes that one write carries before the queue is looked at again.
const WRITE_BYTES: usize = 128 * 1024;
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

struct Queue {
    urgent: VecDeque<(u32, Body)>,
    ordered: VecDeque<(u32, Body, usize)>,
    queued_bytes: usize,
    peer_window: u32,
    peer_acknowledged: u64,
    sent: u64,
    taken: u64,
    acknowledged: u64,
    /// Everything that was queued is written.
    flushed: bool,
    closed: Option<SessionError>,
}

/// What both directions of a session share.
pub(super) struct Link {
    pub(super) config: SessionConfig,
    queue: Mutex<Queue>,
    wake_writer: Notify,
    drained: Notify,
    pub(super) ended: Notify,
    writer_ended: Notify,
    senders: AtomicUsize,
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

    fn lock(&self) -> MutexGuard<'_, Queue> {
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

fn credit_is_due(queue: &Queue, window: u32) -> bool {
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
        self.wait_until(|queue, config| queue.queued_bytes <= config.high_water_bytes).await
    }

    /// Waits until everything queued so far has been handed to the connection.
    pub async fn flushed(&self) -> Result<(), SessionError> {
        self.wait_until(|queue, _| queue.flushed).await
    }

    async fn wait_until(&self, reached: impl Fn(&Queue, &SessionConfig) -> bool) -> Result<(), SessionError> {
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

/// What the writer takes from the queue in one go.
#[derive(Default)]
struct Batch {
    urgent: Vec<(u32, Body)>,
    ordered: Vec<(u32, Body, usize)>,
    /// Ordered frames that may still be written, parts included.
    credit: u64,
    acknowledge: Option<u64>,
}

enum Step {
    Write,
    Wait,
    Finish,
}

struct Writer {
    link: Arc<Link>,
    buffer: BytesMut,
    sequence: u64,
    /// A long frame of which some parts are not written yet.
    rest: Option<(u32, Bytes)>,
}

/// The writer task: runs until the session is closed or every sender is dropped.
pub(super) async fn write_all_frames<W: AsyncWrite + Unpin>(link: Arc<Link>, mut io: W) {
    let mut writer = Writer {
        link: Arc::clone(&link),
        buffer: BytesMut::new(),
        sequence: 0,
        rest: None,
    };
    loop {
        match writer.fill() {
            Step::Write => {
                let written = tokio::select! {
                    result = io.write_all(&writer.buffer) => result,
                    () = link.writer_ended.notified() => break,
                };
                if let Err(error) = written {
                    link.close(error.into());
                    break;
                }
                writer.recycle();
            }
            Step::Wait => {
                writer.note_flushed();
                link.wake_writer.notified().await;
            }
            Step::Finish => break,
        }
    }
    let _ = io.shutdown().await;
}

impl Writer {
    fn fill(&mut self) -> Step {
        let batch = match self.take() {
            Ok(batch) => batch,
            Err(step) => return step,
        };
        let Batch {
            urgent,
            ordered,
            mut credit,
            mut acknowledge,
        } = batch;
        for (channel, body) in urgent {
            self.put(channel, 0, acknowledge.take(), Some(body));
        }
        credit = self.put_parts(credit, &mut acknowledge);
        for (channel, body, weight) in ordered {
            if weight > self.link.config.part_bytes {
                let frame = Frame {
                    channel: Some(channel),
                    body: Some(stamped(body, self.link.config.window)),
                    ..Frame::default()
                };
                self.rest = Some((channel, frame.encode_to_vec().into()));
                credit = self.put_parts(credit, &mut acknowledge);
            } else {
                credit -= 1;
                self.sequence += 1;
                self.put(channel, self.sequence, acknowledge.take(), Some(body));
            }
        }
        if let Some(acknowledged) = acknowledge {
            self.put(0, 0, Some(acknowledged), None);
        }
        self.link.lock().sent = self.sequence;
        if self.buffer.is_empty() {
            Step::Wait
        } else {
            Step::Write
        }
    }

    /// Takes what may be written now, at most one long body and only as the last one.
    fn take(&self) -> Result<Batch, Step> {
        let senders = self.link.senders.load(Ordering::Acquire);
        let mut queue = self.link.lock();
        if queue.closed.is_some() {
            return Err(Step::Finish);
        }
        let in_flight = self.sequence - queue.peer_acknowledged;
        let mut batch = Batch {
            credit: u64::from(queue.peer_window).saturating_sub(in_flight),
            ..Batch::default()
        };
        batch.urgent.extend(queue.urgent.drain(..));
        let mut bytes = 0;
        let mut open = self.rest.is_none();
        while open && bytes < WRITE_BYTES && (batch.ordered.len() as u64) < batch.credit {
            let Some((channel, body, weight)) = queue.ordered.pop_front() else {
                break;
            };
            queue.queued_bytes -= weight;
            bytes += weight;
            open = weight <= self.link.config.part_bytes;
            batch.ordered.push((channel, body, weight));
        }
        let carries = !batch.urgent.is_empty() || !batch.ordered.is_empty();
        if queue.taken > queue.acknowledged
            && (carries || credit_is_due(&queue, self.link.config.window))
        {
            queue.acknowledged = queue.taken;
            batch.acknowledge = Some(queue.taken);
        }
        let idle = !carries && batch.acknowledge.is_none() && self.rest.is_none();
        if idle && senders == 0 && queue.ordered.is_empty() {
            return Err(Step::Finish);
        }
        if bytes > 0 && queue.queued_bytes <= self.link.config.high_water_bytes {
            self.link.drained.notify_waiters();
        }
        Ok(batch)
    }

    /// Writes parts of the long frame in hand while credit and this write's room last.
    fn put_parts(&mut self, mut credit: u64, acknowledge: &mut Option<u64>) -> u64 {
        let Some((channel, mut data)) = self.rest.take() else {
            return credit;
        };
        let limit = self.link.config.part_bytes;
        while credit > 0 && self.buffer.len() < WRITE_BYTES {
            let piece = data.split_to(limit.min(data.len()));
            let last = data.is_empty();
            credit -= 1;
            self.sequence += 1;
            self.put(
                channel,
                self.sequence,
                acknowledge.take(),
                Some(Body::Part(Part { data: piece, last })),
            );
            if last {
                return credit;
            }
        }
        self.rest = Some((channel, data));
        credit
    }

    fn put(&mut self, channel: u32, sequence: u64, acknowledged: Option<u64>, body: Option<Body>) {
        let body = body.map(|body| stamped(body, self.link.config.window));
        let sequence = (sequence > 0).then_some(sequence);
        let frame = Frame {
            channel: (channel > 0).then_some(channel),
            sequence,
            acknowledged,
            body,
        };
        let length = frame.encoded_len();
        self.buffer.reserve(length + 4);
        self.buffer
            .put_u32(u32::try_from(length).expect("frames stay below the part size"));
        frame
            .encode(&mut self.buffer)
            .expect("the buffer has room for it");
    }

    /// Tells those who wait for it that nothing is left to write.
    fn note_flushed(&self) {
        let mut queue = self.link.lock();
        if !queue.flushed && queue.ordered.is_empty() && queue.urgent.is_empty() && self.rest.is_none() {
            queue.flushed = true;
            self.link.drained.notify_waiters();
        }
    }

    /// Empties the buffer after a write, and gives back a big one.
    fn recycle(&mut self) {
        if self.buffer.capacity() > 4 * WRITE_BYTES {
            self.buffer = BytesMut::new();
        }
        self.buffer.clear();
    }
}

/// Announces our window in the two bodies that carry it, unless the caller has set one.
fn stamped(mut body: Body, window: u32) -> Body {
    match &mut body {
        Body::Hello(hello) => hello.window = Some(hello.window.unwrap_or(window)),
        Body::Admitted(admitted) => admitted.window = Some(admitted.window.unwrap_or(window)),
        _ => {}
    }
    body
}
