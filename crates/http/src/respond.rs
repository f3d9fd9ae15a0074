//! Ready-made responses, with the texts and headers of Mesos where it has them.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::Response;
use crate::body::Body;
use crate::bulk::Bulk;
use crate::query::Query;
use crate::stream::StreamReader;

/// Answers shorter than this are not compressed.
const GZIP_MINIMUM_BYTES: usize = 1024;

/// A status without a body (`Content-Length: 0`).
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

/// A plain text answer, as Mesos labels its errors.
pub fn text(status: StatusCode, message: impl Into<String>) -> Response {
    with_type(
        status,
        "text/plain; charset=utf-8",
        message.into().into_bytes(),
    )
}

/// A body under a content type.
pub fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// 200 with JSON.
pub fn json(body: impl Into<Body>) -> Response {
    with_type(StatusCode::OK, "application/json", body)
}

/// An unending answer: chunked, one record per chunk, never compressed.
pub fn streaming(content_type: &'static str, reader: StreamReader) -> Response {
    with_type(StatusCode::OK, content_type, Body::Stream(reader))
}

/// A large document that is made while it is sent: chunked, sent apart from what others wait for.
pub fn bulk(content_type: &'static str, reader: StreamReader) -> Response {
    with_type(StatusCode::OK, content_type, Body::Bulk(Bulk::new(reader)))
}

/// 202 with an empty body.
pub fn accepted() -> Response {
    empty(StatusCode::ACCEPTED)
}

/// 200 with an empty body.
pub fn ok() -> Response {
    empty(StatusCode::OK)
}

/// 400 with its reason.
pub fn bad_request(message: impl Into<String>) -> Response {
    text(StatusCode::BAD_REQUEST, message)
}

/// 404 as libprocess words it for unknown paths.
pub fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 Not Found.")
}

/// 501; the message names what is not there.
pub fn not_implemented(message: impl Into<String>) -> Response {
    text(StatusCode::NOT_IMPLEMENTED, message)
}

/// 405 with `Allow`.
pub fn method_not_allowed(allowed: &[Method], received: &Method) -> Response {
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let message = format!(
        "405 Method Not Allowed. Expecting one of {{ {} }}, but received '{received}'.",
        quoted.join(", ")
    );
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, message);
    let allow = HeaderValue::from_str(&names.join(", ")).expect("method names are header text");
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// 413 that names the limit.
pub fn payload_too_large(limit: usize) -> Response {
    text(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("The request body is longer than the limit of {limit} bytes"),
    )
}

/// 307 to another master; the location is scheme-relative as Mesos sends it.
pub fn redirect(location: &str) -> Response {
    let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
    match HeaderValue::from_str(location) {
        Ok(value) => {
            response.headers_mut().insert(LOCATION, value);
            response
        }
        Err(_) => bad_request("The path cannot stand in a Location header"),
    }
}

/// JSON of an unversioned endpoint: `?jsonp=fn` wraps it, `Accept-Encoding: gzip` compresses it.
pub fn unversioned_json(headers: &HeaderMap, query: &Query, body: Vec<u8>) -> Response {
    let mut response = match query.get("jsonp") {
        Some(function) => {
            let mut wrapped = Vec::with_capacity(body.len() + function.len() + 3);
            wrapped.extend_from_slice(function.as_bytes());
            wrapped.push(b'(');
            wrapped.extend_from_slice(&body);
            wrapped.extend_from_slice(b");");
            with_type(StatusCode::OK, "text/javascript", wrapped)
        }
        None => json(body),
    };
    compress(headers, &mut response);
    response
}

/// Compresses a whole body when the client asks for it and it is worth it.
pub fn compress(headers: &HeaderMap, response: &mut Response) {
    let Body::Full(Some(bytes)) = response.body() else {
        return;
    };
    if bytes.len() < GZIP_MINIMUM_BYTES || !accepts_gzip(headers) {
        return;
    }
    let compressed = gzip(bytes);
    *response.body_mut() = Body::from(compressed);
    response
        .headers_mut()
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
}

fn gzip(bytes: &Bytes) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(
        Vec::with_capacity(bytes.len() / 8),
        flate2::Compression::fast(),
    );
    encoder
        .write_all(bytes)
        .expect("writing to memory cannot fail");
    encoder.finish().expect("writing to memory cannot fail")
}

/// Whether the client takes a compressed body.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(http::header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| {
            value.split(',').any(|entry| {
                let mut parts = entry.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default();
                let refused = parts.any(|parameter| {
                    parameter
                        .strip_prefix("q=")
                        .is_some_and(|q| q.trim().parse::<f64>() == Ok(0.0))
                });
                (name.eq_ignore_ascii_case("gzip") || name == "*") && !refused
            })
        })
}

/// An error of the native API.
#[derive(Clone, Debug, Default)]
pub struct Problem {
    pub title: String,
    pub detail: String,
    /// Why, from the most to the least important reason.
    pub why: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
}

/// `application/problem+json` of the native API.
pub fn problem(status: StatusCode, problem: &Problem) -> Response {
    let mut value = serde_json::json!({
        "type": "about:blank",
        "title": problem.title,
        "status": status.as_u16(),
        "detail": problem.detail,
        "why": problem.why,
    });
    if let Some(hint) = &problem.hint {
        value["hint"] = serde_json::Value::from(hint.as_str());
    }
    with_type(status, "application/problem+json", value.to_string())
}
