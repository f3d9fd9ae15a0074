//! The thread that writes: events as they come, hashes and snapshots that it computes itself, one file after the other.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mezz_core::Master;
use mezz_recording::{
    Header, RecordsHash, Snapshot, TooLarge, begin_segment, checkpoint, end_segment, hash_state,
};

use super::queue::{Message, Queue, Standing};
use super::shares::Shares;
use super::{RecorderOptions, ring};

/// Between two writes: what a kill can cost, and how often an idle master's disk is touched at most.
const REST: Duration = Duration::from_millis(20);

/// The processor is given up at least this often.
const TURN: Duration = Duration::from_micros(50);

/// So many bytes go into one write.
const WRITE: usize = 64 << 10;

pub(super) struct Writer {
    folder: PathBuf,
    shares: Shares,
    run: u64,
    queue: Arc<Queue>,
    segments: u32,
    file: Option<File>,
    records: RecordsHash,
}

impl Writer {
    pub(super) fn new(options: &RecorderOptions, run: u64, queue: Arc<Queue>) -> io::Result<Self> {
        ring::make_folder(&options.folder)?;
        Ok(Self {
            folder: options.folder.clone(),
            shares: Shares::of(options.max_bytes),
            run,
            queue,
            segments: 0,
            file: None,
            records: RecordsHash::default(),
        })
    }

    pub(super) fn run(mut self) {
        crate::readers::with_low_priority();
        while let Some(messages) = self.queue.take() {
            for message in messages {
                if let Err(reason) = self.write(message) {
                    tracing::warn!(%reason, "the flight recorder stops");
                    return self.queue.refuse(Standing::Ended);
                }
            }
            self.queue.rest(REST);
        }
    }

    fn write(&mut self, message: Message) -> io::Result<()> {
        match message {
            Message::Events(bytes) => self.append(&bytes)?,
            Message::Checkpoint(records) => {
                let hash = self.records.update_in_steps(&records, &mut giving_way());
                self.append(&checkpoint(hash))?;
            }
            Message::Segment {
                core,
                events_before,
                follows,
            } => self.begin(*core, events_before, follows)?,
            Message::Finish(core) => {
                if self.file.is_some() {
                    self.append(&end_segment(hash_state(&core)))?;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, core: Master, events_before: u64, follows: bool) -> io::Result<()> {
        let was_recording = self.file.is_some();
        let snapshot =
            match Snapshot::of_at_most(&core, self.shares.most_packed(), &mut giving_way()) {
                Ok(snapshot) => snapshot,
                Err(too_large) => return self.pause(&core, follows, too_large),
            };
        if follows {
            self.append(&end_segment(snapshot.hash))?;
        } else if !was_recording && self.segments > 0 {
            tracing::info!(events_before, "the flight recorder goes on");
        }
        self.queue
            .set_segment_bytes(self.shares.events_after(&snapshot));
        // The records of the last segment are held for the hash alone: what is new is counted from this state.
        self.records
            .update_in_steps(core.records(), &mut giving_way());
        self.file = Some(ring::create(&self.folder, self.run, self.segments)?);
        ring::trim(&self.folder, self.shares.older_than(&snapshot))?;
        let header = Header {
            run: self.run,
            segment: self.segments,
            events_before,
            program: core_version(),
            snapshot,
        };
        self.segments += 1;
        self.append(&begin_segment(header))
    }

    /// A state that does not fit ends the segment before it; what is in the ring stays.
    fn pause(&mut self, core: &Master, follows: bool, too_large: TooLarge) -> io::Result<()> {
        if follows {
            self.append(&end_segment(hash_state(core)))?;
        }
        self.file = None;
        self.queue.refuse(Standing::TooLarge);
        tracing::warn!(
            packed_bytes = too_large.packed_bytes,
            enough = Shares::enough_for(too_large.packed_bytes),
            "the state of the master does not fit into half of --recorder-size: nothing is recorded until it has shrunk"
        );
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut give_way = giving_way();
        for part in bytes.chunks(WRITE) {
            file.write_all(part)?;
            give_way();
        }
        Ok(())
    }
}

/// What is called between small steps: now and then it lets whoever waits for a processor have it. A thread of low priority that has one would else keep it for its slice,
/// which is as long as a dozen launches.
fn giving_way() -> impl FnMut() {
    let mut last = Instant::now();
    move || {
        if last.elapsed() >= TURN {
            std::thread::yield_now();
            last = Instant::now();
        }
    }
}

fn core_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
