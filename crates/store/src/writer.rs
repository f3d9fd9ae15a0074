//! The writer thread: one queue, one order, many batches to a durable transaction.
//!
//! While a transaction is being made durable, further batches gather in the queue and form the next
//! group, so a lone batch is never held back and a flood shares its syncs.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use crate::engine::{self, Engine, Reader, Transaction, Verdict};
use crate::{
    Backup, Batch, Committed, Completion, Entry, Epoch, Key, Outcome, RESTORE_EPOCH_STEP, Store,
    StoreError, Version,
};

/// The most batches in one transaction; bounds what one sync may delay.
const GROUP_BATCHES: usize = 4096;

/// Called with the new epoch.
pub(crate) type EpochCompletion = Box<dyn FnOnce(Result<Epoch, StoreError>) + Send>;

enum Command {
    Commit(Batch, Completion),
    AdvanceEpoch(EpochCompletion),
    Restore(Box<Backup>, EpochCompletion),
    Stop,
}

/// A store whose writes go through a thread of its own.
#[derive(Debug)]
pub(crate) struct QueuedStore {
    reader: Box<dyn Reader>,
    queue: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl QueuedStore {
    pub(crate) fn start(
        name: &str,
        engine: impl Engine,
        reader: impl Reader + 'static,
    ) -> std::io::Result<Self> {
        let (queue, commands) = mpsc::channel();
        let mut writer = Writer {
            engine,
            ended: None,
        };
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || writer.run(&commands))?;
        Ok(Self {
            reader: Box::new(reader),
            queue,
            thread: Some(thread),
        })
    }

    /// Adds one to the epoch, after everything queued so far.
    pub(crate) fn advance_epoch(&self, completion: EpochCompletion) {
        if let Err(mpsc::SendError(Command::AdvanceEpoch(completion))) =
            self.queue.send(Command::AdvanceEpoch(completion))
        {
            completion(Err(StoreError::Closed));
        }
    }
}

impl Store for QueuedStore {
    fn submit(&self, batch: Batch, completion: Completion) {
        if let Err(mpsc::SendError(Command::Commit(batch, completion))) =
            self.queue.send(Command::Commit(batch, completion))
        {
            completion(Outcome {
                token: batch.token,
                result: Err(StoreError::Closed),
            });
        }
    }

    fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        self.reader.get(key)
    }

    fn scan(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.reader.scan(prefix)
    }

    fn epoch(&self) -> Result<Epoch, StoreError> {
        self.reader.epoch()
    }

    fn backup(&self) -> Result<Backup, StoreError> {
        let (epoch, entries) = self.reader.snapshot()?;
        Ok(Backup { epoch, entries })
    }

    fn restore(&self, backup: Backup) -> Result<Epoch, StoreError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let completion: EpochCompletion = Box::new(move |result| drop(sender.send(result)));
        self.queue
            .send(Command::Restore(Box::new(backup), completion))
            .map_err(|_| StoreError::Closed)?;
        receiver.recv().map_err(|_| StoreError::Closed)?
    }
}

impl Drop for QueuedStore {
    fn drop(&mut self) {
        // The thread is gone already when this fails.
        let _ = self.queue.send(Command::Stop);
        if let Some(thread) = self.thread.take()
            // A completion may hold the last handle: the writer cannot wait for itself.
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread panicked");
        }
    }
}

struct Writer<E> {
    engine: E,
    /// The epoch in which a batch has failed.
    ended: Option<Epoch>,
}

impl<E: Engine> Writer<E> {
    fn run(&mut self, commands: &mpsc::Receiver<Command>) {
        let mut pending = VecDeque::new();
        while let Ok(first) = commands.recv() {
            pending.push_back(first);
            pending.extend(commands.try_iter().take(GROUP_BATCHES));
            let mut group = Vec::new();
            for command in pending.drain(..) {
                match command {
                    Command::Commit(batch, completion) => group.push((batch, completion)),
                    other => {
                        self.commit_group(std::mem::take(&mut group));
                        match other {
                            Command::AdvanceEpoch(completion) => completion(self.advance_epoch()),
                            Command::Restore(backup, completion) => {
                                completion(self.restore(&backup));
                            }
                            Command::Commit(..) | Command::Stop => return,
                        }
                    }
                }
            }
            self.commit_group(group);
        }
    }

    fn commit_group(&mut self, group: Vec<(Batch, Completion)>) {
        if group.is_empty() {
            return;
        }
        let mut results = Vec::with_capacity(group.len());
        let ended_before = self.ended;
        let ended = &mut self.ended;
        let durable = self.engine.transact(&mut |transaction| {
            results.clear();
            *ended = ended_before;
            for (batch, _) in &group {
                results.push(judge(transaction, batch, ended)?);
            }
            let wrote = group
                .iter()
                .zip(&results)
                .any(|((batch, _), r)| r.is_ok() && !batch.operations.is_empty());
            Ok(if wrote {
                Verdict::Commit
            } else {
                Verdict::Discard
            })
        });
        if let Err(error) = durable {
            tracing::error!(%error, batches = group.len(), "a group of batches was not made durable");
            self.ended = group
                .iter()
                .map(|(batch, _)| batch.epoch)
                .max()
                .max(ended_before);
            results = group.iter().map(|_| Err(error.clone())).collect();
        }
        for ((batch, completion), result) in group.into_iter().zip(results) {
            completion(Outcome {
                token: batch.token,
                result,
            });
        }
    }

    fn advance_epoch(&mut self) -> Result<Epoch, StoreError> {
        let mut next = Epoch::default();
        self.engine.transact(&mut |transaction| {
            next = Epoch(transaction.epoch()?.0 + 1);
            transaction.set_epoch(next)?;
            Ok(Verdict::Commit)
        })?;
        Ok(next)
    }

    fn restore(&mut self, backup: &Backup) -> Result<Epoch, StoreError> {
        let mut next = Epoch::default();
        self.engine.transact(&mut |transaction| {
            next = Epoch(transaction.epoch()?.max(backup.epoch).0 + RESTORE_EPOCH_STEP);
            transaction.set_epoch(next)?;
            transaction.clear()?;
            // A new version for all: nobody's remembered version may match a restored value.
            let version = Version(transaction.revision()?.0 + 1);
            transaction.set_revision(version)?;
            for entry in &backup.entries {
                transaction.put(&entry.key, version, &entry.value)?;
            }
            Ok(Verdict::Commit)
        })?;
        Ok(next)
    }
}

/// The fate of one batch inside a group; the outer error ends the whole group.
fn judge(
    transaction: &mut dyn Transaction,
    batch: &Batch,
    ended: &mut Option<Epoch>,
) -> Result<Result<Committed, StoreError>, StoreError> {
    if *ended == Some(batch.epoch) {
        // A fenced writer should hear that it is fenced, not that an earlier batch failed.
        let stored = transaction.epoch()?;
        return Ok(Err(if batch.epoch < stored {
            StoreError::Fenced {
                batch: batch.epoch,
                stored,
            }
        } else {
            StoreError::EpochEnded { epoch: batch.epoch }
        }));
    }
    match engine::apply(transaction, batch) {
        Ok(committed) => Ok(Ok(committed)),
        Err(error) if engine::concerns_only_the_batch(&error) => {
            if !matches!(
                error,
                StoreError::Fenced { .. } | StoreError::UnknownEpoch { .. }
            ) {
                *ended = Some(batch.epoch);
            }
            Ok(Err(error))
        }
        Err(error) => Err(error),
    }
}
