//! The records of runs, of jobs and of dags: made, found, ended, kept for a while, forgotten. Each exists before anything
//! of it starts. What a run does is its controller's.

mod called;
pub(crate) mod history;
pub(crate) mod ids;
pub(crate) mod parameters;
pub(crate) mod stored;
pub(crate) mod targets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mezz_spec::Name;
use mezz_spec::{Kind, Spec};
use mezz_state::time::Wall;
use serde::{Deserialize, Serialize};

use crate::call::Refusal;
use crate::effect::Effects;
use crate::fact::Fact;
use crate::job::Stop;
use crate::key::{ObjectKey, RunKey};
use crate::records::{
    Cause, Counts, CronStatus, JobStatus, NodeState, RunRecord, RunState, Status,
};
use crate::workloads::Workloads;
use crate::{cron, dag, job};

/// Where runs are found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Runs {
    by_id: BTreeMap<ObjectKey, BTreeMap<Box<str>, RunKey>>,
    /// Those that go on.
    active: BTreeMap<ObjectKey, BTreeSet<RunKey>>,
    /// Those that have ended and are nobody's part, the oldest end first.
    ended: BTreeMap<ObjectKey, BTreeSet<(Wall, RunKey)>>,
    /// Runs of nodes, by the run of their dag: they are kept as long as it is.
    parts: BTreeMap<RunKey, BTreeSet<RunKey>>,
    /// The last made id of an object: its second, and how many had the same.
    last_stamp: BTreeMap<ObjectKey, (u64, u32)>,
}

impl Runs {
    /// The runs of the nodes of a dag's run.
    pub(crate) fn parts_of(&self, run: RunKey) -> impl Iterator<Item = RunKey> {
        self.parts.get(&run).into_iter().flatten().copied()
    }
}

/// A run that is to be.
pub(crate) struct NewRun {
    pub(crate) object: ObjectKey,
    /// Made from the time without it.
    pub(crate) id: Option<String>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) cause: Cause,
    pub(crate) total: u32,
    pub(crate) nodes: BTreeMap<String, NodeState>,
    pub(crate) begins: Begins,
}

/// When a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begins {
    Now,
    /// When those before it have ended.
    Later,
}

impl RunState {
    /// Whether it has ended.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Stopped)
    }
}

impl Workloads {
    /// The run with this key.
    pub fn run(&self, key: RunKey) -> Option<&Arc<RunRecord>> {
        self.records.runs.get(key.index())
    }

    pub(crate) fn run_mut(&mut self, key: RunKey) -> Option<&mut RunRecord> {
        self.records.runs.get_mut(key.index())
    }

    /// The run of an object with this id.
    pub fn run_named(&self, object: ObjectKey, id: &str) -> Option<RunKey> {
        self.runs.by_id.get(&object)?.get(id).copied()
    }

    /// All runs of an object that are known, by id.
    pub fn runs_of(&self, object: ObjectKey) -> impl Iterator<Item = RunKey> {
        let runs = self.runs.by_id.get(&object);
        runs.into_iter().flat_map(|runs| runs.values().copied())
    }

    /// The runs of an object that go on.
    pub(crate) fn active_runs(&self, object: ObjectKey) -> Vec<RunKey> {
        let runs = self.runs.active.get(&object);
        runs.into_iter().flatten().copied().collect()
    }

    /// A run by what users call it: the object may be a job, a dag or a cron with a job of its own.
    pub(crate) fn find_run(&self, name: &Name, id: &str) -> Result<RunKey, Refusal> {
        let objects: Vec<ObjectKey> = [Kind::Job, Kind::Dag, Kind::Cron]
            .into_iter()
            .filter_map(|kind| self.key_of(kind, name))
            .collect();
        if objects.is_empty() {
            return Err(Refusal::NotFound {
                kind: "job, dag or cron",
                name: name.to_string(),
            });
        }
        objects
            .into_iter()
            .find_map(|object| self.run_named(object, id))
            .ok_or_else(|| Refusal::NotFound {
                kind: "run",
                name: format!("{name} {id}"),
            })
    }

