//! Collection of sandboxes that are no longer used, by age and by how full the disk is.
//!
//! Owns when a sandbox is deleted, and the thread that does it. Deleting is paced: thousands of deletions at once slow
//! down everybody who makes files on the same file system.

mod pace;
mod removal;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::clock;
use crate::sandbox_folders;
use pace::{Going, Pace};

/// How the name of a sandbox begins whose removal was begun; no container can have such a name.
const ASIDE: &str = ".removed ";

/// How sandboxes are collected.
#[derive(Clone, Debug)]
pub(crate) struct GarbageSettings {
    pub(crate) work_dir: PathBuf,
    pub(crate) delay: Duration,
    pub(crate) headroom: f64,
    pub(crate) interval: Duration,
}

/// Totals for the metrics.
#[derive(Debug, Default)]
pub(crate) struct GarbageCounters {
    pub(crate) pending: AtomicU64,
    pub(crate) succeeded: AtomicU64,
    pub(crate) failed: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    /// Since when each is unused.
    waiting: BTreeSet<(SystemTime, PathBuf)>,
    stopped: bool,
}

#[derive(Debug)]
struct Shared {
    settings: GarbageSettings,
    queue: Mutex<Queue>,
    stop: Condvar,
    counters: Arc<GarbageCounters>,
}

/// Takes note of what is to be collected.
#[derive(Debug)]
pub(crate) struct GarbageCollector {
    shared: Arc<Shared>,
    started: SystemTime,
}

impl Drop for GarbageCollector {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.stop.notify_all();
    }
}

impl GarbageCollector {
    /// Starts collecting.
    pub(crate) fn start(
        settings: GarbageSettings,
        counters: Arc<GarbageCounters>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            settings,
            queue: Mutex::default(),
            stop: Condvar::new(),
            counters,
        });
        let collecting = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("sandbox-gc".to_owned())
            .spawn(move || collecting.collect())?;
        Ok(Self {
            shared,
            started: SystemTime::now(),
        })
    }

    /// A sandbox, relative to the work directory, has seen its last use.
    pub(crate) fn schedule(&self, sandbox: &str) {
        self.shared.insert(
            SystemTime::now(),
            self.shared.settings.work_dir.join(sandbox),
        );
    }

    /// Removes a sandbox, relative to the work directory: its name is free at once, the rest is done off this thread. No
    /// link on the way is followed.
    pub(crate) fn remove_now(&self, sandbox: &str) {
        let Some((parent, name)) = sandbox.rsplit_once('/') else {
            return;
        };
        let aside = format!("{ASIDE}{name}-{}", clock::now().mono_ns);
        let opened = sandbox_folders::open(&self.shared.settings.work_dir, parent);
        let moved = opened.and_then(|folder| {
            rustix::fs::renameat(&folder, name, &folder, &aside)?;
            Ok(folder)
        });
        let shared = Arc::clone(&self.shared);
        let remove = move |folder: &OwnedFd| {
            let mut pace = Pace::new(true, |rest| shared.rest(rest));
            if let Err(error) = removal::remove_in(folder, OsStr::new(&aside), &mut pace) {
                tracing::warn!(aside, %error, "cannot remove a sandbox");
                shared.counters.failed.fetch_add(1, Ordering::Relaxed);
            }
        };
        let spawned = moved.and_then(|folder| {
            let thread = std::thread::Builder::new().name("sandbox-remove".to_owned());
            thread.spawn(move || remove(&folder))
        });
        match spawned {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(sandbox, %error, "cannot remove a sandbox");
            }
            _ => {}
        }
    }

    /// Finds sandboxes of earlier lives, off this thread; those in `used` stay.
    pub(crate) fn adopt_leftovers(&self, used: BTreeSet<PathBuf>) -> io::Result<()> {
        let (shared, started) = (Arc::clone(&self.shared), self.started);
        let adopt = move || {
            let begun = folders(&shared.settings.work_dir.join("containers"));
            let is_aside = |path: &PathBuf| {
                let name = path.file_name().map(|name| name.to_string_lossy());
                name.is_some_and(|name| name.starts_with(ASIDE))
            };
            for path in begun.into_iter().filter(is_aside) {
                shared.insert(SystemTime::UNIX_EPOCH, path);
            }
            for path in sandboxes(&shared.settings.work_dir) {
                // What this life has made is told to us when its time has come.
                if !used.contains(&path) && made(&path).is_some_and(|made| made < started) {
                    shared.insert(last_use(&path).unwrap_or(started), path);
                }
            }
        };
        std::thread::Builder::new()
            .name("sandbox-gc-find".to_owned())
            .spawn(adopt)
            .map(drop)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, since: SystemTime, path: PathBuf) {
        let mut queue = self.lock();
        queue.waiting.insert((since, path));
        self.show(&queue);
    }

    fn show(&self, queue: &Queue) {
        self.counters
            .pending
            .store(queue.waiting.len() as u64, Ordering::Relaxed);
    }

    /// Sleeps unless, or until, there is an end to it.
    fn rest(&self, rest: Duration) -> Going {
        let queue = self.lock();
        let waited = self
            .stop
            .wait_timeout_while(queue, rest, |queue| !queue.stopped);
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if queue.stopped {
            Going::Stopped
        } else {
            Going::On
        }
    }

    /// The next sandbox whose time has come.
    fn next_due(&self, max_age: Duration) -> Option<PathBuf> {
        let mut queue = self.lock();
        let (since, _) = queue.waiting.first()?;
        if SystemTime::now().duration_since(*since).unwrap_or_default() < max_age {
            return None;
        }
        let (_, path) = queue.waiting.pop_first()?;
        self.show(&queue);
        Some(path)
    }

    fn collect(&self) {
        // Whatever else the machine does goes first. A system that refuses this has no such order.
        let _ = rustix::process::setpriority_process(None, 19);
        // A short delay (as tests set it) must not wait for the next look at the disk.
        let interval = self
            .settings
            .interval
            .min(self.settings.delay.max(Duration::from_millis(50)));
        while self.rest(interval) == Going::On {
            let mut looked = std::time::Instant::now();
            let mut allowed = max_age(&self.settings);
            while let Some(path) = self.next_due(allowed) {
                let mut pace = Pace::new(allowed.is_zero(), |rest| self.rest(rest));
                self.remove(&path, &mut pace);
                if pace.sandbox_done() == Going::Stopped {
                    return;
                }
                // What was deleted may have made enough room.
                if looked.elapsed() >= interval {
                    looked = std::time::Instant::now();
                    allowed = max_age(&self.settings);
                }
            }
        }
    }

    fn remove(&self, path: &Path, pace: &mut Pace<impl FnMut(Duration) -> Going>) {
        match removal::remove_tree(path, pace) {
            Ok(Going::On) => {
                self.counters.succeeded.fetch_add(1, Ordering::Relaxed);
            }
            // The next life finds what is left.
            Ok(Going::Stopped) => return,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot remove a sandbox");
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let Some(framework) = path.parent() {
            // It may hold other sandboxes, and is made again by the next launch.
            let _ = fs::remove_dir(framework);
        }
    }
}

