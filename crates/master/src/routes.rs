//! Which path reaches which surface.

use std::sync::Arc;

use http::Method;
use mezz_http::direct::Direct;
use mezz_http::files_http::{self, FilesEndpoint};
use mezz_http::router::Router;
use mezz_http::server::Service;
use mezz_http::{Request, Response, respond};

use crate::direct_calls::DirectCalls;
use crate::facades::Facade;
use crate::shared::Shared;
use crate::unversioned::Endpoint;
use crate::{agent_sessions, leading, marathon, native, operator, scheduler_api, unversioned};

const CHRONOS_ROOT: &str = "/v1/scheduler";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Root,
    Scheduler,
    Operator,
    AgentSession,
    Redirect,
    Unversioned(Endpoint),
    Files(FilesEndpoint),
    Native,
    Facade(Facade),
    /// Chronos at the root: some of its clients know only a host and a port.
    ChronosRoot,
    /// A Mesos endpoint of a later issue.
    NotBuilt,
}

/// All HTTP surfaces of the master.
pub(crate) struct Api {
    shared: Arc<Shared>,
    router: Router<Target>,
}

impl Api {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let mut router = Router::new(["master"])
            .route("/", Target::Root)
            .route(scheduler_api::PATH, Target::Scheduler)
            .route("/api/v1", Target::Operator)
            .route(mezz_http::session::PATH, Target::AgentSession)
            .route("/redirect", Target::Redirect)
            .route("/marathon", Target::Facade(Facade::Marathon))
            .route(CHRONOS_ROOT, Target::ChronosRoot)
            .route("/v1", Target::Native);
        for facade in Facade::ALL {
            router = router.route(facade.base(), Target::Facade(facade));
        }
        for (path, endpoint) in [
            ("/health", Endpoint::Health),
            ("/version", Endpoint::Version),
            ("/flags", Endpoint::Flags),
            ("/state", Endpoint::State),
            ("/state-summary", Endpoint::StateSummary),
            ("/slaves", Endpoint::Slaves),
            ("/frameworks", Endpoint::Frameworks),
            ("/tasks", Endpoint::Tasks),
            ("/roles", Endpoint::Roles),
            ("/weights", Endpoint::Weights),
            ("/quota", Endpoint::Quota),
            ("/teardown", Endpoint::Teardown),
            ("/maintenance/schedule", Endpoint::MaintenanceSchedule),
            ("/maintenance/status", Endpoint::MaintenanceStatus),
            ("/metrics/snapshot", Endpoint::Metrics),
            ("/metrics", Endpoint::Prometheus),
            ("/system/stats.json", Endpoint::SystemStats),
            ("/logging/toggle", Endpoint::LoggingToggle),
            ("/registrar(1)/registry", Endpoint::Registry),
        ] {
            router = router.route(path, Target::Unversioned(endpoint));
        }
        for (path, endpoint) in [
            ("/files/browse", FilesEndpoint::Browse),
            ("/files/read", FilesEndpoint::Read),
            ("/files/download", FilesEndpoint::Download),
            ("/files/debug", FilesEndpoint::Debug),
        ] {
            router = router.route(path, Target::Files(endpoint));
        }
        for path in [
            "/reserve",
            "/unreserve",
            "/create-volumes",
            "/destroy-volumes",
            "/machine/down",
            "/machine/up",
        ] {
            router = router.route(path, Target::NotBuilt);
        }
        Self { shared, router }
    }
}

impl Service for Api {
    fn direct(&self) -> Option<Box<dyn Direct>> {
        Some(Box::new(DirectCalls::new(self.shared.clone())))
    }

    async fn handle(self: Arc<Self>, request: Request) -> Response {
        let Some((target, rest)) = self.router.find(request.path()) else {
            return respond::not_found();
        };
        match *target {
            Target::Scheduler => scheduler_api::handle(&self.shared, request).await,
            // Boxed, so that the way of a scheduler's call is not moved about with room for all others.
            Target::Operator => Box::pin(operator::handle(&self.shared, request)).await,
            Target::AgentSession => match leading::require_leader(&self.shared, &request) {
                Ok(()) => agent_sessions::handle(&self.shared, request),
                Err(refused) => refused,
            },
            Target::Unversioned(Endpoint::Prometheus) if !rest.trim_matches('/').is_empty() => {
                respond::not_found()
            }
            Target::Unversioned(endpoint) => {
                Box::pin(unversioned::handle(&self.shared, endpoint, request)).await
            }
            Target::Files(endpoint) => {
                Box::pin(files_http::handle(&self.shared.files, endpoint, &request)).await
            }
            Target::Native => {
                let rest = rest.to_owned();
                Box::pin(native::handle(&self.shared, &rest, request)).await
            }
            Target::Facade(facade) => {
                let rest = rest.to_owned();
                Box::pin(marathon::handle(&self.shared, facade, &rest, request)).await
            }
            Target::ChronosRoot => {
                let rest = format!("{CHRONOS_ROOT}{rest}");
                Box::pin(marathon::handle(
                    &self.shared,
                    Facade::Chronos,
                    &rest,
                    request,
                ))
                .await
            }
            // `/redirect/x` is no endpoint.
            Target::Redirect if !rest.trim_matches('/').is_empty() => respond::not_found(),
            Target::Redirect => leading::redirect(&self.shared),
            Target::NotBuilt => match leading::require_leader(&self.shared, &request) {
                Ok(()) => match request.expect_method(&[Method::POST]) {
                    Ok(()) => {
                        respond::not_implemented(format!("{} is not built yet", request.path()))
                    }
                    Err(refused) => refused,
                },
                Err(refused) => refused,
            },
            Target::Root => native::status_page(&self.shared),
        }
    }
}
