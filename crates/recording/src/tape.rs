//! Writing: events as the core takes them, and the entries between them.

use mezz_core::effect::Effect;
use mezz_core::event::Event;
use mezz_core::time::Now;
use serde::Serialize;

use crate::entry::{Entry, Header};
use crate::frame;
use crate::hash::Outcome;
use crate::segment::{MAGIC, VERSION};

/// The events that were not taken yet, encoded.
#[derive(Debug, Default)]
pub struct Tape {
    bytes: Vec<u8>,
    /// Where the event begins that the core is handling.
    open: Option<usize>,
    scratch: Vec<u8>,
    /// Events since the tape was last emptied.
    events: u32,
}

/// So many events in a row have all of their effects hashed, and then one in so many: hashing what they say costs as
/// much as encoding them.
const WHOLE: u32 = 8;

impl Tape {
    /// Notes an event that the core is about to handle.
    pub fn begin(&mut self, now: Now, event: &Event) {
        self.open = Some(frame::begin(&mut self.bytes));
        append(&mut self.bytes, &Entry::Event { now, event });
    }

    /// Notes what came of it.
    pub fn end(&mut self, effects: &[Effect]) {
        if let Some(start) = self.open.take() {
            let outcome = if self.events < WHOLE || self.events.is_multiple_of(WHOLE) {
                Outcome::whole(effects, &mut self.scratch)
            } else {
                Outcome::outline(effects, &mut self.scratch)
            };
            self.events += 1;
            append(&mut self.bytes, &outcome);
            frame::seal(&mut self.bytes, start);
        }
    }

    /// How many bytes wait to be taken.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing waits to be taken.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Moves everything noted since the last time. An event without an outcome is one that the core did not survive.
    pub fn append_to(&mut self, recording: &mut Vec<u8>) {
        if let Some(start) = self.open.take() {
            frame::seal(&mut self.bytes, start);
        }
        recording.append(&mut self.bytes);
        self.events = 0;
    }
}

/// The bytes with which a segment begins.
pub fn begin_segment(header: Header) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    append_frame(&mut bytes, &Entry::Header(header));
    bytes
}

/// The entry after events, with the hash of the records.
pub fn checkpoint(records: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    append_frame(&mut bytes, &Entry::Checkpoint { records });
    bytes
}

/// The last entry of a segment, with the hash of the whole core.
pub fn end_segment(state: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    append_frame(&mut bytes, &Entry::End { state });
    bytes
}

fn append_frame(bytes: &mut Vec<u8>, entry: &Entry<&Event>) {
    let start = frame::begin(bytes);
    append(bytes, entry);
    frame::seal(bytes, start);
}

fn append(bytes: &mut Vec<u8>, value: &impl Serialize) {
    *bytes = postcard::to_extend(value, std::mem::take(bytes)).expect("a vector grows as needed");
}
