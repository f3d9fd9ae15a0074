//! The whole state of the controllers, and the way in: one event at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mezz_state::pages::Slots;
use mezz_state::serde_forms;
use mezz_state::time::{Now, Wall};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::cron::Crons;
use crate::dag::Dags;
use crate::effect::Effects;
use crate::event::{AgentInfo, Event};
use crate::instances::kills::Kills;
use crate::job::Jobs;
use crate::key::InstanceKey;
use crate::records::Records;
use crate::runs::Runs;
use crate::service::Services;
use crate::writing::Unwritten;

/// How far this master has come in taking over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// What the store held is not known yet: nothing is done.
    #[default]
    Loading,
    /// Agents may still report instances: nothing is killed, and nothing replaced that may be alive.
    Reconciling,
    Live,
}

/// The controllers. Equal states give equal effects for equal events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Workloads {
    /// The time of the event being handled.
    pub(crate) now: Now,
    pub(crate) stage: Stage,
    pub(crate) records: Records,
    /// Keys of objects are never used again, so that what refers to one cannot come to mean another.
    pub(crate) next_object: u32,
    pub(crate) free_rollouts: Slots,
    pub(crate) free_runs: Slots,
    pub(crate) free_instances: Slots,
    /// Starts so far under this master.
    pub(crate) launches: u64,
    #[serde(with = "serde_forms::sorted")]
    pub(crate) instances_by_id: FxHashMap<Arc<str>, InstanceKey>,
    pub(crate) instances_by_agent: BTreeMap<Arc<str>, BTreeSet<InstanceKey>>,
    pub(crate) agents: BTreeMap<Arc<str>, AgentInfo>,
    pub(crate) kills: Kills,
    pub(crate) unwritten: Unwritten,
    pub(crate) services: Services,
    pub(crate) runs: Runs,
    pub(crate) jobs: Jobs,
    pub(crate) crons: Crons,
    pub(crate) dags: Dags,
    /// Keys of the store whose values could not be read; they and what they speak of are left alone.
    pub(crate) unreadable: BTreeMap<String, String>,
    /// Whether tasks of objects were reported before there was any object: what the store held of them is lost.
    pub(crate) lost: bool,
    /// Who asked for what is being done; nobody between two events.
    #[serde(skip)]
    pub(crate) caller: Option<Arc<str>>,
}

impl Workloads {
    /// Nothing is known yet; the first event is [`Event::Restored`].
    pub fn new() -> Self {
        Self::default()
    }

    /// What readers may see; cloning it is cheap.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// How far the takeover has come.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Keys of the store that could not be read, with the reason.
    pub fn unreadable(&self) -> &BTreeMap<String, String> {
        &self.unreadable
    }

    /// Takes an event; what is to be done about it is added to `effects`, in order.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Effects) {
        self.handle_all(now, [event], effects);
    }

    /// Takes the events of one batch; what has to be written for all of them is one write, and comes first.
    pub fn handle_all(
        &mut self,
        now: Now,
        events: impl IntoIterator<Item = Event>,
        effects: &mut Effects,
    ) {
        self.now = now;
        let start = effects.list.len();
        for event in events {
            self.dispatch(event, effects);
        }
        self.settle_services(effects);
        self.settle_runs(effects);
        self.arm_writing(effects);
        effects.settle_writes(start);
    }

    pub(crate) fn wall(&self) -> Wall {
        self.now.wall
    }
}
