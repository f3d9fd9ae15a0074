//! The agent's HTTP surfaces: routing, and what the handlers share.

use std::net::SocketAddr;
use std::sync::Arc;

use http::StatusCode;
use mezz_http::files::Files;
use mezz_http::server::Service;
use mezz_http::{Request, Response, respond, router::Router};

use crate::fetch::FetchCounters;
use crate::garbage::GarbageCounters;
use crate::inbox::Inbox;
use crate::options::AgentOptions;
use crate::work_dir::WorkDir;

/// Serves the HTTP API.
#[derive(Debug)]
pub(crate) struct AgentHttp {
    pub(crate) inbox: Arc<Inbox>,
}

impl AgentHttp {
    pub(crate) fn new(
        inbox: Arc<Inbox>,
        _options: &AgentOptions,
        _work_dir: &WorkDir,
        _garbage: &Arc<GarbageCounters>,
        _fetch: &Arc<FetchCounters>,
        _advertised: SocketAddr,
    ) -> Self {
        Self { inbox }
    }
}

impl Service for AgentHttp {
    async fn handle(self: Arc<Self>, _request: Request) -> Response {
        respond::ok()
    }
}
