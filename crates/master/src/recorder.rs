//! The flight recorder: what the core takes in, kept in a bounded ring of files from which it can be replayed.
//!
//! The core thread only encodes; another thread writes. It must never hold up or end a master: when the disk is slow or
//! the state too large for the ring, it is the recording that has a gap; when the disk is full, it ends.

mod allowance;
mod queue;
mod ring;
mod shares;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use mezz_core::Master;
use mezz_core::effect::Effect;
use mezz_core::event::Event;
use mezz_core::time::Now;
use mezz_recording::Tape;

pub use ring::segments;

use allowance::Allowance;
use queue::{Message, Queue, Standing};
use shares::Shares;
use writer::Writer;

/// The folder within a master's work folder.
pub const RECORDER_FOLDER: &str = "recorder";

/// The hash of the records is written after so many events.
const EVENTS_PER_CHECKPOINT: u64 = 1024;
/// More than this that waits for a slow disk is dropped.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// Where recordings go, and how much of them is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderOptions {
    /// The folder of the ring.
    pub folder: PathBuf,
    /// What all files of the ring may have together.
    pub max_bytes: u64,
}

/// The core thread's side.
#[derive(Debug)]
pub(crate) struct Recorder {
    tape: Tape,
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
    /// Events of this run, recorded or not.
    events: u64,
    last_checkpoint: u64,
    bytes_in_segment: u64,
    /// How many records the core had when the segment began.
    records: usize,
    standing: Standing,
    allowance: Allowance,
}

impl Recorder {
    /// Begins a recording of a core that has taken nothing in yet. `run` is the time at which it starts.
    pub(crate) fn start(
        options: &RecorderOptions,
        run: u64,
        core: &Master,
    ) -> std::io::Result<Self> {
        let shares = Shares::of(options.max_bytes);
        let queue = Arc::new(Queue::new(shares.events_of_empty()));
        let writer = Writer::new(options, run, queue.clone())?;
        let thread = std::thread::Builder::new()
            .name("master-recorder".into())
            .spawn(move || writer.run())?;
        let mut recorder = Self {
            tape: Tape::default(),
            queue,
            writer: Some(thread),
            events: 0,
            last_checkpoint: 0,
            bytes_in_segment: 0,
            records: 0,
            standing: Standing::Behind,
            allowance: Allowance::from(Instant::now()),
        };
        recorder.begin_segment(core);
        Ok(recorder)
    }

    /// Notes an event that the core is about to handle.
    pub(crate) fn begin(&mut self, now: Now, event: &Event) {
        self.events += 1;
        if self.standing == Standing::Recording {
            self.tape.begin(now, event);
        }
    }

    /// Notes what came of it.
    pub(crate) fn end(&mut self, effects: &[Effect]) {
        self.tape.end(effects);
    }

    /// Hands over what was noted since the last time.
    pub(crate) fn settle(&mut self, core: &Master) {
        match self.standing {
            Standing::Recording => self.hand_over(core),
            Standing::Behind if self.queue.is_empty() && self.may_copy() => {
                self.begin_segment(core);
            }
            Standing::TooLarge if self.has_shrunk(core) && self.may_copy() => {
                self.begin_segment(core);
            }
            Standing::Behind | Standing::TooLarge | Standing::Ended => {}
        }
    }

    /// Whether it is worth another try: packing a large core costs time.
    fn has_shrunk(&self, core: &Master) -> bool {
        count(core) < self.records / 4 * 3
    }

    fn hand_over(&mut self, core: &Master) {
        let length = self.tape.len();
        if length == 0 {
            return;
        }
        let queued = self.queue.push_events(&mut self.tape, MAX_WAITING_BYTES);
        self.standing = queued.standing;
        self.bytes_in_segment += length as u64;
        if self.standing != Standing::Recording {
            return;
        }
        if self.bytes_in_segment > queued.segment_bytes {
            if self.may_copy() {
                self.begin_segment(core);
            } else {
                self.standing = Standing::Behind;
            }
        } else if self.events - self.last_checkpoint >= EVENTS_PER_CHECKPOINT {
            self.last_checkpoint = self.events;
            let records = Box::new(core.records().clone());
            self.queue.push(Message::Checkpoint(records));
        }
    }

    fn may_copy(&self) -> bool {
        self.allowance.is_left(Instant::now())
    }

    fn begin_segment(&mut self, core: &Master) {
        let started = Instant::now();
        self.queue.push(Message::Segment {
            core: Box::new(core.clone()),
            events_before: self.events,
            // One that was dropped in between makes a gap: the last segment has no end.
            follows: self.standing == Standing::Recording,
        });
        self.standing = Standing::Recording;
        self.bytes_in_segment = 0;
        self.records = count(core);
        self.last_checkpoint = self.events;
        self.allowance.spend(started, Instant::now());
    }

    /// Ends the recording with the state of the core, and waits until it is written.
    pub(crate) fn finish(mut self, core: Master) {
        self.settle(&core);
        if self.standing == Standing::Recording {
            self.queue.push(Message::Finish(Box::new(core)));
        }
    }
}

/// How many records a core has.
fn count(core: &Master) -> usize {
    let records = core.records();
    records.agents.len()
        + records.frameworks.len()
        + records.tasks.len()
        + records.executors.len()
        + records.offers.len()
        + records.pending.len()
        + records.roles.len()
}

/// When the core panics, this is all that is done: the event that it was handling is the last of the recording.
impl Drop for Recorder {
    fn drop(&mut self) {
        if self.standing == Standing::Recording && !self.tape.is_empty() {
            self.queue.push_events(&mut self.tape, usize::MAX);
        }
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been reported by its thread.
            let _ = writer.join();
        }
    }
}
