//! The start of an attempt at the place that the ledger found.

use bytes::Bytes;
use mezz_proto::v1;
use mezz_sched::DemandKey;
use mezz_spec::Name;
use prost::Message;

use super::indices::Next;
use super::{ActiveRun, backoff};
use crate::effect::{Effect, Effects};
use crate::event::{AgentInfo, Placed};
use crate::instances::task::{StartError, TaskPlan};
use crate::instances::{NewInstance, ports};
use crate::key::RunKey;
use crate::records::{Owner, RunRecord, RunState};
use crate::runs::{ids, parameters};
use crate::workloads::Workloads;

/// Answers a place with a launch, or gives it back.
pub(crate) fn on_placed(
    w: &mut Workloads,
    key: RunKey,
    _part: u32,
    placed: &Placed,
    effects: &mut Effects,
) {
    let Some(active) = w.jobs.active.get_mut(&key) else {
        return effects.push(Effect::Decline);
    };
    active.stated = active.stated.saturating_sub(1);
    w.jobs.dirty.insert(key);
    let active = &w.jobs.active[&key];
    let next = active.indices.next();
    let Some(next) = next.filter(|_| active.stop.is_none() && active.stated_is_wanted(w, key))
    else {
        return effects.push(Effect::Decline);
    };
    let new = new_instance(w, key, active, next, placed);
    let is_known = |new: &NewInstance| w.instance_named(&new.task.task_id.value).is_some();
    match new {
        // One of a deleted job of the same name still has to end.
        Ok(new) if is_known(&new) => effects.push(Effect::Decline),
        Ok(new) => launch(w, key, next, new, placed, effects),
        Err(obstacle) => {
            let active = w.jobs.active.get_mut(&key).expect("it was just seen");
            active.obstacle = Some(obstacle.to_string().into());
            effects.push(Effect::Decline);
        }
    }
}

impl ActiveRun {
    /// Whether there is room for one more.
    fn stated_is_wanted(&self, w: &Workloads, key: RunKey) -> bool {
        let has_begun = w.run(key).is_some_and(|run| run.begun_at.is_some());
        has_begun && self.indices.counts().running < self.plan.job().parallelism.max(1)
    }
}

fn new_instance(
    w: &Workloads,
    key: RunKey,
    active: &ActiveRun,
    next: Next,
    placed: &Placed,
) -> Result<NewInstance, StartError> {
    let (name, _, run) = w.owner_of(key).expect("a run that goes on has an object");
    let id = ids::attempt_id(name, &run.id, next.index, next.past.attempt);
    let container = active.plan.job().template.containers.first();
    let numbers = container.map_or_else(Vec::new, |container| {
        ports::assign(&container.ports, &placed.ports)
    });
    let terms = container.map_or(Ok(None), |container| w.terms(container, &numbers))?;
    let task = task(w, active, name, run, next, &id, &placed.agent, &numbers)?;
    Ok(NewInstance {
        object: run.object,
        owner: Owner::Run {
            run: key,
            index: next.index,
            attempt: next.past.attempt,
        },
        revision: 0,
        parked: false,
        ports: numbers,
        task,
        terms,
    })
}

#[expect(clippy::too_many_arguments, reason = "all that a task is made of")]
fn task(
    w: &Workloads,
    active: &ActiveRun,
    name: &Name,
    run: &RunRecord,
    next: Next,
    id: &str,
    agent: &AgentInfo,
    numbers: &[u16],
) -> Result<v1::TaskInfo, StartError> {
    let template = &active.plan.job().template;
    let blank = mezz_spec::template::Container::default();
    w.task_info(&TaskPlan {
        id,
        name,
        template,
        container: template.containers.first().unwrap_or(&blank),
        ports: numbers,
        agent,
        labels: &active.plan.labels,
        env: &active.plan.env,
        extra: &extra(name, run, next),
    })
}

/// What an attempt is told of itself.
fn extra(name: &Name, run: &RunRecord, next: Next) -> Vec<(String, String)> {
    let mut extra = vec![
        ("MEZZ_JOB".to_owned(), name.to_string()),
        ("MEZZ_RUN".to_owned(), run.id.to_string()),
        ("MEZZ_INDEX".to_owned(), next.index.to_string()),
        ("MEZZ_ATTEMPT".to_owned(), next.past.attempt.to_string()),
    ];
    for (name, value) in &run.parameters {
        extra.push((parameters::variable(name), value.clone()));
    }
    extra
}

fn launch(
    w: &mut Workloads,
    key: RunKey,
    next: Next,
    new: NewInstance,
    placed: &Placed,
    effects: &mut Effects,
) {
    let now = w.wall();
    let instance = w.launch(new, placed, effects);
    let active = w.jobs.active.get_mut(&key).expect("it was just seen");
    active.indices.started(next, instance);
    let bytes = taken(placed);
    let bytes = match active.taken.values().next_back() {
        Some(like) if *like == bytes => like.clone(),
        _ => bytes,
    };
    active.taken.insert(next.index, bytes);
    if let Some(span) = active.plan.job().attempt_timeout {
        let at = backoff::after(now, span);
        active.timeouts.insert((at, next.index, next.past.attempt));
    }
    let run = w.run_mut(key).expect("a run that goes on has a record");
    if run.state == RunState::Pending {
        run.state = RunState::Running;
        run.started_at = Some(now);
        w.write_run(key, effects);
    }
}

fn taken(placed: &Placed) -> Bytes {
    let task = v1::TaskInfo {
        resources: placed.resources.clone(),
        ..v1::TaskInfo::default()
    };
    task.encode_to_vec().into()
}

/// The demand of a run.
pub(super) fn demand_key(run: RunKey) -> DemandKey {
    crate::demand_key::Demander::Run { run, part: 0 }.key()
}
