//! Where native tasks go: placed at once, queued for a place, launched, queued again.

use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::v1;
use mezz_resource::Resources;
use prost::Message;

use crate::durable::{NATIVE, StoredNativeTask, put};
use crate::effect::Effects;
use crate::fact::Fact;
use crate::frameworks::sched_key;
use crate::key::{AgentKey, FrameworkKey, TaskKey, Token};
use crate::launch::Demand;
use crate::master::Master;
use crate::native::NativeTask;
use crate::native_framework::task_info;
use crate::recall::Search;
use crate::records::{PendingRecord, TaskList, TaskRecord};
use crate::time::Wall;
use crate::wire::{self};

/// What a native task needs of a place: its role, resources and number of ports.
pub(crate) type Shape = (String, Arc<Resources>, u32);

impl Master {
    pub(crate) fn place_native(
        &mut self,
        framework: FrameworkKey,
        role: &str,
        wanted: &Resources,
        ports: u32,
    ) -> Result<(AgentKey, Resources), Vec<String>> {
        match self
            .sched
            .place(sched_key(framework), role, wanted, u64::from(ports))
        {
            Ok(placement) => Ok((AgentKey(placement.agent.0), placement.resources)),
            Err(refusals) => Err(refusals.0.iter().map(ToString::to_string).collect()),
        }
    }

    pub(crate) fn queue_native(
        &mut self,
        id: &str,
        task: NativeTask,
        resources: Resources,
        created_at: Wall,
        why: Vec<String>,
    ) {
        let slot = self.free.pending.take();
        let record = PendingRecord {
            id: id.into(),
            task: Arc::new(task),
            resources: Arc::new(resources),
            created_at,
            why: why.into(),
        };
        self.records.pending.insert(slot as usize, record);
        self.timers.recall = Search::Due;
        self.native.next_arrival += 1;
        self.native.pending.insert(self.native.next_arrival, slot);
    }

    /// Tries every pending task once; equal requests that failed in this cycle are not tried again. Gives those that
    /// failed.
    pub(crate) fn place_pending_tasks(&mut self, effects: &mut Effects) -> Vec<Shape> {
        let Some(framework) = self.native.framework else {
            return Vec::new();
        };
        let mut failed: Vec<Shape> = Vec::new();
        for (arrival, slot) in self.native.pending.clone() {
            let Some(pending) = self.records.pending.get(slot as usize).cloned() else {
                continue;
            };
            let shape = (
                pending.task.role.clone(),
                Arc::clone(&pending.resources),
                pending.task.port_count,
            );
            if failed.contains(&shape) {
                continue;
            }
            match self.place_native(
                framework,
                &pending.task.role,
                &pending.resources,
                pending.task.port_count,
            ) {
                Ok((agent, taken)) => {
                    self.take_pending(arrival, slot);
                    let info = task_info(&pending.id, &pending.task, &pending.resources);
                    let stored = StoredNativeTask {
                        created_at_ns: pending.created_at.0,
                        taken: taken.to_proto(),
                        ..self.stored(&info, &pending.task, Some(agent))
                    };
                    let token = self.persist(vec![put(NATIVE, &pending.id, &stored)], effects);
                    self.launch_native(
                        framework,
                        agent,
                        &pending.task.role,
                        info,
                        taken,
                        token,
                        effects,
                    );
                }
                Err(why) => {
                    if *pending.why != *why {
                        self.records
                            .pending
                            .get_mut(slot as usize)
                            .expect("it was just seen")
                            .why = why.into();
                    }
                    failed.push(shape);
                }
            }
        }
        failed
    }

    /// A task that waits for a place while an agent reports that it runs there has one.
    pub(crate) fn settle_pending(
        &mut self,
        id: &str,
        agent: AgentKey,
        taken: &Resources,
        effects: &mut Effects,
    ) {
        let found = self.native.pending.iter().find_map(|(arrival, slot)| {
            let pending = self.records.pending.get(*slot as usize)?;
            (*pending.id == *id).then(|| (*arrival, *slot, Arc::clone(pending)))
        });
        let Some((arrival, slot, pending)) = found else {
            return;
        };
        self.take_pending(arrival, slot);
        let info = task_info(&pending.id, &pending.task, &pending.resources);
        let stored = StoredNativeTask {
            created_at_ns: pending.created_at.0,
            taken: taken.to_proto(),
            ..self.stored(&info, &pending.task, Some(agent))
        };
        self.persist(vec![put(NATIVE, &pending.id, &stored)], effects);
    }

