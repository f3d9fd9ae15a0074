//! `GET /v1/events`: the last facts as a list, or every fact as it becomes visible. A reader that was away goes on
//! where it was; one that was away for too long is told where it can begin.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use mezz_core::time::Wall;
use mezz_http::respond::{self, Problem};
use mezz_http::stream::{StreamLimits, StreamSender, stream};
use mezz_http::{Request, Response};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::event_json::{agent_id, event, framework_id, kind, task_id};
use super::given::Given;
use super::modes::{Accepted, Format, accepted, has_tag, last_event_id};
use crate::fact_ring::{KeptBatch, KeptFact, OutOfReach};
use crate::indexes::base;
use crate::shared::Shared;
use crate::view::View;

/// Keeps idle connections open through proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Nobody waits longer than this for an answer.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// How long a reader may leave its queue full.
const PATIENCE: Duration = Duration::from_secs(30);
/// Facts taken from the ring at once.
const TAKEN: usize = 1_024;
const LIMITS: StreamLimits = StreamLimits {
    max_records: 4_096,
    max_bytes: 4 << 20,
};

/// Which events are wanted. Values of one selector are alternatives; different selectors all have to hold.
#[derive(Clone, Debug, Default)]
struct Wanted {
    types: Vec<String>,
    tasks: Vec<String>,
    frameworks: Vec<String>,
    agents: Vec<String>,
}

impl Wanted {
    fn new(given: &Given, view: &View) -> Self {
        let texts = |name: &str| -> Vec<String> { given.all(name).map(str::to_owned).collect() };
        let mut wanted = Self {
            types: texts("type"),
            tasks: texts("task"),
            frameworks: texts("framework"),
            agents: texts("agent"),
        };
        // Events carry ids; names are looked up once.
        for (_, framework) in view.records.frameworks.iter() {
            if wanted.frameworks.contains(&framework.info.name) {
                wanted.frameworks.push(framework.id.to_string());
            }
        }
        for (_, agent) in view.records.agents.iter() {
            if wanted.agents.contains(&agent.info.hostname) {
                wanted.agents.push(agent.id.to_string());
            }
        }
        wanted
    }

    fn is_everything(&self) -> bool {
        [&self.types, &self.tasks, &self.frameworks, &self.agents]
            .iter()
            .all(|selector| selector.is_empty())
    }

    fn has(&self, kept: &KeptFact) -> bool {
        fits(&self.types, || Some(kind(&kept.fact)))
            && fits(&self.tasks, || task_id(&kept.fact))
            && fits(&self.frameworks, || framework_id(kept))
            && fits(&self.agents, || agent_id(kept))
    }
}

/// Whether a selector takes what an event has; that is looked up only for a selector that asks.
fn fits<T: AsRef<str>>(values: &[String], has: impl FnOnce() -> Option<T>) -> bool {
    values.is_empty() || has().is_some_and(|has| values.iter().any(|value| value == has.as_ref()))
}

/// Answers in the mode that is asked for.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    request: &Request,
    given: &Given,
) -> Result<Response, Response> {
    let view = shared.view();
    let wanted = Wanted::new(given, &view);
    let from = last_event_id(request)?.or(given.count("after"));
    let newest = sequence(&view);
    drop(view);
    let ring = &shared.hub.ring;
    let since = given.since("since", jiff::Timestamp::now()).map(wall);
    let oldest = ring.since(Wall(0)).unwrap_or(newest);
    let from = from.map(|after| if after == 0 { oldest } else { after });
    let from = from.or_else(|| since.map(|since| ring.since(since).unwrap_or(newest)));
    match accepted(request)? {
        Accepted::Json => list(shared, request, given, &wanted, from.unwrap_or(oldest)).await,
        Accepted::Stream(format) => {
            let after = from.unwrap_or(newest);
            take(shared, after)?;
            Ok(follow(shared, wanted, format, after))
        }
    }
}

fn wall(instant: jiff::Timestamp) -> Wall {
    Wall(u64::try_from(instant.as_nanosecond()).unwrap_or(0))
}

/// The sequence of the newest fact that a view holds.
fn sequence(view: &View) -> u64 {
    base(&view.records) + view.records.fact_sequence
}

/// What is kept after a sequence.
fn take(shared: &Shared, after: u64) -> Result<Vec<Arc<KeptBatch>>, Response> {
    match shared.hub.ring.after(after, TAKEN) {
        Ok(batches) => Ok(batches),
        // A view is out a moment before its facts are in the ring.
        Err(out) if after > out.newest && after <= sequence(&shared.view()) => Ok(Vec::new()),
        Err(out) => Err(out_of_reach(after, out)),
    }
}

fn out_of_reach(after: u64, out: OutOfReach) -> Response {
    let OutOfReach { begin, newest } = out;
    let detail = if after > newest {
        format!(
            "no event after {after} can be told: the newest is {newest}, so {after} is not of this cluster"
        )
    } else {
        format!("events after {after} are no longer kept")
    };
    let problem = Problem {
        title: "Gone".into(),
        detail,
        why: vec![format!(
            "what is kept begins after {begin} and ends with {newest}"
        )],
        hint: Some(format!(
            "begin with ?after={begin}; to miss nothing, read a list first and begin after its Mezz-Event-Sequence"
        )),
    };
    respond::problem(StatusCode::GONE, &problem)
}

