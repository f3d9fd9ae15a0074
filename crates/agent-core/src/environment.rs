//! The environment of executors and tasks, as Mesos sets it.

use crate::agent::AgentCore;
use crate::model::ExecutorKey;
use crate::status::duration_text;
use mezz_proto::v1::secret::Reference;
use mezz_proto::v1::{CommandInfo, ContainerInfo, DurationInfo, TaskInfo, container_info};
use std::time::Duration;

/// Of a custom executor.
pub(crate) fn executor_environment(
    core: &AgentCore,
    executor: ExecutorKey,
    command: &CommandInfo,
) -> Vec<(String, String)> {
    let entry = core
        .executors
        .get(executor)
        .expect("only called for an executor that is there");
    let own_grace = entry
        .info
        .as_ref()
        .and_then(|info| info.shutdown_grace_period);
    let grace = own_grace.map_or(core.config.executor_shutdown_grace_period, duration);
    let mut environment = mesos_environment(core, executor, grace);
    append_command_environment(&mut environment, command);
    environment
}

/// Of a command task: what its executor would have had, and its own.
pub(crate) fn command_task_environment(
    core: &AgentCore,
    executor: ExecutorKey,
    task: &TaskInfo,
    command: &CommandInfo,
) -> Vec<(String, String)> {
    let container = task.container.as_deref();
    let mut environment = if container.is_some_and(is_of_docker) {
        identity(core, executor)
    } else {
        mesos_environment(core, executor, core.config.executor_shutdown_grace_period)
    };
    let role = task
        .resources
        .iter()
        .find_map(|resource| resource.allocation_info.as_ref()?.role.clone());
    if let Some(role) = role {
        environment.push(("MESOS_ALLOCATION_ROLE".to_owned(), role));
    }
    let member = core.executors.get(executor).and_then(|entry| entry.member);
    if member.is_some() {
        environment.push(("MESOS_CONTAINER_IP".to_owned(), core.config.ip.clone()));
    }
    append_command_environment(&mut environment, command);
    environment
}

/// Whether another program runs the container, from an image that has variables of its own.
pub(crate) fn is_of_docker(container: &ContainerInfo) -> bool {
    container.r#type() == container_info::Type::Docker
}

/// Whose container it is: all that one of the Docker Engine is told, as in Mesos.
fn identity(core: &AgentCore, executor: ExecutorKey) -> Vec<(String, String)> {
    let all = mesos_environment(core, executor, core.config.executor_shutdown_grace_period);
    let is_identity = |(name, _): &(String, String)| {
        matches!(
            name.as_str(),
            "MESOS_FRAMEWORK_ID" | "MESOS_EXECUTOR_ID" | "MESOS_SLAVE_ID"
        )
    };
    all.into_iter().filter(is_identity).collect()
}

/// Of a command that checks a task: what the task has, and its own.
pub(crate) fn probe_environment(
    core: &AgentCore,
    executor: ExecutorKey,
    task: &TaskInfo,
    command: &CommandInfo,
) -> Vec<(String, String)> {
    let mut environment = match &task.command {
        Some(own) => command_task_environment(core, executor, task, own),
        None => Vec::new(),
    };
    append_command_environment(&mut environment, command);
    environment
}

pub(crate) fn append_command_environment(
    environment: &mut Vec<(String, String)>,
    command: &CommandInfo,
) {
    let variables = command.environment.iter().flat_map(|list| &list.variables);
    let plain = variables.filter(|variable| variable.secret.is_none());
    environment.extend(plain.map(|variable| {
        (
            variable.name.clone(),
            variable.value.clone().unwrap_or_default(),
        )
    }));
}

/// The variables of a command whose values are secrets.
pub(crate) fn secret_variables(command: &CommandInfo) -> Vec<(String, Reference)> {
    let variables = command.environment.iter().flat_map(|list| &list.variables);
    let secret = variables.filter_map(|variable| {
        let reference = variable.secret.as_ref()?.reference.clone()?;
        Some((variable.name.clone(), reference))
    });
    secret.collect()
}

fn mesos_environment(
    core: &AgentCore,
    executor: ExecutorKey,
    grace: Duration,
) -> Vec<(String, String)> {
    let entry = core
        .executors
        .get(executor)
        .expect("only called for an executor that is there");
    let framework = core
        .frameworks
        .get(entry.framework)
        .expect("an executor belongs to a framework");
    let config = &core.config;
    let directory = format!("{}/{}", config.work_dir, entry.sandbox);
    let endpoint = if config.ip.contains(':') {
        format!("[{}]:{}", config.ip, config.port)
    } else {
        format!("{}:{}", config.ip, config.port)
    };
    let flag = |set: bool| if set { "1" } else { "0" }.to_owned();
    let mut environment = config.executor_environment.clone();
    let mut set = |name: &str, value: String| environment.push((name.to_owned(), value));
    set("LIBPROCESS_PORT", "0".to_owned());
    set("MESOS_FRAMEWORK_ID", framework.id.as_ref().to_owned());
    let shown = core.shown_executor(executor).unwrap_or(entry);
    set("MESOS_EXECUTOR_ID", shown.id.as_ref().to_owned());
    set("MESOS_SANDBOX", directory.clone());
    set("MESOS_DIRECTORY", directory);
    set(
        "MESOS_SLAVE_ID",
        core.agent_id().unwrap_or_default().to_owned(),
    );
    set("MESOS_SLAVE_PID", format!("slave(1)@{endpoint}"));
    set("MESOS_AGENT_ENDPOINT", endpoint);
    set("MESOS_CHECKPOINT", flag(framework.traits.checkpoint));
    set("MESOS_HTTP_COMMAND_EXECUTOR", flag(false));
    set("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", duration_text(grace));
    if framework.traits.checkpoint {
        set(
            "MESOS_RECOVERY_TIMEOUT",
            duration_text(config.recovery_timeout),
        );
        set(
            "MESOS_SUBSCRIPTION_BACKOFF_MAX",
            duration_text(config.executor_reregistration_timeout),
        );
    }
    environment
}

/// A wire duration; negative counts as zero.
pub(crate) fn duration(info: DurationInfo) -> Duration {
    Duration::from_nanos(u64::try_from(info.nanoseconds).unwrap_or(0))
}
