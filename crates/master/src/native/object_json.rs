//! Users' objects, rollouts, runs and instances as the native API shows them.

use mezz_spec::{Kind, Name, Spec};
use mezz_workload::records::{
    Cause, Condition, InstanceRecord, NodeState, ObjectRecord, Owner, Pause, Phase, Records,
    RolloutRecord, RunRecord, Status,
};
use serde_json::{Value, json};

use super::values::rfc3339;
use crate::view::View;
use crate::work_facts::{phase_word, rollout_word, run_word};

/// The object of a kind and name.
pub(super) fn find<'v>(view: &'v View, kind: Kind, name: &Name) -> Option<&'v ObjectRecord> {
    let work = &view.records.work;
    let key = work.index.get(&(kind, name.clone()))?;
    work.objects.get(key.index()).map(|record| &**record)
}

/// The objects of a kind, by name.
pub(super) fn of_kind(view: &View, kind: Kind) -> impl Iterator<Item = &ObjectRecord> {
    let work = &view.records.work;
    work.index
        .iter()
        .filter(move |((own, _), _)| *own == kind)
        .filter_map(|(_, key)| work.objects.get(key.index()))
        .map(|record| &**record)
}

/// An object: its envelope, spec and status.
pub(super) fn object(record: &ObjectRecord, work: &Records) -> Value {
    json!({
        "kind": record.spec.kind().word(),
        "name": record.name.as_str(),
        "uid": record.uid,
        "generation": record.generation,
        "labels": record.labels,
        "created_at": rfc3339(record.created_at),
        "changed_at": rfc3339(record.changed_at),
        "spec": mezz_spec::diff::redacted(&record.spec),
        "status": status(record, work),
        "generations": record.former.iter().map(|former| former.generation)
            .chain([record.generation]).collect::<Vec<_>>(),
    })
}

fn status(record: &ObjectRecord, work: &Records) -> Value {
    let mut status = match &record.status {
        Status::Nothing => json!({}),
        Status::Service(own) => json!({
            "wanted": own.wanted,
            "staged": own.staged,
            "running": own.running,
            "ready": own.ready,
            "healthy": own.healthy,
            "unhealthy": own.unhealthy,
            "stable_generation": own.stable_generation,
            "rollout": own.rollout
                .and_then(|key| work.rollouts.get(key.index()))
                .map(|rollout| rollout.id.clone()),
            "failures": own.failures,
            "backoff_until": own.backoff_until.map(rfc3339),
            "last_failure": own.last_failure.as_ref().map(|failure| json!({
                "instance": failure.instance,
                "hostname": failure.agent.hostname,
                "state": failure.state.as_str_name(),
                "message": failure.message,
                "at": rfc3339(failure.at),
                "generation": failure.generation,
            })),
        }),
        Status::Job(own) => json!({
            "active": own.active,
            "succeeded": own.succeeded,
            "failed": own.failed,
            "last_success_at": own.last_success_at.map(rfc3339),
            "last_failure_at": own.last_failure_at.map(rfc3339),
        }),
        Status::Cron(own) => json!({
            "next_at": own.next_at.map(rfc3339),
            "last_run": own.last_run,
            "missed": own.missed,
            "paused": own.paused.is_some(),
            "paused_until": own.paused.and_then(|paused| paused.until).map(rfc3339),
        }),
    };
    status["role"] = json!(*work.role_of(record));
    status["conditions"] = record.conditions.iter().map(condition).collect();
    status
}

fn condition(condition: &Condition) -> Value {
    json!({
        "kind": condition.kind,
        "is_true": condition.is_true,
        "reason": condition.reason,
        "message": condition.message,
        "since": rfc3339(condition.since),
    })
}

fn name_of(work: &Records, object: mezz_workload::key::ObjectKey) -> Value {
    work.objects
        .get(object.index())
        .map_or(Value::Null, |object| object.name.as_str().into())
}

/// Whether nothing is started, ended or rolled, and until when.
pub(super) fn freeze(work: &Records) -> Value {
    let until = work.frozen.and_then(|frozen| frozen.until);
    json!({ "frozen": work.is_frozen(), "until": until.map(rfc3339) })
}

/// A rollout.
pub(super) fn rollout(record: &RolloutRecord, work: &Records) -> Value {
    json!({
        "id": record.id,
        "service": name_of(work, record.object),
        "from": record.from,
        "to": record.to,
        "state": rollout_word(record.state),
        "paused_until": record.pause.and_then(Pause::until).map(rfc3339),
        "step": record.step,
        "wanted": record.wanted,
        "new_ready": record.new_ready,
        "old_left": record.old_left,
        "failures": record.failures,
        "message": record.message,
        "started_at": rfc3339(record.started_at),
        "progressed_at": rfc3339(record.progressed_at),
        "ended_at": record.ended_at.map(rfc3339),
    })
}

