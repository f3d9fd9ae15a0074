//! `/tasks` and the tasks of `/state`, decoded one at a time from their wire records.

use mezz_core::records::TaskRecord;
use mezz_http::query::Query;
use mezz_http::{Response, respond};
use mezz_proto::v1;
use prost::Message as _;

use super::frameworks::agent_id;
use crate::json::Json;
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
            for task in found.into_iter().skip(offset).take(limit) {
                write_task(json, view, task);
            }
        });
    });
    Ok(json.finish())
}

/// One task as the unversioned endpoints show it.
pub(super) fn write_task(json: &mut Json, view: &View, record: &TaskRecord) {
    // A record is encoded by the core itself; one that does not decode shows its header at least.
    let wire = v1::Task::decode(&*record.wire).unwrap_or_default();
    let framework_id = view
        .records
        .frameworks
        .get(record.framework.index())
        .map_or("", |framework| &framework.id);
    json.object(|json| {
        json.key("id").string(&record.id);
        json.key("name").string(&wire.name);
        json.key("framework_id").string(framework_id);
        json.key("executor_id")
            .string(record.executor_id.as_deref().unwrap_or_default());
        json.key("slave_id").string(agent_id(view, record.agent));
        json.key("state").string(record.state.as_str_name());
        json.key("resources").resources(&record.resources);
        if !wire.limits.is_empty() {
            json.key("limits").object(|json| {
                for (name, limit) in &wire.limits {
                    json.key(name).double(limit.value);
                }
            });
        }
        json.key("role").string(&record.role);
        json.key("statuses").array(|json| {
            wire.statuses
                .iter()
                .for_each(|status| write_status(json, status));
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

fn write_status(json: &mut Json, status: &v1::TaskStatus) {
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
