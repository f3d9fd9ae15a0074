//! The file of what runs and of exits that nobody has acknowledged yet: a start is written before it is told, an exit
//! before its child is reaped; both are read after a restart.
//!
//! It survives the death of the warden, not of the machine: nothing is synced. Must never refuse to be opened
//! because its end is torn.

use crate::adoption::Started;
use crate::frames::{EXIT_BYTES, decode_exit, encode_exit};
use crate::protocol::Exit;
use mezz_launch_plan::LaunchId;
use mezz_launch_plan::wire::{Reader, Writer};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The name of the file in the work directory.
const FILE_NAME: &str = "warden-exits.log";
/// What the file begins with.
const HEADER: &[u8] = b"mezz exits 2\n";
/// The same before starts were written down.
const EARLIER_HEADER: &[u8] = b"mezz exits 1\n";
/// The size from which on it is worth while to drop what was acknowledged.
const COMPACT_BYTES: u64 = 1 << 20;

const EXIT: u8 = 1;
const ACKNOWLEDGED: u8 = 2;
const STARTED: u8 = 3;

/// What the log says of an earlier life.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) exits: Vec<Exit>,
    pub(crate) running: Vec<Started>,
}

/// The open log.
#[derive(Debug)]
pub(crate) struct ExitLog {
    path: PathBuf,
    file: File,
    bytes: u64,
    pending: Vec<u8>,
}

impl ExitLog {
    /// Opens or makes the log and returns what ran, and the exits that are not acknowledged.
    pub(crate) fn open(work_dir: &Path) -> io::Result<(Self, Logged)> {
        fs::create_dir_all(work_dir)?;
        let path = work_dir.join(FILE_NAME);
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let found = replay(&content);
        // Written anew, so that a torn end never stands between old and new records.
        let mut log = Self {
            file: open(&path)?,
            path,
            bytes: 0,
            pending: Vec::new(),
        };
        log.rewrite(&found)?;
        Ok((log, found))
    }