    /// Makes a run's record and writes it.
    pub(crate) fn create_run(&mut self, new: NewRun, effects: &mut Effects) -> RunKey {
        let now = self.wall();
        let id = match new.id {
            Some(id) if new.cause.is_by_user() => id,
            Some(id) => self.free_run_id(new.object, id),
            None => self.made_run_id(new.object, now),
        };
        let key = RunKey(self.free_runs.take());
        let generation = self.object_at(new.object).map_or(0, |one| one.generation);
        let record = RunRecord {
            key,
            id: id.into(),
            object: new.object,
            generation,
            parameters: new.parameters,
            cause: new.cause,
            state: RunState::Pending,
            stopping: None,
            created_at: now,
            begun_at: (new.begins == Begins::Now).then_some(now),
            started_at: None,
            ended_at: None,
            counts: Counts {
                waiting: new.total,
                ..Counts::default()
            },
            ends: Vec::new(),
            failed_indices: Vec::new(),
            message: Box::default(),
            nodes: new.nodes,
        };
        self.insert_run(record);
        self.write_run(key, effects);
        effects.fact(Fact::RunStarted { run: key });
        self.count_runs(key);
        key
    }

    /// Puts a record where it can be found.
    pub(crate) fn insert_run(&mut self, record: RunRecord) {
        let (key, object) = (record.key, record.object);
        let runs = &mut self.runs;
        runs.by_id
            .entry(object)
            .or_default()
            .insert(record.id.clone(), key);
        if let Cause::Node { run, .. } = &record.cause {
            runs.parts.entry(*run).or_default().insert(key);
        }
        if !record.state.is_over() {
            runs.active.entry(object).or_default().insert(key);
        } else if !matches!(record.cause, Cause::Node { .. }) {
            let at = record.ended_at.unwrap_or_default();
            runs.ended.entry(object).or_default().insert((at, key));
        }
        self.records.runs.insert(key.index(), record);
    }

    fn made_run_id(&mut self, object: ObjectKey, now: Wall) -> String {
        let second = now.0 / mezz_state::time::SECOND_NS;
        let stamp = ids::stamp(Wall(second * mezz_state::time::SECOND_NS));
        let last = self.runs.last_stamp.entry(object).or_default();
        *last = if last.0 == second {
            (second, last.1 + 1)
        } else {
            (second, 1)
        };
        let id = match last.1 {
            1 => stamp,
            count => format!("{stamp}-{count}"),
        };
        self.free_run_id(object, id)
    }

    /// The id, or one like it when another run has it: of the object, or of one of another kind with the same name, whose
    /// instances would have the same ids.
    fn free_run_id(&self, object: ObjectKey, id: String) -> String {
        let name = self.object_at(object).map(|object| object.name.clone());
        let namesakes: Vec<ObjectKey> = [Kind::Job, Kind::Dag, Kind::Cron]
            .into_iter()
            .filter_map(|kind| self.key_of(kind, name.as_ref()?))
            .collect();
        let is_free = |id: &str| {
            let mut all = namesakes.iter().chain([&object]);
            all.all(|object| self.run_named(*object, id).is_none())
        };
        if is_free(&id) {
            return id;
        }
        (2..=u64::MAX)
            .map(|count| format!("{id}.{count}"))
            .find(|id| is_free(id))
            .expect("there are fewer runs than numbers")
    }

    /// Notes that a run is being ended, so that the next master goes on with that.
    pub(crate) fn note_stop(&mut self, key: RunKey, stop: &Stop, effects: &mut Effects) {
        if let Some(record) = self.run_mut(key) {
            record.stopping = Some(stop.state);
            record.message.clone_from(&stop.message);
            self.write_run(key, effects);
        }
    }

    /// How a run that is being ended will have ended.
    pub(crate) fn noted_stop(&self, key: RunKey) -> Option<Stop> {
        let record = self.run(key)?;
        let is_deleted = self
            .object_at(record.object)
            .is_none_or(|object| object.deleted_at.is_some());
        match record.stopping {
            Some(state) => Some(Stop {
                state,
                message: record.message.clone(),
            }),
            None => is_deleted.then(Stop::deleted),
        }
    }

    /// Ends a run; whoever waits for it is told.
    pub(crate) fn end_run(
        &mut self,
        key: RunKey,
        state: RunState,
        message: &str,
        effects: &mut Effects,
    ) {
        let now = self.wall();
        let Some(record) = self.run_mut(key) else {
            return;
        };
        record.state = state;
        record.stopping = None;
        record.ended_at = Some(now);
        record.message = message.into();
        let (object, cause) = (record.object, record.cause.clone());
        if let Some(active) = self.runs.active.get_mut(&object) {
            active.remove(&key);
        }
        if !matches!(cause, Cause::Node { .. }) {
            self.runs
                .ended
                .entry(object)
                .or_default()
                .insert((now, key));
        }
        self.write_run(key, effects);
        effects.fact(Fact::RunEnded { run: key });
        self.count_end(object, state);
        self.count_runs(key);
        // With the run itself: a count that is written later is one that a crash loses.
        self.write_status(object, effects);
        match cause {
            Cause::Cron { object, .. } | Cause::Fired { object, .. } => {
                cron::on_run_ended(self, object, effects);
            }
            Cause::Node { run, node, attempt } => {
                dag::on_node_ended(self, run, &node, attempt, key, state);
            }
            Cause::Applied | Cause::User | Cause::After => {}
        }
        job::on_run_ended(self, object, state, effects);
        self.prune(object, effects);
    }

