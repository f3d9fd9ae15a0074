//! Why users' objects, their runs, rollouts and instances are as they are: what the controllers know, joined with what the
//! ledger says of the demands that wait for a place.

use std::collections::BTreeMap;

use mezz_sched::Reason;
use mezz_spec::{Kind, Name};
use mezz_workload::demand_key::Demander;
use mezz_workload::key::{ObjectKey, RunKey};
use mezz_workload::placing::{Lack, NoPlace, NoPlaces};
use mezz_workload::records::{
    CronStatus, InstanceRecord, ObjectRecord, Records, RolloutRecord, RunRecord, RunState,
    ServiceStatus, Status,
};

use crate::explain::about;
use crate::key::AgentKey;
use crate::master::Master;
use crate::time::Wall;

/// Runs of one job that are told of.
const RUNS_TOLD: usize = 5;
/// Agents of which it is told singly why they are no place.
const AGENTS_TOLD: usize = 50;

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
        let (name, run_id) = id
            .rsplit_once('/')
            .map_or((None, id), |(name, id)| (Some(name), id));
        let name = name.map(|name| Name::new(name).ok());
        let of_run = |run: &RunRecord| {
            let object = work.objects.get(run.object.index());
            let is_of = |name: &Option<Name>| object.map(|one| &one.name) == name.as_ref();
            *run.id == *run_id && name.as_ref().is_none_or(is_of)
        };
        if let Some((_, run)) = work.runs.iter().find(|(_, run)| of_run(run)) {
            return Some(self.words_of_run(run));
        }
        let mut rollouts = work.rollouts.iter();
        let (_, rollout) = rollouts.find(|(_, rollout)| *rollout.id == *id)?;
        let mut reasons = vec![words_of_rollout(rollout)];
        if rollout.state.is_active() {
            let object = work.objects.get(rollout.object.index());
            reasons.extend(object.into_iter().flat_map(|one| self.words_of_object(one)));
        }
        Some(reasons)
    }

    /// What the controllers know of an instance beyond what its task tells.
    pub(crate) fn explain_instance(&self, id: &str) -> Vec<String> {
        let work = &self.records.work;
        let mut instances = work.instances.iter();
        let found = instances.find(|(_, instance)| *instance.id == *id);
        found.map_or_else(Vec::new, |(_, instance)| words_of_instance(instance, work))
    }

    fn words_of_object(&self, object: &ObjectRecord) -> Vec<String> {
        let mut reasons = match &object.status {
            Status::Service(status) => self.words_of_service(object, status),
            Status::Job(status) => {
                let counts = (status.active, status.succeeded, status.failed);
                let mut reasons = vec![format!(
                    "runs: {} active, {} succeeded, {} failed",
                    counts.0, counts.1, counts.2
                )];
                reasons.extend(self.words_of_runs(object.key));
                reasons
            }
            Status::Cron(status) => {
                let mut reasons = self.words_of_cron(status);
                reasons.extend(self.words_of_runs(object.key));
                reasons
            }
            Status::Nothing => vec![format!("its generation is {}", object.generation)],
        };
        for condition in &object.conditions {
            if !condition.message.is_empty() {
                reasons.push(format!("{}: {}", condition.kind, condition.message));
            }
        }
        if object.deleted_at.is_some() {
            reasons.push("it is deleted, and its instances have yet to end".to_owned());
        }
        reasons
    }

    fn words_of_service(&self, object: &ObjectRecord, status: &ServiceStatus) -> Vec<String> {
        let work = &self.records.work;
        let mut reasons = vec![format!(
            "{} of {} instances are ready: {} running, {} healthy, {} unhealthy",
            status.ready, status.wanted, status.running, status.healthy, status.unhealthy
        )];
        let rollout = status
            .rollout
            .and_then(|key| work.rollouts.get(key.index()));
        reasons.extend(rollout.map(|rollout| words_of_rollout(rollout)));
        if let Some(until) = status.backoff_until.filter(|until| *until > self.now.wall) {
            let failures = status.failures;
            let left = about(until.0 - self.now.wall.0);
            reasons.push(format!(
                "after {failures} failures in a row nothing is started for {left}"
            ));
        }
        if let Some(failure) = &status.last_failure {
            let ago = self.ago(failure.at);
            let (state, host) = (failure.state.as_str_name(), &failure.agent.hostname);
            let message = &failure.message;
            reasons.push(format!(
                "the last failure, of generation {}, was {ago} ago on {host}: {state} {message}",
                failure.generation
            ));
        }
        let (first, last) = Demander::of_service(object.key);
        reasons.extend(self.words_of_demands(first, last));
        reasons
    }

    fn words_of_cron(&self, status: &CronStatus) -> Vec<String> {
        let mut reasons = Vec::new();
        if status.paused {
            reasons.push("somebody paused it".to_owned());
        }
        match status.next_at {
            Some(at) if at > self.now.wall => {
                let left = about(at.0 - self.now.wall.0);
                reasons.push(format!("it fires next in {left}"));
            }
            Some(_) => reasons.push("it is about to fire".to_owned()),
            None => reasons.push("it does not fire again".to_owned()),
        }
        if let Some(run) = &status.last_run {
            reasons.push(format!("its last run is {run}"));
        }
        if status.missed > 0 {
            reasons.push(format!("{} fire-times were missed", status.missed));
        }
        reasons
    }

    /// The runs of an object that have not ended, and the last one that failed.
    fn words_of_runs(&self, object: ObjectKey) -> Vec<String> {
        let runs = self.records.work.runs.iter();
        let own = runs.map(|(_, run)| run).filter(|run| run.object == object);
        let (active, ended): (Vec<_>, Vec<_>) = own.partition(|run| run.ended_at.is_none());
        let mut failed: Vec<_> = ended.into_iter().collect();
        failed.retain(|run| run.state == RunState::Failed);
        let failed = failed.into_iter().max_by_key(|run| run.ended_at);
        let told = active.into_iter().take(RUNS_TOLD).chain(failed);
        told.flat_map(|run| {
            let words = self.words_of_run(run).into_iter();
            words.map(move |words| format!("run {}: {words}", run.id))
        })
        .collect()
    }

    fn words_of_run(&self, run: &RunRecord) -> Vec<String> {
        let counts = &run.counts;
        let state = match (run.state, run.begun_at, run.ended_at) {
            (RunState::Pending, None, _) => "it waits for an earlier run to end".to_owned(),
            (state, _, Some(at)) => {
                let state = format!("{state:?}").to_lowercase();
                format!("it {state}, {} ago", self.ago(at))
            }
            (RunState::Pending, ..) => "nothing of it has started yet".to_owned(),
            _ => format!(
                "it runs since {}",
                self.ago(run.started_at.unwrap_or(run.created_at))
            ),
        };
        let mut reasons = vec![format!(
            "{state}: {} waiting, {} running, {} succeeded, {} failed",
            counts.waiting, counts.running, counts.succeeded, counts.failed
        )];
        if !run.message.is_empty() {
            reasons.push(run.message.to_string());
        }
        let failed = run.ends.iter().rev().find(|end| end.exit_status != Some(0));
        if let Some(end) = failed {
            let status = end
                .exit_status
                .map_or_else(String::new, |status| format!(" with status {status}"));
            reasons.push(format!(
                "the last failed attempt, of index {}, ended as {}{status}: {}",
                end.index,
                end.state.as_str_name(),
                end.message
            ));
        }
        if run.ended_at.is_none() {
            reasons.extend(self.words_of_run_demands(run.key));
        }
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

    /// Why instances of a service wait for a place, agent by agent.
    pub(crate) fn no_places(&self, service: &Name) -> NoPlaces {
        let mut found = NoPlaces::default();
        let index = &self.records.work.index;
        let Some(key) = index.get(&(Kind::Service, service.clone())) else {
            return found;
        };
        let (first, last) = Demander::of_service(*key);
        let mut counts = BTreeMap::new();
        let waiting = self.sched.waiting_demands(first, last);
        for (demand, _) in waiting {
            for (agent, reason) in self.sched.why_agents(demand).unwrap_or_default() {
                let Some(agent) = self.records.agents.get(AgentKey(agent.0).index()) else {
                    continue;
                };
                found.agents += 1;
                if matches!(reason, Reason::Ready { .. }) {
                    continue;
                }
                let lack = lack(&reason);
                *counts.entry(lack).or_insert(0) += 1;
                if found.examples.len() < AGENTS_TOLD {
                    found.examples.push(NoPlace {
                        agent: agent.id.to_string(),
                        hostname: agent.info.hostname.clone(),
                        lack,
                        reason: reason.to_string(),
                    });
                }
            }
        }
        found.counts = counts.into_iter().collect();
        found
    }

    fn ago(&self, at: Wall) -> String {
        about(self.now.wall.0.saturating_sub(at.0))
    }
}

