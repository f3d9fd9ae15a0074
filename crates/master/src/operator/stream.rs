//! SUBSCRIBE of the operator API: a snapshot, then what happens, as one record per event.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mezz_core::fact::{Fact, decoded};
use mezz_http::negotiate::MediaType;
use mezz_http::stream::{StreamLimits, StreamSender, stream};
use mezz_http::{Response, respond};
use mezz_proto::v1;
use mezz_proto::v1::master::{Event, event};

use super::reads;
use crate::facts::{FactBatch, Subscription};
use crate::scheduler_stream::record;
use crate::shared::Shared;
use crate::view::View;

/// Opens a stream and feeds it from a task of its own.
pub(super) fn subscribe(shared: &Arc<Shared>, media: MediaType) -> Response {
    let (sender, reader) = stream(StreamLimits::default());
    let subscription = shared.hub.subscribe();
    shared
        .hub
        .limit(shared.options.max_operator_event_stream_subscribers);
    let heartbeat = Duration::from_nanos(shared.options.config.heartbeat_interval_ns);
    // Loaded after the subscription began, so that no fact lies between the two.
    let view = shared.view();
    tokio::spawn(async move {
        feed(&sender, subscription, view, media, heartbeat).await;
        sender.end();
    });
    respond::streaming(media.name(), reader)
}

async fn feed(
    sender: &StreamSender,
    mut subscription: Subscription,
    view: Arc<View>,
    media: MediaType,
    heartbeat: Duration,
) {
    let after = view.records.fact_sequence;
    // The snapshot is not kept: a view that is held costs what has changed since.
    let first =
        tokio::task::spawn_blocking(move || record(&subscribed(&view, heartbeat), media)).await;
    let Ok(first) = first else { return };
    let beat = record(&of(event::Type::Heartbeat), media);
    if sender.send(first).is_err() || sender.send(beat.clone()).is_err() {
        return;
    }
    let mut beats = tokio::time::interval(heartbeat.max(Duration::from_millis(1)));
    beats.tick().await;
    loop {
        let sent = tokio::select! {
            batch = subscription.next() => match batch {
                Some(batch) => send_batch(sender, &batch, after, media),
                None => return,
            },
            _ = beats.tick() => sender.send(beat.clone()).is_ok(),
            () = sender.closed() => return,
        };
        if !sent {
            return;
        }
    }
}

fn send_batch(sender: &StreamSender, batch: &FactBatch, after: u64, media: MediaType) -> bool {
    let encoded = match media {
        MediaType::Protobuf => &batch.protobuf,
        MediaType::Json | MediaType::RecordIo => &batch.json,
    };
    encoded
        .get_or_init(|| encode(batch, media))
        .iter()
        .filter(|(sequence, _)| *sequence > after)
        .all(|(_, record)| sender.send(record.clone()).is_ok())
}

fn encode(batch: &FactBatch, media: MediaType) -> Vec<(u64, Bytes)> {
    batch
        .facts
        .iter()
        .filter_map(|(sequence, fact)| {
            let event = operator_event(fact, &batch.view)?;
            Some((*sequence, record(&event, media)))
        })
        .collect()
}

fn of(kind: event::Type) -> Event {
    Event {
        r#type: Some(kind as i32),
        ..Event::default()
    }
}

fn subscribed(view: &View, heartbeat: Duration) -> Event {
    let subscribed = event::Subscribed {
        get_state: Some(reads::state(view)),
        heartbeat_interval_seconds: Some(heartbeat.as_secs_f64()),
    };
    Event {
        subscribed: Some(subscribed),
        ..of(event::Type::Subscribed)
    }
}

fn task_updated(framework_id: &str, status: &bytes::Bytes, state: v1::TaskState) -> Option<Event> {
    let updated = event::TaskUpdated {
        framework_id: v1::FrameworkId {
            value: framework_id.to_owned(),
        },
        status: decoded(status)?,
        state: state as i32,
    };
    Some(Event {
        task_updated: Some(updated),
        ..of(event::Type::TaskUpdated)
    })
}

/// The event that Mesos sends for a fact, if it sends one.
fn operator_event(fact: &Fact, view: &View) -> Option<Event> {
    let records = &view.records;
    Some(match fact {
        Fact::TaskAdded { wire, .. } => Event {
            task_added: Some(event::TaskAdded {
                task: decoded(wire)?,
            }),
            ..of(event::Type::TaskAdded)
        },
        Fact::TaskUpdated {
            framework_id,
            status,
            state,
            ..
        } => task_updated(framework_id, status, *state)?,
        Fact::AgentAdded { agent } => Event {
            agent_added: Some(event::AgentAdded {
                agent: reads::agent(records.agents.get(agent.index())?),
            }),
            ..of(event::Type::AgentAdded)
        },
        Fact::AgentRemoved { agent_id, .. } => Event {
            agent_removed: Some(event::AgentRemoved {
                agent_id: v1::AgentId {
                    value: agent_id.clone(),
                },
            }),
            ..of(event::Type::AgentRemoved)
        },
        Fact::FrameworkAdded { framework } => {
            let framework = reads::framework(view, records.frameworks.get(framework.index())?);
            Event {
                framework_added: Some(event::FrameworkAdded { framework }),
                ..of(event::Type::FrameworkAdded)
            }
        }
        Fact::FrameworkUpdated { framework } => {
            let framework = reads::framework(view, records.frameworks.get(framework.index())?);
            Event {
                framework_updated: Some(event::FrameworkUpdated { framework }),
                ..of(event::Type::FrameworkUpdated)
            }
        }
        Fact::FrameworkRemoved { info, .. } => Event {
            framework_removed: Some(event::FrameworkRemoved {
                framework_info: (**info).clone(),
            }),
            ..of(event::Type::FrameworkRemoved)
        },
        Fact::AgentReregistered { .. }
        | Fact::AgentDisconnected { .. }
        | Fact::AgentUnreachable { .. }
        | Fact::FrameworkDisconnected { .. }
        | Fact::OfferSent { .. }
        | Fact::OfferEnded { .. }
        | Fact::WeightsUpdated { .. }
        | Fact::Work(_) => return None,
    })
}
