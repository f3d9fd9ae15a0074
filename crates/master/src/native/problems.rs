//! The errors of the native API: `application/problem+json` with reasons and what to do next.

use http::{Method, StatusCode};
use mezz_core::effect::Reply;
use mezz_http::respond::Problem;
use mezz_http::{Request, Response, respond};

use crate::replies;

/// An error of the native API.
pub(super) fn problem(status: StatusCode, detail: &str, hint: Option<&str>) -> Response {
    let problem = Problem {
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        detail: detail.to_owned(),
        why: Vec::new(),
        hint: hint.map(str::to_owned),
    };
    respond::problem(status, &problem)
}

/// 400; the detail names the field.
pub(super) fn bad_request(detail: &str) -> Response {
    let hint = "GET /v1/openapi.json describes every parameter and body";
    problem(StatusCode::BAD_REQUEST, detail, Some(hint))
}

/// 404 with where to look.
pub(super) fn not_found(detail: &str, hint: &str) -> Response {
    problem(StatusCode::NOT_FOUND, detail, Some(hint))
}

/// A refusal of the core.
pub(super) fn refused(reply: Reply) -> Response {
    let (status, message) = replies::refusal(reply);
    problem(status, &message, None)
}

/// Refuses other methods with 405 and `Allow`.
pub(super) fn allow(request: &Request, methods: &[Method]) -> Result<(), Response> {
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
pub(super) fn as_problem(refused: Response) -> Response {
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

/// A body that could not be read, as the native API words it.
pub(super) fn unreadable(refused: &Response) -> Response {
    match refused.status() {
        StatusCode::PAYLOAD_TOO_LARGE => problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request body is longer than this master takes",
            Some("a task needs no such body: let it fetch large files by `uris`"),
        ),
        _ => bad_request("the request body ended early"),
    }
}
