//! Fetching files into sandboxes before a container starts, off the core's thread.
//!
//! Owns where bytes come from and go to. Nothing is ever written outside of the sandbox, whatever an URI or an
//! archive says: every path is resolved beneath the sandbox by the kernel.

mod archive;
mod beneath;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mezz_agent_core::{Event, Fetch, FetchOutcome, LaunchId};
use mezz_launch_plan::Credentials;
use mezz_proto::v1::command_info::Uri;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::accounts::Accounts;
use crate::inbox::{Inbox, Input};
use crate::launcher::make_sandbox;
use archive::Kind;
use beneath::Sandbox;

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
}

/// Starts fetches and can give them up.
#[derive(Debug)]
pub(crate) struct Fetcher {
    settings: Arc<FetchSettings>,
    inbox: Arc<Inbox>,
    runtime: Handle,
    room: Arc<Semaphore>,
    running: BTreeMap<LaunchId, Arc<AtomicBool>>,
    counters: Arc<FetchCounters>,
    accounts: Accounts,
}

impl Fetcher {
    pub(crate) fn new(
        settings: FetchSettings,
        inbox: Arc<Inbox>,
        runtime: Handle,
        counters: Arc<FetchCounters>,
    ) -> Self {
        let room = Arc::new(Semaphore::new(PARALLEL));
        let settings = Arc::new(settings);
        Self {
            settings,
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
        let canceled = Arc::new(AtomicBool::new(false));
        self.running
            .retain(|_, running| Arc::strong_count(running) > 1);
        self.running.insert(fetch.launch_id, Arc::clone(&canceled));
        let owner = fetch.user.as_deref().map(|name| {
            self.accounts
                .find(name)
                .cloned()
                .ok_or_else(|| name.to_owned())
        });
        let job = Job {
            settings: Arc::clone(&self.settings),
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
            canceled.store(true, Ordering::Relaxed);
        }
    }
}

/// One fetch of all files of a container.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) settings: Arc<FetchSettings>,
    canceled: Arc<AtomicBool>,
    written: AtomicU64,
}

impl Job {
    async fn run(self, fetch: &Fetch, owner: Option<Credentials>) -> Result<(), String> {
        let path = self.settings.work_dir.join(&fetch.sandbox);
        let owner = owner.filter(|owner| owner.uid != 0 && rustix::process::geteuid().is_root());
        make_sandbox(&path, owner.as_ref()).map_err(|source| {
            FetchError::Sandbox {
                path: path.display().to_string(),
                source,
            }
            .to_string()
        })?;
        let sandbox = Arc::new(Sandbox::open(&path).map_err(|error| error.to_string())?);
        let job = Arc::new(self);
        for uri in &fetch.uris {
            fetch_one(&job, &sandbox, uri)
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

    /// Counts bytes against the cap, and notices that the fetch is no longer wanted.
    pub(crate) fn count(&self, bytes: usize) -> Result<(), FetchError> {
        let before = self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        if before + bytes as u64 > self.settings.max_bytes {
            return Err(FetchError::TooLarge(self.settings.max_bytes));
        }
        if self.canceled.load(Ordering::Relaxed) {
            Err(FetchError::Canceled)
        } else {
            Ok(())
        }
    }
}

async fn fetch_one(job: &Arc<Job>, sandbox: &Arc<Sandbox>, uri: &Uri) -> Result<(), FetchError> {
    let name = target_name(uri)?;
    source::copy_into(job, sandbox, &uri.value, &name).await?;
    let (job, sandbox) = (Arc::clone(job), Arc::clone(sandbox));
    let (executable, extract) = (uri.executable.unwrap_or(false), uri.extract.unwrap_or(true));
    let finish = move || {
        if executable {
            return Ok(sandbox.make_executable(&name)?);
        }
        match Kind::of(&name).filter(|_| extract) {
            Some(kind) => archive::extract(&job, &sandbox, &name, kind),
            None => Ok(()),
        }
    };
    tokio::task::spawn_blocking(finish)
        .await
        .map_err(|error| FetchError::Archive(error.to_string()))?
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
