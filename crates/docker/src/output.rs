//! The output of a container, as the Engine sends it: frames of both streams, or one stream of a terminal.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::error::EngineError;

const HEADER: usize = 8;

/// Where a piece of output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Takes frames apart, whatever pieces they arrive in.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    header: BytesMut,
    channel: Option<Channel>,
    left: u64,
}

impl Frames {
    /// The content of frames in this piece, whole or not.
    pub(crate) fn take(
        &mut self,
        mut piece: Bytes,
        into: &mut VecDeque<(Channel, Bytes)>,
    ) -> Result<(), EngineError> {
        while piece.has_remaining() {
            if self.left == 0 {
                self.begin(&mut piece)?;
                continue;
            }
            let here = usize::try_from(self.left).unwrap_or(usize::MAX);
            let content = piece.split_to(here.min(piece.len()));
            self.left -= content.len() as u64;
            if let Some(channel) = self.channel {
                into.push_back((channel, content));
            }
        }
        Ok(())
    }

    fn begin(&mut self, piece: &mut Bytes) -> Result<(), EngineError> {
        let missing = HEADER - self.header.len();
        let part = piece.split_to(missing.min(piece.len()));
        self.header.extend_from_slice(&part);
        let [kind, 0, 0, 0, a, b, c, d] = self.header[..] else {
            return if self.header.len() < HEADER {
                Ok(())
            } else {
                Err(EngineError::Output("what should head a frame does not"))
            };
        };
        self.header.clear();
        self.left = u32::from_be_bytes([a, b, c, d]).into();
        self.channel = match kind {
            // What the Engine itself has to say goes with the errors.
            2 | 3 => Some(Channel::Err),
            0 | 1 => Some(Channel::Out),
            _ => return Err(EngineError::Output("a frame of an unknown stream")),
        };
        Ok(())
    }
}

/// Both outputs of a container.
#[derive(Debug)]
pub struct OutputStream {
    body: Incoming,
    frames: Option<Frames>,
    ready: VecDeque<(Channel, Bytes)>,
}

impl OutputStream {
    pub(crate) fn new(answer: Response<Incoming>) -> Self {
        Self {
            body: answer.into_body(),
            frames: Some(Frames::default()),
            ready: VecDeque::new(),
        }
    }

    /// The next piece; none when the output has ended.
    pub async fn next(&mut self) -> Result<Option<(Channel, Bytes)>, EngineError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let Ok(piece) = frame?.into_data() else {
                continue;
            };
            match &mut self.frames {
                Some(frames) => frames.take(piece, &mut self.ready)?,
                None => self.ready.push_back((Channel::Out, piece)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).expect("a short frame");
        let mut frame = vec![kind, 0, 0, 0];
        frame.extend(length.to_be_bytes());
        frame.extend(content);
        frame
    }

    #[test]
    fn frames_are_found_in_whatever_pieces_they_come() {
        let mut bytes = frame(1, b"out");
        bytes.extend(frame(2, b"err"));
        bytes.extend(frame(1, b""));
        bytes.extend(frame(1, b"more"));
        for size in 1..=bytes.len() {
            let (mut frames, mut pieces) = (Frames::default(), VecDeque::new());
            for piece in bytes.chunks(size) {
                frames
                    .take(Bytes::copy_from_slice(piece), &mut pieces)
                    .expect("whole frames");
            }
            let of = |wanted: Channel| -> Vec<u8> {
                let mine = pieces.iter().filter(|(channel, _)| *channel == wanted);
                mine.flat_map(|(_, piece)| piece.to_vec()).collect()
            };
            assert_eq!(of(Channel::Out), b"outmore");
            assert_eq!(of(Channel::Err), b"err");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let mut pieces = VecDeque::new();
        for bytes in [&b"plain text"[..], &[9, 0, 0, 0, 0, 0, 0, 1, 7]] {
            let taken = Frames::default().take(Bytes::copy_from_slice(bytes), &mut pieces);
            assert!(taken.is_err());
        }
    }
}
