//! The journal file: framed records with checksums, one append per batch, rewritten from a snapshot when long.
//!
//! Owns framing and durability. It must never know what a record means.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use mezz_agent_core::{Durability, Record, RecordError};
use mezz_warden::crash_point;

const MAGIC: &[u8; 8] = b"MEZZJNL1";
const HEAD_BYTES: usize = 8;
/// A journal shorter than this is never rewritten.
const REWRITE_BYTES: u64 = 16 << 20;
/// Longer records are a sign of damage.
const MAX_RECORD_BYTES: usize = 64 << 20;

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be used.
    #[error("journal {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else lies in its place.
    #[error("{} is not a journal of this version", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// A record with a good checksum makes no sense.
    #[error("journal {} at byte {offset}: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: usize,
        /// Why.
        source: RecordError,
    },
}

/// The open journal, or nothing for an agent that keeps nothing.
#[derive(Debug)]
pub(crate) struct Journal {
    place: Option<Place>,
    buffer: Vec<u8>,
    length: u64,
    rewritten_length: u64,
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// A journal that forgets everything.
    pub(crate) fn forgetting() -> Self {
        Self {
            place: None,
            buffer: Vec::new(),
            length: 0,
            rewritten_length: 0,
        }
    }

    /// Opens or makes the journal, reads what is in it, and cuts off a torn end.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<Record>), JournalError> {
        let failed = |source| JournalError::Io {
            path: path.to_owned(),
            source,
        };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let (records, good) = read_records(path, &bytes)?;
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        if good < bytes.len() {
            tracing::warn!(path = %path.display(), lost_bytes = bytes.len() - good, "the journal has a torn end; cut off");
            file.set_len(good as u64).map_err(failed)?;
        }
        let mut length = good as u64;
        if length == 0 {
            file.write_all(MAGIC).map_err(failed)?;
            length = MAGIC.len() as u64;
        }
        let place = Some(Place {
            path: path.to_owned(),
            file,
        });
        Ok((
            Self {
                place,
                buffer: Vec::new(),
                length,
                rewritten_length: length,
            },
            records,
        ))
    }

    /// Adds a record to the batch in hand.
    pub(crate) fn add(&mut self, record: &Record) {
        if self.place.is_some() {
            append_frame(record, &mut self.buffer);
        }
    }

    /// Writes the batch.
    pub(crate) fn commit(&mut self, durability: Durability) -> Result<(), JournalError> {
        let Some(place) = &mut self.place else {
            return Ok(());
        };
        if self.buffer.is_empty() {
            return Ok(());
        }
        crash_point("agent.before_journal");
        let written = place
            .file
            .write_all(&self.buffer)
            .and_then(|()| match durability {
                Durability::Written => Ok(()),
                Durability::Synced => place.file.sync_data(),
            });
        written.map_err(|source| JournalError::Io {
            path: place.path.clone(),
            source,
        })?;
        crash_point("agent.after_journal");
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        if self.buffer.capacity() > 4 << 20 {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Whether a snapshot would make it much shorter.
    pub(crate) fn is_long(&self) -> bool {
        self.place.is_some() && self.length > REWRITE_BYTES.max(4 * self.rewritten_length)
    }

    /// Replaces everything by a snapshot: written beside, synced, renamed.
    pub(crate) fn rewrite(&mut self, records: &[Record]) -> Result<(), JournalError> {
        let Some(place) = &mut self.place else {
            return Ok(());
        };
        let mut bytes = MAGIC.to_vec();
        for record in records {
            append_frame(record, &mut bytes);
        }
        let failed = |source| JournalError::Io {
            path: place.path.clone(),
            source,
        };
        let beside = place.path.with_extension("new");
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .map_err(failed)?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_data())
            .map_err(failed)?;
        crash_point("agent.before_journal_rename");
        fs::rename(&beside, &place.path).map_err(failed)?;
        crash_point("agent.after_journal_rename");
        if let Some(directory) = place.path.parent() {
            File::open(directory)
                .and_then(|directory| directory.sync_all())
                .map_err(failed)?;
        }
        place.file = OpenOptions::new()
            .append(true)
            .open(&place.path)
            .map_err(failed)?;
        self.length = bytes.len() as u64;
        self.rewritten_length = self.length;
        Ok(())
    }
}

fn append_frame(record: &Record, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    record.encode(out);
    let length =
        u32::try_from(out.len() - start - HEAD_BYTES).expect("a record is shorter than 4 GiB");
    let sum = checksum(&out[start + HEAD_BYTES..]);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// The records and how many bytes of the file hold them.
fn read_records(path: &Path, bytes: &[u8]) -> Result<(Vec<Record>, usize), JournalError> {
    let mut records = Vec::new();
    if bytes.len() < MAGIC.len() {
        return if MAGIC.starts_with(bytes) {
            Ok((records, 0))
        } else {
            Err(JournalError::NotAJournal {
                path: path.to_owned(),
            })
        };
    }
    if &bytes[..MAGIC.len()] != MAGIC {
        return Err(JournalError::NotAJournal {
            path: path.to_owned(),
        });
    }
    let mut at = MAGIC.len();
    while let Some(body) = frame_at(bytes, at) {
        let record = Record::decode(body).map_err(|source| JournalError::Record {
            path: path.to_owned(),
            offset: at,
            source,
        })?;
        records.push(record);
        at += HEAD_BYTES + body.len();
    }
    Ok((records, at))
}

fn frame_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let head = bytes.get(at..at + HEAD_BYTES)?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let sum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if length > MAX_RECORD_BYTES {
        return None;
    }
    let body = bytes.get(at + HEAD_BYTES..at + HEAD_BYTES + length)?;
    (length > 0 && checksum(body) == sum).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(epoch: u64) -> Record {
        Record::Identity {
            agent: None,
            cluster_id: Some("c".into()),
            epoch,
            boot_id: "b".into(),
        }
    }

    #[test]
    fn what_was_written_is_read_back_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, records) = Journal::open(&path).unwrap();
        assert!(records.is_empty());
        for epoch in 0..3 {
            journal.add(&identity(epoch));
        }
        journal.commit(Durability::Synced).unwrap();
        let (_, records) = Journal::open(&path).unwrap();
        assert_eq!(records, [identity(0), identity(1), identity(2)]);
    }

    #[test]
    fn a_torn_end_is_cut_off_and_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.add(&identity(1));
        journal.add(&identity(2));
        journal.commit(Durability::Written).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let (mut journal, records) = Journal::open(&path).unwrap();
            assert!(records.len() < 2);
            journal.add(&identity(3));
            journal.commit(Durability::Written).unwrap();
            let (_, records) = Journal::open(&path).unwrap();
            assert_eq!(records.last(), Some(&identity(3)));
        }
    }

    #[test]
    fn a_rewritten_journal_holds_the_snapshot_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        for epoch in 0..100 {
            journal.add(&identity(epoch));
        }
        journal.commit(Durability::Written).unwrap();
        journal.rewrite(&[identity(99)]).unwrap();
        journal.add(&identity(100));
        journal.commit(Durability::Written).unwrap();
        let (_, records) = Journal::open(&path).unwrap();
        assert_eq!(records, [identity(99), identity(100)]);
    }

    #[test]
    fn a_file_that_is_something_else_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        fs::write(&path, b"something else entirely").unwrap();
        assert!(matches!(
            Journal::open(&path),
            Err(JournalError::NotAJournal { .. })
        ));
    }
}
