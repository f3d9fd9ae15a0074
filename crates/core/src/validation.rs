//! Rules that a call must keep before it changes anything. Texts are those that Mesos's clients and tests match.

mod checks;
mod containers;
mod groups;

pub(crate) use checks::limits;
pub(crate) use groups::{SharedCgroups, group_task, pod};

use mezz_proto::v1;
use mezz_resource::role::validate_role;
use v1::framework_info::capability::Type as Capability;
use v1::scheduler::{Call, call};

use crate::framework_info::has_capability;
use containers::Above;

/// Checks a scheduler call by itself: its type, its sub-message and its ids.
///
/// # Errors
/// What Mesos prints behind `Failed to validate scheduler::Call: `.
pub fn scheduler_call(call: &Call) -> Result<(), String> {
    if call.r#type.is_none() {
        return expecting("type");
    }
    if call.r#type() == call::Type::Subscribe {
        let Some(subscribe) = &call.subscribe else {
            return expecting("subscribe");
        };
        if subscribe
            .framework_info
            .id
            .as_ref()
            .map_or("", |id| &id.value)
            != call.framework_id.as_ref().map_or("", |id| &id.value)
        {
            return Err("'framework_id' differs from 'subscribe.framework_info.id'".into());
        }
        return Ok(());
    }
    if call.framework_id.is_none() {
        return expecting("framework_id");
    }
    scheduler_body(call)
}

fn scheduler_body(call: &Call) -> Result<(), String> {
    let require = |present: bool, field: &str| if present { Ok(()) } else { expecting(field) };
    match call.r#type() {
        call::Type::Accept => require(call.accept.is_some(), "accept"),
        call::Type::Decline => require(call.decline.is_some(), "decline"),
        call::Type::AcceptInverseOffers => require(
            call.accept_inverse_offers.is_some(),
            "accept_inverse_offers",
        ),
        call::Type::DeclineInverseOffers => require(
            call.decline_inverse_offers.is_some(),
            "decline_inverse_offers",
        ),
        call::Type::Kill => require(call.kill.is_some(), "kill"),
        call::Type::Shutdown => require(call.shutdown.is_some(), "shutdown"),
        call::Type::Acknowledge => match &call.acknowledge {
            Some(acknowledge) => uuid(&acknowledge.uuid),
            None => expecting("acknowledge"),
        },
        call::Type::AcknowledgeOperationStatus => match &call.acknowledge_operation_status {
            Some(acknowledge) => {
                uuid(&acknowledge.uuid)?;
                require(acknowledge.agent_id.is_some(), "agent_id")
            }
            None => expecting("acknowledge_operation_status"),
        },
        call::Type::Reconcile => require(call.reconcile.is_some(), "reconcile"),
        call::Type::ReconcileOperations => {
            require(call.reconcile_operations.is_some(), "reconcile_operations")
        }
        call::Type::Message => require(call.message.is_some(), "message"),
        call::Type::Request => require(call.request.is_some(), "request"),
        call::Type::UpdateFramework => match &call.update_framework {
            Some(update) if update.framework_info.id != call.framework_id => {
                Err("'framework_id' differs from 'update_framework.framework_info.id'".into())
            }
            Some(_) => Ok(()),
            None => expecting("update_framework"),
        },
        call::Type::Unknown
        | call::Type::Subscribe
        | call::Type::Teardown
        | call::Type::Revive
        | call::Type::Suppress => Ok(()),
    }
}

fn expecting(field: &str) -> Result<(), String> {
    Err(format!("Expecting '{field}' to be present"))
}

fn uuid(bytes: &[u8]) -> Result<(), String> {
    match bytes.len() {
        16 => Ok(()),
        n => Err(format!(
            "Invalid UUID: expecting 16 bytes, but received {n}"
        )),
    }
}

/// Checks a `FrameworkInfo` by itself.
pub fn framework(info: &v1::FrameworkInfo) -> Result<(), String> {
    framework_roles(info)?;
    if let Some(id) = &info.id
        && !id.value.is_empty()
    {
        self::id(&id.value).map_err(|error| format!("'FrameworkInfo.id' is invalid: {error}"))?;
    }
    let timeout = info.failover_timeout.unwrap_or(0.0);
    // A duration in nanoseconds has to fit 63 bits, as in Mesos.
    if !timeout.is_finite() || timeout.abs() > 9.2e9 {
        return Err(format!(
            "The framework failover_timeout ({timeout}) is invalid"
        ));
    }
    Ok(())
}

