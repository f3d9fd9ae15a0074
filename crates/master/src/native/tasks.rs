//! Tasks as the native API shows them, of every framework, and finding one by a user's id.

use http::StatusCode;
use mezz_core::effect::Reply;
use mezz_core::event::Event;
use mezz_core::records::{PendingRecord, TaskList, TaskRecord};
use mezz_http::Response;
use mezz_http::respond::{self, Problem};
use mezz_proto::v1;
use prost::Message as _;
use serde_json::{Value, json};

use super::problems::not_found;
use super::values::{ports, rfc3339, scalars};
use crate::shared::Shared;
use crate::view::View;

/// What an id stands for.
pub(super) enum Found<'a> {
    Task(&'a TaskRecord),
    /// A native task that has no place yet.
    Pending(&'a PendingRecord),
}

/// Finds a task by its id, or by framework and id; the newest one when an id was used again.
pub(super) fn find<'a>(
    view: &'a View,
    framework: Option<&str>,
    id: &str,
) -> Result<Found<'a>, Response> {
    let mut candidates: Vec<&TaskRecord> = view
        .records
        .tasks
        .iter()
        .map(|(_, task)| &**task)
        .filter(|task| *task.id == *id)
        .filter(|task| framework.is_none_or(|framework| framework_id(view, task) == framework))
        .collect();
    if framework.is_none()
        && let Some((_, pending)) = view
            .records
            .pending
            .iter()
            .find(|(_, pending)| *pending.id == *id)
        && candidates
            .iter()
            .all(|task| task.list == TaskList::Completed)
    {
        return Ok(Found::Pending(pending));
    }
    // A live one before finished ones, then the newest.
    candidates.sort_by_key(|task| {
        (
            task.list == TaskList::Completed,
            std::cmp::Reverse(task.created_at),
        )
    });
    let Some(first) = candidates.first() else {
        let hint = "`GET /v1/tasks?all=true` lists the tasks that are known";
        return Err(not_found(&format!("there is no task '{id}'"), hint));
    };
    let others: Vec<&&TaskRecord> = candidates
        .iter()
        .filter(|task| task.framework != first.framework)
        .filter(|task| task.list != TaskList::Completed || first.list == TaskList::Completed)
        .collect();
    if others.is_empty() {
        return Ok(Found::Task(first));
    }
    let names = std::iter::once(first)
        .chain(others)
        .map(|task| format!("{}/{}", framework_id(view, task), task.id));
    let problem = Problem {
        title: "Conflict".into(),
        detail: format!("'{id}' is the id of tasks of several frameworks"),
        why: names.collect(),
        hint: Some("give FRAMEWORK_ID/TASK_ID".into()),
    };
    Err(respond::problem(StatusCode::CONFLICT, &problem))
}

pub(super) fn framework_id<'a>(view: &'a View, task: &TaskRecord) -> &'a str {
    view.records
        .frameworks
        .get(task.framework.index())
        .map_or("", |framework| &framework.id)
}

/// One task with everything that is known of it.
pub(super) async fn details(
    shared: &Shared,
    view: &View,
    framework: Option<&str>,
    id: &str,
) -> Result<Value, Response> {
    let (mut shown, staged) = match find(view, framework, id)? {
        Found::Pending(pending) => (pending_details(pending), true),
        Found::Task(task) => (
            task_details(view, task),
            task.state == v1::TaskState::TaskStaging,
        ),
    };
    if staged {
        let asked = id.to_owned();
        if let Reply::Explained(reasons) = shared
            .call(|request| Event::Explain { request, id: asked })
            .await
        {
            shown["why"] = Value::from(reasons);
        }
    }
    Ok(shown)
}

pub(super) fn task_json(view: &View, task: &TaskRecord) -> Value {
    let wire = v1::Task::decode(&*task.wire).unwrap_or_default();
    let framework = view.records.frameworks.get(task.framework.index());
    let agent = view.records.agents.get(task.agent.index());
    json!({
        "id": &*task.id,
        "name": wire.name,
        "framework": framework.map(|one| one.info.name.clone()),
        "framework_id": framework.map(|one| one.id.to_string()),
        "role": &*task.role,
        "agent_id": agent.map(|agent| agent.id.to_string()),
        "hostname": agent.map(|agent| agent.info.hostname.clone()),
        "state": task.state.as_str_name(),
        "created_at": rfc3339(task.created_at),
        "started_at": task.started_at.map(rfc3339),
        "finished_at": task.finished_at.map(rfc3339),
        "resources": scalars(&task.resources),
        "ports": ports(&task.resources),
    })
}

