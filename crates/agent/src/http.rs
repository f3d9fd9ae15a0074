//! The agent's HTTP surfaces: routing, and what the handlers share.

mod attach;
mod container_calls;
mod containers;
mod exec;
mod executor_api;
mod flags;
mod logs;
mod media_types;
mod metrics;
mod operator_api;
mod sandbox_files;
mod shown;
mod state;
mod usage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use mezz_agent_core::{AgentRecords, RegistrationState};
use mezz_http::files::Files;
use mezz_http::files_http::{self, FilesEndpoint};
use mezz_http::logging_level::LoggingLevel;
use mezz_http::router::Router;
use mezz_http::server::Service;
use mezz_http::{Request, Response, respond};
use serde_json::{Value, json};

use crate::clock;
use crate::container_io::ContainerIo;
use crate::fetch::FetchCounters;
use crate::garbage::{GarbageCounters, GarbageSettings};
use crate::host;
use crate::inbox::Inbox;
use crate::isolators::Statistics;
use crate::log_rotation::LogRotation;
use crate::native::Native;
use crate::options::AgentOptions;
use crate::preparing::ProgressBoard;
use crate::start::Parts;
use crate::work_dir::WorkDir;

/// The Mesos version that we stand for.
pub(crate) const MESOS_VERSION: &str = "1.11.0";

/// Where a path leads.
#[derive(Clone, Copy, Debug)]
enum Route {
    ExecutorApi,
    OperatorApi,
    ResourceProviderApi,
    Files(FilesEndpoint),
    Task,
    Usage,
    Toggle,
    Health,
    Read(ReadRoute),
}

/// The unversioned endpoints that show something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadRoute {
    State,
    Statistics,
    Containers,
    ContainerizerDebug,
    Metrics,
    Flags,
    Version,
    SystemStats,
}

/// Serves the HTTP API.
#[derive(Debug)]
pub(crate) struct AgentHttp {
    router: Router<Route>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) files: Files,
    pub(crate) flags: flags::Flags,
    pub(crate) address: SocketAddr,
    pub(crate) work_dir: std::path::PathBuf,
    pub(crate) garbage_settings: GarbageSettings,
    pub(crate) garbage: Arc<GarbageCounters>,
    pub(crate) fetch: Arc<FetchCounters>,
    pub(crate) rotation: LogRotation,
    pub(crate) statistics: Option<Arc<Statistics>>,
    pub(crate) container_io: Arc<ContainerIo>,
    pub(crate) heartbeat: Duration,
    pub(crate) start_time: f64,
    recovery_seconds: std::sync::OnceLock<f64>,
    pub(crate) logging: LoggingLevel,
    pub(crate) native: Arc<Native>,
    pub(crate) board: ProgressBoard,
}

impl AgentHttp {
    pub(crate) fn new(
        inbox: Arc<Inbox>,
        options: &AgentOptions,
        work_dir: &WorkDir,
        parts: &Parts,
        native: Arc<Native>,
        statistics: Option<Arc<Statistics>>,
    ) -> Self {
        Self {
            native,
            board: parts.board.clone(),
            router: router(),
            files: sandbox_files::files(&inbox, work_dir.path()),
            inbox,
            flags: flags::Flags::new(options, work_dir, parts.advertised),
            address: parts.advertised,
            work_dir: work_dir.path().to_owned(),
            garbage_settings: crate::settings::garbage_settings(options, work_dir),
            garbage: Arc::clone(&parts.garbage_counters),
            fetch: Arc::clone(&parts.fetch_counters),
            rotation: parts.rotation.clone(),
            statistics,
            container_io: Arc::clone(&parts.container_io),
            heartbeat: options.stream_heartbeat_interval,
            start_time: clock::wall_seconds(),
            recovery_seconds: std::sync::OnceLock::new(),
            logging: LoggingLevel::new(options.logging.clone()),
        }
    }

    /// The agent at this moment, or the refusal while it recovers.
    pub(crate) async fn view(&self) -> Result<Arc<AgentRecords>, Response> {
        let unavailable = |text: &str| respond::text(StatusCode::SERVICE_UNAVAILABLE, text);
        let view = self
            .inbox
            .view()
            .await
            .ok_or_else(|| unavailable("Agent is stopping"))?;
        if view.registration == RegistrationState::Recovering {
            return Err(unavailable("Agent has not finished recovery"));
        }
        self.recovery_seconds
            .get_or_init(|| clock::wall_seconds() - self.start_time);
        Ok(view)
    }

