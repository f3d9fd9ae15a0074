//! Rules for task groups and the executor that they go to. Texts are those that Mesos's clients and tests match.

use super::containers::{self, Above};
use mezz_proto::v1::{self, container_info, executor_info, health_check};
use mezz_resource::{Resources, Scalar};

/// What an executor needs at least.
const LEAST_CPUS: Scalar = Scalar(10);
const LEAST_MEM_MIB: Scalar = Scalar::whole(32);

/// Checks a task of a LAUNCH_GROUP by itself.
pub(crate) fn group_task(task: &v1::TaskInfo) -> Result<(), String> {
    super::id(&task.task_id.value)?;
    super::parts_of_task(task)?;
    if let Some(container) = task.container.as_deref() {
        let over_network = task.health_check.as_ref().is_some_and(|check| {
            matches!(
                check.r#type(),
                health_check::Type::Http | health_check::Type::Tcp
            )
        });
        if over_network && !container.network_infos.is_empty() {
            return Err("HTTP and TCP health checks are not supported for nested containers not joining parent's network".to_owned());
        }
        if container.r#type() == container_info::Type::Docker {
            return Err("Docker ContainerInfo is not supported on the task".to_owned());
        }
    }
    if !task.limits.is_empty() && shares_cgroups(task.container.as_deref()) != Some(false) {
        return Err("Resource limits may only be set for tasks within a task group when the 'share_cgroups' field is set to 'false'.".to_owned());
    }
    containers::container(task.container.as_deref(), "container", Above::Pod)?;
    if task.command.is_none() {
        return Err(
            "'command' is not set: what an image runs is not built yet in this version of Mezzanine"
                .to_owned(),
        );
    }
    Ok(())
}

/// Checks the executor of a LAUNCH_GROUP by itself.
pub(crate) fn pod(executor: &v1::ExecutorInfo, framework_id: &str) -> Result<(), String> {
    super::id(&executor.executor_id.value)?;
    let container = executor.container.as_deref();
    match executor.r#type() {
        executor_info::Type::Default => default_executor(executor)?,
        executor_info::Type::Custom if executor.command.is_none() => {
            return Err("'ExecutorInfo.command' must be set for 'CUSTOM' executor".to_owned());
        }
        executor_info::Type::Custom | executor_info::Type::Unknown => {}
    }
    if executor
        .shutdown_grace_period
        .is_some_and(|period| period.nanoseconds < 0)
    {
        return Err("ExecutorInfo's 'shutdown_grace_period' must be non-negative".to_owned());
    }
    match &executor.framework_id {
        None => return Err("'ExecutorInfo.framework_id' must be set".to_owned()),
        Some(id) if id.value != framework_id => {
            return Err(format!(
                "ExecutorInfo has an invalid FrameworkID (Actual: {} vs Expected: {framework_id})",
                id.value
            ));
        }
        Some(_) => {}
    }
    if executor.r#type.is_none() {
        return Err("'ExecutorInfo.type' must be set".to_owned());
    }
    match executor.r#type() {
        executor_info::Type::Unknown => return Err("Unknown executor type".to_owned()),
        executor_info::Type::Custom => {
            return Err(
                "task groups of 'CUSTOM' executors are not built yet in this version of Mezzanine"
                    .to_owned(),
            );
        }
        executor_info::Type::Default => {}
    }
    containers::container(container, "executor.container", Above::Nothing)?;
    least_resources(executor)
}

fn default_executor(executor: &v1::ExecutorInfo) -> Result<(), String> {
    if executor.command.is_some() {
        return Err("'ExecutorInfo.command' must not be set for 'DEFAULT' executor".to_owned());
    }
    let Some(container) = executor.container.as_deref() else {
        return Ok(());
    };
    if container.r#type() != container_info::Type::Mesos {
        return Err(
            "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor".to_owned(),
        );
    }
    let mesos = container.mesos.as_ref();
    if mesos.is_some_and(|mesos| mesos.image.is_some()) {
        return Err(
            "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor"
                .to_owned(),
        );
    }
    let linux = container.linux_info.as_ref();
    if linux.is_some_and(|linux| linux.share_cgroups == Some(true)) {
        return Err(
            "The 'share_cgroups' field cannot be set to 'true' on executor containers".to_owned(),
        );
    }
    Ok(())
}

fn least_resources(executor: &v1::ExecutorInfo) -> Result<(), String> {
    let resources = Resources::from_proto(&executor.resources)
        .map_err(|error| format!("Executor uses invalid resources: {error}"))?;
    let id = &executor.executor_id.value;
    let has = |name: &str| resources.iter().any(|one| one.name().as_str() == name);
    let amount = |name: &str, unit: &str| {
        if has(name) {
            format!("{}{unit}", resources.scalar(name))
        } else {
            "None".to_owned()
        }
    };
    if resources.scalar("cpus") < LEAST_CPUS {
        return Err(format!(
            "Executor '{id}' uses less CPUs ({}) than the minimum required (0.01)",
            amount("cpus", "")
        ));
    }
    if resources.scalar("mem") < LEAST_MEM_MIB {
        return Err(format!(
            "Executor '{id}' uses less memory ({}) than the minimum required (32MB)",
            amount("mem", "MB")
        ));
    }
    if !has("disk") {
        return Err(format!("Executor '{id}' uses no disk"));
    }
    Ok(())
}

fn shares_cgroups(container: Option<&v1::ContainerInfo>) -> Option<bool> {
    container?.linux_info.as_ref()?.share_cgroups
}

/// Whether the containers of one executor share its control groups: all of them do, or none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SharedCgroups(Option<bool>);

impl SharedCgroups {
    /// Takes one more task into account.
    pub(crate) fn with(self, container: Option<&v1::ContainerInfo>) -> Result<Self, String> {
        let shares = shares_cgroups(container).unwrap_or(true);
        if self.0.is_some_and(|others| others != shares) {
            return Err("If set, the value of 'share_cgroups' must be the same for all tasks in each task group and under a single executor".to_owned());
        }
        Ok(Self(Some(shares)))
    }
}
