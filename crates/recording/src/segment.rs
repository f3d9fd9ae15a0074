//! Reading: a segment as its header and the entries after it.

use mezz_core::event::Event;
use mezz_core::time::Now;

use crate::entry::{Entry, Header};
use crate::frame::{self, Frame};
use crate::hash::Outcome;

/// What each segment begins with.
pub(crate) const MAGIC: &[u8; 16] = b"mezz recording\n\0";

/// The version of the format. It goes up whenever entries or the state of the core are written otherwise than before.
pub const VERSION: u32 = 1;

/// Why bytes are no segment, or do not go on as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("this is no recording of a master")]
    NoRecording,
    #[error("the recording is of version {found}, and this program knows versions up to {VERSION}")]
    NewerVersion { found: u32 },
    #[error("the recording is of version {found}, and this program reads version {VERSION} only")]
    OlderVersion { found: u32 },
    #[error("the recording was cut short before its first event")]
    CutShort,
    #[error("the bytes at offset {offset} are not those that were recorded")]
    Corrupt { offset: usize },
    #[error("the entry at offset {offset} makes no sense: {reason}")]
    Undecodable { offset: usize, reason: String },
}

/// An entry after the header.
#[derive(Debug)]
pub enum Item {
    /// `outcome` is unset when the core did not survive the event.
    Event {
        now: Now,
        event: Box<Event>,
        outcome: Option<Outcome>,
    },
    /// The hash of the records.
    Checkpoint(u64),
    /// The hash of the whole core.
    End(u64),
    /// The writer was killed within an entry; nothing follows.
    Torn { offset: usize },
}

/// One segment and the place up to which it was read.
#[derive(Debug)]
pub struct Segment<'a> {
    header: Header,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Segment<'a> {
    /// Reads the header.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let offset = MAGIC.len() + size_of::<u32>();
        let Some((head, _)) = bytes.split_at_checked(offset) else {
            let begun = MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]);
            return Err(if begun {
                ReadError::CutShort
            } else {
                ReadError::NoRecording
            });
        };
        let version = head
            .strip_prefix(MAGIC)
            .and_then(|version| version.first_chunk())
            .ok_or(ReadError::NoRecording)?;
        match u32::from_le_bytes(*version) {
            VERSION => {}
            found if found > VERSION => return Err(ReadError::NewerVersion { found }),
            found => return Err(ReadError::OlderVersion { found }),
        }
        let (entry, _, next) = match frame::read(bytes, offset) {
            Frame::Whole { payload, next } => decode(payload, offset, next)?,
            Frame::Corrupt => return Err(ReadError::Corrupt { offset }),
            Frame::Torn | Frame::End => return Err(ReadError::CutShort),
        };
        let Entry::Header(header) = entry else {
            return Err(undecodable(offset, "a segment begins with its header"));
        };
        Ok(Self {
            header,
            bytes,
            at: next,
        })
    }

    /// Where it belongs, and the core before its first event.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next entry; none after the last.
    pub fn next_item(&mut self) -> Result<Option<Item>, ReadError> {
        let offset = self.at;
        let (entry, rest, next) = match frame::read(self.bytes, offset) {
            Frame::End => return Ok(None),
            Frame::Torn => {
                self.at = self.bytes.len();
                return Ok(Some(Item::Torn { offset }));
            }
            Frame::Corrupt => return Err(ReadError::Corrupt { offset }),
            Frame::Whole { payload, next } => decode(payload, offset, next)?,
        };
        self.at = next;
        Ok(Some(match entry {
            Entry::Header(_) => return Err(undecodable(offset, "a second header")),
            Entry::Event { now, event } => Item::Event {
                now,
                event: Box::new(event),
                outcome: outcome(rest, offset)?,
            },
            Entry::Checkpoint { records } => Item::Checkpoint(records),
            Entry::End { state } => Item::End(state),
        }))
    }
}

fn outcome(rest: &[u8], offset: usize) -> Result<Option<Outcome>, ReadError> {
    if rest.is_empty() {
        return Ok(None);
    }
    match postcard::take_from_bytes(rest) {
        Ok((outcome, [])) => Ok(Some(outcome)),
        Ok(_) => Err(undecodable(offset, "bytes are left over")),
        Err(error) => Err(undecodable(offset, error.to_string())),
    }
}

fn decode(payload: &[u8], offset: usize, next: usize) -> Result<(Entry, &[u8], usize), ReadError> {
    match postcard::take_from_bytes(payload) {
        Ok((entry, rest)) => Ok((entry, rest, next)),
        Err(error) => Err(undecodable(offset, error.to_string())),
    }
}

fn undecodable(offset: usize, reason: impl Into<String>) -> ReadError {
    ReadError::Undecodable {
        offset,
        reason: reason.into(),
    }
}
