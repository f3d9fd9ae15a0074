//! What happens to the master: the only way in. Events are decoded and syntactically valid.

use std::sync::Arc;

use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;

use crate::key::{Generation, RequestKey, SessionKey, StreamKey, Token};
use crate::native::NativeCall;

/// Something that the shell tells the core.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Event {
    /// A SUBSCRIBE that passed the transport checks; its answer is already an open stream.
    Subscribe(Box<Subscribe>),
    /// Any other scheduler call.
    Call(Box<SchedulerCall>),
    /// A scheduler stream ended.
    StreamClosed(StreamKey),
    /// An operator's call that changes something.
    Operator(Box<OperatorCall>),
    /// A call to the built-in framework.
    Native {
        request: RequestKey,
        call: Box<NativeCall>,
    },
    /// A call to the controllers of users' objects.
    Work {
        request: RequestKey,
        call: Box<mezz_workload::call::Call>,
        /// The address that it came from, when there is one.
        by: Option<Arc<str>>,
    },
    /// Why does this wait? The id of a pending task, a framework or a role.
    Explain { request: RequestKey, id: String },
    /// A body from an agent (never `Part`: the shell puts them together).
    Agent {
        session: SessionKey,
        body: Box<Body>,
    },
    /// An agent's connection broke.
    SessionClosed(SessionKey),
    /// A timer fired.
    Timer {
        key: TimerKey,
        generation: Generation,
    },
    /// Everything up to this token is durable.
    Persisted(Token),
    /// A write failed or was fenced: this core has to be dropped.
    PersistFailed(Token),
    /// This master leads now.
    Elected(Box<Elected>),
    /// What was measured of a service whose number of instances follows it, in the order of its metrics.
    Metrics {
        object: mezz_workload::key::ObjectKey,
        averages: Vec<Option<u64>>,
    },
    /// What would applying these objects do?
    Plan {
        request: RequestKey,
        objects: Vec<mezz_spec::Object>,
        conflict: mezz_workload::call::Conflict,
    },
    /// Why do instances of this service wait for a place?
    FindNoPlace {
        request: RequestKey,
        service: mezz_spec::Name,
    },
}

/// A framework asks for its stream.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Subscribe {
    pub stream: StreamKey,
    /// The `Mesos-Stream-Id` that the shell made up and sent.
    pub stream_id: String,
    /// Who authenticated, if anybody.
    pub principal: Option<String>,
    /// `framework_id` of the envelope and `framework_info.id` agree (checked at the edge).
    pub subscribe: v1::scheduler::call::Subscribe,
}

/// A scheduler call other than SUBSCRIBE, already validated by [`crate::validation::scheduler_call`].
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SchedulerCall {
    pub request: RequestKey,
    /// The `Mesos-Stream-Id` header.
    pub stream_id: Option<String>,
    pub principal: Option<String>,
    pub call: v1::scheduler::Call,
}

/// An operator's call that changes something; reads never enter the core.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OperatorCall {
    pub request: RequestKey,
    pub principal: Option<String>,
    pub action: OperatorAction,
}

/// What an operator may change.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum OperatorAction {
    Teardown { framework_id: String },
    UpdateWeights(Vec<v1::WeightInfo>),
    MarkAgentGone { agent_id: String },
    DeactivateAgent { agent_id: String },
    ReactivateAgent { agent_id: String },
}

/// Leadership, with what the store held.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Elected {
    pub epoch: u64,
    /// A fresh random UUID: the id of this incarnation and the prefix of the ids that it gives.
    pub master_id: String,
    /// Seeds every random choice of this incarnation.
    pub seed: u64,
    /// All keys and values under the core's prefixes, in key order.
    pub snapshot: Vec<(String, bytes::Bytes)>,
}

/// What a timer is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum TimerKey {
    /// An allocation cycle is due.
    Allocate,
    /// The controllers of users' objects hear the statuses that have come together.
    TellWork,
    /// HEARTBEAT on a scheduler stream.
    Heartbeat(StreamKey),
    /// A disconnected framework's failover timeout.
    Failover(crate::key::FrameworkKey),
    /// An agent is pinged, or has missed too many pings.
    Ping(crate::key::AgentKey),
    /// An agent known from the store or disconnected did not come back.
    Reregister(crate::key::AgentKey),
    /// The oldest outstanding offers have reached `offer_timeout`.
    OfferTimeout,
    /// The turn of an agent whose removal is paced.
    Removal(crate::key::AgentKey),
    /// Agents lost long ago, and too many of them, are forgotten.
    RegistryCollection,
    /// Of the controllers of users' objects.
    Work(mezz_workload::event::TimerKey),
    /// Somebody may starve for what offers hold that have stood for their least time.
    Recall,
}
