//! What waits between the core thread and the thread that writes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mezz_core::Master;
use mezz_core::records::Records;
use mezz_recording::Tape;

/// Whether events are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    #[default]
    Recording,
    /// The writer is behind: nothing is recorded until it has caught up and a new segment begins.
    Behind,
    /// The state does not fit into the ring: nothing is recorded until it has shrunk.
    TooLarge,
    /// The writer has given up.
    Ended,
}

/// What the writer is given, in order.
#[derive(Debug)]
pub(crate) enum Message {
    Events(Vec<u8>),
    /// The records after the events so far.
    Checkpoint(Box<Records>),
    /// A new segment begins with this core.
    Segment {
        core: Box<Master>,
        events_before: u64,
        /// Whether nothing is missing between the last segment and this one.
        follows: bool,
    },
    /// The core after the last event.
    Finish(Box<Master>),
}

/// What the core thread learns when it hands events over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub(crate) standing: Standing,
    /// How many bytes of events a segment has.
    pub(crate) segment_bytes: u64,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    waiting_bytes: usize,
    segment_bytes: u64,
    closed: bool,
    /// Unless it is behind.
    standing: Standing,
}

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

impl Queue {
    /// A queue for segments with so many bytes of events, until the writer says otherwise.
    pub(crate) fn new(segment_bytes: u64) -> Self {
        let state = State {
            segment_bytes,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            filled: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is on the tape, unless more than `most` bytes already wait: then it is dropped.
    pub(crate) fn push_events(&self, tape: &mut Tape, most: usize) -> Queued {
        let mut state = self.lock();
        let was_empty = state.messages.is_empty();
        let standing = if state.standing != Standing::Recording {
            state.standing
        } else if state.waiting_bytes.saturating_add(tape.len()) > most {
            Standing::Behind
        } else {
            Standing::Recording
        };
        if standing == Standing::Recording {
            state.waiting_bytes += tape.len();
            if let Some(Message::Events(bytes)) = state.messages.back_mut() {
                tape.append_to(bytes);
            } else {
                let mut bytes = Vec::new();
                tape.append_to(&mut bytes);
                state.messages.push_back(Message::Events(bytes));
            }
        } else {
            tape.append_to(&mut Vec::new());
        }
        let segment_bytes = state.segment_bytes;
        drop(state);
        self.wake(was_empty);
        Queued {
            standing,
            segment_bytes,
        }
    }

    pub(crate) fn push(&self, message: Message) {
        let mut state = self.lock();
        let was_empty = state.messages.is_empty();
        if state.standing == Standing::TooLarge && matches!(message, Message::Segment { .. }) {
            state.standing = Standing::Recording;
        }
        if state.standing == Standing::Recording {
            state.messages.push_back(message);
        }
        drop(state);
        self.wake(was_empty);
    }

    fn wake(&self, was_empty: bool) {
        if was_empty {
            self.filled.notify_all();
        }
    }

    /// Whether the writer has taken everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().messages.is_empty()
    }

    /// Nothing more comes.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Nothing more is taken: at all, or until a segment begins.
    pub(crate) fn refuse(&self, standing: Standing) {
        let mut state = self.lock();
        state.standing = standing;
        state.messages.clear();
        state.waiting_bytes = 0;
    }

    pub(crate) fn set_segment_bytes(&self, bytes: u64) {
        self.lock().segment_bytes = bytes;
    }

    /// Everything that waits, once there is something; nothing when nothing more comes.
    pub(crate) fn take(&self) -> Option<VecDeque<Message>> {
        let mut state = self.lock();
        while state.messages.is_empty() {
            if state.closed {
                return None;
            }
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting_bytes = 0;
        Some(std::mem::take(&mut state.messages))
    }

    /// Lets more come together before it is taken.
    pub(crate) fn rest(&self, time: Duration) {
        let state = self.lock();
        let waited = self
            .filled
            .wait_timeout_while(state, time, |state| !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
