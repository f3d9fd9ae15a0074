//! What the controllers want done: the only way out. The core does it, in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mezz_proto::agent_protocol::InstanceTerms;
use mezz_proto::v1;
use mezz_sched::{Demand, DemandKey, GroupKey};
use mezz_state::time::Wall;
use serde::Serialize;

use crate::call::Reply;
use crate::event::TimerKey;
use crate::fact::Fact;
use crate::key::{InstanceKey, RequestKey};
use crate::stored;

/// One thing to do. Everything after a `Persist` that promises something to somebody outside waits until it is durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answers a call once all that was persisted before is durable.
    Reply {
        request: RequestKey,
        reply: Reply,
    },
    /// Writes to the store: a value, or none to delete.
    Persist(Vec<(String, Option<Bytes>)>),
    /// States anew how much is wanted; replaces what was stated under this key.
    Demand {
        key: DemandKey,
        demand: Box<Demand>,
    },
    /// Nothing is wanted under this key any more.
    Withdraw(DemandKey),
    /// Starts an instance at the place just given.
    Launch(Box<Launch>),
    /// Gives back the place just given.
    Decline,
    /// After `Restored`, for each instance that the store knows: its task is held to be there until its agent says
    /// otherwise. `task` has its agent's id and its resources, allocated to its role.
    Expect {
        task: Box<v1::TaskInfo>,
        /// Where the instance is counted.
        group: GroupKey,
    },
    /// Ends an instance's task.
    Kill {
        instance: Box<str>,
        grace_period_ns: u64,
    },
    /// Arms a timer in wall time; a moment that has passed fires at once.
    SetTimer {
        key: TimerKey,
        at: Wall,
    },
    CancelTimer(TimerKey),
    Fact(Arc<Fact>),
}

/// A start.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    pub instance: InstanceKey,
    /// Without agent id and resources, which the core adds. Its task id is the instance's.
    pub task: v1::TaskInfo,
    /// What a task has no room for, without values of secrets.
    pub terms: Option<Box<InstanceTerms>>,
}

/// Effects of one event, in order. What is written to the store is gathered, and comes first.
#[derive(Debug, Default)]
pub struct Effects {
    pub list: Vec<Effect>,
    writes: BTreeMap<String, Option<Bytes>>,
}

impl Effects {
    pub(crate) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    pub(crate) fn fact(&mut self, fact: Fact) {
        self.list.push(Effect::Fact(Arc::new(fact)));
    }

    /// Writes a value; of several for one key in one event the last counts.
    pub(crate) fn put<T: Serialize>(&mut self, key: String, value: &T) {
        self.writes.insert(key, Some(stored::encode(value)));
    }

    pub(crate) fn delete(&mut self, key: String) {
        self.writes.insert(key, None);
    }

    /// Puts the gathered writes before the effects from `start` on, all of which wait for them.
    pub(crate) fn settle_writes(&mut self, start: usize) {
        if !self.writes.is_empty() {
            let writes = std::mem::take(&mut self.writes).into_iter().collect();
            self.list.insert(start, Effect::Persist(writes));
        }
    }
}
