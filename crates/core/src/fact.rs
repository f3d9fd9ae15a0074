//! Facts: typed records of what happened, in the past tense, in one numbered order. They are the one
//! source of the operator event stream, the native watch, metrics, audit and the live view.

use std::sync::Arc;

use mezz_proto::v1;

use crate::key::{AgentKey, FrameworkKey, OfferKey, TaskKey};

/// Something that happened. Keys can be resolved in the view published with the fact. Its serialized form is there to be
/// compared, and leaves out what the records say as well.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub enum Fact {
    /// `wire` is its encoded `mesos.v1.Task`, shared with the record: most facts are read by nobody.
    TaskAdded {
        task: TaskKey,
        #[serde(skip)]
        wire: bytes::Bytes,
    },
    /// `state` is the newest state known; `status` the update that told it, an encoded `mesos.v1.TaskStatus`.
    TaskUpdated {
        task: TaskKey,
        framework_id: Arc<str>,
        #[serde(skip)]
        status: bytes::Bytes,
        state: v1::TaskState,
    },
    AgentAdded {
        agent: AgentKey,
    },
    AgentReregistered {
        agent: AgentKey,
    },
    AgentDisconnected {
        agent: AgentKey,
    },
    AgentUnreachable {
        agent: AgentKey,
    },
    AgentRemoved {
        agent: AgentKey,
        agent_id: String,
        reason: AgentRemoval,
    },
    FrameworkAdded {
        framework: FrameworkKey,
    },
    FrameworkUpdated {
        framework: FrameworkKey,
    },
    FrameworkDisconnected {
        framework: FrameworkKey,
    },
    FrameworkRemoved {
        framework: FrameworkKey,
        #[serde(skip)]
        info: Box<v1::FrameworkInfo>,
    },
    OfferSent {
        offer: OfferKey,
        offer_id: Arc<str>,
        framework: FrameworkKey,
        agent: AgentKey,
    },
    OfferEnded {
        offer_id: Arc<str>,
        framework: FrameworkKey,
        agent: AgentKey,
        end: OfferEnd,
    },
    WeightsUpdated {
        weights: Vec<(String, f64)>,
    },
    /// Something happened to a user's object.
    Work(Arc<mezz_workload::fact::Fact>),
}

/// Why an agent left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum AgentRemoval {
    Unreachable,
    Unregistered,
    MarkedGone,
}

/// How an offer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum OfferEnd {
    Accepted,
    Declined,
    Rescinded,
    Discarded,
}

/// Reads a task or a status out of a fact; none when an agent reported a task whose body is no such message.
pub fn decoded<M: prost::Message + Default>(encoded: &bytes::Bytes) -> Option<M> {
    M::decode(encoded.clone()).ok()
}
