//! Collection of sandboxes that are no longer used, by age and by how full the disk is, one at a time.
//!
//! Owns when a sandbox is deleted. Deleting is paced: thousands of deletions at once would slow launches down.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;

/// The rest between two deletions.
const PAUSE: Duration = Duration::from_millis(5);

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

type Queue = BTreeSet<(SystemTime, PathBuf)>;

#[derive(Debug)]
struct Shared {
    settings: GarbageSettings,
    queue: Mutex<Queue>,
    counters: Arc<GarbageCounters>,
}

/// Takes note of what is to be collected.
#[derive(Debug)]
pub(crate) struct GarbageCollector {
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
    runtime: Handle,
    started: SystemTime,
}

impl Drop for GarbageCollector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl GarbageCollector {
    /// Starts collecting.
    pub(crate) fn start(
        settings: GarbageSettings,
        counters: Arc<GarbageCounters>,
        runtime: &Handle,
    ) -> Self {
        let shared = Arc::new(Shared {
            settings,
            queue: Mutex::default(),
            counters,
        });
        let task = runtime.spawn(collect(Arc::clone(&shared)));
        Self {
            shared,
            task,
            runtime: runtime.clone(),
            started: SystemTime::now(),
        }
    }

    /// A sandbox, relative to the work directory, has seen its last use.
    pub(crate) fn schedule(&self, sandbox: &str) {
        self.shared.insert(
            SystemTime::now(),
            self.shared.settings.work_dir.join(sandbox),
        );
    }

    /// Finds sandboxes of earlier lives, off this thread; those in `used` stay.
    pub(crate) fn adopt_leftovers(&self, used: BTreeSet<PathBuf>) {
        let (shared, started) = (Arc::clone(&self.shared), self.started);
        self.runtime.spawn_blocking(move || {
            for path in sandboxes(&shared.settings.work_dir) {
                let Ok(data) = fs::symlink_metadata(&path) else {
                    continue;
                };
                // What this life has made is told to us when its time has come.
                let made = data
                    .created()
                    .or_else(|_| data.modified())
                    .unwrap_or(started);
                if made < started && !used.contains(&path) {
                    shared.insert(data.modified().unwrap_or(started), path);
                }
            }
        });
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, since: SystemTime, path: PathBuf) {
        let mut queue = self.lock();
        queue.insert((since, path));
        self.counters
            .pending
            .store(queue.len() as u64, Ordering::Relaxed);
    }

    /// The next sandbox whose time has come.
    fn next_due(&self, max_age: Duration) -> Option<PathBuf> {
        let mut queue = self.lock();
        let (since, _) = queue.first()?;
        if SystemTime::now().duration_since(*since).unwrap_or_default() < max_age {
            return None;
        }
        let (_, path) = queue.pop_first()?;
        self.counters
            .pending
            .store(queue.len() as u64, Ordering::Relaxed);
        Some(path)
    }
}

async fn collect(shared: Arc<Shared>) {
    // A short delay (as tests set it) must not wait for the next look at the disk.
    let interval = shared
        .settings
        .interval
        .min(shared.settings.delay.max(Duration::from_millis(50)));
    loop {
        tokio::time::sleep(interval).await;
        let max_age = max_age(&shared.settings);
        while let Some(path) = shared.next_due(max_age) {
            let removing = path.clone();
            let removed = tokio::task::spawn_blocking(move || remove(&removing)).await;
            match removed {
                Ok(Ok(())) => shared.counters.succeeded.fetch_add(1, Ordering::Relaxed),
                failure => {
                    tracing::warn!(path = %path.display(), ?failure, "cannot remove a sandbox");
                    shared.counters.failed.fetch_add(1, Ordering::Relaxed)
                }
            };
            tokio::time::sleep(PAUSE).await;
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

fn disk_usage(path: &Path) -> Option<f64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    (disk.f_blocks > 0).then(|| 1.0 - disk.f_bavail as f64 / disk.f_blocks as f64)
}

/// Removes the sandbox, and its framework's folder if that is empty then.
fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(framework) = path.parent() {
        // It may hold other sandboxes, and is made again by the next launch.
        let _ = fs::remove_dir(framework);
    }
    Ok(())
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
