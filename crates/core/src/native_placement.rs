//! Where native tasks go: they wait for their turn in the ledger, are launched, wait again.

use std::collections::BTreeSet;
use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::v1;
use mezz_resource::Resources;
use mezz_sched::{Demand as Wanted, DemandKey, GroupKey, PortsWanted, Preemption};
use mezz_workload::demand_key::Demander;
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
use crate::records::{PendingRecord, TaskList, TaskRecord};
use crate::time::Wall;
use crate::wire::{self};
use crate::work::Place;

/// A place of a task, by the number of its arrival.
pub(crate) type TaskPlace = (u64, Place);

/// As the ledger knows what a task waits for.
fn demand_key(arrival: u64) -> DemandKey {
    Demander::Task { number: arrival }.key()
}

impl Master {
    /// Has a task wait for its turn, like any other work whose needs are known.
    pub(crate) fn queue_native(
        &mut self,
        framework: FrameworkKey,
        id: &str,
        task: NativeTask,
        resources: Resources,
        created_at: Wall,
    ) {
        let slot = self.free.pending.take();
        self.native.next_arrival += 1;
        let arrival = self.native.next_arrival;
        self.native.pending.insert(arrival, slot);
        let (key, resources) = (demand_key(arrival), Arc::new(resources));
        let preempts = if task.priority > 0 {
            Preemption::LowerPriority
        } else {
            Preemption::Nothing
        };
        let demand = Wanted {
            role: task.role.as_str().into(),
            priority: task.priority,
            count: 1,
            gang: false,
            request: Arc::clone(&resources),
            ports: PortsWanted {
                any: task.port_count,
                fixed: BTreeSet::new(),
            },
            group: GroupKey(key.0),
            rules: Arc::default(),
            preempts,
            preemptible: false,
        };
        self.sched.set_demand(sched_key(framework), key, demand);
        let record = PendingRecord {
            id: id.into(),
            task: Arc::new(task),
            resources,
            created_at,
        };
        self.records.pending.insert(slot as usize, record);
    }

    /// The task of this id that waits for a place: the number of its arrival, and its slot.
    pub(crate) fn pending_named(&self, id: &str) -> Option<(u64, u32)> {
        let mut pending = self.native.pending.iter();
        let found = pending.find(|(_, slot)| {
            let record = self.records.pending.get(**slot as usize);
            record.is_some_and(|record| *record.id == *id)
        });
        found.map(|(arrival, slot)| (*arrival, *slot))
    }

    /// Why a task waits, as the ledger sees it.
    pub(crate) fn explain_pending(&self, arrival: u64) -> Vec<String> {
        let refusals = self.sched.why_demand(demand_key(arrival));
        let reasons = refusals.into_iter().flat_map(|refusals| refusals.0);
        let mut reasons: Vec<String> = reasons.map(|reason| reason.to_string()).collect();
        if self.records.work.is_frozen() && self.has_others_end(arrival) {
            let text = "everything is frozen: nothing ends to make room for it until all is thawed";
            reasons.push(text.to_owned());
        }
        reasons
    }

    /// Whether a waiting task may have work of lower priority end.
    fn has_others_end(&self, arrival: u64) -> bool {
        let slot = self.native.pending.get(&arrival);
        let pending = slot.and_then(|slot| self.records.pending.get(*slot as usize));
        pending.is_some_and(|pending| pending.task.priority > 0)
    }

    /// Launches the tasks that the ledger has placed.
    pub(crate) fn launch_placed(&mut self, placed: Vec<TaskPlace>, effects: &mut Effects) {
        for (arrival, place) in placed {
            let slot = self.native.pending.get(&arrival).copied();
            let found = slot.and_then(|slot| {
                let record = self.records.pending.get(slot as usize)?;
                Some((slot, Arc::clone(record)))
            });
            let (Some((slot, pending)), Some(framework)) = (found, self.native.framework) else {
                self.give_back(place);
                continue;
            };
            self.take_pending(arrival, slot);
            let info = task_info(&pending.id, &pending.task, &pending.resources);
            let stored = StoredNativeTask {
                created_at_ns: pending.created_at.0,
                taken: place.resources.to_proto(),
                ..self.stored(&info, &pending.task, Some(place.agent))
            };
            let token = self.persist(vec![put(NATIVE, &pending.id, &stored)], effects);
            self.launch_native(framework, place, info, token, effects);
        }
    }

    /// A task that waits for a place while an agent reports that it runs there has one.
    pub(crate) fn settle_pending(
        &mut self,
        id: &str,
        agent: AgentKey,
        taken: &Resources,
        effects: &mut Effects,
    ) {
        let found = self.pending_named(id).and_then(|(arrival, slot)| {
            let pending = self.records.pending.get(slot as usize)?;
            Some((arrival, slot, Arc::clone(pending)))
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
        self.sched.withdraw(demand_key(arrival));
        self.native.pending.remove(&arrival);
        self.records.pending.remove(slot as usize);
        self.free.pending.give(slot);
    }

    fn launch_native(
        &mut self,
        framework: FrameworkKey,
        place: Place,
        mut info: v1::TaskInfo,
        token: Token,
        effects: &mut Effects,
    ) {
        let Place { agent, role, .. } = place;
        info.agent_id = wire::agent_id_of(&self.agent(agent).id);
        info.resources = place.resources.to_proto();
        add_ports(&mut info, &place.resources);
        let id = info.task_id.value.clone();
        let demand = Demand {
            task: place.resources,
            executor: None,
        };
        let run: agent::RunTask = self.admit_task(framework, agent, &role, info, demand, effects);
        self.count_task(framework, &id, place.handle);
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
        self.queue_native(task.framework, &task.id, stored, resources, task.created_at);
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
