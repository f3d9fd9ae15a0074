//! How containers ended lately, and who waits for that.

use std::collections::{BTreeMap, VecDeque};

use mezz_agent_core::LaunchId;
use tokio::sync::oneshot;

/// So many ends are remembered.
const REMEMBERED: usize = 16_384;

/// The recent ends.
#[derive(Debug, Default)]
pub(crate) struct Exits {
    statuses: BTreeMap<LaunchId, i32>,
    order: VecDeque<LaunchId>,
    watchers: BTreeMap<LaunchId, Vec<oneshot::Sender<i32>>>,
}

impl Exits {
    /// A container has ended.
    pub(crate) fn ended(&mut self, launch_id: LaunchId, wait_status: i32) {
        if self.statuses.insert(launch_id, wait_status).is_none() {
            self.order.push_back(launch_id);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.statuses.remove(&oldest);
        }
        for watcher in self.watchers.remove(&launch_id).unwrap_or_default() {
            let _ = watcher.send(wait_status);
        }
    }

    /// The end, if it was seen and is remembered.
    pub(crate) fn known(&self, launch_id: LaunchId) -> Option<i32> {
        self.statuses.get(&launch_id).copied()
    }

    /// Tells the end, at once if it has come.
    pub(crate) fn watch(&mut self, launch_id: LaunchId, answer: oneshot::Sender<i32>) {
        if let Some(status) = self.statuses.get(&launch_id) {
            let _ = answer.send(*status);
            return;
        }
        let watchers = self.watchers.entry(launch_id).or_default();
        watchers.retain(|watcher| !watcher.is_closed());
        watchers.push(answer);
    }
}