pub(super) fn pending_json(pending: &PendingRecord) -> Value {
    json!({
        "id": &*pending.id,
        "name": pending.task.name,
        "framework": "mezz",
        "framework_id": null,
        "role": pending.task.role,
        "agent_id": null,
        "hostname": null,
        "state": "TASK_STAGING",
        "created_at": rfc3339(pending.created_at),
        "started_at": null,
        "finished_at": null,
        "resources": scalars(&pending.resources),
        "ports": [],
    })
}

fn pending_details(pending: &PendingRecord) -> Value {
    let mut shown = pending_json(pending);
    shown["command"] = command_json(&pending.task.command);
    shown["labels"] = labels_json(pending.task.labels.as_ref());
    shown["statuses"] = json!([]);
    shown["why"] = json!([]);
    for absent in [
        "message",
        "reason",
        "source",
        "healthy",
        "exit_code",
        "sandbox",
    ] {
        shown[absent] = Value::Null;
    }
    shown
}

fn task_details(view: &View, task: &TaskRecord) -> Value {
    let wire = v1::Task::decode(&*task.wire).unwrap_or_default();
    let last = wire.statuses.last().cloned().unwrap_or_default();
    let mut shown = task_json(view, task);
    shown["message"] = Value::from(last.message.clone());
    shown["reason"] = Value::from(last.reason.map(|_| last.reason().as_str_name()));
    shown["source"] = Value::from(last.source.map(|_| last.source().as_str_name()));
    shown["healthy"] = Value::from(last.healthy);
    shown["exit_code"] = Value::from(exit_code(task.state, last.message()));
    // The command is not part of a task's record on any Mesos surface.
    shown["command"] = Value::Null;
    shown["labels"] = labels_json(wire.labels.as_ref());
    shown["statuses"] = wire.statuses.iter().map(status_json).collect();
    shown["sandbox"] = Value::from(sandbox(view, task));
    shown["why"] = json!([]);
    shown
}

fn status_json(status: &v1::TaskStatus) -> Value {
    let nanoseconds = status.timestamp() * 1e9;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates"
    )]
    let at = mezz_core::time::Wall(nanoseconds as u64);
    json!({
        "state": status.state().as_str_name(),
        "at": rfc3339(at),
        "message": status.message,
        "reason": status.reason.map(|_| status.reason().as_str_name()),
        "source": status.source.map(|_| status.source().as_str_name()),
        "healthy": status.healthy,
    })
}

/// The virtual path of the sandbox at the agent's `/files` endpoints.
fn sandbox(view: &View, task: &TaskRecord) -> String {
    let executor = task.executor_id.as_deref().unwrap_or(&task.id);
    format!(
        "/frameworks/{}/executors/{executor}/runs/latest",
        framework_id(view, task)
    )
}

/// The exit code that the words of the executor tell.
pub(super) fn exit_code(state: v1::TaskState, message: &str) -> Option<i32> {
    if state == v1::TaskState::TaskFinished {
        return Some(0);
    }
    message
        .strip_prefix("Command exited with status ")?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

fn command_json(command: &v1::CommandInfo) -> Value {
    if command.shell() {
        Value::from(command.value())
    } else {
        Value::from(command.arguments.clone())
    }
}

fn labels_json(labels: Option<&v1::Labels>) -> Value {
    let pairs = labels.into_iter().flat_map(|labels| &labels.labels);
    pairs
        .map(|label| (label.key.clone(), Value::from(label.value.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_read_from_the_words_of_the_executor() {
        assert_eq!(exit_code(v1::TaskState::TaskFinished, ""), Some(0));
        assert_eq!(
            exit_code(v1::TaskState::TaskFailed, "Command exited with status 3"),
            Some(3)
        );
        assert_eq!(
            exit_code(
                v1::TaskState::TaskFailed,
                "Command terminated with signal Killed"
            ),
            None
        );
    }
}
