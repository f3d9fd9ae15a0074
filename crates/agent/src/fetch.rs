//! Fetching files into sandboxes before a container starts, off the core's thread.
//!
//! Owns where bytes come from and go to. Nothing is ever written outside of the sandbox, whatever an URI or an
//! archive says: every path is resolved beneath the sandbox by the kernel.

mod archive;
pub(crate) mod beneath;
mod cache;
mod source;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mezz_agent_core::{Event, Fetch, FetchOutcome, LaunchId};
use mezz_launch_plan::Credentials;
use mezz_proto::v1::command_info::Uri;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use crate::accounts::Accounts;
use crate::inbox::{Inbox, Input};
use crate::launcher::make_sandbox;
use crate::sandbox_folders;
use archive::Kind;
use beneath::Sandbox;
use cache::{Key, Lease};
use source::{Meter, blocking};

pub(crate) use cache::Cache;

/// So many fetches run at a time.
const PARALLEL: usize = 8;

/// Why something was not fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("Failed to create the sandbox '{path}': {source}")]
    Sandbox {
        path: String,
        source: std::io::Error,
    },
    #[error("the user '{0}' does not exist on this host")]
    UnknownUser(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Http(String),
    #[error("unsupported scheme '{0}'; file, http and https are there")]
    Scheme(String),
    #[error("the relative path needs --frameworks-home")]
    NoFrameworksHome,
    #[error("the URI names no file")]
    NoFileName,
    #[error("output_file '{0}' is not a relative path inside the sandbox")]
    OutputFile(String),
    #[error("archive entry '{0}' leads outside of the sandbox")]
    Escape(String),
    #[error("archive entry '{0}' is neither a file, a folder nor a link")]
    Special(String),
    #[error("archive: {0}")]
    Archive(String),
    #[error("more than {0} bytes")]
    TooLarge(u64),
    #[error("no progress for {0:?}")]
    Stalled(Duration),
    #[error("no longer wanted")]
    Canceled,
    #[error("no room in the fetcher cache")]
    NoRoom,
    /// The failure of a download that several waited for.
    #[error("{0}")]
    Shared(Arc<str>),
}

/// How fetches are done.
#[derive(Clone, Debug)]
pub(crate) struct FetchSettings {
    pub(crate) work_dir: PathBuf,
    pub(crate) frameworks_home: Option<PathBuf>,
    pub(crate) stall_timeout: Duration,
    pub(crate) max_bytes: u64,
}

/// Totals for the metrics.
#[derive(Debug, Default)]
pub(crate) struct FetchCounters {
    pub(crate) succeeded: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) cache_total: AtomicU64,
    pub(crate) cache_used: AtomicU64,
}

/// Starts fetches and can give them up.
#[derive(Debug)]
pub(crate) struct Fetcher {
    settings: Arc<FetchSettings>,
    cache: Arc<Cache>,
    inbox: Arc<Inbox>,
    runtime: Handle,
    room: Arc<Semaphore>,
    running: BTreeMap<LaunchId, watch::Sender<bool>>,
    counters: Arc<FetchCounters>,
    accounts: Accounts,
}

impl Fetcher {
    pub(crate) fn new(
        settings: FetchSettings,
        cache: Cache,
        inbox: Arc<Inbox>,
        runtime: Handle,
        counters: Arc<FetchCounters>,
    ) -> Self {
        let room = Arc::new(Semaphore::new(PARALLEL));
        let settings = Arc::new(settings);
        Self {
            settings,
            cache: Arc::new(cache),
            inbox,
            runtime,
            room,
            running: BTreeMap::new(),
            counters,
            accounts: Accounts::default(),
        }
    }

    /// Begins a fetch; its end goes to the inbox.
    pub(crate) fn start(&mut self, fetch: Fetch) {
        let (cancel, canceled) = watch::channel(false);
        self.running.retain(|_, running| !running.is_closed());
        self.running.insert(fetch.launch_id, cancel);
        let owner = fetch.user.as_deref().map(|name| {
            self.accounts
                .find(name)
                .cloned()
                .ok_or_else(|| name.to_owned())
        });
        let job = Job {
            settings: Arc::clone(&self.settings),
            cache: Arc::clone(&self.cache),
            canceled,
            written: AtomicU64::new(0),
        };
        let (inbox, room, counters) = (
            Arc::clone(&self.inbox),
            Arc::clone(&self.room),
            Arc::clone(&self.counters),
        );
        self.runtime.spawn(async move {
            let _permit = room.acquire().await;
            let launch_id = fetch.launch_id;
            let outcome = match owner.transpose() {
                Ok(owner) => job.run(&fetch, owner).await,
                Err(name) => Err(FetchError::UnknownUser(name).to_string()),
            };
            let outcome = match outcome {
                Ok(()) => {
                    counters.succeeded.fetch_add(1, Ordering::Relaxed);
                    FetchOutcome::Done
                }
                Err(message) => {
                    counters.failed.fetch_add(1, Ordering::Relaxed);
                    FetchOutcome::Failed { message }
                }
            };
            inbox.put(Input::Event(Event::Fetched { launch_id, outcome }));
        });
    }

