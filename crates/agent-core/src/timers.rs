//! All deadlines of the agent behind one wake-up.

use crate::checks::Purpose;
use crate::model::{ExecutorKey, TaskKey};
use std::collections::{BTreeMap, BTreeSet};

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    /// Dial the master again.
    Dial,
    /// The master has been silent for too long.
    MasterSilence,
    /// Executors of an earlier life have had their time.
    RecoveryWait,
    /// Send an update again.
    UpdateRetry(TaskKey),
    /// The command before a task's end has had its time.
    PreStop(ExecutorKey),
    /// A command task has had its grace.
    KillGrace(ExecutorKey),
    /// A task is to be probed, or its probe has had its time.
    Probe(TaskKey, Purpose),
    /// A task has run for as long as it may.
    Completion(TaskKey),
    /// A custom executor has had its time to subscribe.
    ExecutorRegistration(ExecutorKey),
    /// A custom executor has had its time to end.
    ExecutorShutdown(ExecutorKey),
    /// A custom executor is due a heartbeat.
    ExecutorHeartbeat(ExecutorKey),
}

/// The deadlines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    deadlines: BTreeMap<TimerKey, u64>,
    queue: BTreeSet<(u64, TimerKey)>,
    armed: Option<u64>,
}

impl Timers {
    /// Sets or moves a deadline.
    pub(crate) fn set(&mut self, key: TimerKey, mono_ns: u64) {
        if let Some(old) = self.deadlines.insert(key, mono_ns) {
            self.queue.remove(&(old, key));
        }
        self.queue.insert((mono_ns, key));
    }

    pub(crate) fn cancel(&mut self, key: TimerKey) {
        if let Some(old) = self.deadlines.remove(&key) {
            self.queue.remove(&(old, key));
        }
    }

    pub(crate) fn deadline(&self, key: TimerKey) -> Option<u64> {
        self.deadlines.get(&key).copied()
    }

    /// Takes the earliest deadline that has passed.
    pub(crate) fn pop_due(&mut self, mono_ns: u64) -> Option<TimerKey> {
        let (deadline, key) = *self.queue.first()?;
        if deadline > mono_ns {
            return None;
        }
        self.queue.pop_first();
        self.deadlines.remove(&key);
        Some(key)
    }

    /// Both orders hold the same.
    pub(crate) fn check(&self) -> Result<(), String> {
        let queued = |(key, at): (&TimerKey, &u64)| self.queue.contains(&(*at, *key));
        if self.queue.len() == self.deadlines.len() && self.deadlines.iter().all(queued) {
            Ok(())
        } else {
            Err("the queue of timers does not hold their deadlines".to_owned())
        }
    }

    /// The shell's timer has fired.
    pub(crate) fn disarm(&mut self) {
        self.armed = None;
    }

    /// The wake-up to ask for, if an earlier one than that already asked for is needed.
    pub(crate) fn arm(&mut self) -> Option<u64> {
        let (first, _) = *self.queue.first()?;
        if self.armed.is_some_and(|armed| armed <= first) {
            return None;
        }
        self.armed = Some(first);
        Some(first)
    }
}