    /// Lets an ended run go on.
    pub(crate) fn reopen_run(&mut self, key: RunKey) {
        let now = self.wall();
        let Some(record) = self.run_mut(key) else {
            return;
        };
        record.state = RunState::Running;
        record.begun_at = Some(now);
        record.message = Box::default();
        let (object, ended_at) = (record.object, record.ended_at.take());
        if let Some(ended) = self.runs.ended.get_mut(&object) {
            ended.remove(&(ended_at.unwrap_or_default(), key));
        }
        self.runs.active.entry(object).or_default().insert(key);
        self.count_runs(key);
    }

    /// Says that an ended run has succeeded after all.
    pub(crate) fn overrule(&mut self, key: RunKey, message: &str, effects: &mut Effects) {
        let Some(record) = self.run_mut(key) else {
            return;
        };
        let was = std::mem::replace(&mut record.state, RunState::Succeeded);
        record.message = message.into();
        let (object, is_part) = (record.object, matches!(record.cause, Cause::Node { .. }));
        self.write_run(key, effects);
        effects.fact(Fact::RunEnded { run: key });
        if was != RunState::Succeeded && !is_part {
            self.count_end(object, RunState::Succeeded);
            self.write_status(object, effects);
            job::on_run_ended(self, object, RunState::Succeeded, effects);
        }
    }

    pub(crate) fn status_of_runs(&mut self, object: ObjectKey) -> Option<&mut JobStatus> {
        let record = self.object_mut(object)?;
        if record.status == Status::Nothing {
            record.status = match record.spec.kind() {
                Kind::Cron => Status::Cron(CronStatus::default()),
                _ => Status::Job(JobStatus::default()),
            };
        }
        match &mut record.status {
            Status::Job(status) => Some(status),
            Status::Cron(status) => Some(&mut status.runs),
            Status::Nothing | Status::Service(_) => None,
        }
    }

    fn count_end(&mut self, object: ObjectKey, state: RunState) {
        let now = self.wall();
        if let Some(status) = self.status_of_runs(object) {
            if state == RunState::Succeeded {
                status.succeeded += 1;
                status.failures = 0;
                status.last_success_at = Some(now);
            } else {
                status.failed += 1;
                status.failures += 1;
                status.last_failure_at = Some(now);
            }
        }
    }

    fn count_runs(&mut self, key: RunKey) {
        if let Some(object) = self.run(key).map(|run| run.object) {
            self.count_active(object);
            self.note_object(object);
        }
    }

    fn count_active(&mut self, object: ObjectKey) {
        let active = self.runs.active.get(&object).map_or(0, BTreeSet::len);
        if let Some(status) = self.status_of_runs(object) {
            status.active = u32::try_from(active).unwrap_or(u32::MAX);
        }
    }

    /// After a restore: how many runs go on is counted anew, since it may have been written before the last of them.
    pub(crate) fn count_all_active(&mut self) {
        let kinds = [Kind::Job, Kind::Dag, Kind::Cron].into_iter();
        let objects = kinds.flat_map(|kind| self.of_kind(kind).map(|(_, key)| key));
        for object in objects.collect::<Vec<_>>() {
            if self
                .status_of_runs(object)
                .is_some_and(|status| status.active > 0)
                || self.runs.active.contains_key(&object)
            {
                self.count_active(object);
            }
        }
    }

    /// The name that a run's instances have, and its object's life.
    pub(crate) fn owner_of(&self, key: RunKey) -> Option<(&Name, &str, &RunRecord)> {
        let run = self.run(key)?;
        let object = self.object_at(run.object)?;
        Some((&object.name, &object.uid, run))
    }

    /// The history that an object keeps of its runs.
    pub(crate) fn history_of(&self, object: ObjectKey) -> mezz_spec::job::History {
        use mezz_spec::cron::Target;
        let spec = self.object_at(object).map(|object| &*object.spec);
        match spec {
            Some(Spec::Job(job)) => job.history.clone(),
            Some(Spec::Dag(dag)) => dag.history.clone(),
            Some(Spec::Cron(cron)) => match &cron.run {
                Target::Job(job) => job.history.clone(),
                Target::JobRef(_) | Target::DagRef(_) => mezz_spec::job::History::default(),
            },
            _ => mezz_spec::job::History::default(),
        }
    }
}
