//! `/state` of the agent.

use std::collections::BTreeMap;

use mezz_agent_core::{AgentRecords, CAPABILITIES, ExecutorRecord, FrameworkRecord, TaskRecord};
use mezz_proto::to_value;
use mezz_proto::v1::{self, TaskStatus};
use mezz_resource::{Resources, SummaryValue};
use serde_json::{Map, Value, json};

use super::{AgentHttp, MESOS_VERSION, shown};

pub(super) fn state(agent: &AgentHttp, records: &AgentRecords) -> Value {
    let total = shown::known(&records.agent.resources);
    let used = shown::used(records);
    let mut state = json!({
        "version": MESOS_VERSION,
        "build_date": "2026-01-01",
        "build_time": 0.0,
        "build_user": "mezz",
        "start_time": agent.start_time,
        "id": shown::agent_id(records),
        "pid": format!("slave(1)@{}", agent.address),
        "hostname": records.agent.hostname,
        "capabilities": CAPABILITIES,
        "resources": summary(&total),
        "reserved_resources": by_role(&total),
        "unreserved_resources": summary(&total.unreserved()),
        "reserved_resources_full": full_by_role(&total),
        "unreserved_resources_full": full(&total.unreserved()),
        "reserved_resources_allocated": by_role(&used),
        "unreserved_resources_allocated": allocated(&used.unreserved()),
        "resource_providers": [],
        "attributes": attributes(&records.agent.attributes),
        "flags": agent.flags.values(),
        "frameworks": records.frameworks.iter().map(|record| framework(agent, records, record)).collect::<Vec<_>>(),
        "completed_frameworks": records.completed_frameworks.iter().map(|record| framework(agent, records, record)).collect::<Vec<_>>(),
    });
    if let Some(domain) = &records.agent.domain {
        state["domain"] = mezz_proto::to_value(domain);
    }
    if let Some(hostname) = records
        .master
        .as_ref()
        .and_then(|master| master.hostname.clone())
    {
        state["master_hostname"] = Value::from(hostname);
    }
    state
}

/// The summary: `cpus`, `gpus`, `mem` and `disk` always, ranges and sets as text.
pub(super) fn summary(resources: &Resources) -> Value {
    let entry = |(name, value)| {
        let value = match value {
            SummaryValue::Number(number) => Value::from(number),
            SummaryValue::Text(text) => Value::from(text),
        };
        (name, value)
    };
    Value::Object(
        resources
            .summary()
            .map(entry)
            .collect::<Map<String, Value>>(),
    )
}

fn allocated(resources: &Resources) -> Value {
    if resources.is_empty() {
        json!({})
    } else {
        summary(resources)
    }
}

fn by_role(resources: &Resources) -> Value {
    Value::Object(
        resources
            .reserved_by_role()
            .iter()
            .map(|(role, reserved)| (role.clone(), summary(reserved)))
            .collect(),
    )
}

fn full(resources: &Resources) -> Value {
    Value::Array(resources.to_proto_endpoint().iter().map(to_value).collect())
}

fn full_by_role(resources: &Resources) -> Value {
    Value::Object(
        resources
            .reserved_by_role()
            .iter()
            .map(|(role, reserved)| (role.clone(), full(reserved)))
            .collect(),
    )
}

fn attributes(attributes: &[v1::Attribute]) -> Value {
    let mut shown = BTreeMap::new();
    for attribute in attributes {
        let ranges = |ranges: &v1::value::Ranges| {
            let parts: Vec<String> = ranges
                .range
                .iter()
                .map(|range| format!("{}-{}", range.begin, range.end))
                .collect();
            Value::from(format!("[{}]", parts.join(", ")))
        };
        let value = (attribute
            .scalar
            .as_ref()
            .map(|scalar| Value::from(scalar.value)))
        .or_else(|| {
            attribute
                .text
                .as_ref()
                .map(|text| Value::from(text.value.as_str()))
        })
        .or_else(|| attribute.ranges.as_ref().map(ranges))
        .or_else(|| {
            attribute
                .set
                .as_ref()
                .map(|set| Value::from(format!("{{{}}}", set.item.join(", "))))
        });
        shown.insert(attribute.name.clone(), value.unwrap_or_default());
    }
    json!(shown)
}

