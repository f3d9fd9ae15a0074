//! How long ended runs are kept, and what goes when they do.

use mezz_state::time::Wall;

use crate::effect::{Effect, Effects};
use crate::event::TimerKey;
use crate::job::backoff;
use crate::key::{ObjectKey, RunKey};
use crate::records::{Cause, NodeState, RunState};
use crate::workloads::Workloads;

impl Workloads {
    /// Forgets ended runs beyond what their object keeps, and all of an object that was deleted.
    pub(crate) fn prune(&mut self, object: ObjectKey, effects: &mut Effects) {
        let is_deleted = self
            .object_at(object)
            .is_none_or(|record| record.deleted_at.is_some());
        if is_deleted {
            return self.forget_if_done(object, effects);
        }
        for key in self.superfluous(object) {
            self.remove_run(key, effects);
        }
        self.arm_expiry(object, effects);
    }

    fn superfluous(&self, object: ObjectKey) -> Vec<RunKey> {
        let history = self.history_of(object);
        let now = self.wall();
        let (mut succeeded, mut failed) = (0, 0);
        let ended = self.runs.ended.get(&object);
        let newest_first = ended.into_iter().flat_map(|ended| ended.iter().rev());
        newest_first
            .filter(|(at, key)| {
                let is_old = history
                    .age
                    .is_some_and(|age| backoff::after(*at, age) <= now);
                let state = self.run(*key).map(|run| run.state);
                let (count, most) = if state == Some(RunState::Succeeded) {
                    (&mut succeeded, history.succeeded)
                } else {
                    (&mut failed, history.failed)
                };
                *count += 1;
                is_old || *count > most
            })
            .map(|(_, key)| *key)
            .collect()
    }

    /// The oldest ended run goes when its time comes, whatever happens until then.
    fn arm_expiry(&mut self, object: ObjectKey, effects: &mut Effects) {
        let Some(age) = self.history_of(object).age else {
            return;
        };
        let oldest = self.runs.ended.get(&object).and_then(|ended| ended.first());
        if let Some((at, key)) = oldest {
            effects.push(Effect::SetTimer {
                key: TimerKey::Run(*key),
                at: backoff::after(*at, age),
            });
        }
    }

    /// Takes the rest of a deleted object away once none of its runs goes on.
    pub(crate) fn forget_if_done(&mut self, object: ObjectKey, effects: &mut Effects) {
        if !self.active_runs(object).is_empty() {
            return;
        }
        for key in self.runs_of(object).collect::<Vec<_>>() {
            self.remove_run(key, effects);
        }
        self.runs.by_id.remove(&object);
        self.runs.active.remove(&object);
        self.runs.ended.remove(&object);
        self.runs.last_stamp.remove(&object);
        self.forget_object(object, effects);
    }

    /// Forgets an ended run, with those of its nodes.
    pub(crate) fn remove_run(&mut self, key: RunKey, effects: &mut Effects) {
        let Some(record) = self.run(key).cloned() else {
            return;
        };
        if !record.state.is_over() {
            return;
        }
        self.unwrite_run(key, effects);
        self.records.runs.remove(key.index());
        self.free_runs.give(key.0);
        if let Some(by_id) = self.runs.by_id.get_mut(&record.object) {
            by_id.remove(&record.id);
        }
        let at = record.ended_at.unwrap_or(Wall(0));
        if let Some(ended) = self.runs.ended.get_mut(&record.object) {
            ended.remove(&(at, key));
        }
        if let Cause::Node { run, node, .. } = &record.cause {
            self.forget_part(*run, node, key, effects);
        }
        for part in self.runs.parts.remove(&key).into_iter().flatten() {
            self.remove_run(part, effects);
        }
    }

    /// A dag's run must not name a run whose key may come to mean another.
    fn forget_part(&mut self, dag_run: RunKey, node: &str, part: RunKey, effects: &mut Effects) {
        if let Some(parts) = self.runs.parts.get_mut(&dag_run) {
            parts.remove(&part);
        }
        let Some(state) = self
            .run_mut(dag_run)
            .and_then(|run| run.nodes.get_mut(node))
        else {
            return;
        };
        match state {
            NodeState::Succeeded { run } | NodeState::Failed { run } if *run == Some(part) => {
                *run = None;
                self.write_run(dag_run, effects);
            }
            _ => {}
        }
    }

    /// The time of an ended run is over.
    pub(crate) fn on_expiry(&mut self, key: RunKey, effects: &mut Effects) {
        if let Some(run) = self.run(key) {
            let object = run.object;
            self.prune(object, effects);
        }
    }
}