    /// How long the start took until the agent had its past together; 0 while it has not.
    pub(crate) fn recovery_seconds(&self) -> f64 {
        *self.recovery_seconds.get().unwrap_or(&0.0)
    }

    async fn read(&self, route: ReadRoute, request: &Request) -> Result<Response, Response> {
        request.expect_method(&[Method::GET, Method::HEAD])?;
        let query = request.query();
        let value = match route {
            ReadRoute::State => state::state(self, &*self.view().await?),
            ReadRoute::Statistics => containers::monitor(self).await?,
            ReadRoute::Containers => containers::containers(self, &query).await?,
            ReadRoute::ContainerizerDebug => json!({ "pending": [] }),
            ReadRoute::Metrics => metrics::snapshot(self).await?,
            ReadRoute::Flags => json!({ "flags": self.flags.values() }),
            ReadRoute::Version => version(),
            ReadRoute::SystemStats => system_stats(),
        };
        Ok(respond::unversioned_json(
            request.headers(),
            &query,
            value.to_string().into_bytes(),
        ))
    }
}

impl Service for AgentHttp {
    async fn handle(self: Arc<Self>, request: Request) -> Response {
        let Some((route, tail)) = self.router.find(request.path()) else {
            return respond::not_found();
        };
        let route = *route;
        let answered = match route {
            Route::ExecutorApi => executor_api::answer(&self, request).await,
            Route::OperatorApi => Box::pin(operator_api::answer(&self, request)).await,
            Route::Files(endpoint) => Ok(files_http::handle(&self.files, endpoint, &request).await),
            Route::Task => {
                let tail = tail.to_owned();
                Box::pin(of_task(&self, request, &tail)).await
            }
            Route::Usage => usage::answer(&self, request).await,
            Route::Toggle => self.logging.toggle(&request, mezz_resource::parse_duration),
            Route::ResourceProviderApi => request.expect_method(&[Method::POST]).and_then(|()| {
                Err(respond::not_implemented(
                    "the resource-provider API (/api/v1/resource_provider) is not built yet",
                ))
            }),
            Route::Health => Ok(respond::ok()),
            Route::Read(route) => self.read(route, &request).await,
        };
        answered.unwrap_or_else(|refusal| refusal)
    }
}

/// What follows `/v1/tasks`.
async fn of_task(agent: &AgentHttp, request: Request, tail: &str) -> Result<Response, Response> {
    let words = mezz_http::request::segments(tail);
    if let [framework, task, way @ ..] = words.as_slice()
        && let Some(way) = exec::Way::of(way)
    {
        return exec::answer(agent, request, framework, task, way).await;
    }
    logs::answer(agent, &request, tail).await
}

fn router() -> Router<Route> {
    use FilesEndpoint::{Browse, Debug, Download, Read};
    use ReadRoute as R;
    Router::new(["slave(1)", "slave", "agent"])
        .route("/api/v1", Route::OperatorApi)
        .route("/api/v1/executor", Route::ExecutorApi)
        .route("/api/v1/resource_provider", Route::ResourceProviderApi)
        .route("/v1/tasks", Route::Task)
        .route("/v1/usage", Route::Usage)
        .route("/files/browse", Route::Files(Browse))
        .route("/files/read", Route::Files(Read))
        .route("/files/download", Route::Files(Download))
        .route("/files/debug", Route::Files(Debug))
        .route("/health", Route::Health)
        .route("/logging/toggle", Route::Toggle)
        .route("/state", Route::Read(R::State))
        .route("/monitor/statistics", Route::Read(R::Statistics))
        .route("/containers", Route::Read(R::Containers))
        .route("/containerizer/debug", Route::Read(R::ContainerizerDebug))
        .route("/metrics/snapshot", Route::Read(R::Metrics))
        .route("/flags", Route::Read(R::Flags))
        .route("/version", Route::Read(R::Version))
        .route("/system/stats", Route::Read(R::SystemStats))
}

fn version() -> Value {
    json!({
        "build_date": "2026-01-01",
        "build_time": 0.0,
        "build_user": "mezz",
        "mezz_version": env!("CARGO_PKG_VERSION"),
        "version": MESOS_VERSION,
    })
}

fn system_stats() -> Value {
    let [one, five, fifteen] = host::load();
    json!({
        "avg_load_1min": one,
        "avg_load_5min": five,
        "avg_load_15min": fifteen,
        "cpus_total": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "mem_free_bytes": host::free_memory_bytes(),
        "mem_total_bytes": host::memory_bytes(),
    })
}
