//! RecordIO: each record is its length in decimal, a line feed, and its bytes.
//!
//! It owns the framing of streams in both directions, without I/O and with a bound on what it keeps.

use bytes::{Buf as _, Bytes, BytesMut};

/// Digits that a length may have.
const LENGTH_DIGITS: usize = 20;

/// Why a stream of records cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordIoError {
    /// The header is not a decimal length and a line feed.
    #[error("Failed to decode length '{0}' of a record")]
    Length(String),
    /// The record is longer than this decoder takes.
    #[error("A record of {length} bytes is longer than the limit of {limit}")]
    TooLong {
        /// Announced length.
        length: u64,
        /// Longest record that is taken.
        limit: usize,
    },
}

/// One record with its header.
pub fn encode(record: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(record.len() + 8);
    encode_into(record, &mut out);
    out.into()
}

/// A message as one record in protobuf, encoded into its place.
pub fn encode_message(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    let mut out = Vec::with_capacity(length + 8);
    write_header(length, &mut out);
    message.encode_raw(&mut out);
    out.into()
}

fn write_header(length: usize, out: &mut Vec<u8>) {
    use std::io::Write as _;
    writeln!(out, "{length}").expect("a vector grows as needed");
}

/// Appends one record with its header.
pub fn encode_into(record: &[u8], out: &mut Vec<u8>) {
    write_header(record.len(), out);
    out.extend_from_slice(record);
}

/// Takes a stream apart into records, whatever the chunks in which it arrives.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    limit: usize,
    /// Length of the record whose header has been read.
    expected: Option<usize>,
    failed: Option<RecordIoError>,
}

impl Decoder {
    /// A decoder that refuses longer records than this.
    pub fn new(max_record_bytes: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit: max_record_bytes,
            expected: None,
            failed: None,
        }
    }

    /// Adds bytes that arrived. After an error they are dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next record that is complete; an error is final.
    #[allow(clippy::should_implement_trait)] // It is no iterator: more may come after `None`.
    pub fn next(&mut self) -> Result<Option<Bytes>, RecordIoError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.step() {
            Err(error) => {
                self.buffer = BytesMut::new();
                self.failed = Some(error.clone());
                Err(error)
            }
            record => record,
        }
    }

    /// True when the stream may end here: nothing of a further record has arrived.
    pub fn is_at_boundary(&self) -> bool {
        self.buffer.is_empty() && self.expected.is_none()
    }

    fn step(&mut self) -> Result<Option<Bytes>, RecordIoError> {
        let length = match self.expected {
            Some(length) => length,
            None => match self.header()? {
                Some(length) => length,
                None => return Ok(None),
            },
        };
        if self.buffer.len() < length {
            self.expected = Some(length);
            return Ok(None);
        }
        self.expected = None;
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    fn header(&mut self) -> Result<Option<usize>, RecordIoError> {
        let head = &self.buffer[..self.buffer.len().min(LENGTH_DIGITS + 1)];
        let wrong = || {
            RecordIoError::Length(
                String::from_utf8_lossy(head)
                    .chars()
                    .take(LENGTH_DIGITS)
                    .collect(),
            )
        };
        let Some(end) = head.iter().position(|byte| *byte == b'\n') else {
            let plausible = head.len() <= LENGTH_DIGITS && head.iter().all(u8::is_ascii_digit);
            return if plausible { Ok(None) } else { Err(wrong()) };
        };
        let digits = std::str::from_utf8(&head[..end]).map_err(|_| wrong())?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let length: u64 = digits.parse().map_err(|_| wrong())?;
        self.buffer.advance(end + 1);
        match usize::try_from(length) {
            Ok(fits) if fits <= self.limit => Ok(Some(fits)),
            _ => Err(RecordIoError::TooLong {
                length,
                limit: self.limit,
            }),
        }
    }
}
