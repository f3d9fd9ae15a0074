//! `/frameworks` and the frameworks of `/state`.

use std::collections::BTreeMap;

use mezz_core::framework_info::has_capability;
use mezz_core::key::FrameworkKey;
use mezz_core::records::{
    ExecutorRecord, FrameworkRecord, FrameworkState, OfferRecord, TaskList, TaskRecord,
};
use mezz_http::query::Query;
use mezz_proto::v1;

use super::tasks::write_task;
use crate::json::Json;
use crate::view::View;

pub(super) fn frameworks(view: &View, query: &Query) -> Vec<u8> {
    let wanted = query.get("framework_id");
    let keep = |framework: &FrameworkRecord| wanted.is_none_or(|id| *framework.id == *id);
    let grouped = Grouped::new(view);
    let mut json = Json::new();
    json.object(|json| {
        json.key("frameworks").array(|json| {
            grouped.write(json, view, |one| {
                one.state != FrameworkState::Completed && keep(one)
            });
        });
        json.key("completed_frameworks").array(|json| {
            grouped.write(json, view, |one| {
                one.state == FrameworkState::Completed && keep(one)
            });
        });
        json.key("unregistered_frameworks").array(|_| {});
    });
    json.finish()
}

/// What belongs to each framework, found in one pass over the records.
#[derive(Default)]
pub(super) struct Grouped<'a> {
    by_framework: BTreeMap<FrameworkKey, Belongings<'a>>,
}

#[derive(Default)]
struct Belongings<'a> {
    live: Vec<&'a TaskRecord>,
    unreachable: Vec<&'a TaskRecord>,
    completed: Vec<&'a TaskRecord>,
    executors: Vec<&'a ExecutorRecord>,
    offers: Vec<&'a OfferRecord>,
}

impl<'a> Grouped<'a> {
    pub(super) fn new(view: &'a View) -> Self {
        let mut grouped = Self::default();
        for (_, task) in view.records.tasks.iter() {
            let belongings = grouped.by_framework.entry(task.framework).or_default();
            match task.list {
                TaskList::Live => belongings.live.push(task),
                TaskList::Unreachable => belongings.unreachable.push(task),
                TaskList::Completed => belongings.completed.push(task),
            }
        }
        for (_, executor) in view.records.executors.iter() {
            grouped
                .by_framework
                .entry(executor.framework)
                .or_default()
                .executors
                .push(executor);
        }
        for (_, offer) in view.records.offers.iter() {
            grouped
                .by_framework
                .entry(offer.framework)
                .or_default()
                .offers
                .push(offer);
        }
        grouped
    }

    pub(super) fn write(
        &self,
        json: &mut Json,
        view: &View,
        keep: impl Fn(&FrameworkRecord) -> bool,
    ) {
        let nothing = Belongings::default();
        for (_, framework) in view.records.frameworks.iter() {
            if keep(framework) {
                let belongings = self.by_framework.get(&framework.key).unwrap_or(&nothing);
                json.object(|json| write_framework(json, view, framework, belongings));
            }
        }
    }
}

