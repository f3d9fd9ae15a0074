//! What of a run is written down: each life of the master as its flight recorder would, and what agents and masters
//! said to each other.

use mezz_core::Master;
use mezz_core::effect::Effect;
use mezz_core::event::Event;
use mezz_core::time::Now;
use mezz_recording::{
    Header, RecordsHash, Snapshot, Tape, begin_segment, checkpoint, end_segment, hash_state,
};

use crate::schedule::End;
use crate::world::World;

const EVENTS_PER_CHECKPOINT: u64 = 64;

/// What was written down.
#[derive(Debug, Default)]
pub struct Recorded {
    /// One recording for each life of the master.
    pub lives: Vec<Vec<u8>>,
    /// Every frame between agents and masters: to whom, and its bytes.
    pub frames: Vec<(End, Vec<u8>)>,
}

/// The recording of the life that is under way.
#[derive(Debug)]
pub(crate) struct Life {
    tape: Tape,
    hash: RecordsHash,
    bytes: Vec<u8>,
    events: u64,
}

impl Life {
    pub(crate) fn begin(life: u64, core: &Master) -> Self {
        let header = Header {
            run: life,
            segment: 0,
            events_before: 0,
            program: "sim".into(),
            snapshot: Snapshot::of(core),
        };
        Self {
            tape: Tape::default(),
            hash: RecordsHash::default(),
            bytes: begin_segment(header),
            events: 0,
        }
    }

    pub(crate) fn before(&mut self, now: Now, event: &Event) {
        self.tape.begin(now, event);
    }

    pub(crate) fn after(&mut self, effects: &[Effect], core: &Master) {
        self.tape.end(effects);
        self.tape.append_to(&mut self.bytes);
        self.events += 1;
        if self.events.is_multiple_of(EVENTS_PER_CHECKPOINT) {
            let hash = self.hash.update(core.records());
            self.bytes.extend(checkpoint(hash));
        }
    }

    pub(crate) fn end(mut self, core: &Master) -> Vec<u8> {
        self.bytes.extend(end_segment(hash_state(core)));
        self.bytes
    }
}

impl World {
    /// The life of the master is over, and with it its recording.
    pub(crate) fn finish_recording(&mut self) {
        if let (Some(core), Some(recording)) = (&self.master.core, self.master.recording.take()) {
            self.recorded.lives.push(recording.end(core));
        }
    }
}
