//! Checks for tests, and what a framework has been told of them.

use mezz_testkit::Framework;
use serde_json::{Value, json};

use super::{Lab, until};

/// A health check of a kind, quick enough for a test.
pub fn health(kind: &str, content: Value) -> Value {
    let mut check = json!({
        "type": kind,
        "delay_seconds": 0.0,
        "interval_seconds": 0.05,
        "timeout_seconds": 10.0,
        "grace_period_seconds": 0.0,
        "consecutive_failures": 3,
    });
    check[kind.to_lowercase()] = content;
    check
}

/// A check of a kind.
pub fn check(kind: &str, content: Value) -> Value {
    let mut check = json!({
        "type": kind,
        "delay_seconds": 0.0,
        "interval_seconds": 0.05,
        "timeout_seconds": 10.0,
    });
    check[kind.to_lowercase()] = content;
    check
}

/// What the updates of a task with a reason say in a field; one that came twice counts once.
pub fn told(framework: &Framework, task: &str, reason: &str, field: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    let updates = framework.updates_of(task).iter();
    updates
        .filter(|status| status["reason"] == reason)
        .filter(|status| {
            let new = !seen.contains(&&status["uuid"]);
            seen.push(&status["uuid"]);
            new
        })
        .map(|status| status[field].clone())
        .collect()
}

/// What the updates of a task say of its health.
pub fn healths(framework: &Framework, task: &str) -> Vec<Value> {
    let reason = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED";
    told(framework, task, reason, "healthy")
}

/// What the updates of a task say of its check.
pub fn results(framework: &Framework, task: &str) -> Vec<Value> {
    let reason = "REASON_TASK_CHECK_STATUS_UPDATED";
    told(framework, task, reason, "check_status")
}

/// Asks for a task; what the master answers.
#[track_caller]
pub fn reconciled(framework: &mut Framework, task: &str) -> Value {
    framework.accepted(
        "RECONCILE",
        Some(json!({"tasks": [{"task_id": {"value": task}}]})),
    );
    until(framework, "the answer to a reconciliation", |framework| {
        let last = framework.updates_of(task).last()?;
        (last["reason"] == "REASON_RECONCILIATION").then(|| last.clone())
    })
}

/// The status of a COMMAND check.
pub fn exit_code(code: i32) -> Value {
    json!({"type": "COMMAND", "command": {"exit_code": code}})
}

/// A file in the sandbox of a task.
pub fn file_of(lab: &Lab, framework: &Framework, task: &str, name: &str) -> String {
    let path = format!(
        "/frameworks/{}/executors/{task}/runs/latest/{name}",
        framework.id()
    );
    let client = lab.agent_client();
    let answer = client.get(&format!("/files/download?path={path}")).unwrap();
    answer.text()
}
