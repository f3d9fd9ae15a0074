//! What every handler of the master shares: the way into the core, the view, and who leads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use mezz_core::effect::Reply;
use mezz_core::event::Event;
use mezz_core::key::RequestKey;
use mezz_core::time::Wall;
use mezz_facade::marathon::events::Attendance;
use mezz_http::client::Client;
use mezz_http::files::Files;
use mezz_http::logging_level::LoggingLevel;
use tokio::sync::{broadcast, oneshot};

use crate::facts::FactHub;
use crate::inbox::{Inbox, Input};
use crate::native::History;
use crate::open_streams::OpenStreams;
use crate::options::MasterOptions;
use crate::readers::Readers;
use crate::secrets::SecretVault;
use crate::timings::Timings;
use crate::view::{View, ViewCell};
use crate::writes::Registrar;

/// Who leads, as far as this master knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Leader {
    /// Nobody is known.
    #[default]
    Unknown,
    /// This master.
    Me,
    /// Another one, at `host:port`.
    Other(String),
}

/// Shared by all handlers.
pub(crate) struct Shared {
    pub(crate) options: MasterOptions,
    pub(crate) flags: BTreeMap<String, String>,
    pub(crate) started_at: Wall,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) view: Arc<ViewCell>,
    pub(crate) hub: Arc<FactHub>,
    pub(crate) history: History,
    pub(crate) open_streams: Arc<OpenStreams>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) files: Files,
    pub(crate) client: Client,
    pub(crate) leader: RwLock<Leader>,
    pub(crate) logging: LoggingLevel,
    pub(crate) timings: Arc<Timings>,
    pub(crate) registrar: Arc<Registrar>,
    pub(crate) secrets: Arc<SecretVault>,
    numbers: AtomicU64,
    /// Readers of Marathon's events, who are told of each other.
    pub(crate) attendance: broadcast::Sender<Attendance>,
}

impl Shared {
    pub(crate) fn new(
        options: MasterOptions,
        inbox: Arc<Inbox>,
        view: Arc<ViewCell>,
        hub: Arc<FactHub>,
    ) -> Self {
        let logging = LoggingLevel::new(options.logging.clone());
        let files = Files::new();
        if let Some(log) = &options.log_file {
            files.attach("/master/log", log.clone());
        }
        let store = options.backend.store.clone();
        let secrets = Arc::new(SecretVault::new(store, options.secret_key.clone()));
        Self {
            secrets,
            flags: options.shown_flags(),
            options,
            started_at: crate::clock::wall_now(),
            inbox,
            view,
            hub,
            history: History::default(),
            open_streams: Arc::default(),
            readers: Arc::default(),
            files,
            client: Client::new(),
            leader: RwLock::default(),
            logging,
            timings: Arc::default(),
            registrar: Arc::default(),
            numbers: AtomicU64::new(1),
            attendance: broadcast::Sender::new(64),
        }
    }

    /// A number that was never given before: requests, streams and sessions.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The newest view.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load()
    }

    /// Who leads.
    pub(crate) fn leader(&self) -> Leader {
        self.leader
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether this master leads.
    pub(crate) fn leader_is_me(&self) -> bool {
        *self.leader.read().unwrap_or_else(PoisonError::into_inner) == Leader::Me
    }

    /// Sets who leads.
    pub(crate) fn set_leader(&self, leader: Leader) {
        *self.leader.write().unwrap_or_else(PoisonError::into_inner) = leader;
    }

    /// Hands a call to the core and waits for its reply.
    pub(crate) async fn call(&self, event: impl FnOnce(RequestKey) -> Event) -> Reply {
        let request = RequestKey(self.next_number());
        let (sender, receiver) = oneshot::channel();
        self.inbox
            .send(Input::Call {
                request,
                event: event(request),
                reply: sender,
            })
            .await;
        receiver
            .await
            .unwrap_or_else(|_| Reply::Unavailable("The master is stopping".into()))
    }
}
