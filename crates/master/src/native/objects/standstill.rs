//! What is stopped for a time: how bodies say for how long, and `/v1/freeze`, which stops everything.

use http::Method;
use mezz_core::time::Wall;
use mezz_http::{Request, Response, respond};
use mezz_spec::quantity::Span;
use mezz_workload::call::{Call, Lasting};
use serde::Deserialize;

use super::super::given::Given;
use super::super::problems::{bad_request, unreadable};
use super::verbs::optional;
use super::{answers, ask};
use crate::shared::Shared;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Lasts {
    r#for: Option<String>,
    until: Option<String>,
}

/// How long a body says that something is to stand still.
pub(super) fn lasting(body: &[u8]) -> Result<Lasting, Response> {
    let lasts: Lasts = optional(body)?;
    match (lasts.r#for, lasts.until) {
        (None, None) => Ok(Lasting::UntilLetGo),
        (Some(span), None) => length(&span),
        (None, Some(moment)) => end(&moment),
        (Some(_), Some(_)) => Err(bad_request(
            "the body: `for` and `until` are both given; one of them says when it ends",
        )),
    }
}

fn length(text: &str) -> Result<Lasting, Response> {
    let span = Span::parse(text).map_err(|error| bad_request(&format!("for: {error}")))?;
    match span.nanoseconds() {
        0 => Err(bad_request(
            "for: 0s is no time at all; leave it out to stop until somebody says otherwise",
        )),
        ns => Ok(Lasting::For { ns }),
    }
}

fn end(text: &str) -> Result<Lasting, Response> {
    let at = text.parse::<jiff::Timestamp>().map_err(|error| {
        bad_request(&format!(
            "until: '{text}' is no time such as 2026-01-31T12:00:00Z: {error}"
        ))
    })?;
    let at = u64::try_from(at.as_nanosecond())
        .map_err(|_| bad_request(&format!("until: '{text}' is before 1970 or after 2554")))?;
    Ok(Lasting::Until(Wall(at)))
}

/// `POST` and `DELETE /v1/freeze`.
pub(in super::super) async fn freeze(
    shared: &Shared,
    request: &mut Request,
) -> Result<Response, Response> {
    Given::check(&request.query(), &[])?;
    let call = if *request.method() == Method::DELETE {
        Call::Thaw
    } else {
        let body = request
            .read_body()
            .await
            .map_err(|refused| unreadable(&refused))?;
        Call::Freeze {
            lasts: lasting(&body)?,
        }
    };
    let reply = ask(shared, call).await?;
    Ok(respond::json(answers::reply(&reply).to_string()))
}
