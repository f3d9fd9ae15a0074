//! The native API under `/v1`.
use std::sync::Arc;
use mezz_http::{Request, Response, respond};
use crate::shared::Shared;
pub(crate) async fn handle(_shared: &Arc<Shared>, _rest: &str, _request: Request) -> Response { respond::not_found() }
pub(crate) fn status_page(_shared: &Arc<Shared>) -> Response { respond::not_found() }
