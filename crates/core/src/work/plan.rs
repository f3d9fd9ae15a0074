//! What an apply would do, found by doing it in a copy of everything: where instances would go at once, what would be
//! ended, what would wait and why, what crons and jobs that start later would need. The master itself changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use mezz_spec::schedule::Schedule;
use mezz_spec::{Object, Spec};
use mezz_workload as work;
use work::call::{ApplyMode, Call, Change, Conflict, Reply as WorkReply};
use work::demand_key::Demander;
use work::key::{ObjectKey, RunKey};
use work::plan::{Fires, Place, Placing, Plan, Planned};
use work::records::{Cause, InstanceRecord, Owner, Phase, Records, RolloutState, Status};

use crate::effect::{Effect, Effects, Reply};
use crate::key::RequestKey;
use crate::master::Master;
use crate::time::{Now, Wall};

/// Cycles of the ledger at most, until nothing more is placed.
const CYCLES: usize = 16;
/// Fire-times of a cron that are told.
const FIRES: usize = 3;
/// Places that are told one by one.
const PLACES: usize = 10_000;

impl Master {
    pub(crate) fn on_plan(
        &self,
        request: RequestKey,
        objects: Vec<Object>,
        conflict: Conflict,
        effects: &mut Effects,
    ) {
        let reply = self.clone().into_plan(self.now, objects, conflict);
        effects.reply(request, reply);
    }

    /// What an apply would do, tried in this copy of a master, which is of no further use: whoever wants to know it
    /// without holding up the master makes the copy there, and asks it elsewhere.
    pub fn into_plan(mut self, now: Now, objects: Vec<Object>, conflict: Conflict) -> Reply {
        self.now = now;
        match self.plan(objects, conflict) {
            Ok(plan) => Reply::Planned(Box::new(plan)),
            Err(refused) => Reply::Work(Box::new(refused)),
        }
    }

    fn plan(mut self, objects: Vec<Object>, conflict: Conflict) -> Result<Plan, WorkReply> {
        let trial = &mut self;
        // What waits already has its turn first, so that it is not taken for a consequence.
        trial.settle_trial();
        let before = trial.records.work.clone();
        let applied = match trial.try_call(Call::Apply {
            objects,
            mode: ApplyMode::Commit,
            conflict,
        }) {
            WorkReply::Applied(applied) => applied,
            refused => return Err(refused),
        };
        trial.settle_trial();
        let after = trial.records.work.clone();
        let mut told = BTreeSet::new();
        let mut planned = Vec::with_capacity(applied.len());
        for one in applied {
            let Some(key) = after.index.get(&(one.kind, one.name.clone())).copied() else {
                continue;
            };
            told.insert(key);
            planned.push(trial.planned(key, Some(one.change), &before));
        }
        let others = touched(&before, &after).into_iter();
        for key in others.filter(|key| !told.contains(key)) {
            planned.push(trial.planned(key, None, &before));
        }
        for one in &mut planned {
            if one.change.is_some_and(|change| change != Change::Unchanged) {
                trial.try_later(one);
            }
        }
        Ok(Plan { objects: planned })
    }

    /// Does a call here; in a copy, so its effects reach nobody.
    fn try_call(&mut self, call: Call) -> WorkReply {
        let mut effects = Effects::default();
        self.on_work(RequestKey(0), call, None, &mut effects);
        self.settle_work(&mut effects);
        let reply = effects.list.into_iter().find_map(|effect| match effect {
            Effect::Reply {
                reply: Reply::Work(reply),
                ..
            } => Some(*reply),
            _ => None,
        });
        reply.unwrap_or(WorkReply::Done)
    }

    /// Places what can be placed now.
    fn settle_trial(&mut self) {
        for _ in 0..CYCLES {
            let mut effects = Effects::default();
            let count = self.records.work.instances.len();
            self.allocate(&mut effects);
            self.settle_work(&mut effects);
            if self.records.work.instances.len() == count {
                return;
            }
        }
    }

    fn planned(&self, key: ObjectKey, change: Option<Change>, before: &Records) -> Planned {
        let after = &self.records.work;
        let object = after.objects.get(key.index());
        let object = object.expect("it was applied, or has instances");
        let old = before.objects.get(key.index());
        let old = old.filter(|old| old.uid == object.uid);
        let mut now = self.placing(key, before);
        let follow = self.follow(key, &now);
        if let Some(message) = self.waits_for(key) {
            now.reasons.insert(0, message);
        }
        Planned {
            key,
            kind: object.spec.kind(),
            name: object.name.clone(),
            generation: object.generation,
            change,
            old: old.map(|old| (Arc::clone(&old.spec), old.labels.clone())),
            new: (Arc::clone(&object.spec), object.labels.clone()),
            now,
            follow,
            fires: self.fires(&object.spec, object.created_at),
            first_run: None,
        }
    }

    /// What is placed, ended and waits in the present state, against an earlier one.
    fn placing(&self, key: ObjectKey, before: &Records) -> Placing {
        let after = &self.records.work;
        let mut placing = Placing::default();
        for (old, record) in changed(before, after) {
            if cause_of(after, record) != Some(key) {
                continue;
            }
            if old.is_none() {
                placing.count += 1;
                if placing.places.len() < PLACES {
                    placing.places.push(place(record));
                }
            } else if is_leaving(record) && !old.is_some_and(is_leaving) {
                placing.ends.push(place(record));
            }
        }
        for (first, last) in self.demands_of(key) {
            for (demand, count) in self.sched.waiting_demands(first, last) {
                placing.waiting += count;
                let refusals = self.sched.why_demand(demand);
                let reasons = refusals.into_iter().flat_map(|refusals| refusals.0);
                for reason in reasons.map(|reason| reason.to_string()) {
                    if !placing.reasons.contains(&reason) {
                        placing.reasons.push(reason);
                    }
                }
            }
        }
        placing
    }

