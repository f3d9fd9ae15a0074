//! The native API under `/v1`: what the command line and the web page use.

mod events;
mod lists;
mod logs;
mod openapi;
mod page;
mod run;
mod tasks;
mod why;

pub(crate) use page::status_page;

use std::sync::Arc;

use http::{Method, StatusCode};
use mezz_core::effect::Reply;
use mezz_core::time::Wall;
use mezz_http::request::segments;
use mezz_http::respond::Problem;
use mezz_http::{Request, Response, respond};
use serde_json::{Value, json};

use crate::leading::require_leader;
use crate::options::VERSION;
use crate::replies;
use crate::shared::Shared;

/// Answers a request; `rest` is what follows `/v1`.
pub(crate) async fn handle(shared: &Arc<Shared>, rest: &str, mut request: Request) -> Response {
    match answer(shared, rest, &mut request).await {
        Ok(response) | Err(response) => response,
    }
}

async fn answer(
    shared: &Arc<Shared>,
    rest: &str,
    request: &mut Request,
) -> Result<Response, Response> {
    let parts = segments(rest);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["version"] => {
            allow(request, &[Method::GET])?;
            return Ok(value(
                &json!({ "mezz_version": env!("CARGO_PKG_VERSION"), "version": VERSION }),
            ));
        }
        ["openapi.json"] => {
            allow(request, &[Method::GET])?;
            return Ok(value(&openapi::document()));
        }
        _ => {}
    }
    require_leader(shared, request).map_err(as_problem)?;
    match parts.as_slice() {
        ["tasks"] if *request.method() == Method::POST => run::run(shared, request).await,
        ["tasks"] => {
            allow(request, &[Method::GET, Method::POST])?;
            tasks::list(shared, &request.query())
        }
        ["tasks", id, "logs"] | ["tasks", _, id, "logs"] if parts.len() <= 4 => {
            allow(request, &[Method::GET])?;
            let framework = (parts.len() == 4).then(|| parts[1]);
            logs::logs(shared, framework, id, request).await
        }
        ["tasks", id] | ["tasks", _, id] => {
            let framework = (parts.len() == 3).then(|| parts[1]);
            if *request.method() == Method::DELETE {
                return run::kill(shared, framework, id, &request.query()).await;
            }
            allow(request, &[Method::GET, Method::DELETE])?;
            tasks::one(shared, framework, id).await
        }
        ["agents"] => list(request, || lists::agents(&shared.view())),
        ["frameworks"] => list(request, || lists::frameworks(&shared.view())),
        ["roles"] => list(request, || lists::roles(&shared.view())),
        ["offers"] => list(request, || lists::offers(&shared.view())),
        ["events"] => {
            allow(request, &[Method::GET])?;
            Ok(events::events(shared, request))
        }
        ["why", id @ ..] if !id.is_empty() => {
            allow(request, &[Method::GET])?;
            why::why(shared, &id.join("/")).await
        }
        _ => Err(not_found(
            &format!("there is no {}", request.path()),
            "GET /v1/openapi.json lists every path",
        )),
    }
}

fn list(request: &Request, build: impl FnOnce() -> Value) -> Result<Response, Response> {
    allow(request, &[Method::GET])?;
    Ok(value(&build()))
}

/// 200 with JSON.
fn value(value: &Value) -> Response {
    respond::json(value.to_string())
}

fn allow(request: &Request, methods: &[Method]) -> Result<(), Response> {
    request.expect_method(methods).map_err(|refused| {
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        let detail = format!(
            "{} takes {}, not {}",
            request.path(),
            names.join(" and "),
            request.method()
        );
        let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, &detail, None);
        if let Some(allow) = refused.headers().get(http::header::ALLOW) {
            response
                .headers_mut()
                .insert(http::header::ALLOW, allow.clone());
        }
        response
    })
}

/// The redirect or refusal of a master that does not lead, as the native API words it.
fn as_problem(refused: Response) -> Response {
    if refused.status() == StatusCode::SERVICE_UNAVAILABLE {
        let hint = "a master that leads may appear within seconds: try again";
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "this master does not lead",
            Some(hint),
        );
    }
    refused
}

/// An error of the native API.
fn problem(status: StatusCode, detail: &str, hint: Option<&str>) -> Response {
    let problem = Problem {
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        detail: detail.to_owned(),
        why: Vec::new(),
        hint: hint.map(str::to_owned),
    };
    respond::problem(status, &problem)
}

fn bad_request(detail: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, detail, None)
}

fn not_found(detail: &str, hint: &str) -> Response {
    problem(StatusCode::NOT_FOUND, detail, Some(hint))
}

/// A refusal of the core.
fn refused(reply: Reply) -> Response {
    let (status, message) = replies::refusal(reply);
    problem(status, &message, None)
}

/// A time as RFC 3339 in UTC.
fn rfc3339(wall: Wall) -> Value {
    match jiff::Timestamp::from_nanosecond(i128::from(wall.0)) {
        Ok(timestamp) => Value::from(format!("{timestamp:.6}")),
        Err(_) => Value::Null,
    }
}

/// Scalars of resources as numbers, and ports as ranges.
fn resources_json(resources: &mezz_resource::Resources) -> Value {
    let mut map = serde_json::Map::new();
    for (name, value) in resources.summary() {
        let value = match value {
            mezz_resource::SummaryValue::Number(number) => Value::from(number),
            mezz_resource::SummaryValue::Text(text) => Value::from(text),
        };
        map.insert(name, value);
    }
    Value::Object(map)
}
