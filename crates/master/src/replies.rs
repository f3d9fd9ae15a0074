//! From the core's replies to HTTP answers on Mesos endpoints.

use http::StatusCode;
use mezz_core::effect::Reply;
use mezz_http::{Response, respond};

/// The answer to a call of the Mesos APIs.
pub(crate) fn response(reply: Reply) -> Response {
    match reply {
        Reply::Accepted => respond::accepted(),
        Reply::Ok
        | Reply::TaskAccepted { .. }
        | Reply::Explained(_)
        | Reply::NoPlaces(_)
        | Reply::Work(_)
        | Reply::Planned(_) => respond::ok(),
        refused => {
            let (status, message) = refusal(refused);
            respond::text(status, message)
        }
    }
}

/// Status and text of a reply that refuses.
pub(crate) fn refusal(reply: Reply) -> (StatusCode, String) {
    match reply {
        Reply::BadRequest(message) => (StatusCode::BAD_REQUEST, message),
        Reply::Forbidden(message) => (StatusCode::FORBIDDEN, message),
        Reply::NotFound(message) => (StatusCode::NOT_FOUND, message),
        Reply::Conflict(message) => (StatusCode::CONFLICT, message),
        Reply::NotImplemented(message) => (StatusCode::NOT_IMPLEMENTED, message),
        Reply::Unavailable(message) => (StatusCode::SERVICE_UNAVAILABLE, message),
        Reply::Accepted
        | Reply::Ok
        | Reply::TaskAccepted { .. }
        | Reply::Explained(_)
        | Reply::NoPlaces(_)
        | Reply::Work(_)
        | Reply::Planned(_) => (StatusCode::OK, String::new()),
    }
}
