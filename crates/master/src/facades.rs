//! Which facade answers, and the listeners that facades have for themselves: clients find there at the root what the
//! master has below `/service`.

use std::net::SocketAddr;
use std::sync::Arc;

use mezz_facade::{Outcome, World};
use mezz_http::server::{ServerHandle, ServerOptions, Service, serve};
use mezz_http::{Request, Response};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::leading::redirect_below;
use crate::marathon;
use crate::shared::Shared;
use crate::start::MasterError;

/// An API of another system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facade {
    Marathon,
    Metronome,
    Chronos,
}

impl Facade {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Marathon, Self::Metronome, Self::Chronos];

    /// As it is written in paths and flags.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Marathon => "marathon",
            Self::Metronome => "metronome",
            Self::Chronos => "chronos",
        }
    }

    /// Where the master has it.
    pub const fn base(self) -> &'static str {
        match self {
            Self::Marathon => "/service/marathon",
            Self::Metronome => "/service/metronome",
            Self::Chronos => "/service/chronos",
        }
    }

    /// The description of its API.
    pub(crate) fn openapi(self) -> Value {
        match self {
            Self::Marathon => mezz_facade::marathon::openapi(),
            Self::Metronome => mezz_facade::metronome::openapi(),
            Self::Chronos => mezz_facade::chronos::openapi(),
        }
    }

    pub(crate) fn answer(self, request: &mezz_facade::Request, world: &World<'_>) -> Outcome {
        match self {
            Self::Marathon => mezz_facade::marathon::handle(request, world),
            Self::Metronome => mezz_facade::metronome::handle(request, world),
            Self::Chronos => mezz_facade::chronos::handle(request, world),
        }
    }
}

/// One facade at the root of a listener.
struct FacadeApi {
    shared: Arc<Shared>,
    facade: Facade,
}

impl Service for FacadeApi {
    async fn handle(self: Arc<Self>, request: Request) -> Response {
        // The leader may have no such listener.
        if let Some(elsewhere) = redirect_below(&self.shared, self.facade.base(), &request) {
            return elsewhere;
        }
        let path = request.path().to_owned();
        Box::pin(marathon::handle(&self.shared, self.facade, &path, request)).await
    }
}

/// Starts the listeners that were asked for.
pub(crate) async fn listen(
    shared: &Arc<Shared>,
    options: ServerOptions,
) -> Result<Vec<(Facade, ServerHandle)>, MasterError> {
    let mut servers = Vec::new();
    for (facade, address) in &shared.options.facades {
        servers.push((*facade, bind(shared, *facade, *address, options).await?));
    }
    Ok(servers)
}

async fn bind(
    shared: &Arc<Shared>,
    facade: Facade,
    address: SocketAddr,
    options: ServerOptions,
) -> Result<ServerHandle, MasterError> {
    let failed = |source| MasterError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let api = FacadeApi {
        shared: shared.clone(),
        facade,
    };
    serve(listener, Arc::new(api), options).map_err(failed)
}
