//! What Mesos makes up for a command task, and clients want to see: the executor that is not there.

use mezz_proto::v1::{CommandInfo, ExecutorId, ExecutorInfo, FrameworkId, TaskInfo};
use std::sync::Arc;

/// Up to here Mesos shows a command whole.
const SHOWN_COMMAND: usize = 15;
/// That much of a longer one.
const SHOWN_START: usize = 12;

/// The executor that Mesos would have made up for a command task, with the old `source` that it still fills.
#[allow(deprecated)]
pub(crate) fn synthetic_executor(framework_id: &str, task: Option<&Arc<TaskInfo>>) -> ExecutorInfo {
    let Some(task) = task else {
        return ExecutorInfo::default();
    };
    let id = task.task_id.value.clone();
    let command = task.command.as_ref();
    ExecutorInfo {
        executor_id: ExecutorId { value: id.clone() },
        framework_id: Some(FrameworkId {
            value: framework_id.to_owned(),
        }),
        name: Some(format!(
            "Command Executor (Task: {id}) (Command: {})",
            command.map_or_else(|| "NO COMMAND".to_owned(), shown_command)
        )),
        source: Some(id),
        command: command.map(|command| CommandInfo {
            value: None,
            arguments: Vec::new(),
            ..command.clone()
        }),
        container: task.container.clone(),
        labels: task.labels.clone(),
        discovery: task.discovery.clone(),
        ..ExecutorInfo::default()
    }
}

fn shown_command(command: &CommandInfo) -> String {
    let value = command.value.as_deref();
    if command.shell.unwrap_or(true) {
        return value.map_or_else(
            || "NO COMMAND".to_owned(),
            |value| format!("sh -c '{}'", shortened(value)),
        );
    }
    value.map_or_else(
        || "NO EXECUTABLE".to_owned(),
        |value| {
            format!(
                "[{}]",
                shortened(&format!("{value}, {}", command.arguments.join(", ")))
            )
        },
    )
}

fn shortened(text: &str) -> String {
    if text.len() <= SHOWN_COMMAND {
        return text.to_owned();
    }
    format!("{}...", &text[..text.floor_char_boundary(SHOWN_START)])
}
