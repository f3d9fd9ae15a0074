//! `/frameworks` and the frameworks of `/state`.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_core::framework_info::has_capability;
use mezz_core::key::{ExecutorKey, FrameworkKey, OfferKey, TaskKey};
use mezz_core::records::{ExecutorRecord, FrameworkRecord, FrameworkState, OfferRecord, TaskList};
use mezz_http::query::Query;
use mezz_proto::v1;

use super::tasks::write_tasks;
use crate::json::Json;
use crate::pieces::Pieces;
use crate::view::View;

pub(super) fn frameworks(view: &Arc<View>, query: &Query) -> Pieces {
    let wanted = query.get("framework_id");
    let keep = |framework: &FrameworkRecord| wanted.is_none_or(|id| *framework.id == *id);
    let mut grouped = Grouped::new(view);
    let mut pieces = Pieces::default();
    pieces.json(0, false, |json| {
        json.open(b'{');
        json.key("frameworks").open(b'[');
    });
    grouped.add(&mut pieces, view, |one| {
        one.state != FrameworkState::Completed && keep(one)
    });
    pieces.json(0, true, |json| {
        json.close(b']');
        json.key("completed_frameworks").open(b'[');
    });
    grouped.add(&mut pieces, view, |one| {
        one.state == FrameworkState::Completed && keep(one)
    });
    pieces.json(0, true, |json| {
        json.close(b']');
        json.key("unregistered_frameworks").array(|_| {});
        json.close(b'}');
    });
    pieces
}

/// What belongs to each framework, found in one pass over the records.
#[derive(Default)]
pub(super) struct Grouped {
    by_framework: BTreeMap<FrameworkKey, Belongings>,
}

#[derive(Default)]
struct Belongings {
    live: Vec<TaskKey>,
    unreachable: Vec<TaskKey>,
    completed: Vec<TaskKey>,
    executors: Vec<ExecutorKey>,
    offers: Vec<OfferKey>,
}

impl Grouped {
    pub(super) fn new(view: &View) -> Self {
        let mut grouped = Self::default();
        for (_, task) in view.records.tasks.iter() {
            let belongings = grouped.of(task.framework);
            match task.list {
                TaskList::Live => belongings.live.push(task.key),
                TaskList::Unreachable => belongings.unreachable.push(task.key),
                TaskList::Completed => belongings.completed.push(task.key),
            }
        }
        for (_, executor) in view.records.executors.iter() {
            grouped.of(executor.framework).executors.push(executor.key);
        }
        for (_, offer) in view.records.offers.iter() {
            grouped.of(offer.framework).offers.push(offer.key);
        }
        grouped
    }

    fn of(&mut self, framework: FrameworkKey) -> &mut Belongings {
        self.by_framework.entry(framework).or_default()
    }

    /// Adds the frameworks to keep, with what belongs to them, as the items of a list.
    pub(super) fn add(
        &mut self,
        pieces: &mut Pieces,
        view: &Arc<View>,
        keep: impl Fn(&FrameworkRecord) -> bool,
    ) {
        let mut after_item = false;
        for (_, framework) in view.records.frameworks.iter() {
            if keep(framework) {
                let belongings = self.by_framework.remove(&framework.key);
                let belongings = belongings.unwrap_or_default();
                add_framework(pieces, view, framework, belongings, after_item);
                after_item = true;
            }
        }
    }
}

fn add_framework(
    pieces: &mut Pieces,
    view: &Arc<View>,
    framework: &Arc<FrameworkRecord>,
    belongings: Belongings,
    after_item: bool,
) {
    let record = Arc::clone(framework);
    pieces.json(1, after_item, move |json| {
        json.open(b'{');
        write_before_tasks(json, &record);
        json.key("tasks").open(b'[');
    });
    let tasks = |pieces: &mut Pieces, keys: &[TaskKey]| {
        let view = Arc::clone(view);
        pieces.list(keys, move |json, keys| write_tasks(json, &view, keys));
    };
    tasks(pieces, &belongings.live);
    pieces.json(0, true, |json| {
        json.close(b']');
        json.key("unreachable_tasks").open(b'[');
    });
    tasks(pieces, &belongings.unreachable);
    pieces.json(0, true, |json| {
        json.close(b']');
        json.key("completed_tasks").open(b'[');
    });
    tasks(pieces, &belongings.completed);
    let (record, view) = (Arc::clone(framework), Arc::clone(view));
    let weight = belongings.executors.len() + belongings.offers.len();
    pieces.json(weight, true, move |json| {
        json.close(b']');
        write_after_tasks(json, &view, &record, &belongings);
        json.close(b'}');
    });
}

fn write_before_tasks(json: &mut Json, framework: &FrameworkRecord) {
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
}

fn write_after_tasks(
    json: &mut Json,
    view: &View,
    framework: &FrameworkRecord,
    belongings: &Belongings,
) {
    let records = &view.records;
    json.key("offers").array(|json| {
        for offer in &belongings.offers {
            if let Some(offer) = records.offers.get(offer.index()) {
                write_offer(json, view, framework, offer);
            }
        }
    });
    json.key("executors").array(|json| {
        for executor in &belongings.executors {
            if let Some(executor) = records.executors.get(executor.index()) {
                write_executor(json, view, framework, executor);
            }
        }
    });
    let info = &framework.info;
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
