//! The entries of a tar, one after the other, with caps on everything that has to be held in memory.
//!
//! Owns no file: it reads whatever gives bytes, and never more of them than an entry says it has.

use std::io::{self, Read};

use thiserror::Error;

use super::extended::Extended;
use super::header::{BLOCK, Fault, Header};
use super::path::{LayerPath, PathFault};
use crate::limits::Limits;

/// Why a tar is no layer.
#[derive(Debug, Error)]
pub enum LayerError {
    /// The bytes cannot be had, or not be unpacked.
    #[error("the layer cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It breaks off.
    #[error("the layer ends in the midst of an entry")]
    Truncated,
    /// A block that is no header where one has to be.
    #[error("the layer is no tar: a header has a wrong checksum")]
    Checksum,
    /// A field that is no number, or is out of range.
    #[error("the {0} of an entry is not valid")]
    Number(&'static str),
    /// Bytes after the end that could be read as more entries.
    #[error("the layer has entries after its end")]
    AfterEnd,
    /// A path that is not safe.
    #[error("the path '{path}' is refused: {fault}")]
    Path {
        /// As it is in the tar.
        path: String,
        /// Why.
        fault: PathFault,
    },
    /// A hard link whose target is not safe.
    #[error("the hard link '{path}' to '{target}' is refused: {fault}")]
    HardLink {
        /// The link.
        path: String,
        /// As it is in the tar.
        target: String,
        /// Why.
        fault: PathFault,
    },
    /// A symbolic link that leads nowhere.
    #[error("the symbolic link '{0}' has no target, or one that no link can have")]
    SymbolicLink(String),
    /// Long names or attributes above their cap.
    #[error("an entry has {0} bytes of names and attributes, the limit is {1}")]
    HeaderTooLarge(u64, u64),
    /// A PAX header that is none.
    #[error("the extended header of an entry is not valid")]
    Extended,
    /// More entries than a layer may have.
    #[error("the layer has more than {0} entries")]
    TooManyEntries(u64),
    /// An entry of a kind that no layer has.
    #[error("'{path}' is of the kind {kind:?}, which is not supported in layers")]
    Kind {
        /// The entry.
        path: String,
        /// The letter of its header.
        kind: char,
    },
    /// A sparse file.
    #[error(
        "'{0}' is a sparse file in the form of GNU tar, which is not supported: write the layer without --sparse"
    )]
    Sparse(String),
}

impl From<Fault> for LayerError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Checksum | Fault::Number("checksum") => Self::Checksum,
            Fault::Number(field) => Self::Number(field),
        }
    }
}

/// Seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// May lie before.
    pub seconds: i64,
    /// Always forward.
    pub nanoseconds: u32,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file of so many bytes.
    File(u64),
    /// Another name for a file of the layer.
    HardLink(LayerPath),
    /// A link to wherever.
    SymbolicLink(Vec<u8>),
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A character device with its numbers.
    CharacterDevice(u32, u32),
    /// A block device with its numbers.
    BlockDevice(u32, u32),
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub path: LayerPath,
    /// What.
    pub kind: EntryKind,
    /// Permission bits, with set-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When it was changed.
    pub modified: Timestamp,
    /// Extended attributes.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads entries; as a reader it gives the content of the last one.
#[derive(Debug)]
pub struct Entries<R> {
    from: R,
    limits: Limits,
    /// Of the content of the present entry, not yet read.
    left: u64,
    /// After that content.
    padding: u64,
    count: u64,
    ended: bool,
}

impl<R: Read> Entries<R> {
    /// Of the unpacked tar.
    pub fn new(from: R, limits: &Limits) -> Self {
        Self {
            from,
            limits: limits.clone(),
            left: 0,
            padding: 0,
            count: 0,
            ended: false,
        }
    }