    /// A pending task that was killed ends like any other: among the completed ones, with a status.
    pub(crate) fn end_pending(&mut self, arrival: u64, slot: u32, effects: &mut Effects) {
        let (Some(pending), Some(framework)) = (
            self.records.pending.get(slot as usize).cloned(),
            self.native.framework,
        ) else {
            return;
        };
        self.take_pending(arrival, slot);
        let state = v1::TaskState::TaskKilled;
        let reason = v1::task_status::Reason::TaskKilledDuringLaunch;
        let now = self.now.wall;
        let status = wire::master_status(
            &pending.id,
            None,
            state,
            reason,
            "Killed before it had a place",
            now,
        );
        let task = v1::Task {
            name: pending.task.name.clone(),
            task_id: status.task_id.clone(),
            framework_id: wire::framework_id_of(&self.native.framework_id),
            state: state as i32,
            resources: pending.resources.to_proto(),
            statuses: vec![status.clone()],
            labels: pending.task.labels.clone(),
            ..v1::Task::default()
        };
        let key = self.insert_ended(framework, &pending, &task);
        self.count_terminal(framework, &status);
        let framework_id = self.native.framework_id.as_str().into();
        self.emit(
            Fact::TaskUpdated {
                task: key,
                framework_id,
                status: status.encode_to_vec().into(),
                state,
            },
            effects,
        );
    }

    /// Makes the record of a task that ended before it had a place.
    fn insert_ended(
        &mut self,
        framework: FrameworkKey,
        pending: &PendingRecord,
        task: &v1::Task,
    ) -> TaskKey {
        let state = task.state();
        let key = TaskKey(self.free.tasks.take());
        let record = TaskRecord {
            key,
            framework,
            agent: AgentKey::NONE,
            id: pending.id.clone(),
            role: pending.task.role.as_str().into(),
            executor_id: None,
            state,
            list: TaskList::Completed,
            resources: Arc::clone(&pending.resources),
            update_state: Some(state),
            update_uuid: None,
            created_at: pending.created_at,
            started_at: None,
            finished_at: Some(self.now.wall),
            wire: task.encode_to_vec().into(),
        };
        self.records.tasks.insert(key.index(), record);
        if let Some(former) = self
            .index
            .tasks
            .get(&(framework, pending.id.clone()))
            .copied()
        {
            self.forget_completed_task(framework, former);
        }
        self.index
            .tasks
            .insert((framework, pending.id.clone()), key);
        self.list_completed(framework, key);
        key
    }

    pub(crate) fn take_pending(&mut self, arrival: u64, slot: u32) {
        self.native.pending.remove(&arrival);
        self.records.pending.remove(slot as usize);
        self.free.pending.give(slot);
    }

    #[expect(clippy::too_many_arguments, reason = "one launch is all of these")]
    pub(crate) fn launch_native(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        role: &str,
        mut info: v1::TaskInfo,
        taken: Resources,
        token: Token,
        effects: &mut Effects,
    ) {
        info.agent_id = wire::agent_id_of(&self.agent(agent).id);
        info.resources = taken.to_proto();
        add_ports(&mut info, &taken);
        let role: Arc<str> = role.into();
        let demand = Demand {
            task: taken,
            executor: None,
        };
        let run: agent::RunTask = self.admit_task(framework, agent, &role, info, demand, effects);
        self.send_launches(framework, agent, vec![run], Some(token), effects);
    }

    /// A launch that never reached its agent waits for a place again.
    pub(crate) fn requeue_native(
        &mut self,
        key: TaskKey,
        stored: NativeTask,
        effects: &mut Effects,
    ) {
        let Some(task) = self.task(key).cloned() else {
            return;
        };
        let resources = Resources::from_proto(&stored.resources).unwrap_or_default();
        self.release_task(key);
        self.agent_live(task.agent).tasks.remove(&key);
        let agent = self.agent_mut(task.agent);
        agent.task_count = agent.task_count.saturating_sub(1);
        self.framework_live(task.framework).tasks.remove(&key);
        self.drop_task_record(key);
        let info = task_info(&task.id, &stored, &resources);
        let record = self.stored(&info, &stored, None);
        self.persist(vec![put(NATIVE, &task.id, &record)], effects);
        self.queue_native(&task.id, stored, resources, task.created_at, Vec::new());
    }
}

/// `PORT0`, `PORT1`, … for the host ports that the task got.
fn add_ports(info: &mut v1::TaskInfo, taken: &Resources) {
    let Some(command) = &mut info.command else {
        return;
    };
    let variables = &mut command.environment.get_or_insert_default().variables;
    for (index, port) in ports(taken).enumerate() {
        variables.push(v1::environment::Variable {
            name: format!("PORT{index}"),
            value: Some(port.to_string()),
            ..v1::environment::Variable::default()
        });
    }
}

/// The host ports among resources, ascending.
fn ports(resources: &Resources) -> impl Iterator<Item = u64> {
    let ranges = resources
        .iter()
        .filter(|resource| resource.name().as_str() == "ports")
        .filter_map(|resource| match resource.value() {
            mezz_resource::Value::Ranges(ranges) => Some(ranges),
            _ => None,
        });
    ranges.flat_map(|ranges| ranges.iter().flat_map(|range| range.begin..=range.end))
}
