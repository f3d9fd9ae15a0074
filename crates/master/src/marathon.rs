//! The APIs of other systems: carries requests to a facade and its calls to the core. It decides nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use mezz_core::effect::Reply;
use mezz_core::event::Event;
use mezz_core::fact::{Fact, decoded};
use mezz_core::records::AgentState;
use mezz_facade::marathon::events::{Attendance, EventFilter, Feed};
use mezz_facade::world::Cluster;
use mezz_facade::{Answer, Body, Outcome, World};
use mezz_http::query::percent_decode;
use mezz_http::stream::{StreamLimits, StreamSender, stream};
use mezz_http::{Request, Response, respond};
use mezz_proto::v1::TaskStatus;
use mezz_workload::placing::NoPlaces;
use tokio::sync::broadcast;
use tokio::time::timeout;

use crate::clock::wall_now;
use crate::facades::Facade;
use crate::fact_ring::KeptBatch;
use crate::inbox::Input;
use crate::indexes::base;
use crate::leading::require_leader;
use crate::shared::Shared;
use crate::view::View;

/// How long an answer has to go out before this master steps down.
const FAREWELL: Duration = Duration::from_millis(200);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A reader that is so slow is cut off.
const PATIENCE: Duration = Duration::from_secs(30);
/// Facts taken from the ring at once.
const TAKEN: usize = 1_024;
const LIMITS: StreamLimits = StreamLimits {
    max_records: 1_024,
    max_bytes: 4 << 20,
};

/// Answers a request; `rest` is what follows the base of the API.
pub(crate) async fn handle(
    shared: &Arc<Shared>,
    facade: Facade,
    rest: &str,
    mut request: Request,
) -> Response {
    if let Err(refused) = require_leader(shared, &request) {
        return refused;
    }
    let body = match request.read_body().await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let query = request.query();
    let asked = mezz_facade::Request {
        method: request.method().as_str().to_owned(),
        path: percent_decode(rest),
        query: query
            .pairs()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        accept: request.header("accept").map(str::to_owned),
        client: request.peer().ip().to_string(),
        body: body.to_vec(),
    };
    let view = shared.view();
    let cluster = cluster(shared, &view);
    let outcome = facade.answer(&asked, &world(&view, &cluster));
    let mut response = settle(shared, outcome, &asked.client).await;
    add(&mut response, mezz_facade::marathon::headers(&cluster));
    respond::compress(request.headers(), &mut response);
    response
}

fn world<'a>(view: &'a View, cluster: &'a Cluster) -> World<'a> {
    World {
        work: &view.records.work,
        now: wall_now(),
        cluster,
    }
}

fn cluster(shared: &Shared, view: &View) -> Cluster {
    let config = &shared.options.config;
    let records = &view.records;
    let agents = records
        .agents
        .iter()
        .filter(|(_, agent)| agent.state == AgentState::Connected && agent.is_active());
    Cluster {
        leader: format!("{}:{}", config.hostname, config.port),
        // Of the built-in framework, also before it has run anything.
        framework_id: format!("{}-mezz", records.master.cluster_id),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        agents: agents.count(),
        is_durable: shared
            .flags
            .get("registry")
            .is_some_and(|registry| registry != "in_memory"),
    }
}

/// Does what the facade wants done, until there is an answer.
async fn settle(shared: &Arc<Shared>, mut outcome: Outcome, client: &str) -> Response {
    loop {
        outcome = match outcome {
            Outcome::Answer(answer) => return written(answer),
            Outcome::Events(filter) => return follow(shared, filter, client),
            Outcome::Call(call, then) => {
                let reply = shared
                    .call(|request| Event::Work {
                        request,
                        call: Box::new(call),
                        by: Some(client.into()),
                    })
                    .await;
                let view = shared.view();
                let cluster = cluster(shared, &view);
                match reply {
                    Reply::Work(reply) => then(&reply, &world(&view, &cluster)),
                    other => {
                        let (status, message) = crate::replies::refusal(other);
                        Answer::message(status.as_u16(), message).into()
                    }
                }
            }
            Outcome::StepDown(answer) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    // The answer goes out first: nobody is there to send it afterwards.
                    tokio::time::sleep(FAREWELL).await;
                    let reason = "it was asked to, by DELETE /v2/leader";
                    shared.inbox.push(Input::StepDown(reason.into()));
                });
                return written(answer);
            }
            Outcome::NoPlaces(services, then) => {
                let mut found = Vec::with_capacity(services.len());
                for service in services {
                    let reply = shared
                        .call(|request| Event::FindNoPlace { request, service })
                        .await;
                    found.push(match reply {
                        Reply::NoPlaces(places) => *places,
                        _ => NoPlaces::default(),
                    });
                }
                let view = shared.view();
                let cluster = cluster(shared, &view);
                then(found, &world(&view, &cluster))
            }
        };
    }
}

