//! Probes of checks over the network, off the core's thread: GET requests and connections to the loopback.
//!
//! Owns how a task is reached. What an answer means, and how long one is waited for, is the core's affair.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use mezz_agent_core::{Event, Probe, ProbeId, ProbeOutcome, ProbeTarget};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::inbox::{Inbox, Input};

/// So many redirects are followed, as by curl.
const MOST_REDIRECTS: usize = 50;

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
    pub(crate) fn start(&mut self, probe: Probe) {
        let Probe { id, target } = probe;
        let inbox = Arc::clone(&self.inbox);
        let task = self.runtime.spawn(async move {
            let outcome = match &target {
                ProbeTarget::Http { url } => get(url).await,
                ProbeTarget::Tcp { address } => connect(address).await,
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
