//! One connection to the warden: its buffers both ways, and the descriptors that wait to be handed over.
//!
//! Must never block, nor know what the frames mean.

use crate::fd_passing;
use crate::frames::{decode_request, encode_reply, next_frame};
use crate::protocol::{Reply, Request};
use mezz_launch_plan::wire::DecodeError;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// How much is read at once.
const READ_BYTES: usize = 32 << 10;
/// Above this much unsent, no more requests are taken.
const CONGESTED_BYTES: usize = 4 << 20;

/// Bytes of which the first carries descriptors.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sent: usize,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// Whether the other side is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Open,
    Closed,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) socket: OwnedFd,
    pub(crate) incoming: Vec<u8>,
    pub(crate) outgoing: VecDeque<Segment>,
    /// What epoll was last told to wait for: reading, writing.
    pub(crate) interest: (bool, bool),
}

impl Peer {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            incoming: Vec::new(),
            outgoing: VecDeque::new(),
            interest: (true, false),
        }
    }

    /// Takes what has arrived into the buffer.
    pub(crate) fn read(&mut self) -> Line {
        // Descriptors are not part of any request: those that come are closed at once.
        let mut unwanted: Vec<OwnedFd> = Vec::new();
        match fd_passing::receive(
            self.socket.as_fd(),
            &mut self.incoming,
            READ_BYTES,
            &mut unwanted,
        ) {
            Ok(0) => Line::Closed,
            Ok(_) => Line::Open,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Line::Open,
            Err(_) => Line::Closed,
        }
    }

    /// Every whole request in the buffer.
    pub(crate) fn take_requests(&mut self) -> Result<Vec<Request>, DecodeError> {
        let (mut requests, mut done) = (Vec::new(), 0);
        while let Some((body, length)) = next_frame(&self.incoming[done..])? {
            requests.push(decode_request(body)?);
            done += length;
        }
        self.incoming.drain(..done);
        Ok(requests)
    }

    /// Queues a reply with its descriptors.
    pub(crate) fn push(&mut self, reply: &Reply, descriptors: Vec<OwnedFd>) {
        if self.outgoing.is_empty() || !descriptors.is_empty() {
            self.outgoing.push_back(Segment {
                descriptors,
                ..Segment::default()
            });
        }
        let last = self
            .outgoing
            .back_mut()
            .expect("one was pushed if there was none");
        encode_reply(reply, &mut last.bytes);
    }

    /// Sends what the socket takes.
    pub(crate) fn flush(&mut self) -> Line {
        while let Some(segment) = self.outgoing.front_mut() {
            let descriptors: Vec<_> = segment.descriptors.iter().map(AsFd::as_fd).collect();
            match fd_passing::send(
                self.socket.as_fd(),
                &segment.bytes[segment.sent..],
                &descriptors,
            ) {
                Ok(count) => {
                    segment.sent += count;
                    segment.descriptors.clear();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Line::Open,
                Err(_) => return Line::Closed,
            }
            if segment.sent == segment.bytes.len() {
                self.outgoing.pop_front();
            }
        }
        Line::Open
    }

    /// What epoll should wait for now: reading, writing.
    pub(crate) fn wanted(&self) -> (bool, bool) {
        let unsent: usize = self
            .outgoing
            .iter()
            .map(|segment| segment.bytes.len() - segment.sent)
            .sum();
        (unsent < CONGESTED_BYTES, unsent > 0)
    }
}
