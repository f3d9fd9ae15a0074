//! The cache of fetched files: one download for all who want the same file, kept within a size.
//!
//! Owns the cache's folder, which is empty at every start. It never hands out a file that is not whole, never removes
//! one that is in use, and forgets a download that failed, so that the next one who asks starts anew.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::source::{Meter, copy_into};
use super::{FetchCounters, FetchError, FetchSettings};

/// What is reserved at a time while nobody knows how much will come.
const STEP: u64 = 4 << 20;

/// Users do not see each other's files: a server may answer each differently.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) user: Option<String>,
    pub(super) uri: String,
}

#[derive(Clone, Debug)]
enum Outcome {
    Underway,
    Ready,
    NoRoom,
    Failed(Arc<str>),
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    /// Known when the file is whole.
    size: Option<u64>,
    users: usize,
    last_use: u64,
    outcome: watch::Receiver<Outcome>,
    abandon: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Inside {
    entries: BTreeMap<Key, Entry>,
    used: u64,
    turn: u64,
}

/// The files and who uses them.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    space: u64,
    inside: Mutex<Inside>,
    counters: Arc<FetchCounters>,
}

impl Cache {
    /// Begins with an empty folder: what an earlier life left cannot be trusted to be whole.
    pub(crate) fn open(
        folder: PathBuf,
        space: u64,
        counters: Arc<FetchCounters>,
    ) -> io::Result<Self> {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if space > 0 {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)?;
        }
        counters.cache_total.store(space, Ordering::Relaxed);
        Ok(Self {
            folder,
            space,
            inside: Mutex::default(),
            counters,
        })
    }

    /// Removes everything, at the agent's end.
    pub(crate) fn clear(&self) {
        // The next start does it otherwise.
        let _ = fs::remove_dir_all(&self.folder);
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file, downloaded by whoever asked first; `None` if there is no room for it.
    pub(super) async fn get(
        self: &Arc<Self>,
        settings: &Arc<FetchSettings>,
        key: Key,
    ) -> Result<Option<Lease>, FetchError> {
        if self.space == 0 {
            return Ok(None);
        }
        let (lease, mut outcome) = self.lease(settings, key);
        let outcome = outcome
            .wait_for(|outcome| !matches!(outcome, Outcome::Underway))
            .await
            .map_or_else(
                |_| Outcome::Failed("the download was given up".into()),
                |outcome| outcome.clone(),
            );
        match outcome {
            Outcome::Ready => Ok(Some(lease)),
            Outcome::Underway | Outcome::NoRoom => Ok(None),
            Outcome::Failed(message) => Err(FetchError::Shared(message)),
        }
    }

    fn lease(
        self: &Arc<Self>,
        settings: &Arc<FetchSettings>,
        key: Key,
    ) -> (Lease, watch::Receiver<Outcome>) {
        let mut inside = self.lock();
        inside.turn += 1;
        let turn = inside.turn;
        let lease = |serial, key| Lease {
            cache: Arc::clone(self),
            key,
            serial,
        };
        if let Some(entry) = inside.entries.get_mut(&key) {
            entry.users += 1;
            entry.last_use = turn;
            return (lease(entry.serial, key), entry.outcome.clone());
        }
        let (tell, outcome) = watch::channel(Outcome::Underway);
        let (abandon, abandoned) = watch::channel(false);
        let entry = Entry {
            serial: turn,
            size: None,
            users: 1,
            last_use: turn,
            outcome: outcome.clone(),
            abandon,
        };
        inside.entries.insert(key.clone(), entry);
        let room = Arc::new(Room {
            cache: Arc::clone(self),
            key: key.clone(),
            serial: turn,
            abandoned,
            reserved: AtomicU64::new(0),
            written: AtomicU64::new(0),
            kept: AtomicBool::new(false),
        });
        tokio::spawn(download(Arc::clone(settings), room, tell));
        (lease(turn, key), outcome)
    }

    /// Makes room by removing what was used longest ago; all or nothing.
    fn reserve(&self, bytes: u64) -> bool {
        let mut inside = self.lock();
        let evictable: u64 = idle(&inside).map(|(_, _, size)| size).sum();
        let free = self.space.saturating_sub(inside.used);
        if bytes > free + evictable {
            return false;
        }
        while self.space - inside.used < bytes {
            let oldest = idle(&inside).min_by_key(|(last_use, _, _)| *last_use);
            let Some(key) = oldest.map(|(_, key, _)| key.clone()) else {
                return false;
            };
            self.evict(&mut inside, &key);
        }
        inside.used += bytes;
        self.show(&inside);
        true
    }

    fn evict(&self, inside: &mut Inside, key: &Key) {
        if let Some(entry) = inside.entries.remove(key) {
            inside.used -= entry.size.unwrap_or(0);
            self.remove_file(entry.serial);
        }
    }

    fn give_back(&self, bytes: u64) {
        let mut inside = self.lock();
        inside.used -= bytes;
        self.show(&inside);
    }

    fn show(&self, inside: &Inside) {
        self.counters
            .cache_used
            .store(inside.used, Ordering::Relaxed);
    }

    fn file(&self, serial: u64) -> PathBuf {
        self.folder.join(serial.to_string())
    }

    fn remove_file(&self, serial: u64) {
        let path = self.file(serial);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "cannot remove a file of the fetcher cache");
            }
            _ => {}
        }
    }
}