    /// The ranges of demands that are an object's.
    fn demands_of(&self, key: ObjectKey) -> Vec<(mezz_sched::DemandKey, mezz_sched::DemandKey)> {
        let work = &self.records.work;
        let runs = work.runs.iter().map(|(_, run)| run);
        let own =
            runs.filter(|run| run.ended_at.is_none() && cause_of_run(work, run.key) == Some(key));
        std::iter::once(Demander::of_service(key))
            .chain(own.map(|run| Demander::of_run(run.key)))
            .collect()
    }

    /// Instances of a service that are started once those before them serve.
    fn follow(&self, key: ObjectKey, now: &Placing) -> u64 {
        let work = &self.records.work;
        let status = work.objects.get(key.index()).map(|object| &object.status);
        let Some(Status::Service(status)) = status else {
            return 0;
        };
        if status.rollout.is_none() {
            return 0;
        }
        let target = self.work.controllers.target_revision(key);
        let own = work.instances.iter().filter(|(_, record)| {
            record.object == key && Some(record.revision) == target && !is_leaving(record)
        });
        u64::from(status.wanted).saturating_sub(own.count() as u64 + now.waiting)
    }

    /// What the rollout of a service waits for before anything starts.
    fn waits_for(&self, key: ObjectKey) -> Option<String> {
        let mut rollouts = self
            .records
            .work
            .rollouts
            .iter()
            .map(|(_, rollout)| rollout);
        let waiting = rollouts
            .find(|rollout| rollout.object == key && rollout.state == RolloutState::Waiting)?;
        Some(waiting.message.to_string())
    }

    fn fires(&self, spec: &Spec, created_at: Wall) -> Fires {
        let Spec::Cron(cron) = spec else {
            return Fires::NoCron;
        };
        if !cron.enabled {
            return Fires::Disabled;
        }
        let Ok(schedule) = Schedule::of(cron, created_at.0) else {
            return Fires::At(Vec::new());
        };
        let mut at = self.now.wall.0;
        let next = std::iter::from_fn(|| {
            at = schedule.next_after(at)?;
            Some(Wall(at))
        });
        Fires::At(next.take(FIRES).collect())
    }

    /// What starts later needs a place too: the first run of a cron, and of a job that somebody has to start.
    fn try_later(&mut self, planned: &mut Planned) {
        let before = self.records.work.clone();
        match (&*planned.new.0, &planned.fires) {
            (Spec::Cron(_), Fires::At(_)) => {
                let timer = work::event::TimerKey::Cron(planned.key);
                let Some(due) = self.work.timers.get(&timer).copied() else {
                    return;
                };
                self.now.wall = self.now.wall.max(due);
                let mut effects = Effects::default();
                self.tell_work(work::event::Event::Timer(timer), None, &mut effects);
            }
            (Spec::Job(_) | Spec::Dag(_), _) if planned.now.is_empty() => {
                let refused = self.try_call(Call::Run {
                    name: planned.name.clone(),
                    parameters: std::collections::BTreeMap::new(),
                    id: None,
                    arguments: None,
                });
                if let WorkReply::Refused(refusal) = refused {
                    planned.first_run = Some(Err(refusal.to_string()));
                    return;
                }
            }
            _ => return,
        }
        self.settle_trial();
        let placing = self.placing(planned.key, &before);
        planned.first_run = Some(Ok(placing));
    }
}

fn place(record: &InstanceRecord) -> Place {
    let number = match record.owner {
        Owner::Service { ordinal, .. } => ordinal,
        Owner::Run { index, .. } => index,
    };
    Place {
        number,
        agent: record.agent.clone(),
        ports: record.ports.clone(),
    }
}

fn is_leaving(record: &InstanceRecord) -> bool {
    record.ending.is_some() || matches!(record.phase, Phase::Draining | Phase::Stopping)
}

/// Instances that differ between two states, with what they were.
fn changed<'r>(
    before: &'r Records,
    after: &'r Records,
) -> impl Iterator<Item = (Option<&'r InstanceRecord>, &'r InstanceRecord)> {
    let changes = after.instances.changes_since(&before.instances);
    changes.filter_map(|change| {
        let record = &**change.after?;
        let old = change.before.map(|old| &**old);
        Some((old.filter(|old| old.id == record.id), record))
    })
}

/// Objects of which something was started or is ended in the second state and not in the first.
fn touched(before: &Records, after: &Records) -> BTreeSet<ObjectKey> {
    changed(before, after)
        .filter(|(old, record)| old.is_none_or(|old| is_leaving(old) != is_leaving(record)))
        .filter_map(|(_, record)| cause_of(after, record))
        .collect()
}

/// The object on whose account an instance is there: its own, or the cron or dag whose run it belongs to.
fn cause_of(work: &Records, record: &InstanceRecord) -> Option<ObjectKey> {
    match record.owner {
        Owner::Service { .. } => Some(record.object),
        Owner::Run { run, .. } => cause_of_run(work, run),
    }
}

fn cause_of_run(work: &Records, mut run: RunKey) -> Option<ObjectKey> {
    loop {
        let record = work.runs.get(run.index())?;
        match record.cause {
            Cause::Cron { object, .. } | Cause::Fired { object, .. } => return Some(object),
            Cause::Node { run: above, .. } => run = above,
            Cause::Applied | Cause::User | Cause::After => return Some(record.object),
        }
    }
}
