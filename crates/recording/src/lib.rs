//! What the flight recorder writes and how it is replayed: the format of a recording, the hashes in it, and the
//! comparison of a replay with what was recorded.
//!
//! It knows bytes and cores. It must never touch a file, a thread or a clock: those who write and read recordings do.

mod entry;
mod frame;
mod hash;
mod replay;
mod segment;
mod snapshot;
mod tape;

pub use entry::{Entry, Header};
pub use hash::{Outcome, RecordsHash};
pub use replay::{Difference, Divergence, Left, Replay, ReplayError, Watcher};
pub use segment::{Item, ReadError, Segment, VERSION};
pub use snapshot::{Snapshot, TooLarge, UnpackError, hash_state};
pub use tape::{Tape, begin_segment, checkpoint, end_segment};
