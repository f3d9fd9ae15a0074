//! `/v1/jobs/{id}/runs`.

use std::collections::BTreeMap;

use mezz_proto::v1::TaskState;
use mezz_state::time::Wall;
use mezz_workload::call::{Call, Refusal, Reply};
use mezz_workload::records::{InstanceRecord, ObjectRecord, Owner, RunRecord, RunState};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::{allow, errors, ids};
use crate::answer::Answer;
use crate::doings::Doings;
use crate::instant::{digits, with_offset};
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::World;

/// The runs of a job that go on.
pub(super) fn all(request: &Request, world: &World<'_>, id: &str) -> Result<Outcome, Answer> {
    let record = ids::find(world, id)?;
    if request.method == "POST" {
        return Ok(start(world, record, id.to_owned(), 0));
    }
    allow(request, &["GET", "POST"])?;
    let doings = Doings::of_one(world, record.key);
    Ok(Answer::json(active(&doings, record, id).into()).into())
}

/// The runs that go on, as they are answered.
pub(super) fn active(doings: &Doings<'_>, record: &ObjectRecord, id: &str) -> Vec<Value> {
    let instances = doings.instances(record.key);
    doings
        .runs(record.key)
        .iter()
        .filter(|run| !run.state.is_over())
        .map(|run| shown(run, id, instances))
        .collect()
}

/// One run; ended ones are there as long as they are kept.
pub(super) fn one(
    request: &Request,
    world: &World<'_>,
    id: &str,
    run: &str,
) -> Result<Outcome, Answer> {
    allow(request, &["GET"])?;
    let record = ids::find(world, id).map_err(|_| errors::no_run(id, run))?;
    Ok(Answer::json(answer(world, record, id, run)?).into())
}

fn answer(world: &World<'_>, record: &ObjectRecord, id: &str, run: &str) -> Result<Value, Answer> {
    let found = world
        .runs(record.key)
        .into_iter()
        .find(|one| &*one.id == run);
    let found = found.ok_or_else(|| errors::no_run(id, run))?;
    Ok(shown(found, id, &world.instances(record.key)))
}

/// `…/actions/stop`.
pub(super) fn stop(
    request: &Request,
    world: &World<'_>,
    id: &str,
    run: &str,
) -> Result<Outcome, Answer> {
    allow(request, &["POST"])?;
    let record = ids::find(world, id)?;
    let call = Call::StopRun {
        name: record.name.clone(),
        run: run.to_owned(),
    };
    let (id, run) = (id.to_owned(), run.to_owned());
    Ok(Outcome::call(call, move |reply, world| {
        let stopped = match reply {
            // It has ended already.
            Reply::Refused(Refusal::Conflict { rollouts, .. }) if rollouts.is_empty() => {
                Err(errors::no_run(&id, &run))
            }
            Reply::Refused(Refusal::NotFound { .. }) => Err(errors::no_run(&id, &run)),
            Reply::Refused(refusal) => Err(errors::refused(refusal, &id)),
            _ => ids::find(world, &id).and_then(|record| answer(world, record, &id, &run)),
        };
        match stopped {
            Ok(run) => Answer::json(run).into(),
            Err(answer) => answer.into(),
        }
    }))
}

/// Starts a run; should another have its id, under the next one.
fn start(world: &World<'_>, record: &ObjectRecord, id: String, attempt: u64) -> Outcome {
    let call = Call::Run {
        name: record.name.clone(),
        parameters: BTreeMap::new(),
        id: Some(made_id(&record.uid, world.now, attempt)),
        arguments: None,
    };
    Outcome::call(call, move |reply, world| match reply {
        Reply::Started { is_new: false, .. } => match ids::find(world, &id) {
            Ok(record) => start(world, record, id, attempt + 1),
            Err(answer) => answer.into(),
        },
        Reply::Started { run, .. } => {
            let started = ids::find(world, &id).and_then(|record| answer(world, record, &id, run));
            match started {
                Ok(run) => Answer::of(201, run).into(),
                Err(answer) => answer.into(),
            }
        }
        Reply::Refused(refusal) => errors::refused(refusal, &id).into(),
        Reply::Applied(_) | Reply::Done => errors::no_job(&id).into(),
    })
}

/// The time and five letters.
fn made_id(uid: &str, now: Wall, attempt: u64) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut bytes = uid.as_bytes().to_vec();
    bytes.extend_from_slice(&now.0.to_le_bytes());
    bytes.extend_from_slice(&attempt.to_le_bytes());
    let mut hash = xxh3_64(&bytes);
    let mut id = digits(now);
    for _ in 0..5 {
        let letter = usize::try_from(hash % 62).expect("it is below 62");
        id.push(char::from(LETTERS[letter]));
        hash /= 62;
    }
    id
}

fn shown(run: &RunRecord, id: &str, instances: &[&std::sync::Arc<InstanceRecord>]) -> Value {
    let ours = |instance: &InstanceRecord| matches!(instance.owner, Owner::Run { run: owner, .. } if owner == run.key);
    let ended = run.ends.iter().map(|end| {
        json!({
            "id": end.instance,
            "startedAt": with_offset(end.started_at.unwrap_or(end.at)),
            "completedAt": with_offset(end.at),
            "status": task_state(end.state),
        })
    });
    let running = instances
        .iter()
        .filter(|instance| ours(instance))
        .map(|instance| {
            json!({
                "id": &*instance.id,
                "startedAt": with_offset(instance.started_at.unwrap_or(instance.created_at)),
                "status": task_state(instance.state),
            })
        });
    let tasks: Vec<Value> = ended.chain(running).collect();
    json!({
        "id": &*run.id,
        "jobId": id,
        "status": status(run.state),
        "createdAt": with_offset(run.created_at),
        "completedAt": run.ended_at.map(with_offset),
        "tasks": tasks,
    })
}

fn status(state: RunState) -> &'static str {
    match state {
        RunState::Pending => "STARTING",
        RunState::Running => "ACTIVE",
        RunState::Succeeded => "SUCCESS",
        RunState::Failed | RunState::Stopped => "FAILED",
    }
}

fn task_state(state: TaskState) -> &'static str {
    match state {
        TaskState::TaskStaging => "TASK_STAGING",
        TaskState::TaskStarting => "TASK_STARTING",
        TaskState::TaskRunning | TaskState::TaskKilling | TaskState::TaskUnreachable => {
            "TASK_RUNNING"
        }
        TaskState::TaskFinished => "TASK_FINISHED",
        TaskState::TaskKilled => "TASK_KILLED",
        _ => "TASK_FAILED",
    }
}
