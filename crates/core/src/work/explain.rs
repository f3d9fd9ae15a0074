//! Why users' objects, their runs, rollouts and instances are as they are: what the controllers know, joined with what the
//! ledger says of the demands that wait for a place.

use mezz_spec::{Kind, Name};
use mezz_workload::demand_key::Demander;
use mezz_workload::key::RunKey;
use mezz_workload::records::{ObjectRecord, Records, RunRecord, Status};

use crate::master::Master;

impl Master {
    /// Why an object of a user is as it is; it is named as `KIND/NAME`, or by its name alone.
    pub(crate) fn explain_object(&self, id: &str) -> Option<Vec<String>> {
        let found = named(&self.records.work, id);
        let several = found.len() > 1;
        let mut reasons = Vec::new();
        for object in &found {
            let kind = object.spec.kind();
            let own = self.words_of_object(object);
            reasons.extend(own.into_iter().map(|words| {
                if several {
                    format!("{kind}: {words}")
                } else {
                    words
                }
            }));
        }
        (!found.is_empty()).then_some(reasons)
    }

    /// Why a run or a rollout is as it is.
    pub(crate) fn explain_act(&self, id: &str) -> Option<Vec<String>> {
        let work = &self.records.work;
        if let Some(run) = work.run_called(id).next() {
            return Some(self.words_of_run(run));
        }
        let mut rollouts = work.rollouts.iter();
        let (_, rollout) = rollouts.find(|(_, rollout)| *rollout.id == *id)?;
        let mut reasons = self.work.controllers.why_rollout(id, self.now.wall)?;
        if rollout.state.is_active() {
            let (first, last) = Demander::of_service(rollout.object);
            reasons.extend(self.words_of_demands(first, last));
        }
        Some(reasons)
    }

    /// What the controllers know of an instance beyond what its task tells.
    pub(crate) fn explain_instance(&self, id: &str) -> Vec<String> {
        let controllers = &self.work.controllers;
        let known = controllers.why_instance(id, self.now.wall);
        known.unwrap_or_default()
    }

    fn words_of_object(&self, object: &ObjectRecord) -> Vec<String> {
        let mut reasons = match &object.status {
            Status::Service(status) => vec![format!(
                "{} of {} instances are ready: {} running, {} healthy, {} unhealthy",
                status.ready, status.wanted, status.running, status.healthy, status.unhealthy
            )],
            Status::Job(status) => vec![format!(
                "runs: {} active, {} succeeded, {} failed",
                status.active, status.succeeded, status.failed
            )],
            Status::Cron(_) => Vec::new(),
            Status::Nothing => vec![format!("its generation is {}", object.generation)],
        };
        let controllers = &self.work.controllers;
        let (kind, now) = (object.spec.kind(), self.now.wall);
        reasons.extend(controllers.why(kind, &object.name, now).unwrap_or_default());
        let (first, last) = Demander::of_service(object.key);
        reasons.extend(self.words_of_demands(first, last));
        let runs = self.records.work.runs.iter();
        for (_, run) in runs.filter(|(_, run)| run.object == object.key && run.ended_at.is_none()) {
            reasons.extend(self.words_of_run_demands(run.key));
        }
        if object.deleted_at.is_some() {
            reasons.push("it is deleted, and its instances have yet to end".to_owned());
        }
        reasons
    }

    fn words_of_run(&self, run: &RunRecord) -> Vec<String> {
        let mut reasons = self.work.controllers.why_run(run.key);
        reasons.extend(self.words_of_run_demands(run.key));
        reasons
    }

    fn words_of_run_demands(&self, run: RunKey) -> Vec<String> {
        let (first, last) = Demander::of_run(run);
        self.words_of_demands(first, last)
    }

    /// Why demands wait, one reason to a line.
    fn words_of_demands(
        &self,
        first: mezz_sched::DemandKey,
        last: mezz_sched::DemandKey,
    ) -> Vec<String> {
        let mut reasons = Vec::new();
        for (key, count) in self.sched.waiting_demands(first, last) {
            reasons.push(match count {
                1 => "1 instance waits for a place".to_owned(),
                count => format!("{count} instances wait for a place"),
            });
            let refusals = self.sched.why_demand(key);
            reasons.extend(
                refusals
                    .into_iter()
                    .flat_map(|refusals| refusals.0.into_iter().map(|reason| reason.to_string())),
            );
        }
        reasons
    }
}

/// The objects that a text names.
fn named<'r>(work: &'r Records, id: &str) -> Vec<&'r ObjectRecord> {
    let of_kind = id.split_once('/').and_then(|(word, name)| {
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word)?;
        Some((kind, Name::new(name).ok()?))
    });
    let wanted: Vec<(Kind, Name)> = match (of_kind, Name::new(id)) {
        (Some(one), _) => vec![one],
        (None, Ok(name)) => Kind::ALL.map(|kind| (kind, name.clone())).to_vec(),
        (None, Err(_)) => return Vec::new(),
    };
    let keys = wanted.iter().filter_map(|one| work.index.get(one));
    keys.filter_map(|key| work.objects.get(key.index()))
        .map(|record| &**record)
        .collect()
}
