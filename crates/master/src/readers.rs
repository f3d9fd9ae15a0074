//! The threads that render large answers: in the processors' spare time, and steadily where there is none.
//!
//! They never hold up the threads that move the cluster on.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// How much a piece may get in the way of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Not at all: it is made when a processor has nothing else to do.
    InSpareTime,
    /// A little: one thread of lower priority.
    Steady,
}

/// The threads; they start when they are first needed.
#[derive(Default)]
pub(crate) struct Readers {
    in_spare_time: OnceLock<Arc<Queue>>,
    steady: OnceLock<Arc<Queue>>,
}

#[derive(Default)]
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    filled: Condvar,
}

impl Queue {
    fn push(&self, job: Job) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.push_back(job);
        drop(jobs);
        self.filled.notify_one();
    }

    /// A job that nobody has begun.
    fn left(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.pop_front()
    }

    fn work(&self) {
        loop {
            let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            let job = loop {
                match jobs.pop_front() {
                    Some(job) => break job,
                    None => {
                        jobs = self
                            .filled
                            .wait(jobs)
                            .unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            drop(jobs);
            job();
        }
    }
}

impl Readers {
    fn queue(&self, pace: Pace) -> &Arc<Queue> {
        match pace {
            Pace::InSpareTime => self
                .in_spare_time
                .get_or_init(|| start(threads_in_spare_time(), only_in_spare_time)),
            Pace::Steady => self.steady.get_or_init(|| start(1, with_low_priority)),
        }
    }

    /// Has a piece made.
    pub(crate) fn render(
        &self,
        pace: Pace,
        piece: Box<dyn FnOnce() -> Bytes + Send>,
    ) -> oneshot::Receiver<Bytes> {
        let (sender, receiver) = oneshot::channel();
        self.queue(pace).push(Box::new(move || {
            let _ = sender.send(piece());
        }));
        receiver
    }

    /// Gives the steady thread what waits for spare time.
    pub(crate) fn take_over(&self) {
        let waiting = Arc::clone(self.queue(Pace::InSpareTime));
        self.queue(Pace::Steady).push(Box::new(move || {
            while let Some(job) = waiting.left() {
                job();
            }
        }));
    }
}

pub(crate) fn threads_in_spare_time() -> usize {
    std::thread::available_parallelism()
        .map_or(2, usize::from)
        .clamp(2, 8)
}

/// What a thread does that must not get in anybody's way. Where the kernel does not allow it, it is merely less polite.
pub(crate) fn only_in_spare_time() {
    with_low_priority();
    let _ = mezz_warden::scheduling::run_in_spare_time();
}

/// Lets others go first, though not always.
pub(crate) fn with_low_priority() {
    let _ = rustix::process::nice(10);
}

fn start(threads: usize, begin: fn()) -> Arc<Queue> {
    let queue = Arc::new(Queue::default());
    for _ in 0..threads {
        let queue = Arc::clone(&queue);
        let started = std::thread::Builder::new()
            .name("master-reader".into())
            .spawn(move || {
                begin();
                queue.work();
            });
        if let Err(error) = started {
            tracing::warn!(%error, "a thread for large answers cannot be started");
        }
    }
    queue
}
