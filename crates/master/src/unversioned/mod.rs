//! The endpoints without a version: what exporters, mesos-dns, old clients and old UIs read.

mod agents;
mod frameworks;
mod registry;
mod roles;
mod state;
mod summary;
mod system;
mod tasks;

pub(crate) use agents::write_attributes;
pub(crate) use roles::{RoleHoldings, framework_ids, holdings, weights_json};
pub(crate) use system::system_numbers;

use std::fmt::Write as _;
use std::sync::Arc;

use http::{Method, StatusCode};
use mezz_core::event::{Event, OperatorAction, OperatorCall};
use mezz_http::query::Query;
use mezz_http::{Request, Response, respond};
use mezz_proto::v1;

use crate::json::Json;
use crate::leading::require_leader;
use crate::options::VERSION;
use crate::pieces::Pieces;
use crate::replies;
use crate::shared::Shared;
use crate::view::View;

/// Records from which on an answer is sent while it is being rendered.
pub(crate) const STREAMED_RECORDS: usize = 2_000;

/// Which of the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Health,
    Version,
    Flags,
    State,
    StateSummary,
    Slaves,
    Frameworks,
    Tasks,
    Roles,
    Weights,
    Quota,
    Teardown,
    MaintenanceSchedule,
    MaintenanceStatus,
    Metrics,
    Prometheus,
    SystemStats,
    LoggingToggle,
    Registry,
}

/// Answers a request to one of the endpoints.
pub(crate) async fn handle(
    shared: &Arc<Shared>,
    endpoint: Endpoint,
    mut request: Request,
) -> Response {
    match answer(shared, endpoint, &mut request).await {
        Ok(response) | Err(response) => response,
    }
}

async fn answer(
    shared: &Arc<Shared>,
    endpoint: Endpoint,
    request: &mut Request,
) -> Result<Response, Response> {
    match endpoint {
        Endpoint::Health => Ok(respond::ok()),
        Endpoint::Version => read(shared, request, |_, _, _| Ok(version())).await,
        Endpoint::Flags => read(shared, request, |shared, _, _| Ok(flags(shared))).await,
        Endpoint::Metrics => {
            read(shared, request, |shared, view, _| Ok(metrics(shared, view))).await
        }
        Endpoint::Prometheus => prometheus(shared, request),
        Endpoint::SystemStats => read(shared, request, |_, _, _| Ok(system::stats())).await,
        Endpoint::LoggingToggle => shared
            .logging
            .toggle(request, mezz_resource::parse_duration),
        Endpoint::State => {
            read_large(shared, request, |shared, view, _| {
                state::state(shared, view)
            })
            .await
        }
        Endpoint::StateSummary => {
            led_read(shared, request, |shared, view, _| {
                Ok(summary::summary(shared, view))
            })
            .await
        }
        Endpoint::Slaves => {
            led_read(shared, request, |_, view, query| {
                Ok(agents::slaves(view, query))
            })
            .await
        }
        Endpoint::Frameworks => {
            read_large(shared, request, |_, view, query| {
                frameworks::frameworks(view, query)
            })
            .await
        }
        Endpoint::Tasks => {
            led_read(shared, request, |_, view, query| tasks::tasks(view, query)).await
        }
        Endpoint::Roles => led_read(shared, request, |_, view, _| Ok(roles::roles(view))).await,
        Endpoint::Weights if *request.method() == Method::PUT => put_weights(shared, request).await,
        Endpoint::Weights => get_weights(shared, request).await,
        Endpoint::Quota | Endpoint::MaintenanceSchedule | Endpoint::MaintenanceStatus => {
            require_leader(shared, request)?;
            if *request.method() != Method::GET {
                return Err(not_built(request));
            }
            read(shared, request, |_, _, _| Ok(b"{}".to_vec())).await
        }
        Endpoint::Registry => {
            led_read(shared, request, |_, view, _| Ok(registry::registry(view))).await
        }
        Endpoint::Teardown => teardown(shared, request).await,
    }
}

type Reader = fn(&Shared, &View, &Query) -> Result<Vec<u8>, Response>;

async fn led_read(
    shared: &Arc<Shared>,
    request: &Request,
    reader: Reader,
) -> Result<Response, Response> {
    require_leader(shared, request)?;
    read(shared, request, reader).await
}

