//! Probes of checks over the network, off the core's thread: GET requests and connections to the loopback.
//!
//! Owns how a task is reached. What an answer means, and how long one is waited for, is the core's affair.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mezz_agent_core::{Event, Probe, ProbeId, ProbeOutcome, ProbeTarget};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::inbox::{Inbox, Input};

/// So many redirects are followed, as by curl.
const MOST_REDIRECTS: usize = 50;
/// How long a probe holds a thread in a container's network at most, though nobody waits for it.
const LONGEST: Duration = Duration::from_mins(1);

/// Probes under way.
#[derive(Debug)]
pub(crate) struct Prober {
    inbox: Arc<Inbox>,
    runtime: Handle,
    running: BTreeMap<ProbeId, AbortHandle>,
}

impl Prober {
    pub(crate) fn new(inbox: Arc<Inbox>, runtime: Handle) -> Self {
        Self {
            inbox,
            runtime,
            running: BTreeMap::new(),
        }
    }

    /// Begins a probe; its end goes to the inbox.
    pub(crate) fn start(&mut self, probe: Probe, network: Option<PathBuf>) {
        let Probe { id, target, .. } = probe;
        let inbox = Arc::clone(&self.inbox);
        let task = self.runtime.spawn(async move {
            let outcome = match network {
                None => reach(&target).await,
                Some(network) => reach_within(&network, target.clone()).await,
            };
            let outcome = outcome.unwrap_or_else(|error| {
                tracing::debug!(?target, error, "a check was not answered");
                ProbeOutcome::Failed
            });
            inbox.put(Input::Event(Event::Probed { id, outcome }));
        });
        self.running.insert(id, task.abort_handle());
    }

    /// A probe has ended by itself.
    pub(crate) fn ended(&mut self, id: ProbeId) {
        self.running.remove(&id);
    }

    /// Nobody waits for this probe any more.
    pub(crate) fn cancel(&mut self, id: ProbeId) {
        if let Some(task) = self.running.remove(&id) {
            task.abort();
        }
    }
}

async fn reach(target: &ProbeTarget) -> Result<ProbeOutcome, String> {
    match target {
        ProbeTarget::Http { url } => get(url).await,
        ProbeTarget::Tcp { address } => connect(address).await,
    }
}

/// From a thread in the container's network: a socket belongs to the network of the thread that makes it. The thread ends
/// by itself when nobody waits any more.
async fn reach_within(network: &Path, target: ProbeTarget) -> Result<ProbeOutcome, String> {
    let network = network.to_owned();
    let reached = tokio::task::spawn_blocking(move || {
        mezz_cni::enter(&network, || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| error.to_string())?;
            let limited = async { tokio::time::timeout(LONGEST, reach(&target)).await };
            let reached = runtime.block_on(limited);
            reached.unwrap_or_else(|_| Err("it took too long".to_owned()))
        })
    });
    let entered = reached.await.map_err(|error| error.to_string())?;
    entered.map_err(|error| error.to_string())?
}

async fn connect(address: &str) -> Result<ProbeOutcome, String> {
    match TcpStream::connect(address).await {
        Ok(_) => Ok(ProbeOutcome::Connected),
        Err(error) => Err(error.to_string()),
    }
}

async fn get(url: &str) -> Result<ProbeOutcome, String> {
    let mut response = client()?
        .get(url)
        .send()
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    // An answer that breaks off is none.
    while response
        .chunk()
        .await
        .map_err(|error| error.to_string())?
        .is_some()
    {}
    Ok(ProbeOutcome::Status(status))
}

/// Made at the first probe: most agents need none. It knows no proxy and keeps no connection, so that each probe finds
/// out whether the task still takes connections.
fn client() -> Result<&'static reqwest::Client, String> {
    static CLIENT: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::limited(MOST_REDIRECTS))
            .tls_danger_accept_invalid_certs(true)
            .user_agent(concat!("mezz/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())
    });
    client.as_ref().map_err(Clone::clone)
}
