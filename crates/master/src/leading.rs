//! Whether this master may answer: only the leader does, once it has recovered.

use http::StatusCode;
use mezz_http::{Request, Response, respond};

use crate::shared::{Leader, Shared};

/// Refuses requests that only a recovered leader may answer: 307 to the leader, or 503.
pub(crate) fn require_leader(shared: &Shared, request: &Request) -> Result<(), Response> {
    match shared.leader() {
        Leader::Me if is_recovered(shared) => Ok(()),
        Leader::Me => Err(respond::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "Master has not finished recovery",
        )),
        Leader::Other(address) => Err(respond::redirect(&format!(
            "//{address}{}",
            request.path_and_query()
        ))),
        Leader::Unknown => Err(nobody()),
    }
}

/// Where a request to a listener of its own belongs when another master leads: below a path of that master.
pub(crate) fn redirect_below(shared: &Shared, base: &str, request: &Request) -> Option<Response> {
    match shared.leader() {
        Leader::Other(address) => Some(respond::redirect(&format!(
            "//{address}{base}{}",
            request.path_and_query()
        ))),
        Leader::Me | Leader::Unknown => None,
    }
}

/// `/redirect`: to the leader's base, without a path.
pub(crate) fn redirect(shared: &Shared) -> Response {
    match shared.leader() {
        Leader::Me => {
            let config = &shared.options.config;
            respond::redirect(&format!("//{}:{}", config.hostname, config.port))
        }
        Leader::Other(address) => respond::redirect(&format!("//{address}")),
        Leader::Unknown => nobody(),
    }
}

fn nobody() -> Response {
    respond::text(StatusCode::SERVICE_UNAVAILABLE, "No leader elected")
}

/// Whether this master leads and has recovered.
pub(crate) fn is_leading(shared: &Shared) -> bool {
    shared.leader_is_me() && is_recovered(shared)
}

/// Whether the core has taken leadership and published it.
pub(crate) fn is_recovered(shared: &Shared) -> bool {
    shared.view().records.master.elected_at.is_some()
}
