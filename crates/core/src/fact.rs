//! Facts: typed records of what happened, in the past tense, in one numbered order. They are the one
//! source of the operator event stream, the native watch, metrics, audit and the live view.

use mezz_proto::v1;

use crate::key::{AgentKey, FrameworkKey, OfferKey, TaskKey};

/// Something that happened. Keys can be resolved in the view published with the fact. Its serialized form is there to be
/// compared, and leaves out what the records say as well.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub enum Fact {
    TaskAdded {
        task: TaskKey,
        #[serde(skip)]
        wire: Box<v1::Task>,
    },
    /// `state` is the newest state known; `status` the update that told it.
    TaskUpdated {
        task: TaskKey,
        framework_id: String,
        #[serde(skip)]
        status: Box<v1::TaskStatus>,
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
        offer_id: String,
        framework: FrameworkKey,
        agent: AgentKey,
    },
    OfferEnded {
        offer_id: String,
        framework: FrameworkKey,
        agent: AgentKey,
        end: OfferEnd,
    },
    WeightsUpdated {
        weights: Vec<(String, f64)>,
    },
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
