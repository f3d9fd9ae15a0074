//! The entries of a recording.

use mezz_core::event::Event;
use mezz_core::time::Now;
use serde::{Deserialize, Serialize};

use crate::snapshot::Snapshot;

/// One entry: written with a borrowed event, read with an owned one. Variants are numbered by their order.
#[derive(Debug, Serialize, Deserialize)]
pub enum Entry<E = Event> {
    /// What a segment begins with: where it belongs, and the core before its first event.
    Header(Header),
    /// An event and its time; its [`Outcome`](crate::Outcome) follows the entry, unless the core did not survive the event.
    Event { now: Now, event: E },
    /// The hash of the records after the events so far.
    Checkpoint { records: u64 },
    /// The hash of the whole core after the last event of the segment.
    End { state: u64 },
}

/// The head of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Tells the runs of a master apart: the wall time of its start in nanoseconds.
    pub run: u64,
    /// Segments of a run are numbered from 0.
    pub segment: u32,
    /// Events of a run are numbered from 1; this many came before this segment.
    pub events_before: u64,
    /// The version of the program that recorded it.
    pub program: String,
    /// The core before its first event.
    pub snapshot: Snapshot,
}