/// Builds the answer off the network threads, since `/state` can be long.
async fn read(
    shared: &Arc<Shared>,
    request: &Request,
    reader: Reader,
) -> Result<Response, Response> {
    request.expect_method(&[Method::GET])?;
    let query = request.query();
    let owned = shared.clone();
    let asked = query.clone();
    let built = tokio::task::spawn_blocking(move || reader(&owned, &owned.view(), &asked)).await;
    let body = built
        .map_err(|error| respond::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    Ok(respond::unversioned_json(request.headers(), &query, body))
}

type LargeReader = fn(&Arc<Shared>, &Arc<View>, &Query) -> Pieces;

/// An answer that grows with the cluster: sent while it is being rendered, unless it is small or has to be wrapped.
async fn read_large(
    shared: &Arc<Shared>,
    request: &Request,
    reader: LargeReader,
) -> Result<Response, Response> {
    require_leader(shared, request)?;
    request.expect_method(&[Method::GET])?;
    let query = request.query();
    let streamed = query.get("jsonp").is_none() && !respond::accepts_gzip(request.headers());
    let owned = shared.clone();
    let asked = query.clone();
    let built = tokio::task::spawn_blocking(move || {
        let pieces = reader(&owned, &owned.view(), &asked);
        if streamed && pieces.records() >= STREAMED_RECORDS {
            Err(pieces)
        } else {
            Ok(pieces.render())
        }
    });
    let built = built
        .await
        .map_err(|error| respond::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(match built {
        Ok(body) => respond::unversioned_json(request.headers(), &query, body),
        Err(pieces) => respond::bulk("application/json", pieces.stream(&shared.readers)),
    })
}

async fn get_weights(shared: &Arc<Shared>, request: &mut Request) -> Result<Response, Response> {
    require_leader(shared, request)?;
    request.expect_method(&[Method::GET, Method::PUT])?;
    read(shared, request, |_, view, _| Ok(weights_json(view))).await
}

fn not_built(request: &Request) -> Response {
    respond::not_implemented(format!(
        "{} {} is not built yet",
        request.method(),
        request.path()
    ))
}

fn version() -> Vec<u8> {
    let mut json = Json::new();
    json.object(write_version);
    json.finish()
}

/// The fields that `/version` and `/state` share.
pub(crate) fn write_version(json: &mut Json) {
    json.key("build_date").string("");
    json.key("build_time").double(0.0);
    json.key("build_user").string("");
    json.key("mezz_version").string(env!("CARGO_PKG_VERSION"));
    json.key("version").string(VERSION);
}

fn flags(shared: &Shared) -> Vec<u8> {
    let mut json = Json::new();
    json.object(|json| json.key("flags").value(&shared.flags));
    json.finish()
}

fn metrics(shared: &Shared, view: &View) -> Vec<u8> {
    let mut json = Json::new();
    json.object(|json| {
        for (name, value) in crate::metrics::snapshot(shared, view) {
            json.key(&name).double(value);
        }
    });
    json.finish()
}

fn prometheus(shared: &Shared, request: &Request) -> Result<Response, Response> {
    request.expect_method(&[Method::GET])?;
    let mut text = String::new();
    for (name, value) in crate::metrics::snapshot(shared, &shared.view()) {
        let plain: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        writeln!(text, "mezz_{plain} {value}").expect("writing to a string cannot fail");
    }
    Ok(respond::with_type(
        StatusCode::OK,
        "text/plain; version=0.0.4",
        text,
    ))
}

async fn teardown(shared: &Arc<Shared>, request: &mut Request) -> Result<Response, Response> {
    require_leader(shared, request)?;
    request.expect_method(&[Method::POST])?;
    let body = request.read_body().await?;
    let form = Query::parse(&String::from_utf8_lossy(&body));
    let Some(framework_id) = form.get("frameworkId").map(str::to_owned) else {
        return Err(respond::bad_request(
            "Missing 'frameworkId' query parameter in the request body",
        ));
    };
    Ok(change(shared, OperatorAction::Teardown { framework_id }).await)
}

/// Hands an operator's change to the core and answers with its reply.
pub(crate) async fn change(shared: &Shared, action: OperatorAction) -> Response {
    let reply = shared
        .call(|request| {
            Event::Operator(Box::new(OperatorCall {
                request,
                principal: None,
                action,
            }))
        })
        .await;
    replies::response(reply)
}

async fn put_weights(shared: &Arc<Shared>, request: &mut Request) -> Result<Response, Response> {
    require_leader(shared, request)?;
    let body = request.read_body().await?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let list: Vec<serde_json::Value> = serde_json::from_slice(&body).map_err(|error| {
        respond::bad_request(format!(
            "Failed to parse update weights request JSON '{text}': {error}"
        ))
    })?;
    let weights: Result<Vec<v1::WeightInfo>, _> = list.iter().map(mezz_proto::from_value).collect();
    let weights = weights.map_err(|error| {
        respond::bad_request(format!(
            "Failed to convert weights JSON array to protobuf '{text}': {error}"
        ))
    })?;
    Ok(change(shared, OperatorAction::UpdateWeights(weights)).await)
}
