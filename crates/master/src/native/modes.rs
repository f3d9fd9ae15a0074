//! The three modes of every GET: a plain answer with `ETag`, an answer that waits for a change, and a stream.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use mezz_http::negotiate::{allows, first_named};
use mezz_http::{Request, Response, respond};
use tokio::time::Instant;

use super::given::Given;
use super::problems::{bad_request, problem};
use super::subject::{Read, Subject};
use super::watch;
use crate::indexes::base;
use crate::shared::Shared;
use crate::view::View;

/// How long a request waits for a change when it does not say.
const USUAL_WAIT: Duration = Duration::from_mins(5);
/// Nobody waits longer than this.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

const INDEX: &str = "mezz-index";
const NEXT_CURSOR: &str = "mezz-next-cursor";
const EVENT_SEQUENCE: &str = "mezz-event-sequence";

/// How an answer that has no end is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/x-ndjson`
    Lines,
    /// `text/event-stream`
    ServerSent,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::ServerSent => "text/event-stream",
        }
    }
}

/// What the client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    Json,
    Stream(Format),
}

/// A stream only where its type is named and JSON is not named before it; JSON for everybody else.
pub(super) fn accepted(request: &Request) -> Result<Accepted, Response> {
    let known = [
        ("application/json", Accepted::Json),
        ("application/x-ndjson", Accepted::Stream(Format::Lines)),
        ("text/event-stream", Accepted::Stream(Format::ServerSent)),
    ];
    let named = first_named(request.headers(), &known);
    match named {
        Some(accepted) => Ok(accepted),
        None if allows(request.headers(), "application/json") => Ok(Accepted::Json),
        None => Err(problem(
            StatusCode::NOT_ACCEPTABLE,
            "the answer can be application/json, application/x-ndjson or text/event-stream",
            Some("leave the Accept header out to get JSON"),
        )),
    }
}

/// Answers a GET in the mode that it asks for.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    request: &Request,
    given: &Given,
    subject: Subject,
) -> Result<Response, Response> {
    let index = given.count("index");
    match accepted(request)? {
        Accepted::Stream(format) => {
            if let Subject::List { page, .. } = &subject
                && page.is_part
            {
                return Err(bad_request("limit and cursor: a stream has no pages"));
            }
            let after = last_event_id(request)?.or(index);
            watch::stream_of(shared, subject, format, after).await
        }
        Accepted::Json => {
            let view = match index {
                None => shared.view(),
                Some(index) => {
                    let wait = given.duration("wait").unwrap_or(USUAL_WAIT);
                    changed_view(shared, &subject, index, wait.min(LONGEST_WAIT)).await?
                }
            };
            let read = subject.read(shared, &view).await?;
            Ok(plain(request, &subject, &view, &read))
        }
    }
}

/// The id that a reconnecting reader of server-sent events brings along.
pub(super) fn last_event_id(request: &Request) -> Result<Option<u64>, Response> {
    request
        .header("last-event-id")
        .filter(|text| !text.is_empty())
        .map(|text| {
            text.parse()
                .map_err(|_| bad_request(&format!("Last-Event-ID: '{text}' is no number")))
        })
        .transpose()
}

/// Waits until the subject differs from what a reader of `index` knows, or the time is over.
async fn changed_view(
    shared: &Arc<Shared>,
    subject: &Subject,
    index: u64,
    wait: Duration,
) -> Result<Arc<View>, Response> {
    let deadline = Instant::now() + wait;
    let mut newest = shared.view.watch();
    let mut view = shared.view();
    // An index of the future is one of another cluster: its reader knows nothing of this one.
    if subject.changed_at(&view) > index || index > view.indexes.newest {
        return Ok(view);
    }
    let exact = !matches!(subject, Subject::List { .. });
    let known = if exact {
        subject
            .read(shared, &view)
            .await
            .ok()
            .map(|read| read.value)
    } else {
        None
    };
    loop {
        let told = tokio::time::timeout_at(deadline, newest.changed()).await;
        if !matches!(told, Ok(Ok(()))) {
            return Ok(view);
        }
        view = shared.view();
        if subject.changed_at(&view) <= index {
            continue;
        }
        if !exact
            || subject
                .read(shared, &view)
                .await
                .ok()
                .map(|read| read.value)
                != known
        {
            return Ok(view);
        }
    }
}

/// 200 with the value, or 304 when the client has it.
fn plain(request: &Request, subject: &Subject, view: &View, read: &Read) -> Response {
    let changed = subject.changed_at(view);
    let body = read.value.to_string();
    let tag = match subject {
        // A list is long: what it is made of tells as well whether it has changed.
        Subject::List { .. } => format!("W/\"{changed:x}\""),
        _ => format!("W/\"{}\"", hash_of(&body)),
    };
    let mut response = if has_tag(request, &tag) {
        let mut response = respond::empty(StatusCode::NOT_MODIFIED);
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
        response
    } else {
        let mut response = respond::json(body);
        respond::compress(request.headers(), &mut response);
        response
    };
    let headers = response.headers_mut();
    let text = |text: String| HeaderValue::from_str(&text).ok();
    let index = if matches!(subject, Subject::List { .. }) {
        changed
    } else {
        view.indexes.newest.max(changed)
    };
    let sequence = base(&view.records) + view.records.fact_sequence;
    for (name, value) in [
        ("etag", text(tag)),
        (INDEX, text(index.to_string())),
        (EVENT_SEQUENCE, text(sequence.to_string())),
        (
            NEXT_CURSOR,
            read.next_cursor
                .as_ref()
                .and_then(|cursor| text(mezz_http::query::percent_encode(cursor))),
        ),
    ] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    response
}

pub(super) fn hash_of(body: &str) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Whether `If-None-Match` names this tag; weak and strong ones compare alike.
pub(super) fn has_tag(request: &Request, tag: &str) -> bool {
    let bare = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    request
        .headers()
        .get_all(http::header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim() == "*" || bare(one) == bare(tag))
}