fn framework_roles(info: &v1::FrameworkInfo) -> Result<(), String> {
    if has_capability(info, Capability::MultiRole) {
        if info.role.is_some() {
            return Err(
                "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
                    .into(),
            );
        }
    } else if !info.roles.is_empty() {
        return Err(
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
                .into(),
        );
    }
    let mut seen = std::collections::BTreeSet::new();
    let duplicates: Vec<&str> = info
        .roles
        .iter()
        .filter(|role| !seen.insert(role.as_str()))
        .map(String::as_str)
        .collect();
    if !duplicates.is_empty() {
        return Err(format!(
            "'FrameworkInfo.roles' contains duplicate items: {{ {} }}",
            duplicates.join(", ")
        ));
    }
    for role in &info.roles {
        validate_role(role)
            .map_err(|error| format!("'FrameworkInfo.roles' contains invalid role: {error}"))?;
    }
    if let Some(role) = &info.role {
        validate_role(role)
            .map_err(|error| format!("'FrameworkInfo.role' is not a valid role: {error}"))?;
    }
    Ok(())
}

/// Suppressed roles have to be among the roles subscribed to.
pub fn suppressed_roles(roles: &[String], suppressed: &[String]) -> Result<(), String> {
    let strangers: Vec<&str> = suppressed
        .iter()
        .filter(|role| !roles.contains(role))
        .map(String::as_str)
        .collect();
    if strangers.is_empty() {
        return Ok(());
    }
    Err(format!(
        "Suppressed roles {{ {} }} are not contained in the set of roles",
        strangers.join(", ")
    ))
}

/// Checks the characters and the length of an id that becomes a path component.
pub fn id(value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err("ID must not be empty".into());
    }
    if value.len() > 255 {
        return Err("ID must not be greater than 255 characters".into());
    }
    if value == "." || value == ".." {
        return Err(format!("'{value}' is disallowed"));
    }
    if value
        .chars()
        .any(|c| c.is_ascii_control() || c == '/' || c == '\\')
    {
        return Err(format!("'{value}' contains invalid characters"));
    }
    Ok(())
}

/// Checks a task of a LAUNCH by itself; what depends on the offer and on other tasks is checked by the caller.
pub fn task(task: &v1::TaskInfo) -> Result<(), String> {
    id(&task.task_id.value)?;
    if task.command.is_some() == task.executor.is_some() {
        return Err(
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
                .into(),
        );
    }
    parts_of_task(task)?;
    if let Some(executor) = &task.executor {
        executor_of_task(executor)?;
    }
    containers::container(task.container.as_deref(), "container", Above::Nothing)
}

/// What is asked of every task.
fn parts_of_task(task: &v1::TaskInfo) -> Result<(), String> {
    let negative = |duration: &v1::DurationInfo| duration.nanoseconds < 0;
    if task
        .kill_policy
        .as_ref()
        .and_then(|policy| policy.grace_period.as_ref())
        .is_some_and(negative)
    {
        return Err("Task's 'kill_policy.grace_period' must be non-negative".into());
    }
    if task.max_completion_time.as_ref().is_some_and(negative) {
        return Err("Task's `max_completion_time` must be non-negative".into());
    }
    if let Some(check) = &task.check {
        checks::check(check).map_err(|error| format!("Task uses invalid check: {error}"))?;
    }
    if let Some(check) = &task.health_check {
        checks::health_check(check)
            .map_err(|error| format!("Task uses invalid health check: {error}"))?;
    }
    if let Some(command) = &task.command {
        self::command(command)
            .map_err(|error| format!("Task's `CommandInfo` is invalid: {error}"))?;
    }
    Ok(())
}

fn executor_of_task(executor: &v1::ExecutorInfo) -> Result<(), String> {
    id(&executor.executor_id.value)?;
    if executor.r#type.is_some() && executor.r#type() != v1::executor_info::Type::Custom {
        return Err("'ExecutorInfo.type' must be 'CUSTOM'".into());
    }
    let Some(command) = &executor.command else {
        return Err("'ExecutorInfo.command' must be set".into());
    };
    if executor
        .shutdown_grace_period
        .as_ref()
        .is_some_and(|period| period.nanoseconds < 0)
    {
        return Err("ExecutorInfo's 'shutdown_grace_period' must be non-negative".into());
    }
    self::command(command)
        .map_err(|error| format!("Executor's `CommandInfo` is invalid: {error}"))?;
    containers::container(
        executor.container.as_deref(),
        "executor.container",
        Above::Nothing,
    )
}

fn command(command: &v1::CommandInfo) -> Result<(), String> {
    if command.shell() && command.value.is_none() {
        return Err("Expecting 'value' to be present when 'shell' is true".into());
    }
    for variable in command
        .environment
        .iter()
        .flat_map(|environment| &environment.variables)
    {
        if variable.r#type() == v1::environment::variable::Type::Secret {
            return Err(format!(
                "environment variable '{}': secrets of tasks of frameworks are not built yet",
                variable.name
            ));
        }
        if variable.value.is_none() {
            return Err(format!(
                "Environment variable '{}' must have a value set",
                variable.name
            ));
        }
    }
    Ok(())
}
