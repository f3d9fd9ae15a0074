//! `GET /v1/events`: every fact as it becomes visible, as NDJSON or server-sent events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mezz_core::fact::{AgentRemoval, Fact, OfferEnd};
use mezz_core::key::{AgentKey, FrameworkKey};
use mezz_http::negotiate::allows;
use mezz_http::stream::{StreamLimits, stream};
use mezz_http::{Request, Response, respond};
use serde_json::{Value, json};

use super::rfc3339;
use crate::clock::wall_now;
use crate::shared::Shared;
use crate::view::View;

/// Keeps idle connections open through proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Clone, Copy)]
enum Format {
    Lines,
    ServerSent,
}

pub(super) fn events(shared: &Arc<Shared>, request: &Request) -> Response {
    let named = request
        .header("accept")
        .is_some_and(|accept| accept.contains("text/event-stream"));
    let format = if named && allows(request.headers(), "text/event-stream") {
        Format::ServerSent
    } else {
        Format::Lines
    };
    let (sender, reader) = stream(StreamLimits::default());
    let mut subscription = shared.hub.subscribe();
    let after = shared.view().records.fact_sequence;
    tokio::spawn(async move {
        let mut beats = tokio::time::interval(KEEP_ALIVE);
        loop {
            let sent = tokio::select! {
                batch = subscription.next() => match batch {
                    Some(batch) => batch
                        .facts
                        .iter()
                        .filter(|(sequence, _)| *sequence > after)
                        .all(|(sequence, fact)| sender.send(line(*sequence, fact, &batch.view, format)).is_ok()),
                    None => break,
                },
                _ = beats.tick() => sender.send(keep_alive(format)).is_ok(),
                () = sender.closed() => break,
            };
            if !sent {
                break;
            }
        }
        sender.end();
    });
    let content_type = match format {
        Format::Lines => "application/x-ndjson",
        Format::ServerSent => "text/event-stream",
    };
    respond::streaming(content_type, reader)
}

fn keep_alive(format: Format) -> Bytes {
    match format {
        Format::Lines => Bytes::from_static(b"\n"),
        Format::ServerSent => Bytes::from_static(b":\n\n"),
    }
}

fn line(sequence: u64, fact: &Fact, view: &View, format: Format) -> Bytes {
    let mut event = describe(fact, view);
    event["sequence"] = sequence.into();
    event["at"] = rfc3339(wall_now());
    match format {
        Format::Lines => Bytes::from(format!("{event}\n")),
        Format::ServerSent => {
            let kind = event["type"].as_str().unwrap_or_default();
            Bytes::from(format!("id: {sequence}\nevent: {kind}\ndata: {event}\n\n"))
        }
    }
}

fn describe(fact: &Fact, view: &View) -> Value {
    let agent = |key: AgentKey| {
        view.records
            .agents
            .get(key.index())
            .map(|agent| agent.id.to_string())
    };
    let framework = |key: FrameworkKey| {
        view.records
            .frameworks
            .get(key.index())
            .map(|one| one.id.to_string())
    };
    match fact {
        Fact::TaskAdded { wire, .. } => json!({
            "type": "task_added",
            "task_id": wire.task_id.value,
            "framework_id": wire.framework_id.value,
            "agent_id": wire.agent_id.value,
            "name": wire.name,
            "state": wire.state().as_str_name(),
        }),
        Fact::TaskUpdated {
            framework_id,
            status,
            state,
            ..
        } => json!({
            "type": "task_updated",
            "task_id": status.task_id.value,
            "framework_id": framework_id,
            "agent_id": status.agent_id.as_ref().map(|id| id.value.clone()),
            "state": state.as_str_name(),
            "message": status.message,
            "reason": status.reason.map(|_| status.reason().as_str_name()),
        }),
        Fact::AgentAdded { agent: key } => {
            json!({ "type": "agent_added", "agent_id": agent(*key) })
        }
        Fact::AgentReregistered { agent: key } => {
            json!({ "type": "agent_reregistered", "agent_id": agent(*key) })
        }
        Fact::AgentDisconnected { agent: key } => {
            json!({ "type": "agent_disconnected", "agent_id": agent(*key) })
        }
        Fact::AgentUnreachable { agent: key } => {
            json!({ "type": "agent_unreachable", "agent_id": agent(*key) })
        }
        Fact::AgentRemoved {
            agent_id, reason, ..
        } => {
            let reason = match reason {
                AgentRemoval::Unreachable => "unreachable",
                AgentRemoval::Unregistered => "unregistered",
                AgentRemoval::MarkedGone => "marked_gone",
            };
            json!({ "type": "agent_removed", "agent_id": agent_id, "reason": reason })
        }
        Fact::FrameworkAdded { framework: key } => {
            json!({ "type": "framework_added", "framework_id": framework(*key) })
        }
        Fact::FrameworkUpdated { framework: key } => {
            json!({ "type": "framework_updated", "framework_id": framework(*key) })
        }
        Fact::FrameworkDisconnected { framework: key } => {
            json!({ "type": "framework_disconnected", "framework_id": framework(*key) })
        }
        Fact::FrameworkRemoved { info, .. } => {
            json!({ "type": "framework_removed", "framework_id": info.id.as_ref().map(|id| id.value.clone()) })
        }
        Fact::OfferSent {
            offer_id,
            framework: owner,
            agent: key,
            ..
        } => json!({
            "type": "offer_sent", "offer_id": offer_id, "framework_id": framework(*owner), "agent_id": agent(*key),
        }),
        Fact::OfferEnded {
            offer_id,
            framework: owner,
            agent: key,
            end,
        } => {
            let end = match end {
                OfferEnd::Accepted => "accepted",
                OfferEnd::Declined => "declined",
                OfferEnd::Rescinded => "rescinded",
                OfferEnd::Discarded => "discarded",
            };
            json!({
                "type": "offer_ended", "offer_id": offer_id, "framework_id": framework(*owner),
                "agent_id": agent(*key), "end": end,
            })
        }
        Fact::WeightsUpdated { weights } => {
            let weights: serde_json::Map<String, Value> = weights
                .iter()
                .map(|(role, weight)| (role.clone(), Value::from(*weight)))
                .collect();
            json!({ "type": "weights_updated", "weights": weights })
        }
    }
}
