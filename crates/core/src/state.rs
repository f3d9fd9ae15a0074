//! The state behind the records: indexes, connections and what no reader needs to see.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use mezz_proto::v1;
use rustc_hash::FxHashMap;

use crate::event::TimerKey;
use crate::key::{
    AgentKey, ExecutorKey, FrameworkKey, Generation, OfferKey, SessionKey, StreamKey, TaskKey,
    Token,
};
use crate::pages::Slots;
use crate::time::Mono;

/// From names to keys. Looked up, never iterated.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Index {
    #[serde(with = "mezz_state::serde_forms::sorted")]
    pub(crate) frameworks: FxHashMap<Arc<str>, FrameworkKey>,
    #[serde(with = "mezz_state::serde_forms::sorted")]
    pub(crate) agents: FxHashMap<Arc<str>, AgentKey>,
    #[serde(with = "mezz_state::serde_forms::sorted")]
    pub(crate) offers: FxHashMap<Arc<str>, OfferKey>,
    #[serde(with = "mezz_state::serde_forms::sorted")]
    pub(crate) tasks: FxHashMap<(FrameworkKey, Box<str>), TaskKey>,
    #[serde(with = "mezz_state::serde_forms::sorted")]
    pub(crate) executors: FxHashMap<(AgentKey, FrameworkKey, Box<str>), ExecutorKey>,
    /// By the token of its first registration; the agent's own token tells whether the entry still holds.
    #[serde(with = "mezz_state::serde_forms::sorted")]
    pub(crate) registrations: FxHashMap<Bytes, AgentKey>,
    #[serde(with = "mezz_state::serde_forms::sorted")]
    pub(crate) sessions: FxHashMap<SessionKey, SessionState>,
    #[serde(with = "mezz_state::serde_forms::sorted")]
    pub(crate) streams: FxHashMap<StreamKey, FrameworkKey>,
}

/// Free slots of the record pages.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Free {
    pub(crate) agents: Slots,
    pub(crate) frameworks: Slots,
    pub(crate) tasks: Slots,
    pub(crate) executors: Slots,
    pub(crate) offers: Slots,
    pub(crate) pending: Slots,
}

/// Where an agent's session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum SessionState {
    /// It said hello and waits for a permit.
    Waiting,
    /// It may register.
    Admitted,
    /// It speaks for a registered agent.
    Registered(AgentKey),
}

/// The open stream of a framework.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Connection {
    pub(crate) stream: StreamKey,
    pub(crate) stream_id: String,
}

/// A framework beyond its record.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct FrameworkLive {
    pub(crate) connection: Option<Connection>,
    pub(crate) tasks: BTreeSet<TaskKey>,
    pub(crate) unreachable: VecDeque<TaskKey>,
    pub(crate) completed: VecDeque<TaskKey>,
    pub(crate) executors: BTreeSet<ExecutorKey>,
    pub(crate) offers: BTreeSet<OfferKey>,
}

/// A kill that waits for its agent.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct PendingKill {
    pub(crate) policy: Option<v1::KillPolicy>,
}

/// An agent beyond its record.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct AgentLive {
    /// The write that holds its registration: nothing of it is offered before.
    pub(crate) registered: Token,
    pub(crate) session: Option<SessionKey>,
    /// What the store holds of it, and since which write.
    pub(crate) stored: Option<(Bytes, Token)>,
    /// What it named itself by when it had no id.
    pub(crate) registration_token: Option<Bytes>,
    pub(crate) tasks: BTreeSet<TaskKey>,
    pub(crate) executors: BTreeSet<ExecutorKey>,
    pub(crate) offers: BTreeSet<OfferKey>,
    /// Tasks that were live when it became unreachable.
    pub(crate) unreachable: BTreeSet<TaskKey>,
    pub(crate) missed_pings: u32,
    /// Frameworks whose info went over in this session.
    pub(crate) told_frameworks: BTreeSet<FrameworkKey>,
    pub(crate) pending_kills: BTreeMap<TaskKey, PendingKill>,
}

/// Timers by key, and outstanding offers by age.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Timers {
    pub(crate) armed: BTreeMap<TimerKey, (Generation, Mono)>,
    pub(crate) next_generation: u64,
    /// The next allocation cycle waits for nothing: a framework has used an offer and lacks the rest of it.
    pub(crate) allocate_now: bool,
    /// Outstanding offers, oldest first; ended ones are skipped.
    pub(crate) offers: VecDeque<(Mono, Arc<str>)>,
    /// Whether something has changed since offers were last searched for one to take back, and when that was.
    pub(crate) recall: crate::recall::Search,
    pub(crate) searched_at: Mono,
    /// Before this no other agent is made unreachable, where that is paced.
    pub(crate) next_removal: Mono,
}

/// Numbers that ids are made of.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Numbers {
    pub(crate) framework: u64,
    pub(crate) agent: u64,
    pub(crate) offer: u64,
    pub(crate) launch_token: u64,
    pub(crate) native_task: u64,
    pub(crate) token: u64,
}

/// The built-in framework's own state.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct NativeState {
    pub(crate) framework_id: String,
    /// Unset until it is first used.
    pub(crate) framework: Option<FrameworkKey>,
    /// Slots of pending records, in the order of arrival.
    pub(crate) pending: BTreeMap<u64, u32>,
    pub(crate) next_arrival: u64,
    /// Its tasks that are in the store: all others of the built-in framework are instances of objects.
    pub(crate) ids: BTreeSet<Box<str>>,
    /// Roles that its tasks have named.
    pub(crate) roles: BTreeSet<String>,
}
