//! `GET /v1/events`: every fact as it becomes visible, as NDJSON or server-sent events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mezz_core::fact::{AgentRemoval, Fact, OfferEnd};
use mezz_core::key::{AgentKey, FrameworkKey};
use mezz_http::negotiate::allows;
use mezz_http::stream::{StreamLimits, stream};
use mezz_http::{Request, Response, respond};
use mezz_proto::v1;
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
    match fact {
        Fact::TaskAdded { .. } | Fact::TaskUpdated { .. } => describe_task(fact),
        Fact::AgentAdded { agent } => of_agent("agent_added", *agent, view),
        Fact::AgentReregistered { agent } => of_agent("agent_reregistered", *agent, view),
        Fact::AgentDisconnected { agent } => of_agent("agent_disconnected", *agent, view),
        Fact::AgentUnreachable { agent } => of_agent("agent_unreachable", *agent, view),
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
        Fact::FrameworkAdded { framework } => of_framework("framework_added", *framework, view),
        Fact::FrameworkUpdated { framework } => of_framework("framework_updated", *framework, view),
        Fact::FrameworkDisconnected { framework } => {
            of_framework("framework_disconnected", *framework, view)
        }
        Fact::FrameworkRemoved { info, .. } => {
            json!({ "type": "framework_removed", "framework_id": info.id.as_ref().map(|id| id.value.clone()) })
        }
        Fact::OfferSent { .. } | Fact::OfferEnded { .. } => describe_offer(fact, view),
        Fact::WeightsUpdated { weights } => {
            let weights: serde_json::Map<String, Value> = weights
                .iter()
                .map(|(role, weight)| (role.clone(), Value::from(*weight)))
                .collect();
            json!({ "type": "weights_updated", "weights": weights })
        }
    }
}

fn of_agent(kind: &str, key: AgentKey, view: &View) -> Value {
    json!({ "type": kind, "agent_id": agent_id(key, view) })
}

fn of_framework(kind: &str, key: FrameworkKey, view: &View) -> Value {
    json!({ "type": kind, "framework_id": framework_id(key, view) })
}

fn agent_id(key: AgentKey, view: &View) -> Option<String> {
    view.records
        .agents
        .get(key.index())
        .map(|agent| agent.id.to_string())
}

fn framework_id(key: FrameworkKey, view: &View) -> Option<String> {
    view.records
        .frameworks
        .get(key.index())
        .map(|framework| framework.id.to_string())
}

fn describe_task(fact: &Fact) -> Value {
    match fact {
        Fact::TaskAdded { wire, .. } => {
            let task: v1::Task = prost::Message::decode(wire.clone()).unwrap_or_default();
            json!({
                "type": "task_added",
                "task_id": task.task_id.value,
                "framework_id": task.framework_id.value,
                "agent_id": task.agent_id.value,
                "name": task.name,
                "state": task.state().as_str_name(),
            })
        }
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
        _ => Value::Null,
    }
}

fn describe_offer(fact: &Fact, view: &View) -> Value {
    match fact {
        Fact::OfferSent {
            offer_id,
            framework,
            agent,
            ..
        } => json!({
            "type": "offer_sent",
            "offer_id": offer_id,
            "framework_id": framework_id(*framework, view),
            "agent_id": agent_id(*agent, view),
        }),
        Fact::OfferEnded {
            offer_id,
            framework,
            agent,
            end,
        } => {
            let end = match end {
                OfferEnd::Accepted => "accepted",
                OfferEnd::Declined => "declined",
                OfferEnd::Rescinded => "rescinded",
                OfferEnd::Discarded => "discarded",
            };
            json!({
                "type": "offer_ended",
                "offer_id": offer_id,
                "framework_id": framework_id(*framework, view),
                "agent_id": agent_id(*agent, view),
                "end": end,
            })
        }
        _ => Value::Null,
    }
}
