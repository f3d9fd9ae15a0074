//! Starting and stopping a master: listener, core thread, election.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mezz_core::Master;
use mezz_core::event::{Elected, Event};
use mezz_http::server::{ServerHandle, ServerOptions, serve};
use mezz_store::{Candidate, Leadership, LeadershipState};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::{Clock, wall_now};
use crate::core_thread::{CoreThread, Ended, Parts};
use crate::facades::{self, Facade};
use crate::facts::FactHub;
use crate::inbox::{Inbox, Input};
use crate::leading::is_recovered;
use crate::options::MasterOptions;
use crate::recorder::Recorder;
use crate::routes::Api;
use crate::shared::{Leader, Shared};
use crate::view::ViewCell;
use crate::writes::Writes;

/// Why a master cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot start the core thread: {0}")]
    Thread(std::io::Error),
}

/// Why a master ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterEnd {
    /// It was stopped.
    Stopped,
    /// It lost leadership, or the store failed: the process has to exit.
    SteppedDown(String),
}

/// A running master.
#[derive(Debug)]
pub struct MasterHandle {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: ServerHandle,
    facades: Vec<(Facade, ServerHandle)>,
    ended: watch::Receiver<Option<MasterEnd>>,
    campaign: tokio::task::JoinHandle<()>,
    metering: tokio::task::JoinHandle<()>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

/// Starts a master on the current runtime. It serves at once; [`MasterHandle::ready`] tells when it leads.
pub async fn run(mut options: MasterOptions) -> Result<MasterHandle, MasterError> {
    let failed = |source| MasterError::Listen {
        address: options.listen,
        source,
    };
    let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    options.listen = address;
    options.config.port = options.advertise_port.unwrap_or(address.port());
    options.config.ip = options.advertise_ip.unwrap_or(address.ip());

    let shared = Arc::new(Shared::new(
        options,
        Arc::new(Inbox::default()),
        Arc::new(ViewCell::default()),
        Arc::new(FactHub::default()),
    ));
    let ended = start_core(&shared)?;
    let server_options = ServerOptions {
        max_body_bytes: shared.options.max_body_bytes,
        on_bulk_thread: crate::readers::only_in_spare_time,
        ..ServerOptions::default()
    };
    let server = serve(listener, Arc::new(Api::new(shared.clone())), server_options)
        .map_err(|source| MasterError::Listen { address, source })?;
    let facades = facades::listen(&shared, server_options).await?;
    let campaign = tokio::spawn(campaign(shared.clone()));
    let metering = tokio::spawn(crate::metering::run(shared.clone()));
    Ok(MasterHandle {
        address,
        shared,
        server,
        facades,
        ended,
        campaign,
        metering,
    })
}

/// Starts the thread of the core; what is returned tells how it has ended.
fn start_core(shared: &Arc<Shared>) -> Result<watch::Receiver<Option<MasterEnd>>, MasterError> {
    let (end, ended) = watch::channel(None);
    let core = Master::new(shared.options.config.clone());
    let core = CoreThread::new(Parts {
        recorder: start_recorder(&shared.options, &core),
        core,
        clock: Clock::new(),
        inbox: shared.inbox.clone(),
        writes: Writes::new(
            shared.options.backend.store.clone(),
            shared.registrar.clone(),
            shared.inbox.clone(),
        ),
        view: shared.view.clone(),
        hub: shared.hub.clone(),
        open_streams: shared.open_streams.clone(),
        timings: shared.timings.clone(),
        secrets: shared.secrets.clone(),
    });
    std::thread::Builder::new()
        .name("master-core".into())
        .spawn({
            let shared = shared.clone();
            move || {
                let outcome = match core.run() {
                    Ended::Stopped => MasterEnd::Stopped,
                    Ended::SteppedDown(reason) => MasterEnd::SteppedDown(reason),
                };
                shared.set_leader(Leader::Unknown);
                shared.inbox.close();
                let _ = end.send(Some(outcome));
            }
        })
        .map_err(MasterError::Thread)?;
    Ok(ended)
}

/// A master goes on without its flight recorder.
fn start_recorder(options: &MasterOptions, core: &Master) -> Option<Recorder> {
    let wanted = options.recorder.as_ref()?;
    Recorder::start(wanted, wall_now().0, core)
        .inspect_err(|error| {
            tracing::warn!(folder = %wanted.folder.display(), %error, "there is no flight recorder");
        })
        .ok()
}

/// Stands for election, tells the core when it leads, and watches whether it still does.
async fn campaign(shared: Arc<Shared>) {
    let outcome = match stand(&shared).await {
        Ok(leadership) => lead(&shared, leadership).await,
        Err(reason) => Err(reason),
    };
    let reason = outcome
        .err()
        .unwrap_or_else(|| "leadership was lost".into());
    // A leader that may no longer lead ends its process; what it had not made durable is void.
    shared.set_leader(Leader::Unknown);
    tracing::error!(%reason, "this master steps down");
    shared.inbox.push(Input::StepDown(reason));
}

/// Waits to be elected, and tells clients meanwhile who leads.
async fn stand(shared: &Shared) -> Result<Leadership, String> {
    let config = &shared.options.config;
    let candidate = Candidate {
        id: uuid::Uuid::new_v4().to_string(),
        address: format!("{}:{}", config.ip, config.port),
        info: bytes::Bytes::new(),
    };
    let own_id = candidate.id.clone();
    let election = &shared.options.backend.election;
    let mut leaders = election.observe();
    let mut elected = election.campaign(candidate);
    loop {
        let leader = leaders.borrow_and_update().clone();
        let other = leader.filter(|leader| leader.candidate.id != own_id);
        shared.set_leader(other.map_or(Leader::Unknown, |leader| {
            Leader::Other(leader.candidate.address)
        }));
        tokio::select! {
            outcome = &mut elected => return match outcome {
                Ok(Ok(leadership)) => Ok(leadership),
                Ok(Err(error)) => Err(format!("the election failed: {error}")),
                Err(_) => Err("the election ended without an answer".into()),
            },
            changed = leaders.changed() => {
                changed.map_err(|_| "the election can no longer be observed".to_owned())?;
            }
        }
    }
}

/// Hands the core what the store holds; returns when leadership is lost.
async fn lead(shared: &Shared, leadership: Leadership) -> Result<(), String> {
    shared.set_leader(Leader::Me);
    let store = shared.options.backend.store.clone();
    let began = std::time::Instant::now();
    let mut entries = tokio::task::spawn_blocking(move || store.scan(""))
        .await
        .map_err(|error| format!("the store cannot be read: {error}"))?
        .map_err(|error| format!("the store cannot be read: {error}"))?;
    shared.registrar.fetched(&entries, began.elapsed());
    shared
        .secrets
        .lead(leadership.epoch(), &mut entries)
        .map_err(|error| error.to_string())?;
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    let elected = Elected {
        epoch: leadership.epoch().0,
        master_id: leadership.leader().candidate.id.clone(),
        seed: high ^ low,
        snapshot: entries
            .into_iter()
            .map(|entry| (entry.key.as_str().to_owned(), entry.value))
            .collect(),
    };
    tracing::info!(
        epoch = elected.epoch,
        master_id = elected.master_id,
        "this master leads"
    );
    shared
        .inbox
        .send(Input::Event(Event::Elected(Box::new(elected))))
        .await;
    let mut state = leadership.state();
    while *state.borrow_and_update() == LeadershipState::Held {
        if state.changed().await.is_err() {
            break;
        }
    }
    Ok(())
}

impl MasterHandle {
    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the facades listen that have listeners of their own.
    pub fn facades(&self) -> impl Iterator<Item = (Facade, SocketAddr)> {
        self.facades
            .iter()
            .map(|(facade, server)| (*facade, server.address()))
    }

    /// Resolves when this master leads and has recovered (it may never do so beside another leader).
    pub async fn ready(&self) {
        while !(self.shared.leader() == Leader::Me && is_recovered(&self.shared)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Resolves when it has ended by itself or was stopped.
    pub async fn ended(&self) -> MasterEnd {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(MasterEnd::Stopped),
            Err(_) => MasterEnd::SteppedDown("the core thread panicked".into()),
        }
    }

    /// Stops it: no more requests, open ones end, streams are closed.
    pub async fn shutdown(self) -> MasterEnd {
        self.campaign.abort();
        self.metering.abort();
        self.shared.inbox.push(Input::Stop);
        let end = self.ended().await;
        self.server.stop().await;
        for (_, server) in self.facades {
            server.stop().await;
        }
        end
    }
}
