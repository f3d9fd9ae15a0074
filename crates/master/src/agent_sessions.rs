//! Agents' connections: `POST /agent/v1/session` becomes a framed session; each channel of it is one session of the core.
//! One connection carries as many agents as it has channels.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, Method, StatusCode};
use mezz_core::event::Event;
use mezz_core::key::SessionKey;
use mezz_http::session::{PROTOCOL, Sender, Session, SessionConfig};
use mezz_http::{Request, Response, respond};
use mezz_proto::agent_protocol::frame::Body;

use crate::inbox::{Inbox, Input};
use crate::shared::Shared;

/// Frames that an agent may have in flight; not below what the core grants in `Admitted`.
const WINDOW: u32 = 4096;

/// The connection's own sender: dropped when its last channel is closed, which ends the connection in order.
struct Connection {
    state: Mutex<(Option<Sender>, usize)>,
}

impl Connection {
    fn open_channel(&self) -> Option<Sender> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = state.0.clone()?;
        state.1 += 1;
        Some(sender)
    }

    fn close_channel(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 -= 1;
        if state.1 == 0 {
            state.0 = None;
        }
    }
}

/// Where bodies for one agent go.
pub(crate) struct SessionSink {
    connection: Arc<Connection>,
    sender: Sender,
    channel: u32,
    queued: Vec<(u32, Body)>,
}

impl SessionSink {
    /// Keeps a body for the next [`Self::flush`]; true when it is the first one.
    pub(crate) fn queue(&mut self, body: Body) -> bool {
        self.queued.push((self.channel, body));
        self.queued.len() == 1
    }

    /// Hands over what was kept, under one lock and with one wake-up.
    pub(crate) fn flush(&mut self) {
        if !self.queued.is_empty()
            // Taken with its room: with tens of thousands of agents, empty queues would hold much memory.
            && let Err(error) = self.sender.send_all(std::mem::take(&mut self.queued))
        {
            // The reading side sees the same end and reports it.
            tracing::debug!(%error, "an agent's session has ended");
        }
    }

    /// Ends the channel after what was flushed; the last one ends the connection.
    pub(crate) fn close(self) {
        self.connection.close_channel();
    }
}

/// Answers the upgrade request and runs the session.
pub(crate) fn handle(shared: &Arc<Shared>, request: Request) -> Response {
    if let Err(refused) = request.expect_method(&[Method::POST]) {
        return refused;
    }
    if !request.wants_upgrade(PROTOCOL) {
        let mut response = respond::text(
            StatusCode::UPGRADE_REQUIRED,
            format!("This endpoint speaks only the protocol '{PROTOCOL}' (Upgrade header)"),
        );
        response
            .headers_mut()
            .insert(http::header::UPGRADE, HeaderValue::from_static(PROTOCOL));
        return response;
    }
    let shared = shared.clone();
    let peer = request.peer();
    let upgrade = request.upgrade();
    tokio::spawn(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded.into_inner(),
            Err(error) => return tracing::debug!(%error, %peer, "an agent's upgrade failed"),
        };
        if let Ok(carrier) = mezz_http::session::accepted(upgraded) {
            run(&shared, carrier).await;
        } else {
            tracing::debug!(%peer, "an agent's connection is not a plain socket");
        }
    });
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(
        http::header::CONNECTION,
        HeaderValue::from_static("Upgrade"),
    );
    response
        .headers_mut()
        .insert(http::header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    response
}

async fn run<Io>(shared: &Shared, io: Io)
where
    Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
{
    let (sender, mut receiver) = Session::new(
        io,
        SessionConfig {
            window: WINDOW,
            ..SessionConfig::default()
        },
    );
    let connection = Arc::new(Connection {
        state: Mutex::new((Some(sender), 0)),
    });
    let mut channels: BTreeMap<u32, SessionKey> = BTreeMap::new();
    let mut bodies = Vec::new();
    let mut inputs = Vec::new();
    loop {
        match receiver.next_batch(&mut bodies).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                tracing::info!(%error, "an agent's session broke");
                break;
            }
        }
        for (channel, body) in bodies.drain(..) {
            let known = channels.get(&channel).copied();
            let session = match known {
                Some(session) if !matches!(body, Body::Hello(_)) => session,
                // Whoever greets begins anew: what its channel was before has ended.
                former => {
                    let Some(session) = open(shared, &connection, channel, &mut inputs) else {
                        continue;
                    };
                    channels.insert(channel, session);
                    if let Some(former) = former {
                        inputs.push(Input::Event(Event::SessionClosed(former)));
                    }
                    session
                }
            };
            inputs.push(Input::Event(Event::Agent {
                session,
                body: Box::new(body),
            }));
        }
        shared.inbox.send_all(&mut inputs).await;
    }
    close_all(&shared.inbox, channels);
}

fn open(
    shared: &Shared,
    connection: &Arc<Connection>,
    channel: u32,
    inputs: &mut Vec<Input>,
) -> Option<SessionKey> {
    let sender = connection.open_channel()?;
    let key = SessionKey(shared.next_number());
    let sink = SessionSink {
        connection: connection.clone(),
        sender,
        channel,
        queued: Vec::new(),
    };
    inputs.push(Input::Session { key, sink });
    Some(key)
}

fn close_all(inbox: &Inbox, channels: BTreeMap<u32, SessionKey>) {
    for session in channels.into_values() {
        inbox.push(Input::Event(Event::SessionClosed(session)));
    }
}
