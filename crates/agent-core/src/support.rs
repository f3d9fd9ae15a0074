//! What of a task or an executor this agent does not do: named, so that it can be refused, never ignored.

use crate::environment::is_of_docker;
use mezz_proto::agent_protocol::InstanceTerms;
use mezz_proto::v1::environment::variable;
use mezz_proto::v1::executor_info;
use mezz_proto::v1::volume;
use mezz_proto::v1::{CommandInfo, ContainerInfo, ExecutorInfo, TaskInfo, Volume};

/// The first field of a task that is not supported, if any.
pub(crate) fn unsupported_in_task(
    task: &TaskInfo,
    terms: Option<&InstanceTerms>,
    above: Above,
) -> Option<String> {
    let field = match task {
        TaskInfo { resources, .. } if resources.iter().any(|resource| resource.disk.is_some()) => {
            "resources.disk"
        }
        TaskInfo {
            command: None,
            executor: None,
            ..
        } => "command",
        _ => {
            let secrets = terms.map_or(Secrets::Unknown, |_| Secrets::Resolved);
            return unsupported_parts(
                "",
                task.command.as_ref(),
                (task.container.as_deref(), above),
                secrets,
            );
        }
    };
    Some(field.to_owned())
}

/// The first field of a pod that is not supported, if any.
pub(crate) fn unsupported_in_pod(executor: &ExecutorInfo) -> Option<String> {
    if executor
        .resources
        .iter()
        .any(|resource| resource.disk.is_some())
    {
        return Some("executor.resources.disk".to_owned());
    }
    let container = executor.container.as_deref();
    let field = container.and_then(|container| {
        let isolates = container.linux_info.is_some()
            || container.hostname.is_some()
            || container.rlimit_info.is_some()
            || !container.volumes.is_empty();
        // It has no process that any of this could be of.
        let own = isolates.then(|| "container".to_owned());
        unsupported_in_container(container, Above::Nothing).or(own)
    })?;
    Some(format!("executor.{field}"))
}

/// The first field of a custom executor that is not supported, if any.
pub(crate) fn unsupported_in_executor(executor: &ExecutorInfo) -> Option<String> {
    if executor.r#type == Some(executor_info::Type::Default.into()) {
        return Some("executor.type".to_owned());
    }
    if executor
        .resources
        .iter()
        .any(|resource| resource.disk.is_some())
    {
        return Some("executor.resources.disk".to_owned());
    }
    if executor.command.is_none() {
        return Some("executor.command".to_owned());
    }
    unsupported_parts(
        "executor.",
        executor.command.as_ref(),
        (executor.container.as_deref(), Above::Nothing),
        Secrets::Unknown,
    )
}

/// What a container is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Above {
    /// Nothing: it has no parent to share with.
    Nothing,
    /// A pod.
    Pod,
}

/// The first field of a container without a task that is not supported, if any.
pub(crate) fn unsupported_in_nested(
    command: Option<&CommandInfo>,
    container: Option<&ContainerInfo>,
) -> Option<String> {
    let none = CommandInfo::default();
    unsupported_parts(
        "",
        Some(command.unwrap_or(&none)),
        (container, Above::Nothing),
        Secrets::Unknown,
    )
}

/// Whether the master gives the values of what the environment refers to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Unknown,
    Resolved,
}

fn unsupported_parts(
    prefix: &str,
    command: Option<&CommandInfo>,
    (container, above): (Option<&ContainerInfo>, Above),
    secrets: Secrets,
) -> Option<String> {
    let brings_program = container.is_some_and(|container| {
        let image = container
            .mesos
            .as_ref()
            .and_then(|mesos| mesos.image.as_ref());
        image.is_some() || container.docker.is_some()
    });
    let of_command = |command: &CommandInfo| {
        let without = command.value.as_ref().is_none_or(String::is_empty);
        // An image says what to run where the command does not.
        if without && (command.shell() || !brings_program) {
            return Some("command.value".to_owned());
        }
        unsupported_in_command(command, secrets)
    };
    let field = command
        .and_then(of_command)
        .or_else(|| container.and_then(|container| unsupported_in_container(container, above)))?;
    Some(format!("{prefix}{field}"))
}

fn unsupported_in_command(command: &CommandInfo, secrets: Secrets) -> Option<String> {
    if secrets == Secrets::Resolved {
        return None;
    }
    let variables = command
        .environment
        .iter()
        .flat_map(|environment| &environment.variables);
    let secret = variables.into_iter().find(|variable| {
        variable.secret.is_some() || variable.r#type == Some(variable::Type::Secret.into())
    });
    secret.map(|variable| format!("command.environment.variables[{}].secret", variable.name))
}

fn unsupported_in_container(container: &ContainerInfo, above: Above) -> Option<String> {
    // Images, named networks and Docker are for the shell: it knows what this host has for them.
    if is_of_docker(container) {
        return None;
    }
    let mut volumes = container.volumes.iter().enumerate();
    volumes.find_map(|(index, volume)| {
        let field = unsupported_in_volume(volume, above)?;
        Some(format!("container.volumes[{index}].{field}"))
    })
}

fn unsupported_in_volume(volume: &Volume, above: Above) -> Option<&'static str> {
    use volume::source::{Type, sandbox_path};
    let source = volume.source.as_ref()?;
    match source.r#type() {
        Type::HostPath | Type::Secret => None,
        Type::SandboxPath => {
            let parent =
                |path: &volume::source::SandboxPath| path.r#type() == sandbox_path::Type::Parent;
            let of_parent = source.sandbox_path.as_ref().is_some_and(parent);
            (of_parent && above == Above::Nothing).then_some("source.sandbox_path.type PARENT")
        }
        Type::DockerVolume => Some("source.docker_volume"),
        Type::CsiVolume => Some("source.csi_volume"),
        Type::Unknown => Some("source.type"),
    }
}
