//! Marathon's event stream, made of facts. What a fact does not tell is read from the view that it is told with.

use std::collections::BTreeMap;

use mezz_proto::v1::{TaskState, TaskStatus};
use mezz_state::time::Wall;
use mezz_workload::fact::Fact;
use mezz_workload::key::{InstanceKey, RolloutKey};
use mezz_workload::records::{RolloutRecord, RolloutState};
use serde_json::{Value, json};

use super::{deployments, info, tasks};
use crate::instant::zulu;
use crate::world::World;

/// Which types a reader wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter(Vec<String>);

impl EventFilter {
    /// These types; all of them when none is named.
    pub fn new(types: impl Iterator<Item = String>) -> Self {
        Self(types.collect())
    }

    /// Whether a reader gets events of a type.
    pub fn wants(&self, kind: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|wanted| wanted == kind)
    }
}

/// What one reader has been told.
#[derive(Debug, Default)]
pub struct Feed {
    filter: EventFilter,
    /// The last verdict about each instance.
    health: BTreeMap<String, bool>,
}

/// An event: its type is a member, too.
pub type Event = (&'static str, Value);

impl Feed {
    /// A reader that begins now.
    pub fn new(filter: EventFilter, world: &World<'_>) -> Self {
        let health = world
            .work
            .instances
            .iter()
            .filter_map(|(_, instance)| Some((instance.id.to_string(), instance.healthy?)))
            .collect();
        Self { filter, health }
    }

    /// The first event: that the stream is attached.
    pub fn attached(&self, client: &str, at: Wall) -> Vec<Event> {
        let event = json!({ "remoteAddress": client });
        self.wanted(vec![("event_stream_attached", event)], at)
    }

    /// What a fact about users' objects is for the reader.
    pub fn of_fact(&mut self, fact: &Fact, world: &World<'_>, at: Wall) -> Vec<Event> {
        let events = match fact {
            Fact::ObjectApplied { kind, name, .. } if *kind == mezz_spec::Kind::Service => {
                let definition = world
                    .object(*kind, name)
                    .and_then(info::plain)
                    .unwrap_or_else(|| json!({ "id": name.as_str() }));
                let uri = format!("/v2/apps{name}");
                vec![(
                    "api_post_event",
                    json!({ "clientIp": "0.0.0.0", "uri": uri, "appDefinition": definition }),
                )]
            }
            Fact::ObjectDeleted { kind, name } if *kind == mezz_spec::Kind::Service => {
                vec![("app_terminated_event", json!({ "appId": name.as_str() }))]
            }
            Fact::RolloutStarted { rollout } => of_rollout(*rollout, world, |_, id, plan| {
                vec![(
                    "deployment_info",
                    json!({ "plan": plan, "currentStep": { "actions": [] }, "id": id }),
                )]
            }),
            Fact::RolloutStepped { rollout } => of_rollout(*rollout, world, |_, id, plan| {
                vec![("deployment_step_success", json!({ "plan": plan, "id": id }))]
            }),
            Fact::RolloutEnded { rollout } => of_rollout(*rollout, world, ended),
            Fact::InstanceChanged { instance, id, .. } => self.changed(*instance, id, world),
            Fact::InstanceEnded { id, .. } => {
                self.health.remove(&**id);
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.wanted(events, at)
    }

    /// What a task's update is for the reader; none for tasks of others.
    pub fn of_status(
        &mut self,
        status: &TaskStatus,
        state: TaskState,
        world: &World<'_>,
        at: Wall,
    ) -> Vec<Event> {
        let id = status.task_id.value.as_str();
        let Some(app) = tasks::app_of(id) else {
            return Vec::new();
        };
        let record = world.object(mezz_spec::Kind::Service, &app);
        let instance = world
            .work
            .instances
            .iter()
            .map(|(_, instance)| instance)
            .find(|instance| *instance.id == *id);
        let agent = status
            .agent_id
            .as_ref()
            .map_or("", |agent| agent.value.as_str());
        let event = json!({
            "slaveId": agent,
            "taskId": id,
            "taskStatus": state.as_str_name(),
            "message": status.message.as_deref().unwrap_or_default(),
            "appId": app.as_str(),
            "host": instance.map_or("", |instance| &*instance.agent.hostname),
            "ipAddresses": instance.map_or_else(Vec::new, |instance| {
                vec![json!({ "ipAddress": &*instance.agent.ip, "protocol": "IPv4" })]
            }),
            "ports": instance.map_or_else(Vec::new, |instance| instance.ports.clone()),
            "version": zulu(record.map_or(at, |record| record.changed_at)),
        });
        self.wanted(vec![("status_update_event", event)], at)
    }

    fn changed(&mut self, key: InstanceKey, id: &str, world: &World<'_>) -> Vec<Event> {
        let instance = world.work.instances.get(key.index());
        let Some(instance) = instance.filter(|instance| *instance.id == *id) else {
            return Vec::new();
        };
        let Some(record) = world.object_at(instance.object) else {
            return Vec::new();
        };
        let app = record.name.as_str();
        let version = zulu(record.changed_at);
        let short = id.rsplit_once("._app").map_or(id, |(short, _)| short);
        let mut events = vec![(
            "instance_changed_event",
            json!({
                "instanceId": short,
                "condition": condition(instance.state),
                "runSpecId": app,
                "agentId": &*instance.agent.id,
                "host": &*instance.agent.hostname,
                "runSpecVersion": version,
            }),
        )];
        if let Some(alive) = instance.healthy
            && self.health.insert(id.to_owned(), alive) != Some(alive)
        {
            events.push((
                "health_status_changed_event",
                json!({
                    "appId": app,
                    "instanceId": short,
                    "taskId": id,
                    "version": version,
                    "alive": alive,
                }),
            ));
            events.push((
                "instance_health_changed_event",
                json!({
                    "instanceId": short,
                    "runSpecId": app,
                    "runSpecVersion": version,
                    "healthy": alive,
                }),
            ));
        }
        events
    }

    /// Only what the reader wants, with type and time.
    fn wanted(&self, events: Vec<Event>, at: Wall) -> Vec<Event> {
        let mut wanted = events;
        wanted.retain(|(kind, _)| self.filter.wants(kind));
        for (kind, event) in &mut wanted {
            event["eventType"] = (*kind).into();
            event["timestamp"] = zulu(at).into();
        }
        wanted
    }
}

fn condition(state: TaskState) -> &'static str {
    match state {
        TaskState::TaskRunning => "Running",
        TaskState::TaskStarting => "Starting",
        TaskState::TaskStaging => "Staging",
        TaskState::TaskKilling => "Killing",
        TaskState::TaskKilled => "Killed",
        TaskState::TaskFinished => "Finished",
        TaskState::TaskFailed => "Failed",
        TaskState::TaskUnreachable => "Unreachable",
        TaskState::TaskError => "Error",
        TaskState::TaskDropped => "Dropped",
        TaskState::TaskGone | TaskState::TaskGoneByOperator => "Gone",
        TaskState::TaskLost | TaskState::TaskUnknown => "Unknown",
    }
}

fn of_rollout(
    key: RolloutKey,
    world: &World<'_>,
    events: impl FnOnce(&RolloutRecord, &str, Value) -> Vec<Event>,
) -> Vec<Event> {
    let Some(rollout) = world.work.rollouts.get(key.index()) else {
        return Vec::new();
    };
    let Some(record) = world.object_at(rollout.object) else {
        return Vec::new();
    };
    let id = deployments::id_of(record, rollout);
    let steps = deployments::steps_of(record, rollout);
    // The light form of a plan: ids and steps, without the groups before and after.
    let plan = json!({ "id": id, "steps": steps, "version": zulu(record.changed_at) });
    events(rollout, &id, plan)
}

fn ended(rollout: &RolloutRecord, id: &str, plan: Value) -> Vec<Event> {
    if rollout.state == RolloutState::Succeeded {
        let version = plan["version"].clone();
        return vec![
            ("deployment_success", json!({ "id": id, "plan": plan })),
            (
                "group_change_success",
                json!({ "groupId": "/", "version": version }),
            ),
        ];
    }
    let reason = &*rollout.message;
    vec![(
        "deployment_failed",
        json!({ "id": id, "plan": plan, "reason": reason }),
    )]
}