/// What an agent lacks, in one word.
fn lack(reason: &Reason) -> Lack {
    match reason {
        Reason::OverQuota { .. }
        | Reason::RoleNotWhitelisted { .. }
        | Reason::BehindPriority { .. } => Lack::Role,
        Reason::OtherRegion { .. }
        | Reason::Constrained { .. }
        | Reason::RuleUnmet { .. }
        | Reason::NoValue { .. }
        | Reason::NotNear { .. }
        | Reason::NotAway { .. }
        | Reason::Crowded { .. }
        | Reason::Uneven { .. }
        | Reason::Elsewhere { .. } => Lack::Rule,
        Reason::ReservedForOthers { .. }
        | Reason::HeldForGuarantees { .. }
        | Reason::Earmarked { .. } => Lack::Reserved,
        Reason::AgentsUnusable { .. } => Lack::Closed,
        Reason::PortTaken { .. } => Lack::Ports,
        Reason::Lacking { name, .. } => match name.as_str() {
            "cpus" => Lack::Cpus,
            "mem" => Lack::Mem,
            "disk" => Lack::Disk,
            "gpus" => Lack::Gpus,
            "ports" => Lack::Ports,
            _ => Lack::Other,
        },
        _ => Lack::Other,
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

fn words_of_rollout(rollout: &RolloutRecord) -> String {
    let state = format!("{:?}", rollout.state).to_lowercase();
    let mut words = format!(
        "rollout {} to generation {} is {state}: {} of {} new instances are ready, {} old ones are left, {} failed",
        rollout.id,
        rollout.to,
        rollout.new_ready,
        rollout.wanted,
        rollout.old_left,
        rollout.failures,
    );
    if !rollout.message.is_empty() {
        words.push_str("; ");
        words.push_str(&rollout.message);
    }
    words
}

fn words_of_instance(instance: &InstanceRecord, work: &Records) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(object) = work.objects.get(instance.object.index()) {
        let (kind, name) = (object.spec.kind(), &object.name);
        reasons.push(format!("it is an instance of {kind} {name}"));
    }
    if instance.healthy == Some(false) {
        reasons.push("its health check fails".to_owned());
    }
    if !instance.ready && instance.ending.is_none() {
        reasons.push("it is not ready yet".to_owned());
    }
    if let Some(ending) = &instance.ending {
        let ending = format!("{ending:?}").to_lowercase();
        reasons.push(format!("it is being ended: {ending}"));
    }
    reasons
}