/// Mesos's rule: the fuller the disk, the shorter the delay.
pub(crate) fn max_age(settings: &GarbageSettings) -> Duration {
    let usage = disk_usage(&settings.work_dir).unwrap_or(0.0);
    settings
        .delay
        .mul_f64((1.0 - settings.headroom - usage).clamp(0.0, 1.0))
}

/// Sandboxes are many small files: a disk without room for more of them is as full as one without room for bytes.
fn disk_usage(path: &Path) -> Option<f64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    let used = |free: u64, all: u64| (all > 0).then(|| 1.0 - free as f64 / all as f64);
    let bytes = used(disk.f_bavail, disk.f_blocks)?;
    Some(used(disk.f_favail, disk.f_files).map_or(bytes, |files| files.max(bytes)))
}

fn made(sandbox: &Path) -> Option<SystemTime> {
    let data = fs::symlink_metadata(sandbox).ok()?;
    data.created().or_else(|_| data.modified()).ok()
}

/// As far as can be told after a restart: a task that wrote until its end was used until then.
fn last_use(sandbox: &Path) -> Option<SystemTime> {
    [
        sandbox.to_owned(),
        sandbox.join("stdout"),
        sandbox.join("stderr"),
    ]
    .iter()
    .filter_map(|path| fs::symlink_metadata(path).ok()?.modified().ok())
    .max()
    // A clock that was set back must not keep it for ever.
    .map(|used| used.min(SystemTime::now()))
}

/// Every `sandboxes/FRAMEWORK/CONTAINER`.
fn sandboxes(work_dir: &Path) -> Vec<PathBuf> {
    folders(&work_dir.join("sandboxes"))
        .iter()
        .flat_map(|framework| folders(framework))
        .collect()
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