/// A run with the last ends of its attempts.
pub(super) fn run(record: &RunRecord, work: &Records) -> Value {
    let kind = work
        .objects
        .get(record.object.index())
        .map(|object| object.spec.kind().word());
    json!({
        "id": record.id,
        "kind": kind,
        "name": name_of(work, record.object),
        "generation": record.generation,
        "parameters": record.parameters,
        "cause": cause(&record.cause, work),
        "state": run_word(record.state),
        "created_at": rfc3339(record.created_at),
        "started_at": record.started_at.map(rfc3339),
        "ended_at": record.ended_at.map(rfc3339),
        "waiting": record.counts.waiting,
        "running": record.counts.running,
        "succeeded": record.counts.succeeded,
        "failed": record.counts.failed,
        "retried": record.counts.retried,
        "message": record.message,
        "ends": record.ends.iter().map(|end| json!({
            "instance": end.instance,
            "index": end.index,
            "attempt": end.attempt,
            "state": end.state.as_str_name(),
            "exit_status": end.exit_status,
            "message": end.message,
            "agent_id": end.agent,
            "started_at": end.started_at.map(rfc3339),
            "at": rfc3339(end.at),
        })).collect::<Vec<_>>(),
        "nodes": record.nodes.iter()
            .map(|(name, state)| (name.clone(), node(state, work)))
            .collect::<serde_json::Map<_, _>>(),
    })
}

/// How a run came to be begun, in one word.
pub(super) fn cause_word(cause: &Cause) -> &'static str {
    match cause {
        Cause::Applied => "apply",
        Cause::User | Cause::Fired { .. } => "user",
        Cause::After => "after",
        Cause::Cron { .. } => "cron",
        Cause::Node { .. } => "dag",
    }
}

fn cause(cause: &Cause, work: &Records) -> Value {
    let by = cause_word(cause);
    match cause {
        Cause::Applied | Cause::User | Cause::After => json!({ "by": by }),
        Cause::Cron { object, fire_at } => {
            json!({ "by": by, "cron": name_of(work, *object), "fire_at": rfc3339(*fire_at) })
        }
        Cause::Fired { object, at } => {
            json!({ "by": by, "cron": name_of(work, *object), "at": rfc3339(*at) })
        }
        Cause::Node { run, node, attempt } => json!({
            "by": by,
            "run": work.runs.get(run.index()).map(|run| run.id.clone()),
            "node": node,
            "attempt": attempt,
        }),
    }
}

fn node(state: &NodeState, work: &Records) -> Value {
    let id =
        |run: &mezz_workload::key::RunKey| work.runs.get(run.index()).map(|run| run.id.clone());
    match state {
        NodeState::Waiting => json!({ "state": "waiting" }),
        NodeState::Running { run, attempt } => {
            json!({ "state": "running", "run": id(run), "attempt": attempt })
        }
        NodeState::Succeeded { run } => {
            json!({ "state": "succeeded", "run": run.as_ref().and_then(id) })
        }
        NodeState::Failed { run } => json!({ "state": "failed", "run": run.as_ref().and_then(id) }),
        NodeState::Skipped => json!({ "state": "skipped" }),
    }
}

/// An instance.
pub(super) fn instance(record: &InstanceRecord, work: &Records) -> Value {
    let mut value = json!({
        "id": &*record.id,
        "name": name_of(work, record.object),
        "agent_id": &*record.agent.id,
        "hostname": &*record.agent.hostname,
        "phase": phase_word(record.phase),
        "state": record.state.as_str_name(),
        "healthy": record.healthy,
        "ready": record.ready,
        "ports": record.ports,
        "created_at": rfc3339(record.created_at),
        "started_at": record.started_at.map(rfc3339),
        "message": record.message,
    });
    match record.owner {
        Owner::Service {
            ordinal,
            generation,
        } => {
            value["ordinal"] = ordinal.into();
            value["generation"] = generation.into();
        }
        Owner::Run {
            run,
            index,
            attempt,
        } => {
            let run = work.runs.get(run.index()).map(|run| run.id.clone());
            value["run"] = json!(run);
            value["index"] = index.into();
            value["attempt"] = attempt.into();
        }
    }
    value
}

/// Where a service is reached: one entry for each port of each instance that may get traffic or is leaving.
pub(super) fn endpoints(record: &ObjectRecord, work: &Records) -> Value {
    let Spec::Service(service) = &*record.spec else {
        return json!([]);
    };
    let names: Vec<&str> = (service.template.containers.iter())
        .flat_map(|container| &container.ports)
        .map(|port| port.name.as_str())
        .collect();
    let own = work.instances.iter();
    own.filter(|(_, instance)| instance.object == record.key && !instance.parked)
        .flat_map(|(_, instance)| {
            names.iter().zip(&instance.ports).map(|(name, port)| {
                json!({
                    "instance": &*instance.id,
                    "host": &*instance.agent.hostname,
                    "ip": &*instance.agent.ip,
                    "port": port,
                    "name": name,
                    "ready": instance.ready && instance.phase == Phase::Running,
                    "draining": matches!(instance.phase, Phase::Draining | Phase::Stopping),
                })
            })
        })
        .collect()
}
