//! Frames of the agent protocol with bodies encoded ahead of time, so that the client costs little of what is measured.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use mezz_proto::agent_protocol::Frame;
use mezz_proto::agent_protocol::frame::Body;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

/// Ordered frames that either side may have in flight.
pub(crate) const WINDOW: u32 = 4096;

/// What goes out on one connection.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) buffer: Vec<u8>,
    waiting: VecDeque<(u32, Bytes)>,
    sequence: u64,
    acknowledged_by_peer: u64,
    /// Ordered frames taken in, and how many of them were acknowledged.
    taken: u64,
    acknowledged: u64,
}

impl Outgoing {
    /// Writes an ordered body, or keeps it until the peer has room.
    pub(crate) fn ordered(&mut self, channel: u32, body: Bytes) {
        self.waiting.push_back((channel, body));
        self.fill();
    }

    /// Writes a body outside the order.
    pub(crate) fn unordered(&mut self, channel: u32, body: &[u8]) {
        self.put(channel, 0, body);
    }

    /// The peer has taken in everything up to `number`.
    fn on_acknowledged(&mut self, number: u64) {
        self.acknowledged_by_peer = self.acknowledged_by_peer.max(number);
        self.fill();
    }

    fn fill(&mut self) {
        while self.sequence - self.acknowledged_by_peer < u64::from(WINDOW) {
            let Some((channel, body)) = self.waiting.pop_front() else {
                return;
            };
            self.sequence += 1;
            self.put(channel, self.sequence, &body);
        }
    }

    /// Returns credit when enough is due.
    pub(crate) fn settle(&mut self) {
        if self.taken - self.acknowledged >= u64::from(WINDOW / 4) {
            self.put(0, 0, &[]);
        }
    }

    fn put(&mut self, channel: u32, sequence: u64, body: &[u8]) {
        let start = self.buffer.len();
        self.buffer.put_u32(0);
        let mut field = |number: u32, value: u64| {
            if value > 0 {
                encode_key(number, WireType::Varint, &mut self.buffer);
                encode_varint(value, &mut self.buffer);
            }
        };
        field(1, u64::from(channel));
        field(2, sequence);
        if self.taken > self.acknowledged {
            field(3, self.taken);
            self.acknowledged = self.taken;
        }
        self.buffer.extend_from_slice(body);
        let length = self.buffer.len() - start - 4;
        let length = u32::try_from(length).expect("bodies here are short");
        self.buffer[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

/// Takes the whole frames out of a read buffer.
pub(crate) fn take_frames(
    buffer: &mut BytesMut,
    out: &mut Outgoing,
    mut each: impl FnMut(&mut Outgoing, u32, Body),
) -> Result<()> {
    while buffer.len() >= 4 {
        let length = u32::from_be_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize;
        if buffer.len() < 4 + length {
            return Ok(());
        }
        let frame = Frame::decode(&buffer[4..4 + length]).context("a frame from the master")?;
        buffer.advance(4 + length);
        if let Some(number) = frame.acknowledged {
            out.on_acknowledged(number);
        }
        if frame.sequence.unwrap_or(0) > 0 {
            out.taken += 1;
        }
        if let Some(body) = frame.body {
            each(out, frame.channel.unwrap_or(0), body);
        }
    }
    Ok(())
}
