//! A core within a recording: packed, with its hash, made and read in pieces so that a large one is never held twice.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use mezz_core::{Master, RestoreError};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// A core as [`Master::snapshot`] writes it, packed by zlib.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The hash of the unpacked bytes.
    pub hash: u64,
    /// How many bytes these are.
    pub length: u64,
    /// The packed bytes.
    pub packed: Bytes,
}

/// So many bytes are packed in one step, in about a twentieth of a millisecond.
const STEP: usize = 8 << 10;

/// A core is larger than it may be, packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state has {packed_bytes} bytes, packed")]
pub struct TooLarge {
    pub packed_bytes: u64,
}

/// Why there is no core in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    #[error("its state cannot be unpacked: {0}")]
    Packed(String),
    #[error("its state is not the one that was written")]
    Other,
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

impl Snapshot {
    /// Packs a core.
    pub fn of(core: &Master) -> Self {
        Self::of_at_most(core, u64::MAX, &mut || {}).expect("there is no limit")
    }

    /// Packs a core, unless that takes more bytes than so many: how many it takes is told then. There is a call between
    /// any two small steps.
    pub fn of_at_most(
        core: &Master,
        most_bytes: u64,
        step: &mut dyn FnMut(),
    ) -> Result<Self, TooLarge> {
        let mut hash = Xxh3::new();
        let mut length = 0;
        let mut packer = ZlibEncoder::new(Bounded::new(most_bytes), Compression::fast());
        core.write_snapshot(&mut |piece| {
            hash.update(piece);
            length += piece.len() as u64;
            for part in piece.chunks(STEP) {
                packer
                    .write_all(part)
                    .expect("memory takes what it is given");
                step();
            }
        });
        let packed = packer.finish().expect("memory takes what it is given");
        if packed.written > most_bytes {
            return Err(TooLarge {
                packed_bytes: packed.written,
            });
        }
        Ok(Self {
            hash: hash.digest(),
            length,
            packed: packed.kept.into(),
        })
    }

    /// The core.
    pub fn restore(&self) -> Result<Master, UnpackError> {
        let mut bytes = Vec::new();
        ZlibDecoder::new(&*self.packed)
            .take(self.length.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| UnpackError::Packed(error.to_string()))?;
        if bytes.len() as u64 != self.length || hash(&bytes) != self.hash {
            return Err(UnpackError::Other);
        }
        Ok(Master::from_snapshot(&bytes)?)
    }
}

/// The hash of a whole core: that of its snapshot's unpacked bytes.
pub fn hash_state(core: &Master) -> u64 {
    let mut hash = Xxh3::new();
    core.write_snapshot(&mut |piece| hash.update(piece));
    hash.digest()
}

fn hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// Bytes of which more than a limit are counted and not kept.
struct Bounded {
    kept: Vec<u8>,
    written: u64,
    most: u64,
}

impl Bounded {
    fn new(most: u64) -> Self {
        Self {
            kept: Vec::new(),
            written: 0,
            most,
        }
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written += bytes.len() as u64;
        if self.written > self.most {
            self.kept = Vec::new();
        } else {
            self.kept.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
