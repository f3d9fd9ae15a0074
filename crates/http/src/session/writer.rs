//! The task that writes what is queued, many frames at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{Frame, Part};
use prost::Message;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::outgoing::{Link, credit_is_due};

/// Bytes that one write carries before the queue is looked at again.
const WRITE_BYTES: usize = 128 * 1024;

/// The length in front of each frame.
const LENGTH_BYTES: usize = 4;

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
    buffer: Vec<u8>,
    sequence: u64,
    /// A long frame of which some parts are not written yet.
    rest: Option<(u32, Bytes)>,
}

/// The writer task: runs until the session is closed or every sender is dropped.
pub(super) async fn write_all_frames<W: AsyncWrite + Unpin>(link: Arc<Link>, mut io: W) {
    let mut writer = Writer {
        link: Arc::clone(&link),
        buffer: Vec::new(),
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
        // The length is put in afterwards: to know it before would take another walk through the body.
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; LENGTH_BYTES]);
        frame.encode_raw(&mut self.buffer);
        let length = u32::try_from(self.buffer.len() - start - LENGTH_BYTES)
            .expect("frames stay below the part size");
        self.buffer[start..start + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    }

    /// Tells those who wait for it that nothing is left to write.
    fn note_flushed(&self) {
        let mut queue = self.link.lock();
        if !queue.flushed
            && queue.ordered.is_empty()
            && queue.urgent.is_empty()
            && self.rest.is_none()
        {
            queue.flushed = true;
            self.link.drained.notify_waiters();
        }
    }

    /// Empties the buffer after a write, and gives back a big one.
    fn recycle(&mut self) {
        if self.buffer.capacity() > 4 * WRITE_BYTES {
            self.buffer = Vec::new();
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