    /// Goes on with a log whose records are all in the caller's memory, after a re-execution.
    pub(crate) fn reopen(work_dir: &Path) -> io::Result<Self> {
        let path = work_dir.join(FILE_NAME);
        let file = open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self {
            path,
            file,
            bytes,
            pending: Vec::new(),
        })
    }

    /// Removes the file.
    pub(crate) fn remove(&self) {
        // Whoever removes the folder does it otherwise.
        let _ = fs::remove_file(&self.path);
    }

    /// Adds a start to the next write.
    pub(crate) fn started(&mut self, started: &Started) {
        record_started(&mut self.pending, started);
    }

    /// Adds an exit to the next write.
    pub(crate) fn exited(&mut self, exit: &Exit) {
        record(&mut self.pending, EXIT, |w| encode_exit(exit, w));
    }

    /// Adds an acknowledgement to the next write.
    pub(crate) fn acknowledged(&mut self, launch_id: LaunchId) {
        record(&mut self.pending, ACKNOWLEDGED, |w| w.u64(launch_id.0));
    }

    /// Writes everything added since the last time, at once.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let result = self.file.write_all(&self.pending);
        self.bytes += self.pending.len() as u64;
        self.pending.clear();
        result
    }

    /// Whether it has grown enough to be looked at.
    pub(crate) fn is_long(&self) -> bool {
        self.bytes >= COMPACT_BYTES
    }

    /// Drops acknowledged records when they are the larger part.
    pub(crate) fn compact(&mut self, kept: &Logged) -> io::Result<()> {
        /// A start with its paths, roughly.
        const START_BYTES: usize = 256;
        let live = kept.exits.len() * (EXIT_BYTES + 5) + kept.running.len() * START_BYTES;
        if self.bytes < live as u64 * 2 {
            Ok(())
        } else {
            self.rewrite(kept)
        }
    }

    fn rewrite(&mut self, kept: &Logged) -> io::Result<()> {
        let mut content = HEADER.to_vec();
        for started in &kept.running {
            record_started(&mut content, started);
        }
        for exit in &kept.exits {
            record(&mut content, EXIT, |w| encode_exit(exit, w));
        }
        let new = self.path.with_extension("log.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&content)?;
        fs::rename(&new, &self.path)?;
        self.file = open(&self.path)?;
        self.bytes = content.len() as u64;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Appends a kind, a body and a sum over both.
fn record(buffer: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Writer<'_>)) {
    let start = buffer.len();
    buffer.push(kind);
    body(&mut Writer::new(buffer));
    let sum = checksum(&buffer[start..]);
    buffer.extend_from_slice(&sum.to_le_bytes());
}

/// FNV-1a: tells a torn record from a whole one.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Of a length of its own, which comes after the kind.
fn record_started(buffer: &mut Vec<u8>, started: &Started) {
    record(buffer, STARTED, |w| {
        let mut body = Vec::new();
        started.encode(&mut Writer::new(&mut body));
        w.bytes(&body);
    });
}

fn replay(content: &[u8]) -> Logged {
    let (mut exits, mut running) = (BTreeMap::new(), BTreeMap::new());
    let stripped = content
        .strip_prefix(HEADER)
        .or_else(|| content.strip_prefix(EARLIER_HEADER));
    let mut rest = stripped.unwrap_or_default();
    while let Some((kind, body, tail)) = next_record(rest) {
        let mut reader = Reader::new(body);
        match kind {
            STARTED => {
                let started = reader.bytes("started").and_then(|bytes| {
                    let mut inner = Reader::new(bytes);
                    Started::decode(&mut inner)
                });
                // What cannot be read cannot be taken up; the agent misses it.
                if let Ok(started) = started {
                    running.insert(started.id, started);
                }
            }
            EXIT => {
                let Ok(exit) = decode_exit(&mut reader) else {
                    break;
                };
                running.remove(&exit.launch_id);
                exits.insert(exit.launch_id, exit);
            }
            _ => {
                if let Ok(id) = reader.u64("acknowledged") {
                    exits.remove(&LaunchId(id));
                    running.remove(&LaunchId(id));
                }
            }
        }
        rest = tail;
    }
    Logged {
        exits: exits.into_values().collect(),
        running: running.into_values().collect(),
    }
}

/// Kind and body of a whole record, and what follows it.
fn next_record(rest: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let kind = *rest.first()?;
    let length = match kind {
        EXIT => 1 + EXIT_BYTES,
        ACKNOWLEDGED => 1 + 8,
        STARTED => {
            let (count, _) = rest.get(1..)?.split_first_chunk::<4>()?;
            usize::try_from(u32::from_le_bytes(*count))
                .ok()?
                .checked_add(5)?
        }
        _ => return None,
    };
    let (record, tail) = rest.split_at_checked(length)?;
    let (sum, tail) = tail.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*sum) == checksum(record)).then_some((kind, &record[1..], tail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ExitStatus;

    fn exit(id: u64) -> Exit {
        let status = ExitStatus::Exited(3);
        Exit {
            launch_id: LaunchId(id),
            pid: 7,
            status,
            user_us: 1,
            system_us: 2,
            max_rss_kib: 3,
            at_us: 4,
        }
    }

    #[test]
    fn exits_come_back_until_they_are_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, found) = ExitLog::open(dir.path()).unwrap();
        assert_eq!(found, Logged::default());
        for id in 1..=3 {
            log.exited(&exit(id));
        }
        log.write().unwrap();
        log.acknowledged(LaunchId(2));
        log.write().unwrap();
        drop(log);
        assert_eq!(
            ExitLog::open(dir.path()).unwrap().1.exits,
            [exit(1), exit(3)]
        );
    }

    #[test]
    fn a_torn_end_costs_only_the_torn_record_and_nothing_that_follows() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = ExitLog::open(dir.path()).unwrap();
        log.exited(&exit(1));
        log.exited(&exit(2));
        log.write().unwrap();
        let path = log.path.clone();
        let length = fs::metadata(&path).unwrap().len();
        OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(length - 3)
            .unwrap();
        let (mut log, found) = ExitLog::open(dir.path()).unwrap();
        assert_eq!(found.exits, [exit(1)]);
        log.exited(&exit(5));
        log.write().unwrap();
        assert_eq!(
            ExitLog::open(dir.path()).unwrap().1.exits,
            [exit(1), exit(5)]
        );
    }

    #[test]
    fn a_log_of_acknowledged_exits_shrinks() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = ExitLog::open(dir.path()).unwrap();
        let kept = Logged {
            exits: vec![exit(0)],
            running: Vec::new(),
        };
        log.exited(&kept.exits[0]);
        for id in 1..20_000 {
            log.exited(&exit(id));
            log.acknowledged(LaunchId(id));
        }
        log.write().unwrap();
        assert!(log.is_long());
        log.compact(&kept).unwrap();
        assert!(fs::metadata(&log.path).unwrap().len() < 200);
        assert_eq!(ExitLog::open(dir.path()).unwrap().1, kept);
    }
}
