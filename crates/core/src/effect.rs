//! What the core wants done: the only way out. The shell does it, in order, and decides nothing.

use std::sync::Arc;

use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use prost::Message as _;

use crate::event::TimerKey;
use crate::fact::Fact;
use crate::key::{Generation, RequestKey, SessionKey, StreamKey, Token};
use crate::time::Mono;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub enum Effect {
    /// Answer a call. `after`: only once that token is durable.
    Reply {
        request: RequestKey,
        reply: Reply,
        after: Option<Token>,
    },
    /// Send an event on a scheduler stream.
    ToFramework {
        stream: StreamKey,
        event: Box<v1::scheduler::Event>,
        after: Option<Token>,
    },
    /// Send offers on a scheduler stream: they are many, and most of them leave as they are here.
    Offers {
        stream: StreamKey,
        event: EncodedEvent,
        after: Option<Token>,
    },
    /// End a scheduler stream after what was sent on it.
    CloseStream(StreamKey),
    /// Send a body to an agent.
    ToAgent {
        session: SessionKey,
        body: Box<Body>,
        after: Option<Token>,
    },
    /// Close an agent's connection after what was sent on it.
    CloseSession {
        session: SessionKey,
        after: Option<Token>,
    },
    /// Write to the store.
    Persist {
        token: Token,
        operations: Vec<StoreOperation>,
    },
    /// Arm a timer, replacing one of the same key.
    SetTimer {
        key: TimerKey,
        generation: Generation,
        at: Mono,
    },
    /// Disarm a timer.
    CancelTimer(TimerKey),
    /// Publish a fact.
    Fact { sequence: u64, fact: Arc<Fact> },
    /// Give up leadership: a write failed or was fenced.
    StepDown(String),
}

/// An encoded [`v1::scheduler::Event`].
#[derive(Clone, PartialEq, serde::Serialize)]
pub struct EncodedEvent(pub bytes::Bytes);

/// As the message that it is: `mezz replay` shows effects to people.
impl std::fmt::Debug for EncodedEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match v1::scheduler::Event::decode(self.0.clone()) {
            Ok(event) => std::fmt::Debug::fmt(&event, f),
            Err(_) => std::fmt::Debug::fmt(&self.0, f),
        }
    }
}

/// A change of the store.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub enum StoreOperation {
    Put { key: String, value: bytes::Bytes },
    Delete { key: String },
}

/// The outcome of a call.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub enum Reply {
    /// 202 with an empty body.
    Accepted,
    /// 200 with an empty body.
    Ok,
    /// A native task was taken; its id.
    TaskAccepted { task_id: String },
    /// Reasons in words, the most important first.
    Explained(Vec<String>),
    /// What the controllers answered.
    Work(Box<mezz_workload::call::Reply>),
    /// What an apply would do.
    Planned(Box<mezz_workload::plan::Plan>),
    /// 400: the caller's mistake.
    BadRequest(String),
    /// 403: known, but not allowed now.
    Forbidden(String),
    /// 404.
    NotFound(String),
    /// 409: against the present state.
    Conflict(String),
    /// 501: not built; names itself.
    NotImplemented(String),
    /// 503: try again.
    Unavailable(String),
    /// Why instances of a service wait for a place.
    NoPlaces(Box<mezz_workload::placing::NoPlaces>),
}

/// Effects of one event, in order.
#[derive(Debug, Default)]
pub struct Effects {
    pub list: Vec<Effect>,
}

impl Effects {
    /// Answers a call at once.
    pub fn reply(&mut self, request: RequestKey, reply: Reply) {
        self.list.push(Effect::Reply {
            request,
            reply,
            after: None,
        });
    }

    /// Sends an event to a framework at once.
    pub fn to_framework(&mut self, stream: StreamKey, event: v1::scheduler::Event) {
        self.list.push(Effect::ToFramework {
            stream,
            event: Box::new(event),
            after: None,
        });
    }

    /// Sends a body to an agent at once.
    pub fn to_agent(&mut self, session: SessionKey, body: Body) {
        self.list.push(Effect::ToAgent {
            session,
            body: Box::new(body),
            after: None,
        });
    }
}