fn written(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match answer.body {
        Body::Nothing => respond::empty(status),
        Body::Json(value) => respond::with_type(status, "application/json", value.to_string()),
        Body::Text(media_type, text) => respond::with_type(status, media_type, text),
    };
    add(&mut response, answer.headers);
    response
}

fn add(response: &mut Response, headers: Vec<(&'static str, String)>) {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
}

/// The stream of events.
fn follow(shared: &Arc<Shared>, filter: EventFilter, client: &str) -> Response {
    let (sender, reader) = stream(LIMITS);
    let view = shared.view();
    let cluster = cluster(shared, &view);
    let feed = Feed::new(filter, &world(&view, &cluster));
    let client = client.to_owned();
    let came = Attendance::Came {
        client: client.clone(),
    };
    let first = text(feed.of_attendance(&came, wall_now()));
    // Those who were there before are told; the new reader has it from its own feed.
    let _ = shared.attendance.send(came);
    let others = shared.attendance.subscribe();
    let after = base(&view.records) + view.records.fact_sequence;
    let shared = shared.clone();
    tokio::spawn(async move {
        if first.is_empty() || sender.send(first).is_ok() {
            pump(&shared, &sender, feed, after, others).await;
        }
        sender.end();
        let _ = shared.attendance.send(Attendance::Went { client });
    });
    respond::streaming("text/event-stream", reader)
}

/// Feeds a stream until its reader is gone or too slow.
async fn pump(
    shared: &Arc<Shared>,
    sender: &StreamSender,
    mut feed: Feed,
    mut after: u64,
    mut others: broadcast::Receiver<Attendance>,
) {
    let mut newest = shared.hub.ring.watch();
    let mut beats = tokio::time::interval(KEEP_ALIVE);
    loop {
        let batches = match shared.hub.ring.after(after, TAKEN) {
            Ok(batches) => batches,
            Err(out) if after > out.newest => Vec::new(),
            Err(_) => return,
        };
        for batch in &batches {
            let events = told(shared, &mut feed, batch, after);
            after = after.max(batch.last());
            if events.is_empty() {
                continue;
            }
            match timeout(PATIENCE, sender.send_waiting(events)).await {
                Ok(Ok(())) => {}
                _ => return,
            }
        }
        if !batches.is_empty() {
            continue;
        }
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return },
            _ = beats.tick() => if sender.send(Bytes::from_static(b"\r\n")).is_err() { return },
            told = others.recv() => {
                // Who missed some of them has missed nothing that is kept anywhere.
                if let Ok(attendance) = told {
                    let events = text(feed.of_attendance(&attendance, wall_now()));
                    if !events.is_empty() && sender.send(events).is_err() {
                        return;
                    }
                }
            }
            () = sender.closed() => return,
        }
    }
}

/// What a batch of facts is for a reader.
fn told(shared: &Shared, feed: &mut Feed, batch: &KeptBatch, after: u64) -> Bytes {
    let view = shared.view();
    let cluster = cluster(shared, &view);
    let world = world(&view, &cluster);
    let mut events = Vec::new();
    for kept in batch.facts.iter().filter(|kept| kept.sequence > after) {
        match &*kept.fact {
            Fact::Work(fact) => events.extend(feed.of_fact(fact, &world, batch.at)),
            Fact::TaskUpdated { status, state, .. } => {
                if let Some(status) = decoded::<TaskStatus>(status) {
                    events.extend(feed.of_status(&status, *state, &world, batch.at));
                }
            }
            _ => {}
        }
    }
    text(events)
}

fn text(events: Vec<mezz_facade::marathon::events::Event>) -> Bytes {
    let lines = events
        .into_iter()
        .map(|(kind, event)| format!("event: {kind}\r\ndata: {event}\r\n\r\n"));
    Bytes::from(lines.collect::<String>())
}
