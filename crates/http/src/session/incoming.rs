//! The receiving direction: checks order and credit, puts parts together, hands bodies over in batches.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{Frame, Part};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::SessionError;
use super::outgoing::Link;

/// Room for the fields of a frame beside a part of the largest size.
const FRAME_SLACK: usize = 1024;
const READ_BYTES: usize = 64 * 1024;

/// Takes in bodies from the peer. Dropping it ends the session. It must be polled also by a side that only
/// sends: credit for sending arrives here.
#[derive(Debug)]
pub struct Receiver<R> {
    io: R,
    link: Arc<Link>,
    buffer: BytesMut,
    ready: VecDeque<(u32, Body)>,
    /// Highest ordered frame that was decoded, and up to which the caller has come back for more.
    decoded: u64,
    taken: u64,
    acknowledged: u64,
    parts: BTreeMap<u32, BytesMut>,
    part_bytes: usize,
}

impl<R> Drop for Receiver<R> {
    fn drop(&mut self) {
        self.link.close(SessionError::Closed);
    }
}

impl<R: AsyncRead + Unpin> Receiver<R> {
    pub(super) fn new(io: R, link: Arc<Link>) -> Self {
        Self {
            io,
            link,
            buffer: BytesMut::with_capacity(READ_BYTES),
            ready: VecDeque::new(),
            decoded: 0,
            taken: 0,
            acknowledged: 0,
            parts: BTreeMap::new(),
            part_bytes: 0,
        }
    }

    /// The next body with its channel; `None` when the peer ended the session in order.
    pub async fn next(&mut self) -> Result<Option<(u32, Body)>, SessionError> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Ok(Some(next));
            }
            if !self.receive().await? {
                return Ok(None);
            }
        }
    }

    /// Appends everything that has arrived, waiting for the first of it; `false` when the peer ended the session.
    pub async fn next_batch(&mut self, into: &mut Vec<(u32, Body)>) -> Result<bool, SessionError> {
        while self.ready.is_empty() {
            if !self.receive().await? {
                return Ok(false);
            }
        }
        into.extend(self.ready.drain(..));
        Ok(true)
    }

    /// Reads and decodes until something is ready.
    async fn receive(&mut self) -> Result<bool, SessionError> {
        let result = self.receive_unclosed().await;
        match &result {
            Ok(true) => {}
            Ok(false) => self.link.close(SessionError::Closed),
            Err(error) => self.link.close(error.clone()),
        }
        result
    }

    async fn receive_unclosed(&mut self) -> Result<bool, SessionError> {
        self.return_credit();
        loop {
            self.decode_buffered()?;
            if !self.ready.is_empty() {
                return Ok(true);
            }
            self.return_credit();
            self.buffer.reserve(READ_BYTES);
            let read = tokio::select! {
                biased;
                read = self.io.read_buf(&mut self.buffer) => read?,
                () = self.link.ended.notified() => {
                    return match self.link.closed() {
                        Some(SessionError::Closed) | None => Ok(false),
                        Some(reason) => Err(reason),
                    };
                }
            };
            if read == 0 {
                return if self.buffer.is_empty() && self.parts.is_empty() {
                    Ok(false)
                } else {
                    Err(SessionError::Truncated)
                };
            }
        }
    }

    /// Tells the link how far the caller has come: everything decoded before was handed over.
    fn return_credit(&mut self) {
        if self.decoded > self.taken {
            self.taken = self.decoded;
            self.link.on_taken(self.taken);
        }
    }

    fn decode_buffered(&mut self) -> Result<(), SessionError> {
        let limit = self.link.config.part_bytes.max(READ_BYTES) + FRAME_SLACK;
        while self.buffer.len() >= 4 {
            let length = u32::from_be_bytes([
                self.buffer[0],
                self.buffer[1],
                self.buffer[2],
                self.buffer[3],
            ]) as usize;
            if length > limit {
                return Err(SessionError::FrameTooLong { length, limit });
            }
            if self.buffer.len() < 4 + length {
                return Ok(());
            }
            // Decoded from a slice: its byte fields become small copies that do not pin the read buffer.
            let frame = decoded(&self.buffer[4..4 + length])?;
            self.buffer.advance(4 + length);
            self.on_frame(frame)?;
        }
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame) -> Result<(), SessionError> {
        if let Some(acknowledged) = frame.acknowledged
            && acknowledged > self.acknowledged
        {
            self.link.on_acknowledged(acknowledged)?;
            self.acknowledged = acknowledged;
        }
        let channel = frame.channel.unwrap_or(0);
        let Some(body) = frame.body else {
            return Ok(());
        };
        if !matches!(body, Body::Ping(_) | Body::Pong(_)) {
            self.check_order(frame.sequence.unwrap_or(0))?;
        }
        if let Body::Part(part) = body {
            return self.on_part(channel, part);
        }
        self.hand_over(channel, body);
        Ok(())
    }

    fn check_order(&mut self, received: u64) -> Result<(), SessionError> {
        let expected = self.decoded + 1;
        if received != expected {
            return Err(SessionError::OutOfOrder { expected, received });
        }
        if received > self.taken + u64::from(self.link.config.window) {
            return Err(SessionError::WindowExceeded {
                window: self.link.config.window,
            });
        }
        self.decoded = received;
        Ok(())
    }

    fn on_part(&mut self, channel: u32, part: Part) -> Result<(), SessionError> {
        let limit = self.link.config.max_body_bytes;
        self.part_bytes += part.data.len();
        if self.part_bytes > limit {
            return Err(SessionError::BodyTooLong { limit });
        }
        self.parts
            .entry(channel)
            .or_default()
            .extend_from_slice(&part.data);
        if !part.last {
            return Ok(());
        }
        let whole = self.parts.remove(&channel).unwrap_or_default();
        self.part_bytes -= whole.len();
        let frame = decoded(&whole)?;
        if frame.channel.unwrap_or(0) != channel {
            return Err(SessionError::Malformed(
                "a body in parts names another channel than its parts".into(),
            ));
        }
        match frame.body {
            Some(Body::Part(_)) => Err(SessionError::Malformed("a part inside a part".into())),
            Some(body) => {
                self.hand_over(channel, body);
                Ok(())
            }
            None => Err(SessionError::Malformed("parts without a body".into())),
        }
    }

    fn hand_over(&mut self, channel: u32, body: Body) {
        match &body {
            Body::Hello(hello) => self.note_window(hello.window),
            Body::Admitted(admitted) => self.note_window(admitted.window),
            _ => {}
        }
        self.ready.push_back((channel, body));
    }

    fn note_window(&self, window: Option<u32>) {
        if let Some(window) = window {
            self.link.set_peer_window(window);
        }
    }
}

fn decoded(bytes: &[u8]) -> Result<Frame, SessionError> {
    Frame::decode(bytes).map_err(|error| SessionError::Malformed(error.to_string()))
}