/// Whole files that nobody uses: last use, key and size.
fn idle(inside: &Inside) -> impl Iterator<Item = (u64, &Key, u64)> {
    inside.entries.iter().filter_map(|(key, entry)| {
        let size = entry.size.filter(|_| entry.users == 0)?;
        Some((entry.last_use, key, size))
    })
}

/// Somebody uses a file, or waits for it.
#[derive(Debug)]
pub(super) struct Lease {
    cache: Arc<Cache>,
    key: Key,
    serial: u64,
}

impl Lease {
    /// Where the file lies.
    pub(super) fn path(&self) -> PathBuf {
        self.cache.file(self.serial)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut inside = self.cache.lock();
        let Some(entry) = inside.entries.get_mut(&self.key) else {
            return;
        };
        if entry.serial != self.serial {
            return;
        }
        entry.users -= 1;
        if entry.users == 0 && entry.size.is_none() {
            entry.abandon.send_replace(true);
            inside.entries.remove(&self.key);
        }
    }
}

/// A download's place in the cache. What was not kept is given back and removed with it.
#[derive(Debug)]
struct Room {
    cache: Arc<Cache>,
    key: Key,
    serial: u64,
    abandoned: watch::Receiver<bool>,
    reserved: AtomicU64,
    written: AtomicU64,
    kept: AtomicBool,
}

impl Room {
    fn reserve_up_to(&self, bytes: u64) -> Result<(), FetchError> {
        let reserved = self.reserved.load(Ordering::Relaxed);
        let more = bytes.saturating_sub(reserved);
        if more > 0 {
            if !self.cache.reserve(more) {
                return Err(FetchError::NoRoom);
            }
            self.reserved.store(reserved + more, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The file is whole; whoever waits may have it.
    fn keep(&self) -> Result<(), FetchError> {
        let mut inside = self.cache.lock();
        let (reserved, written) = (
            self.reserved.load(Ordering::Relaxed),
            self.written.load(Ordering::Relaxed),
        );
        let entry = inside
            .entries
            .get_mut(&self.key)
            .filter(|entry| entry.serial == self.serial)
            .ok_or(FetchError::Canceled)?;
        entry.size = Some(written);
        inside.used -= reserved - written;
        self.cache.show(&inside);
        self.kept.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The next one who asks begins anew.
    fn forget(&self) {
        let mut inside = self.cache.lock();
        let ours = |entry: &Entry| entry.serial == self.serial;
        if inside.entries.get(&self.key).is_some_and(ours) {
            inside.entries.remove(&self.key);
        }
    }
}

impl Meter for Room {
    fn expect(&self, bytes: u64) -> Result<(), FetchError> {
        self.reserve_up_to(bytes)
    }

    fn count(&self, bytes: usize) -> Result<(), FetchError> {
        if *self.abandoned.borrow() {
            return Err(FetchError::Canceled);
        }
        let written = self.written.load(Ordering::Relaxed) + bytes as u64;
        if written > self.reserved.load(Ordering::Relaxed) {
            self.reserve_up_to(written + STEP)
                .or_else(|_| self.reserve_up_to(written))?;
        }
        self.written.store(written, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Relaxed) {
            self.forget();
            self.cache.remove_file(self.serial);
            self.cache.give_back(self.reserved.load(Ordering::Relaxed));
        }
    }
}

/// One download for everybody who waits; it ends early when nobody does any more.
async fn download(settings: Arc<FetchSettings>, room: Arc<Room>, tell: watch::Sender<Outcome>) {
    let path = room.cache.file(room.serial);
    let mut abandoned = room.abandoned.clone();
    let brought = tokio::select! {
        brought = copy_into(&settings, &room, &room.key.uri, move || create(&path)) => brought,
        _ = abandoned.wait_for(|abandoned| *abandoned) => Err(FetchError::Canceled),
    };
    let outcome = match brought.and_then(|()| room.keep()) {
        Ok(()) => Outcome::Ready,
        Err(FetchError::NoRoom) => Outcome::NoRoom,
        Err(error) => Outcome::Failed(error.to_string().into()),
    };
    if !matches!(outcome, Outcome::Ready) {
        room.forget();
    }
    tell.send_replace(outcome);
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}
