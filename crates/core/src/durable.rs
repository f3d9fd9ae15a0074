//! What survives the master, under which key and in which form. Tasks of foreign frameworks are not here: agents hold them.

use bytes::Bytes;
use mezz_proto::v1;
use prost::Message;

use crate::effect::{Effects, StoreOperation};
use crate::key::{AgentKey, FrameworkKey, Token};
use crate::master::Master;

pub(crate) const CLUSTER: &str = "core/cluster";
pub(crate) const AGENT: &str = "core/agent/";
pub(crate) const FRAMEWORK: &str = "core/framework/";
pub(crate) const WEIGHT: &str = "core/weight/";
pub(crate) const NATIVE: &str = "core/native/";
/// What the controllers of users' objects keep, under keys of their own.
pub(crate) const WORK: &str = "core/work/";

/// All keys of the core begin so; the shell scans them for [`crate::event::Elected`].
pub const PREFIX: &str = "core/";

/// Born once, kept for ever.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredCluster {
    #[prost(string, required, tag = "1")]
    pub(crate) cluster_id: String,
    /// Id of the built-in framework.
    #[prost(string, required, tag = "2")]
    pub(crate) native_framework_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredAgent {
    #[prost(message, required, tag = "1")]
    pub(crate) info: v1::AgentInfo,
    /// 0 known, 1 unreachable, 2 gone.
    #[prost(uint32, required, tag = "2")]
    pub(crate) standing: u32,
    #[prost(uint64, optional, tag = "3")]
    pub(crate) lost_at_ns: Option<u64>,
    #[prost(bool, required, tag = "4")]
    pub(crate) deactivated: bool,
    #[prost(uint64, required, tag = "5")]
    pub(crate) registered_at_ns: u64,
    #[prost(string, required, tag = "6")]
    pub(crate) ip: String,
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub(crate) registration_token: Option<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredFramework {
    #[prost(message, required, tag = "1")]
    pub(crate) info: v1::FrameworkInfo,
    #[prost(uint64, required, tag = "2")]
    pub(crate) registered_at_ns: u64,
    /// Set while disconnected: what was left of its failover timeout, and when that was written.
    #[prost(uint64, optional, tag = "3")]
    pub(crate) failover_remaining_ns: Option<u64>,
    #[prost(uint64, optional, tag = "4")]
    pub(crate) written_at_ns: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredWeight {
    #[prost(double, required, tag = "1")]
    pub(crate) weight: f64,
}

/// A native task: what was asked for, and where it went.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredNativeTask {
    #[prost(message, required, tag = "1")]
    pub(crate) task: v1::TaskInfo,
    #[prost(string, required, tag = "2")]
    pub(crate) role: String,
    #[prost(uint32, required, tag = "3")]
    pub(crate) port_count: u32,
    /// Unset while it waits for a place.
    #[prost(string, optional, tag = "4")]
    pub(crate) agent_id: Option<String>,
    #[prost(uint64, required, tag = "5")]
    pub(crate) created_at_ns: u64,
    /// What it got there, with the ports that were picked.
    #[prost(message, repeated, tag = "6")]
    pub(crate) taken: Vec<v1::Resource>,
    #[prost(int32, tag = "7")]
    pub(crate) priority: i32,
}

pub(crate) fn put(prefix: &str, name: &str, value: &impl Message) -> StoreOperation {
    StoreOperation::Put {
        key: format!("{prefix}{name}"),
        value: Bytes::from(value.encode_to_vec()),
    }
}

pub(crate) fn delete(prefix: &str, name: &str) -> StoreOperation {
    StoreOperation::Delete {
        key: format!("{prefix}{name}"),
    }
}

impl Master {
    pub(crate) fn persist_framework(
        &mut self,
        key: FrameworkKey,
        failover_remaining_ns: Option<u64>,
        effects: &mut Effects,
    ) -> Token {
        let record = self.framework(key);
        let stored = StoredFramework {
            info: (*record.info).clone(),
            registered_at_ns: record.registered_at.0,
            failover_remaining_ns,
            written_at_ns: failover_remaining_ns.map(|_| self.now.wall.0),
        };
        let operation = put(FRAMEWORK, &record.id, &stored);
        self.persist(vec![operation], effects)
    }

    pub(crate) fn forget_framework(&mut self, key: FrameworkKey, effects: &mut Effects) -> Token {
        let operation = delete(FRAMEWORK, &self.framework(key).id);
        self.persist(vec![operation], effects)
    }

    /// Writes an agent, unless the store holds the same already; the write that holds it.
    pub(crate) fn persist_agent(&mut self, key: AgentKey, effects: &mut Effects) -> Token {
        let value = Bytes::from(self.stored_agent(key).encode_to_vec());
        if let Some((stored, token)) = &self.agent_live(key).stored
            && *stored == value
        {
            return *token;
        }
        let operation = StoreOperation::Put {
            key: format!("{AGENT}{}", self.agent(key).id),
            value: value.clone(),
        };
        let token = self.persist(vec![operation], effects);
        self.agent_live(key).stored = Some((value, token));
        token
    }

    fn stored_agent(&self, key: AgentKey) -> StoredAgent {
        use crate::records::AgentState;
        let record = self.agent(key);
        StoredAgent {
            info: record.whole_info(),
            standing: match record.state {
                AgentState::Recovered | AgentState::Connected | AgentState::Disconnected => 0,
                AgentState::Unreachable => 1,
                AgentState::Gone | AgentState::Removed => 2,
            },
            lost_at_ns: record.lost_at.map(|at| at.0),
            deactivated: record.deactivated,
            registered_at_ns: record.registered_at.0,
            ip: record.ip.to_string(),
            registration_token: self
                .agents
                .get(&key)
                .and_then(|live| live.registration_token.clone()),
        }
    }

    pub(crate) fn forget_agent(&mut self, id: &str, effects: &mut Effects) -> Token {
        self.persist(vec![delete(AGENT, id)], effects)
    }
}