    /// The next entry, `None` at the end; what is unread of the one before is passed over.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, LayerError> {
        let mut extended = Extended::default();
        loop {
            self.pass_over()?;
            let Some(block) = self.header_block()? else {
                return Ok(None);
            };
            let header = Header::read(&block)?;
            self.count += 1;
            if self.count > self.limits.layer_entries {
                return Err(LayerError::TooManyEntries(self.limits.layer_entries));
            }
            match header.kind() {
                b'x' => {
                    let bytes = self.extension(&header, &mut extended)?;
                    extended.read(&bytes)?;
                }
                b'L' => extended.path = Some(self.long_name(&header, &mut extended)?),
                b'K' => extended.link = Some(self.long_name(&header, &mut extended)?),
                // Says something about no entry.
                b'g' => drop(self.extension(&header, &mut extended)?),
                _ => return self.entry(&header, extended).map(Some),
            }
        }
    }

    /// The reader beneath, which stands behind the last block that was read.
    pub fn into_inner(self) -> R {
        self.from
    }

    /// The reader beneath, which stands where the content of the present entry begins until that is read.
    pub fn get_ref(&self) -> &R {
        &self.from
    }

    fn pass_over(&mut self) -> Result<(), LayerError> {
        let all = self.left + self.padding;
        let passed = io::copy(&mut self.from.by_ref().take(all), &mut io::sink())?;
        if passed < all {
            return Err(LayerError::Truncated);
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>, LayerError> {
        if self.ended {
            return Ok(None);
        }
        let Some(block) = self.block()? else {
            self.ended = true;
            return Ok(None);
        };
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        self.ended = true;
        match self.block()? {
            Some(next) if next != [0; BLOCK] => Err(LayerError::AfterEnd),
            _ => Ok(None),
        }
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, LayerError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.from.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(LayerError::Truncated),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(block))
    }

    fn begin(&mut self, size: u64) -> Result<(), LayerError> {
        const UNIT: u64 = BLOCK as u64;
        if size > self.limits.layer_bytes {
            return Err(LayerError::Number("size"));
        }
        self.left = size;
        self.padding = (UNIT - size % UNIT) % UNIT;
        Ok(())
    }

    fn extension(
        &mut self,
        header: &Header<'_>,
        extended: &mut Extended,
    ) -> Result<Vec<u8>, LayerError> {
        let size = header.size()?;
        extended.bytes = extended.bytes.saturating_add(size);
        if extended.bytes > self.limits.header_bytes {
            let limit = self.limits.header_bytes;
            return Err(LayerError::HeaderTooLarge(extended.bytes, limit));
        }
        self.begin(size)?;
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn long_name(
        &mut self,
        header: &Header<'_>,
        extended: &mut Extended,
    ) -> Result<Vec<u8>, LayerError> {
        let mut name = self.extension(header, extended)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn entry(&mut self, header: &Header<'_>, extended: Extended) -> Result<Entry, LayerError> {
        let raw = extended.path.unwrap_or_else(|| header.path());
        let shown = || String::from_utf8_lossy(&raw).into_owned();
        let path = LayerPath::new(&raw, &self.limits).map_err(|fault| {
            let path = shown();
            LayerError::Path { path, fault }
        })?;
        if extended.sparse || header.kind() == b'S' {
            return Err(LayerError::Sparse(shown()));
        }
        let link = extended.link.unwrap_or_else(|| header.link());
        let kind = match header.kind() {
            b'0' | 0 | b'7' if raw.ends_with(b"/") => EntryKind::Directory,
            b'0' | 0 | b'7' => {
                let size = extended.size.map_or_else(|| header.size(), Ok)?;
                self.begin(size)?;
                EntryKind::File(size)
            }
            b'1' => EntryKind::HardLink(self.target(&shown(), &link)?),
            b'2' => {
                let fits = !link.is_empty() && !link.contains(&0);
                if !fits || link.len() >= self.limits.path_bytes {
                    return Err(LayerError::SymbolicLink(shown()));
                }
                EntryKind::SymbolicLink(link)
            }
            kind @ (b'3' | b'4') => {
                let (major, minor) = header.device()?;
                if kind == b'3' {
                    EntryKind::CharacterDevice(major, minor)
                } else {
                    EntryKind::BlockDevice(major, minor)
                }
            }
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            kind => {
                let (path, kind) = (shown(), char::from(kind));
                return Err(LayerError::Kind { path, kind });
            }
        };
        let seconds = || {
            let nanoseconds = 0;
            header.mtime().map(|seconds| Timestamp {
                seconds,
                nanoseconds,
            })
        };
        Ok(Entry {
            path,
            kind,
            mode: header.mode()? & 0o7777,
            uid: extended.uid.map_or_else(|| header.uid(), Ok)?,
            gid: extended.gid.map_or_else(|| header.gid(), Ok)?,
            modified: extended.modified.map_or_else(seconds, Ok)?,
            attributes: extended.attributes,
        })
    }

    fn target(&self, path: &str, link: &[u8]) -> Result<LayerPath, LayerError> {
        LayerPath::new(link, &self.limits).map_err(|fault| LayerError::HardLink {
            path: path.to_owned(),
            target: String::from_utf8_lossy(link).into_owned(),
            fault,
        })
    }
}

impl<R: Read> Read for Entries<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.from.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