fn write_framework(
    json: &mut Json,
    view: &View,
    framework: &FrameworkRecord,
    belongings: &Belongings<'_>,
) {
    write_head(json, framework);
    let info = &framework.info;
    json.key("user").string(&info.user);
    json.key("failover_timeout").double(info.failover_timeout());
    json.key("checkpoint").boolean(info.checkpoint());
    json.key("registered_time")
        .double(framework.registered_at.seconds());
    json.key("unregistered_time").double(
        framework
            .unregistered_at
            .map_or(0.0, mezz_core::time::Wall::seconds),
    );
    if let Some(principal) = &info.principal {
        json.key("principal").string(principal);
    }
    let mut held = framework.used.clone();
    for resource in &framework.offered {
        held.push(resource.clone());
    }
    json.key("resources").resources(&held);
    if let Some(at) = framework.reregistered_at {
        json.key("reregistered_time").double(at.seconds());
    }
    if has_capability(info, v1::framework_info::capability::Type::MultiRole) {
        json.key("roles").strings(&info.roles);
    } else {
        json.key("role")
            .string(framework.roles().first().map_or("*", String::as_str));
    }
    let lists = [
        ("tasks", &belongings.live),
        ("unreachable_tasks", &belongings.unreachable),
        ("completed_tasks", &belongings.completed),
    ];
    for (name, tasks) in lists {
        json.key(name).array(|json| {
            for task in tasks {
                write_task(json, view, task);
            }
        });
    }
    json.key("offers").array(|json| {
        for offer in &belongings.offers {
            write_offer(json, view, framework, offer);
        }
    });
    json.key("executors").array(|json| {
        for executor in &belongings.executors {
            write_executor(json, view, framework, executor);
        }
    });
    if let Some(labels) = &info.labels {
        json.key("labels")
            .array(|json| labels.labels.iter().for_each(|label| json.message(label)));
    }
    json.key("offer_constraints");
    match &framework.offer_constraints {
        Some(constraints) => json.message(&**constraints),
        None => json.object(|_| {}),
    }
}

/// The fields that `/state` and `/state-summary` share.
pub(super) fn write_head(json: &mut Json, framework: &FrameworkRecord) {
    let info = &framework.info;
    json.key("id").string(&framework.id);
    json.key("name").string(&info.name);
    json.key("used_resources").resources(&framework.used);
    json.key("offered_resources").resources(&framework.offered);
    json.key("capabilities").strings(
        info.capabilities
            .iter()
            .map(|one| one.r#type().as_str_name()),
    );
    json.key("hostname").string(info.hostname());
    json.key("webui_url").string(info.webui_url());
    let active = framework.state == FrameworkState::Active;
    json.key("active").boolean(active);
    json.key("connected").boolean(active);
    json.key("recovered")
        .boolean(framework.state == FrameworkState::Recovered);
}

fn write_offer(json: &mut Json, view: &View, framework: &FrameworkRecord, offer: &OfferRecord) {
    json.object(|json| {
        json.key("id").string(&offer.id);
        json.key("framework_id").string(&framework.id);
        json.key("allocation_info")
            .object(|json| json.key("role").string(&offer.role));
        json.key("slave_id").string(agent_id(view, offer.agent));
        json.key("resources").resources(&offer.resources);
    });
}

fn write_executor(
    json: &mut Json,
    view: &View,
    framework: &FrameworkRecord,
    executor: &ExecutorRecord,
) {
    json.object(|json| {
        json.key("executor_id").string(&executor.id);
        json.key("name").string(executor.info.name());
        json.key("framework_id").string(&framework.id);
        json.key("command").object(|json| {
            let command = executor.info.command.clone().unwrap_or_default();
            if let Some(shell) = command.shell {
                json.key("shell").boolean(shell);
            }
            if let Some(value) = &command.value {
                json.key("value").string(value);
            }
            json.key("argv").strings(&command.arguments);
            if let Some(environment) = &command.environment {
                json.key("environment").message(environment);
            }
            json.key("uris").array(|json| {
                for uri in &command.uris {
                    json.message(uri);
                }
            });
        });
        json.key("resources").resources(&executor.resources);
        json.key("role").string(&executor.role);
        if let Some(labels) = &executor.info.labels {
            json.key("labels")
                .array(|json| labels.labels.iter().for_each(|label| json.message(label)));
        }
        if executor.info.r#type.is_some() {
            json.key("type")
                .string(executor.info.r#type().as_str_name());
        }
        json.key("slave_id").string(agent_id(view, executor.agent));
    });
}

/// The id of an agent; empty when its record is gone.
pub(super) fn agent_id(view: &View, key: mezz_core::key::AgentKey) -> &str {
    view.records
        .agents
        .get(key.index())
        .map_or("", |agent| &agent.id)
}