/// The plain answer: what is kept, waiting for something if that is asked for.
async fn list(
    shared: &Arc<Shared>,
    request: &Request,
    given: &Given,
    wanted: &Wanted,
    mut after: u64,
) -> Result<Response, Response> {
    let limit = given.count("limit").map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let wait = given.duration("wait").unwrap_or_default().min(LONGEST_WAIT);
    let deadline = Instant::now() + wait;
    let mut newest = shared.hub.ring.watch();
    let mut found: Vec<Value> = Vec::new();
    loop {
        let batches = take(shared, after)?;
        let was = after;
        for batch in &batches {
            for kept in batch.facts.iter().filter(|kept| kept.sequence > was) {
                if found.len() == limit {
                    break;
                }
                after = kept.sequence;
                if wanted.has(kept) {
                    found.push(event(kept, batch.at));
                }
            }
        }
        if found.len() == limit {
            break;
        }
        if !batches.is_empty() {
            continue;
        }
        let told = !found.is_empty()
            || tokio::time::timeout_at(deadline, newest.changed())
                .await
                .is_err();
        if told {
            break;
        }
    }
    let tag = format!("W/\"{after:x}\"");
    let mut response = if found.is_empty() && has_tag(request, &tag) {
        let mut response = respond::empty(StatusCode::NOT_MODIFIED);
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
        response
    } else {
        let mut response = respond::json(Value::Array(found).to_string());
        respond::compress(request.headers(), &mut response);
        response
    };
    for (name, text) in [("etag", tag), ("mezz-index", after.to_string())] {
        if let Ok(value) = http::HeaderValue::from_str(&text) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// The stream.
fn follow(shared: &Arc<Shared>, wanted: Wanted, format: Format, after: u64) -> Response {
    let (sender, reader) = stream(LIMITS);
    let shared = shared.clone();
    tokio::spawn(async move {
        if let Some(last) = feed(&shared, &sender, &wanted, format, after).await {
            // The reader is told why it gets nothing more; if it cannot even take that, it is gone anyway.
            let _ = sender.send(last);
        }
        sender.end();
    });
    respond::streaming(format.content_type(), reader)
}

/// Feeds a stream until its reader is gone or has fallen out of the ring; then returns the last words.
async fn feed(
    shared: &Arc<Shared>,
    sender: &StreamSender,
    wanted: &Wanted,
    format: Format,
    mut after: u64,
) -> Option<Bytes> {
    let mut newest = shared.hub.ring.watch();
    let mut beats = tokio::time::interval(KEEP_ALIVE);
    loop {
        let batches = match shared.hub.ring.after(after, TAKEN) {
            Ok(batches) => batches,
            Err(out) if after > out.newest => Vec::new(),
            Err(out) => return Some(lost(out, format)),
        };
        for batch in &batches {
            let text = text(batch, after, wanted, format);
            match timeout(PATIENCE, sender.send_waiting(text)).await {
                Ok(Ok(())) => after = after.max(batch.last()),
                _ => return None,
            }
        }
        if !batches.is_empty() {
            continue;
        }
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return None },
            _ = beats.tick() => if sender.send(keep_alive(format)).is_err() { return None },
            () = sender.closed() => return None,
        }
    }
}

fn keep_alive(format: Format) -> Bytes {
    match format {
        Format::Lines => Bytes::from_static(b"\n"),
        Format::ServerSent => Bytes::from_static(b":\n\n"),
    }
}

fn lost(out: OutOfReach, format: Format) -> Bytes {
    let last = json!({
        "type": "events_lost",
        "detail": "this reader was too slow: events that it has not read are no longer kept",
        "begin": out.begin,
    });
    Bytes::from(match format {
        Format::Lines => format!("{last}\n"),
        Format::ServerSent => format!("event: events_lost\ndata: {last}\n\n"),
    })
}

/// What one batch is for a reader; the same text for all who want everything.
fn text(batch: &KeptBatch, after: u64, wanted: &Wanted, format: Format) -> Bytes {
    let whole = batch
        .facts
        .first()
        .is_some_and(|first| first.sequence > after);
    let everything = Wanted::default();
    if whole && wanted.is_everything() {
        let cell = match format {
            Format::Lines => &batch.lines,
            Format::ServerSent => &batch.server_sent,
        };
        return cell
            .get_or_init(|| Bytes::from(lines(batch, after, &everything, format)))
            .clone();
    }
    Bytes::from(lines(batch, after, wanted, format))
}

fn lines(batch: &KeptBatch, after: u64, wanted: &Wanted, format: Format) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let kept = batch.facts.iter().filter(|kept| kept.sequence > after);
    for kept in kept.filter(|kept| wanted.has(kept)) {
        let event = event(kept, batch.at);
        let written = match format {
            Format::Lines => writeln!(text, "{event}"),
            Format::ServerSent => {
                let (id, kind) = (kept.sequence, kind(&kept.fact));
                writeln!(text, "id: {id}\nevent: {kind}\ndata: {event}\n")
            }
        };
        written.expect("writing to a string cannot fail");
    }
    text
}
