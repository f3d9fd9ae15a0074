//! Rules for the checks, health checks and limits of a task. Texts are those that Mesos's clients and tests match.

use mezz_proto::v1;
use mezz_resource::Resources;
use std::collections::BTreeMap;

/// What an agent must be able to do before a task with limits may go there.
const LIMITS_CAPABILITY: &str = "TASK_RESOURCE_LIMITS";

/// Checks `TaskInfo.health_check`.
pub(super) fn health_check(check: &v1::HealthCheck) -> Result<(), String> {
    use v1::health_check::Type;
    if check.r#type.is_none() {
        return Err("HealthCheck must specify 'type'".into());
    }
    match check.r#type() {
        Type::Command => {
            let Some(command) = &check.command else {
                return Err("Expecting 'command' to be set for COMMAND health check".into());
            };
            probe_command(command, "Command health check", "Health check")?;
        }
        Type::Http => {
            let Some(http) = &check.http else {
                return Err("Expecting 'http' to be set for HTTP health check".into());
            };
            let scheme = http.scheme.as_deref().unwrap_or("http");
            if !["http", "https"].contains(&scheme) {
                return Err(format!("Unsupported HTTP health check scheme: '{scheme}'"));
            }
            path(http.path.as_deref(), "HTTP health check")?;
            port(http.port, "HTTP health check")?;
        }
        Type::Tcp => {
            let Some(tcp) = &check.tcp else {
                return Err("Expecting 'tcp' to be set for TCP health check".into());
            };
            port(tcp.port, "TCP health check")?;
        }
        Type::Unknown => return Err("'UNKNOWN' is not a valid health check type".into()),
    }
    seconds(check.delay_seconds, "delay_seconds")?;
    seconds(check.grace_period_seconds, "grace_period_seconds")?;
    seconds(check.interval_seconds, "interval_seconds")?;
    seconds(check.timeout_seconds, "timeout_seconds")
}

/// Checks `TaskInfo.check`.
pub(super) fn check(check: &v1::CheckInfo) -> Result<(), String> {
    use v1::check_info::Type;
    if check.r#type.is_none() {
        return Err("CheckInfo must specify 'type'".into());
    }
    match check.r#type() {
        Type::Command => {
            let Some(command) = &check.command else {
                return Err("Expecting 'command' to be set for COMMAND check".into());
            };
            probe_command(&command.command, "Command check", "Check")?;
        }
        Type::Http => {
            let Some(http) = &check.http else {
                return Err("Expecting 'http' to be set for HTTP check".into());
            };
            path(http.path.as_deref(), "HTTP check")?;
            port(http.port, "HTTP check")?;
        }
        Type::Tcp => {
            let Some(tcp) = &check.tcp else {
                return Err("Expecting 'tcp' to be set for TCP check".into());
            };
            port(tcp.port, "TCP check")?;
        }
        Type::Unknown => return Err("'UNKNOWN' is not a valid check type".into()),
    }
    seconds(check.delay_seconds, "delay_seconds")?;
    seconds(check.interval_seconds, "interval_seconds")?;
    seconds(check.timeout_seconds, "timeout_seconds")
}

fn probe_command(command: &v1::CommandInfo, what: &str, owner: &str) -> Result<(), String> {
    if command.value.as_ref().is_none_or(String::is_empty) {
        let content = if command.shell() {
            "'shell command'"
        } else {
            "'executable path'"
        };
        return Err(format!("{what} must contain {content}"));
    }
    super::command(command).map_err(|error| format!("{owner}'s `CommandInfo` is invalid: {error}"))
}

fn path(path: Option<&str>, what: &str) -> Result<(), String> {
    match path {
        Some(path) if !path.starts_with('/') => {
            Err(format!("The path '{path}' of {what} must start with '/'"))
        }
        _ => Ok(()),
    }
}

fn port(port: u32, what: &str) -> Result<(), String> {
    match u16::try_from(port) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("The port {port} of {what} must not exceed 65535")),
    }
}

fn seconds(value: Option<f64>, field: &str) -> Result<(), String> {
    match value {
        Some(value) if value.is_nan() || value < 0.0 => {
            Err(format!("Expecting '{field}' to be non-negative"))
        }
        _ => Ok(()),
    }
}

/// Checks `TaskInfo.limits` against what the task asks for and what its agent can do.
pub(crate) fn limits(
    limits: &BTreeMap<String, v1::value::Scalar>,
    request: &Resources,
    capabilities: &[String],
) -> Result<(), String> {
    if limits.is_empty() {
        return Ok(());
    }
    if !capabilities
        .iter()
        .any(|capability| capability == LIMITS_CAPABILITY)
    {
        return Err("Agent is not capable of handling task resource limits".into());
    }
    if limits.keys().any(|name| name != "cpus" && name != "mem") {
        return Err("Only cpus and mem may be included in a task's resource limits".into());
    }
    for (name, short, long) in [("cpus", "CPU", "cpu"), ("mem", "memory", "memory")] {
        let Some(limit) = limits.get(name) else {
            continue;
        };
        let requested = request.scalar(name).to_f64();
        if requested == 0.0 {
            return Err(format!(
                "When a {short} limit is specified, a {short} request must also be specified"
            ));
        }
        if limit.value.is_nan() || limit.value < requested {
            return Err(format!(
                "The {long} limit must be greater than or equal to the {long} request"
            ));
        }
    }
    Ok(())
}
