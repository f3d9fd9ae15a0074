//! Updates of tasks and changes of instances as events.

use std::sync::Arc;

use mezz_proto::v1::{TaskState, TaskStatus};
use mezz_state::time::Wall;
use mezz_workload::key::InstanceKey;
use mezz_workload::records::{InstanceRecord, ObjectRecord, Owner};
use serde_json::{Value, json};

use super::{Event, Feed, health_check};
use crate::instant::zulu;
use crate::marathon::info::version_of;
use crate::marathon::tasks;
use crate::world::World;

/// Ended instances that are kept in mind, beyond as many as there are.
const KEPT: usize = 1_024;

impl Feed {
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
        let Some(instance) = self.known(id, world) else {
            return Vec::new();
        };
        let record = world.object_at(instance.object);
        let version = version_in(record, &instance, at);
        let message = status.message.as_deref().unwrap_or_default();
        let mut events = vec![(
            "status_update_event",
            json!({
                "slaveId": &*instance.agent.id,
                "taskId": id,
                "taskStatus": state.as_str_name(),
                "message": message,
                "appId": app.as_str(),
                "host": &*instance.agent.hostname,
                "ipAddresses": tasks::addresses(&instance),
                "ports": instance.ports,
                "version": version,
            }),
        )];
        if is_over(state) {
            if status.healthy == Some(false) {
                let kill = json!({
                    "appId": app.as_str(),
                    "taskId": id,
                    "instanceId": short(id),
                    "version": version,
                    "reason": message,
                    "host": &*instance.agent.hostname,
                    "slaveId": &*instance.agent.id,
                });
                events.push(("unhealthy_instance_kill_event", kill));
            }
            let changed = changed(app.as_str(), &instance, state, &version);
            events.push(("instance_changed_event", changed));
        }
        self.wanted(events, at)
    }

    /// An instance of ours, also one that has ended since.
    fn known(&mut self, id: &str, world: &World<'_>) -> Option<Arc<InstanceRecord>> {
        if let Some(instance) = self.instances.get(id) {
            return Some(instance.clone());
        }
        let mut all = world.work.instances.iter().map(|(_, instance)| instance);
        let found = all.find(|instance| *instance.id == *id)?.clone();
        self.instances.insert(found.id.clone(), found.clone());
        Some(found)
    }

    pub(super) fn instance_changed(
        &mut self,
        key: InstanceKey,
        id: &str,
        world: &World<'_>,
    ) -> Vec<Event> {
        let instance = world.work.instances.get(key.index());
        let Some(instance) = instance.filter(|instance| *instance.id == *id) else {
            return Vec::new();
        };
        let Some(record) = world.object_at(instance.object) else {
            return Vec::new();
        };
        let before = self
            .instances
            .insert(instance.id.clone(), (*instance).clone());
        if !matches!(instance.owner, Owner::Service { .. }) {
            return Vec::new();
        }
        let app = record.name.as_str();
        let version = version_in(Some(record), instance, world.now);
        let mut events = Vec::new();
        if before
            .as_ref()
            .is_none_or(|before| before.state != instance.state)
        {
            let changed = changed(app, instance, instance.state, &version);
            events.push(("instance_changed_event", changed));
        }
        let before = before.as_deref();
        events.extend(newly_failed(record, before, instance));
        let verdict = before.and_then(|before| before.healthy);
        if let Some(alive) = instance.healthy
            && verdict != Some(alive)
        {
            events.extend(verdict_changed(record, instance, alive, &version));
        }
        events
    }

    /// Those that have ended are forgotten when they have become many.
    pub(super) fn forget_instances(&mut self, world: &World<'_>) {
        if self.instances.len() <= 2 * world.work.instances.len() + KEPT {
            return;
        }
        let live = &world.work.instances;
        self.instances.retain(|id, instance| {
            live.get(instance.key.index())
                .is_some_and(|own| own.id == *id)
        });
    }
}

/// Whether a health check of an instance fails.
fn fails(instance: &InstanceRecord, index: usize) -> bool {
    let many = instance.findings.as_ref().map(|found| &found.health);
    match many.filter(|many| !many.is_empty()) {
        Some(many) => {
            let told = many.get(index).copied().flatten();
            told.is_some_and(|told| !told.alive)
        }
        None => index == 0 && instance.healthy == Some(false),
    }
}

/// The health checks that have begun to fail.
fn newly_failed(
    record: &ObjectRecord,
    before: Option<&InstanceRecord>,
    instance: &InstanceRecord,
) -> Vec<Event> {
    let all = instance.findings.as_ref();
    let all = all.map_or(1, |found| found.health.len().max(1));
    let failed = (0..all).filter(|index| {
        let failed_before = before.is_some_and(|before| fails(before, *index));
        fails(instance, *index) && !failed_before
    });
    let event = |index| {
        let failed = json!({
            "appId": record.name.as_str(),
            "taskId": &*instance.id,
            "instanceId": short(&instance.id),
            "healthCheck": health_check(record, index),
        });
        ("failed_health_check_event", failed)
    };
    failed.map(event).collect()
}

fn verdict_changed(
    record: &ObjectRecord,
    instance: &InstanceRecord,
    alive: bool,
    version: &str,
) -> Vec<Event> {
    let (app, id) = (record.name.as_str(), &*instance.id);
    let mut events = Vec::new();
    events.push((
        "health_status_changed_event",
        json!({
            "appId": app,
            "instanceId": short(id),
            "taskId": id,
            "version": version,
            "alive": alive,
        }),
    ));
    events.push((
        "instance_health_changed_event",
        json!({
            "instanceId": short(id),
            "runSpecId": app,
            "runSpecVersion": version,
            "healthy": alive,
        }),
    ));
    events
}

fn changed(app: &str, instance: &InstanceRecord, state: TaskState, version: &str) -> Value {
    json!({
        "instanceId": short(&instance.id),
        "condition": condition(state),
        "runSpecId": app,
        "agentId": &*instance.agent.id,
        "host": &*instance.agent.hostname,
        "runSpecVersion": version,
    })
}

fn version_in(record: Option<&ObjectRecord>, instance: &InstanceRecord, at: Wall) -> String {
    zulu(match (record, instance.owner) {
        (Some(record), Owner::Service { generation, .. }) => version_of(record, generation),
        (Some(record), Owner::Run { .. }) => record.changed_at,
        (None, _) => at,
    })
}

/// The id of an instance: the task's without its end.
fn short(id: &str) -> &str {
    id.rsplit_once("._app").map_or(id, |(short, _)| short)
}

const fn is_over(state: TaskState) -> bool {
    !matches!(
        state,
        TaskState::TaskStaging
            | TaskState::TaskStarting
            | TaskState::TaskRunning
            | TaskState::TaskKilling
            | TaskState::TaskUnreachable
    )
}

const fn condition(state: TaskState) -> &'static str {
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