fn framework(agent: &AgentHttp, records: &AgentRecords, record: &FrameworkRecord) -> Value {
    let info = &record.info;
    let executors = |list: &[std::sync::Arc<ExecutorRecord>]| -> Vec<Value> {
        list.iter()
            .map(|entry| executor(agent, records, record, entry))
            .collect()
    };
    let mut shown = json!({
        "id": shown::framework_id(record),
        "name": info.name,
        "user": info.user,
        "failover_timeout": info.failover_timeout(),
        "checkpoint": info.checkpoint(),
        "hostname": info.hostname(),
        "executors": executors(&record.executors),
        "completed_executors": executors(&record.completed_executors),
    });
    if let Some(principal) = &info.principal {
        shown["principal"] = Value::from(principal.as_str());
    }
    let multi_role = info
        .capabilities
        .iter()
        .any(|entry| entry.r#type() == v1::framework_info::capability::Type::MultiRole);
    if multi_role {
        shown["roles"] = json!(info.roles);
    } else {
        #[allow(deprecated, reason = "still on the wire")]
        let role = info.role().to_owned();
        shown["role"] = Value::from(role);
    }
    shown
}

fn executor(
    agent: &AgentHttp,
    records: &AgentRecords,
    framework: &FrameworkRecord,
    record: &ExecutorRecord,
) -> Value {
    let info = &record.info();
    let resources = shown::executor_resources(record);
    let of = |task: &TaskRecord| shown_task(&shown::task(records, framework, record, task));
    let mut shown = json!({
        "id": info.executor_id.value,
        "name": info.name(),
        "source": info.source(),
        "container": record.container_id.to_string(),
        "directory": shown::directory(&agent.work_dir, records, framework, record),
        "resources": summary(&resources),
        "tasks": record.tasks.iter().map(of).collect::<Vec<_>>(),
        "queued_tasks": record.queued.iter().map(of).collect::<Vec<_>>(),
        "completed_tasks": record.completed.iter().map(|task| of(task)).collect::<Vec<_>>(),
    });
    let tasks = record
        .queued
        .iter()
        .chain(&record.tasks)
        .chain(record.completed.iter().map(|task| &**task));
    let every = info
        .resources
        .iter()
        .chain(tasks.flat_map(|task| &task.info.resources));
    let mut every = every;
    if let Some(role) =
        every.find_map(|resource| resource.allocation_info.as_ref()?.role.as_deref())
    {
        shown["role"] = Value::from(role);
    }
    if let Some(labels) = &info.labels {
        shown["labels"] = label_list(labels);
    }
    // Beyond what Mesos shows: what its container waits for.
    if let Some(progress) = agent.board.of(record.container_id) {
        shown["preparing"] = Value::from(progress);
    }
    if info.r#type.is_some() {
        shown["type"] = Value::from(info.r#type().as_str_name());
    }
    shown
}

fn label_list(labels: &v1::Labels) -> Value {
    Value::Array(labels.labels.iter().map(to_value).collect())
}

/// A task as unversioned endpoints show it.
fn shown_task(task: &v1::Task) -> Value {
    let resources = shown::known(&task.resources);
    let mut shown = json!({
        "id": task.task_id.value,
        "name": task.name,
        "framework_id": task.framework_id.value,
        "executor_id": task.executor_id.as_ref().map_or("", |id| id.value.as_str()),
        "slave_id": task.agent_id.value,
        "state": task.state().as_str_name(),
        "resources": summary(&resources),
        "statuses": task.statuses.iter().map(status).collect::<Vec<_>>(),
    });
    if let Some(role) = task
        .resources
        .iter()
        .find_map(|resource| resource.allocation_info.as_ref()?.role.as_deref())
    {
        shown["role"] = Value::from(role);
    }
    if !task.limits.is_empty() {
        shown["limits"] = task
            .limits
            .iter()
            .map(|(name, limit)| (name.clone(), number(limit.value)))
            .collect::<Map<_, _>>()
            .into();
    }
    if let Some(user) = &task.user {
        shown["user"] = Value::from(user.as_str());
    }
    if let Some(labels) = &task.labels {
        shown["labels"] = label_list(labels);
    }
    if let Some(discovery) = task.discovery.as_deref() {
        shown["discovery"] = to_value(discovery);
    }
    if let Some(container) = task.container.as_deref() {
        shown["container"] = to_value(container);
    }
    if let Some(check) = task.health_check.as_deref() {
        shown["health_check"] = to_value(check);
    }
    shown
}

/// Infinity is no number in JSON; Mesos quotes it.
fn number(value: f64) -> Value {
    if value == f64::INFINITY {
        Value::from("Infinity")
    } else {
        Value::from(value)
    }
}

fn status(status: &TaskStatus) -> Value {
    let mut shown =
        json!({ "state": status.state().as_str_name(), "timestamp": status.timestamp() });
    if let Some(labels) = &status.labels {
        shown["labels"] = label_list(labels);
    }
    if let Some(container) = &status.container_status {
        // The process id is for the versioned API only.
        shown["container_status"] = to_value(&v1::ContainerStatus {
            executor_pid: None,
            ..container.clone()
        });
    }
    if let Some(healthy) = status.healthy {
        shown["healthy"] = Value::from(healthy);
    }
    shown
}
