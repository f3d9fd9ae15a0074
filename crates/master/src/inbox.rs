//! The bounded queue in front of the core thread.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mezz_core::effect::Reply;
use mezz_core::event::Event;
use mezz_core::key::{RequestKey, SessionKey, StreamKey};
use tokio::sync::{Notify, oneshot};

use crate::agent_sessions::SessionSink;
use crate::scheduler_stream::SchedulerStream;

/// Calls and messages wait at their senders when this many inputs are queued.
const CAPACITY: usize = 16_384;

/// What reaches the core thread.
pub(crate) enum Input {
    /// An event without an answer.
    Event(Event),
    /// A call, and where its reply goes.
    Call {
        request: RequestKey,
        event: Event,
        reply: oneshot::Sender<Reply>,
    },
    /// A scheduler stream was opened; the event is its SUBSCRIBE.
    Stream {
        key: StreamKey,
        stream: SchedulerStream,
        event: Event,
    },
    /// An agent's channel was opened.
    Session { key: SessionKey, sink: SessionSink },
    /// Leadership is lost: end the thread.
    StepDown(String),
    /// End the thread.
    Stop,
}

#[derive(Default)]
struct Queue {
    inputs: Vec<Input>,
    parked: bool,
    /// The core has ended: whoever waits for a reply learns it at once.
    closed: bool,
}

/// The queue itself.
#[derive(Default)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    filled: Condvar,
    room: Notify,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an input that cannot wait: completions, closures. Their number is bounded by what they complete.
    pub(crate) fn push(&self, input: Input) {
        let mut queue = self.lock();
        if !queue.closed {
            queue.inputs.push(input);
            self.wake(queue);
        }
    }

    /// Queues inputs of a client or an agent, waiting while the queue is full.
    pub(crate) async fn send_all(&self, inputs: &mut Vec<Input>) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let mut queue = self.lock();
                if queue.closed {
                    return inputs.clear();
                }
                if queue.inputs.len() < CAPACITY {
                    queue.inputs.append(inputs);
                    return self.wake(queue);
                }
            }
            room.await;
        }
    }

    /// Queues one input of a client, waiting while the queue is full.
    pub(crate) async fn send(&self, input: Input) {
        if let Some(input) = self.try_send(input) {
            self.send_all(&mut vec![input]).await;
        }
    }

    /// Gives the input back when the queue is full.
    fn try_send(&self, input: Input) -> Option<Input> {
        let mut queue = self.lock();
        if queue.closed {
            return None;
        }
        if queue.inputs.len() >= CAPACITY {
            return Some(input);
        }
        queue.inputs.push(input);
        self.wake(queue);
        None
    }

    /// Drops everything queued and whatever comes: the core has ended.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        let dropped = std::mem::take(&mut queue.inputs);
        drop(queue);
        drop(dropped);
        self.room.notify_waiters();
    }

    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        let parked = std::mem::take(&mut queue.parked);
        drop(queue);
        if parked {
            self.filled.notify_one();
        }
    }

    /// Takes everything, parking until there is something or the deadline has passed.
    pub(crate) fn take(&self, deadline: Option<Instant>, into: &mut Vec<Input>) {
        let mut queue = self.lock();
        while queue.inputs.is_empty() {
            queue.parked = true;
            match deadline {
                None => {
                    queue = self
                        .filled
                        .wait(queue)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        queue.parked = false;
                        return;
                    }
                    queue = self
                        .filled
                        .wait_timeout(queue, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
        }
        queue.parked = false;
        let was_full = queue.inputs.len() >= CAPACITY;
        std::mem::swap(&mut queue.inputs, into);
        drop(queue);
        if was_full {
            self.room.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_ends_the_wait_of_an_empty_queue() {
        let inbox = Inbox::default();
        let mut taken = Vec::new();
        inbox.take(Some(Instant::now()), &mut taken);
        assert!(taken.is_empty());
        inbox.push(Input::Stop);
        inbox.take(None, &mut taken);
        assert_eq!(taken.len(), 1);
    }
}
