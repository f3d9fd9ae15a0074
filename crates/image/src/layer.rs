//! Layers: what a tar says, as entries with safe paths, and what whiteouts mean.

mod compression;
mod extended;
mod header;
mod path;
mod stream;
mod whiteout;

pub use compression::{Compression, decompressed};
pub use path::{LayerPath, PathFault};
pub use stream::{Entries, Entry, EntryKind, LayerError, Timestamp};
pub use whiteout::{Mark, mark};
