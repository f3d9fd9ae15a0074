//! What the views of the agent are made of: sums of resources, tasks as the wire shows them.

use std::path::Path;

use mezz_agent_core::{AgentRecords, ExecutorKind, ExecutorRecord, FrameworkRecord, TaskRecord};
use mezz_proto::v1::{Task, TaskState};
use mezz_resource::Resources;

/// Whether nothing more can happen to a task.
pub(super) fn is_terminal(state: TaskState) -> bool {
    !matches!(
        state,
        TaskState::TaskStaging
            | TaskState::TaskStarting
            | TaskState::TaskRunning
            | TaskState::TaskKilling
            | TaskState::TaskUnreachable
    )
}

/// What an executor with its living tasks holds.
pub(super) fn executor_resources(executor: &ExecutorRecord) -> Resources {
    let tasks = executor
        .queued
        .iter()
        .chain(&executor.tasks)
        .filter(|task| !is_terminal(task.state));
    // What is made up for a command task holds none.
    let mut all = match executor.kind {
        ExecutorKind::Command => Vec::new(),
        ExecutorKind::Custom | ExecutorKind::Default => executor.info().resources.clone(),
    };
    all.extend(tasks.flat_map(|task| task.info.resources.iter().cloned()));
    known(&all)
}

/// What all executors hold.
pub(super) fn used(records: &AgentRecords) -> Resources {
    let mut used = Resources::default();
    for executor in records
        .frameworks
        .iter()
        .flat_map(|framework| &framework.executors)
    {
        for resource in &executor_resources(executor) {
            used.push(resource.clone());
        }
    }
    used
}

/// Resources of the wire; ones that make no sense were refused long before.
pub(super) fn known(resources: &[mezz_proto::v1::Resource]) -> Resources {
    Resources::from_proto(resources).unwrap_or_default()
}

/// The framework's id.
pub(super) fn framework_id(framework: &FrameworkRecord) -> &str {
    framework
        .info
        .id
        .as_ref()
        .map_or("", |id| id.value.as_str())
}

/// The sandbox as clients are told it: a path of Mesos's form, which `/files/*` understands.
pub(super) fn directory(
    work_dir: &Path,
    records: &AgentRecords,
    framework: &FrameworkRecord,
    executor: &ExecutorRecord,
) -> String {
    format!(
        "{}/slaves/{}/frameworks/{}/executors/{}/runs/{}",
        work_dir.display(),
        agent_id(records),
        framework_id(framework),
        executor.id(),
        executor.container_id
    )
}

/// The agent's id; empty before the first registration.
pub(super) fn agent_id(records: &AgentRecords) -> &str {
    records.agent.id.as_ref().map_or("", |id| id.value.as_str())
}

/// A task as the wire shows it. A command task shows no executor.
pub(super) fn task(
    records: &AgentRecords,
    framework: &FrameworkRecord,
    executor: &ExecutorRecord,
    task: &TaskRecord,
) -> Task {
    let executor_id = (executor.kind != ExecutorKind::Command).then(|| executor.id());
    task.to_task(framework_id(framework), agent_id(records), executor_id)
}

/// Every container that may have a process, with its framework: those of pods one by one.
pub(super) fn containers(
    records: &AgentRecords,
) -> impl Iterator<Item = (&FrameworkRecord, &ExecutorRecord)> {
    executors(records).flat_map(|(framework, executor)| {
        let containers = executor.containers();
        containers.map(move |container| (framework, container))
    })
}

/// Every executor that lives, with its framework.
pub(super) fn executors(
    records: &AgentRecords,
) -> impl Iterator<Item = (&FrameworkRecord, &ExecutorRecord)> {
    records.frameworks.iter().flat_map(|framework| {
        framework
            .executors
            .iter()
            .map(move |executor| (&**framework, &**executor))
    })
}
