//! The thread that writes: events as they come, hashes and snapshots that it computes itself, one file after the other.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mezz_core::Master;
use mezz_recording::{Header, RecordsHash, begin_segment, checkpoint, end_segment, hash_snapshot};

use super::queue::{Message, Queue};
use super::{RecorderOptions, SEGMENTS, ring};

/// Between two writes: what a kill can cost, and how often an idle master's disk is touched at most.
const REST: Duration = Duration::from_millis(20);

pub(super) struct Writer {
    folder: PathBuf,
    max_bytes: u64,
    run: u64,
    queue: Arc<Queue>,
    segments: u32,
    file: Option<File>,
    records: RecordsHash,
}

/// Why a recording ends before its master.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(
        "the state of the master alone has {snapshot_bytes} bytes: a larger --recorder-size keeps it"
    )]
    StateTooLarge { snapshot_bytes: u64 },
}

impl Writer {
    pub(super) fn new(options: &RecorderOptions, run: u64, queue: Arc<Queue>) -> io::Result<Self> {
        ring::make_folder(&options.folder)?;
        Ok(Self {
            folder: options.folder.clone(),
            max_bytes: options.max_bytes,
            run,
            queue,
            segments: 0,
            file: None,
            records: RecordsHash::default(),
        })
    }

    pub(super) fn run(mut self) {
        while let Some(messages) = self.queue.take() {
            for message in messages {
                if let Err(reason) = self.write(message) {
                    tracing::warn!(%reason, "the flight recorder stops");
                    return self.queue.end();
                }
            }
            self.queue.rest(REST);
        }
    }

    fn write(&mut self, message: Message) -> Result<(), Stopped> {
        match message {
            Message::Events(bytes) => self.append(&bytes)?,
            Message::Checkpoint(records) => {
                let hash = self.records.update(&records);
                self.append(&checkpoint(hash))?;
            }
            Message::Segment {
                core,
                events_before,
                follows,
            } => self.begin(*core, events_before, follows)?,
            Message::Finish(core) => {
                let hash = hash_snapshot(&core.snapshot());
                self.append(&end_segment(hash))?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, core: Master, events_before: u64, follows: bool) -> Result<(), Stopped> {
        let snapshot = core.snapshot();
        if follows {
            self.append(&end_segment(hash_snapshot(&snapshot)))?;
        }
        let snapshot_bytes = snapshot.len() as u64;
        if snapshot_bytes > self.max_bytes / 4 {
            return Err(Stopped::StateTooLarge { snapshot_bytes });
        }
        self.queue.set_snapshot_bytes(snapshot_bytes);
        // The records of the last segment are held for the hash alone: what is new is counted from this state.
        self.records.update(core.records());
        let header = Header {
            run: self.run,
            segment: self.segments,
            events_before,
            program: core_version(),
            snapshot: snapshot.into(),
        };
        self.file = Some(ring::create(&self.folder, self.run, self.segments)?);
        self.segments += 1;
        self.append(&begin_segment(header))?;
        // A segment is its snapshot and at least as many bytes of events.
        let room = (self.max_bytes / SEGMENTS).max(2 * snapshot_bytes);
        ring::trim(&self.folder, self.max_bytes.saturating_sub(room))?;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Ok(()),
        }
    }
}

fn core_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
