//! `/tasks` and the tasks of `/state`, decoded one at a time from their wire records.

use std::sync::Arc;

use mezz_core::key::TaskKey;
use mezz_core::records::TaskRecord;
use mezz_http::query::Query;
use mezz_http::{Response, respond};
use mezz_proto::v1;
use mezz_resource::Resources;
use prost::Message as _;
use rustc_hash::FxHashMap;

use super::frameworks::agent_id;
use crate::json::Json;
use crate::task_wire::{ShownStatus, TaskWire};
use crate::view::View;

pub(super) fn tasks(view: &View, query: &Query) -> Result<Vec<u8>, Response> {
    let number = |key: &str, default: usize| {
        query
            .number::<usize>(key)
            .map_err(respond::bad_request)
            .map(|value| value.unwrap_or(default))
    };
    let limit = number("limit", 100)?;
    let offset = number("offset", 0)?;
    let ascending = match query.get("order") {
        None | Some("des") => false,
        Some("asc") => true,
        Some(other) => {
            return Err(respond::bad_request(format!(
                "Invalid 'order': '{other}' is neither 'asc' nor 'des'"
            )));
        }
    };
    let framework = query.get("framework_id");
    let task_id = query.get("task_id");
    let mut found: Vec<&TaskRecord> = view
        .records
        .tasks
        .iter()
        .map(|(_, task)| &**task)
        .filter(|task| task_id.is_none_or(|id| *task.id == *id))
        .filter(|task| {
            framework.is_none_or(|id| {
                view.records
                    .frameworks
                    .get(task.framework.index())
                    .is_some_and(|record| *record.id == *id)
            })
        })
        .collect();
    // Newest first, as the statuses of Mesos order it; the key breaks ties.
    found.sort_by_key(|task| (task.created_at, task.key));
    if !ascending {
        found.reverse();
    }
    let mut json = Json::new();
    json.object(|json| {
        json.key("tasks").array(|json| {
            let mut known = KnownTexts::default();
            for task in found.into_iter().skip(offset).take(limit) {
                write_task(json, view, task, &mut known);
            }
        });
    });
    Ok(json.finish())
}

/// Texts of resources that many tasks share, by their address.
type KnownTexts = FxHashMap<*const Resources, Vec<u8>>;

/// Tasks as the unversioned endpoints show them.
pub(super) fn write_tasks(json: &mut Json, view: &View, keys: &[TaskKey]) {
    let mut known = KnownTexts::default();
    for key in keys {
        if let Some(task) = view.records.tasks.get(key.index()) {
            write_task(json, view, task, &mut known);
        }
    }
}

fn write_task(json: &mut Json, view: &View, record: &TaskRecord, known: &mut KnownTexts) {
    match TaskWire::read(&record.wire) {
        Some(wire) => write_found(json, view, record, &wire, known),
        None => write_decoded(json, view, record, known),
    }
}

/// A task whose fields lie open in its encoding, as nearly all do.
fn write_found(
    json: &mut Json,
    view: &View,
    record: &TaskRecord,
    wire: &TaskWire<'_>,
    known: &mut KnownTexts,
) {
    json.object(|json| {
        write_head(json, view, record, wire.name, known);
        json.key("role").string(&record.role);
        json.key("statuses").array(|json| {
            for status in &wire.statuses {
                // What does not decode has nothing to show.
                write_status(json, &ShownStatus::decode(*status).unwrap_or_default());
            }
        });
        if let Some(user) = wire.user {
            json.key("user").string(user);
        }
        if wire.labels.is_some() {
            json.key("labels").array(|json| {
                for (key, value) in wire.labels().unwrap_or_default() {
                    json.object(|json| {
                        json.key("key").string(key);
                        if let Some(value) = value {
                            json.key("value").string(value);
                        }
                    });
                }
            });
        }
        write_part::<v1::DiscoveryInfo>(json, "discovery", wire.discovery);
        write_part::<v1::ContainerInfo>(json, "container", wire.container);
        write_part::<v1::HealthCheck>(json, "health_check", wire.health_check);
    });
}

fn write_part<M: mezz_proto::Json>(json: &mut Json, key: &str, part: Option<&[u8]>) {
    if let Some(message) = part.and_then(|part| M::decode(part).ok()) {
        json.key(key).message(&message);
    }
}

fn write_head(
    json: &mut Json,
    view: &View,
    record: &TaskRecord,
    name: &str,
    known: &mut KnownTexts,
) {
    let framework = view.records.frameworks.get(record.framework.index());
    json.key("id").string(&record.id);
    json.key("name").string(name);
    json.key("framework_id")
        .string(framework.map_or("", |framework| &framework.id));
    json.key("executor_id")
        .string(record.executor_id.as_deref().unwrap_or_default());
    json.key("slave_id").string(agent_id(view, record.agent));
    json.key("state").string(record.state.as_str_name());
    let text = known
        .entry(Arc::as_ptr(&record.resources))
        .or_insert_with(|| {
            let mut text = Json::new();
            text.resources(&record.resources);
            text.finish()
        });
    json.key("resources").raw(text);
}

/// A task with something that is rare in tasks.
fn write_decoded(json: &mut Json, view: &View, record: &TaskRecord, known: &mut KnownTexts) {
    // A record is encoded or checked by the core; one that does not decode shows its header at least.
    let wire = v1::Task::decode(&*record.wire).unwrap_or_default();
    json.object(|json| {
        write_head(json, view, record, &wire.name, known);
        if !wire.limits.is_empty() {
            json.key("limits").object(|json| {
                for (name, limit) in &wire.limits {
                    json.key(name).double(limit.value);
                }
            });
        }
        json.key("role").string(&record.role);
        json.key("statuses").array(|json| {
            for status in wire.statuses {
                write_status(json, &shown(status));
            }
        });
        if let Some(user) = &wire.user {
            json.key("user").string(user);
        }
        if let Some(labels) = &wire.labels {
            json.key("labels")
                .array(|json| labels.labels.iter().for_each(|label| json.message(label)));
        }
        if let Some(discovery) = wire.discovery.as_deref() {
            json.key("discovery").message(discovery);
        }
        if let Some(container) = wire.container.as_deref() {
            json.key("container").message(container);
        }
        if let Some(check) = wire.health_check.as_deref() {
            json.key("health_check").message(check);
        }
    });
}

fn shown(status: v1::TaskStatus) -> ShownStatus {
    ShownStatus {
        state: Some(status.state),
        timestamp: status.timestamp,
        healthy: status.healthy,
        labels: status.labels,
        container_status: status.container_status,
    }
}

fn write_status(json: &mut Json, status: &ShownStatus) {
    json.object(|json| {
        json.key("state").string(status.state().as_str_name());
        json.key("timestamp").double(status.timestamp());
        if let Some(labels) = &status.labels {
            json.key("labels")
                .array(|json| labels.labels.iter().for_each(|label| json.message(label)));
        }
        if let Some(container) = &status.container_status {
            json.key("container_status").object(|json| {
                if let Some(id) = &container.container_id {
                    json.key("container_id").message(id);
                }
                if !container.network_infos.is_empty() {
                    json.key("network_infos").array(|json| {
                        container
                            .network_infos
                            .iter()
                            .for_each(|info| json.message(info));
                    });
                }
                if let Some(cgroup) = &container.cgroup_info {
                    json.key("cgroup_info").message(cgroup);
                }
            });
        }
        if let Some(healthy) = status.healthy {
            json.key("healthy").boolean(healthy);
        }
    });
}