    /// Gives a fetch up.
    pub(crate) fn cancel(&mut self, launch_id: LaunchId) {
        if let Some(canceled) = self.running.remove(&launch_id) {
            canceled.send_replace(true);
        }
    }

    /// Leaves nothing behind.
    pub(crate) fn finish(&self) {
        self.cache.clear();
    }
}

/// One fetch of all files of a container.
#[derive(Debug)]
pub(crate) struct Job {
    settings: Arc<FetchSettings>,
    cache: Arc<Cache>,
    canceled: watch::Receiver<bool>,
    written: AtomicU64,
}

impl Job {
    async fn run(self, fetch: &Fetch, owner: Option<Credentials>) -> Result<(), String> {
        let path = self.settings.work_dir.join(&fetch.sandbox);
        let owner = owner.filter(|owner| owner.uid != 0 && rustix::process::geteuid().is_root());
        make_sandbox(&self.settings.work_dir, &fetch.sandbox, owner.as_ref()).map_err(
            |source| {
                FetchError::Sandbox {
                    path: path.display().to_string(),
                    source,
                }
                .to_string()
            },
        )?;
        let opened = sandbox_folders::open(&self.settings.work_dir, &fetch.sandbox);
        let sandbox = Arc::new(Sandbox::of(opened.map_err(|error| error.to_string())?));
        let job = Arc::new(self);
        for uri in &fetch.uris {
            fetch_one(&job, &sandbox, uri, fetch.user.as_deref())
                .await
                .map_err(|error| format!("Failed to fetch '{}': {error}", uri.value))?;
        }
        let Some(owner) = owner else { return Ok(()) };
        let given =
            tokio::task::spawn_blocking(move || sandbox.give_to(owner.uid, owner.gid)).await;
        given
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("Failed to chown the sandbox: {error}"))
    }

    /// The file in the cache; `None` if it is to be fetched without.
    async fn cached(&self, uri: &Uri, user: Option<&str>) -> Result<Option<Lease>, FetchError> {
        let key = Key {
            user: user.map(str::to_owned),
            uri: uri.value.clone(),
        };
        let mut canceled = self.canceled.clone();
        tokio::select! {
            lease = self.cache.get(&self.settings, key) => lease,
            _ = canceled.wait_for(|canceled| *canceled) => Err(FetchError::Canceled),
        }
    }
}

impl Meter for Job {
    fn expect(&self, bytes: u64) -> Result<(), FetchError> {
        let before = self.written.load(Ordering::Relaxed);
        if before.saturating_add(bytes) > self.settings.max_bytes {
            return Err(FetchError::TooLarge(self.settings.max_bytes));
        }
        Ok(())
    }

    /// Counts bytes against the cap, and notices that the fetch is no longer wanted.
    fn count(&self, bytes: usize) -> Result<(), FetchError> {
        let before = self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        if before + bytes as u64 > self.settings.max_bytes {
            return Err(FetchError::TooLarge(self.settings.max_bytes));
        }
        if *self.canceled.borrow() {
            Err(FetchError::Canceled)
        } else {
            Ok(())
        }
    }
}

async fn fetch_one(
    job: &Arc<Job>,
    sandbox: &Arc<Sandbox>,
    uri: &Uri,
    user: Option<&str>,
) -> Result<(), FetchError> {
    let name = target_name(uri)?;
    let executable = uri.executable.unwrap_or(false);
    let archive = Kind::of(&name).filter(|_| !executable && uri.extract.unwrap_or(true));
    let lease = if uri.cache.unwrap_or(false) {
        job.cached(uri, user).await?
    } else {
        None
    };
    if lease.is_none() {
        let (sandbox, name) = (Arc::clone(sandbox), name.clone());
        let create = move || sandbox.create(&name);
        source::copy_into(&job.settings, job, &uri.value, create).await?;
    }
    let (job, sandbox) = (Arc::clone(job), Arc::clone(sandbox));
    blocking(move || {
        if let Some(kind) = archive {
            // An archive in the cache is not copied into the sandbox as well, as in Mesos.
            let file = match &lease {
                Some(lease) => File::open(lease.path())?,
                None => sandbox.read(&name)?,
            };
            return archive::extract(&job, &sandbox, file, &name, kind);
        }
        if let Some(lease) = &lease {
            let from = File::open(lease.path())?;
            source::copy_whole(job.as_ref(), &from, &mut sandbox.create(&name)?)?;
        }
        if executable {
            sandbox.make_executable(&name)?;
        }
        Ok(())
    })
    .await
}

/// Where the file goes in the sandbox.
fn target_name(uri: &Uri) -> Result<String, FetchError> {
    if let Some(output) = uri
        .output_file
        .as_deref()
        .filter(|output| !output.is_empty())
    {
        let inside =
            !output.starts_with('/') && !output.ends_with('/') && beneath::is_inside(output);
        return if inside {
            Ok(output.to_owned())
        } else {
            Err(FetchError::OutputFile(output.to_owned()))
        };
    }
    let path = uri.value.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.is_empty()
        || !beneath::is_inside(name)
        || (path.contains("://") && path.matches('/').count() < 3)
    {
        return Err(FetchError::NoFileName);
    }
    Ok(name.to_owned())
}
