//! The built-in framework: its tasks are placed with the full view of the cluster, without an offer round trip,
//! and are durable before anybody is told that they were taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::v1;
use mezz_resource::Resources;
use v1::framework_info::capability::Type;

use crate::durable::{NATIVE, StoredNativeTask, delete, put};
use crate::effect::{Effect, Effects, Reply};
use crate::frameworks::sched_key;
use crate::key::{AgentKey, FrameworkKey, RequestKey, TaskKey, Token};
use crate::launch::Demand;
use crate::master::Master;
use crate::native::{NativeCall, NativeTask};
use crate::records::{FrameworkState, PendingRecord, TaskList};
use crate::time::Wall;
use crate::{validation, wire};

/// The built-in framework's own state.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NativeState {
    pub(crate) framework_id: String,
    /// Unset until it is first used.
    pub(crate) framework: Option<FrameworkKey>,
    /// Slots of pending records, in the order of arrival.
    pending: BTreeMap<u64, u32>,
    next_arrival: u64,
}

impl Master {
    pub(crate) fn on_native(
        &mut self,
        request: RequestKey,
        call: NativeCall,
        effects: &mut Effects,
    ) {
        match call {
            NativeCall::Run(task) => self.run_native(request, *task, effects),
            NativeCall::Kill {
                task_id,
                framework_id,
                grace_period_ns,
            } => {
                self.kill_native(
                    request,
                    &task_id,
                    framework_id.as_deref(),
                    grace_period_ns,
                    effects,
                );
            }
        }
    }

    fn run_native(&mut self, request: RequestKey, task: NativeTask, effects: &mut Effects) {
        let resources = match self.check_native(&task) {
            Ok(resources) => resources,
            Err(reply) => return effects.reply(request, reply),
        };
        let framework = self.native_framework(effects);
        let id = task
            .id
            .clone()
            .unwrap_or_else(|| self.next_native_id(&task.name));
        let info = task_info(&id, &task, &resources);
        let (stored, token) =
            match self.place_native(framework, &task.role, &resources, task.port_count) {
                Ok((agent, taken)) => {
                    let stored = self.stored(&info, &task, Some(agent));
                    let token = self.persist(vec![put(NATIVE, &id, &stored)], effects);
                    self.launch_native(framework, agent, &task.role, info, taken, token, effects);
                    (stored, token)
                }
                Err(why) => {
                    let stored = self.stored(&info, &task, None);
                    let token = self.persist(vec![put(NATIVE, &id, &stored)], effects);
                    self.queue_native(&id, task, resources, self.now.wall, why);
                    (stored, token)
                }
            };
        let task_id = stored.task.task_id.value;
        effects.list.push(Effect::Reply {
            request,
            reply: Reply::TaskAccepted { task_id },
            after: Some(token),
        });
    }

    fn check_native(&self, task: &NativeTask) -> Result<Resources, Reply> {
        let bad = |field: &str, error: &dyn std::fmt::Display| {
            Reply::BadRequest(format!("{field}: {error}"))
        };
        mezz_resource::role::validate_role(&task.role).map_err(|error| bad("role", &error))?;
        validation::id(task.id.as_ref().unwrap_or(&task.name))
            .map_err(|error| bad("name", &error))?;
        let resources =
            Resources::from_proto(&task.resources).map_err(|error| bad("resources", &error))?;
        if resources.is_empty() {
            return Err(bad("resources", &"a task needs at least some cpus or mem"));
        }
        validation::task(&task_info("check", task, &resources))
            .map_err(|error| bad("task", &error))?;
        let Some(id) = &task.id else {
            return Ok(resources);
        };
        let live = self
            .native
            .framework
            .and_then(|framework| self.index.tasks.get(&(framework, id.as_str().into())));
        let live = live
            .and_then(|key| self.task(*key))
            .is_some_and(|task| task.list != TaskList::Completed);
        if live
            || self
                .records
                .pending
                .iter()
                .any(|(_, pending)| *pending.id == **id)
        {
            return Err(Reply::Conflict(format!(
                "id: a task named '{id}' runs or waits already"
            )));
        }
        Ok(resources)
    }

    fn next_native_id(&mut self, name: &str) -> String {
        self.numbers.native_task += 1;
        // The epoch makes the number unique over the lives of masters.
        let mut number = (self.records.master.epoch << 20) | self.numbers.native_task;
        let mut digits = Vec::new();
        while number > 0 {
            digits.push(
                b"0123456789abcdefghijklmnopqrstuvwxyz"
                    [usize::try_from(number % 36).expect("below 36")],
            );
            number /= 36;
        }
        digits.reverse();
        format!("{name}-{}", String::from_utf8_lossy(&digits))
    }

    /// The framework record, made at its first use.
    fn native_framework(&mut self, effects: &mut Effects) -> FrameworkKey {
        if let Some(framework) = self.native.framework {
            return framework;
        }
        let capabilities = [
            Type::MultiRole,
            Type::PartitionAware,
            Type::TaskKillingState,
            Type::ReservationRefinement,
        ];
        let info = v1::FrameworkInfo {
            user: "root".into(),
            name: "mezz".into(),
            id: Some(wire::framework_id_of(&self.native.framework_id)),
            checkpoint: Some(true),
            failover_timeout: Some(0.0),
            capabilities: capabilities
                .map(|kind| v1::framework_info::Capability {
                    r#type: Some(kind as i32),
                })
                .to_vec(),
            ..v1::FrameworkInfo::default()
        };
        let key = self.insert_framework(info, FrameworkState::Active, true);
        self.sched_add_framework(key, true);
        self.native.framework = Some(key);
        self.emit(
            crate::fact::Fact::FrameworkAdded { framework: key },
            effects,
        );
        key
    }

    fn stored(
        &self,
        info: &v1::TaskInfo,
        task: &NativeTask,
        agent: Option<AgentKey>,
    ) -> StoredNativeTask {
        StoredNativeTask {
            task: info.clone(),
            role: task.role.clone(),
            port_count: task.port_count,
            agent_id: agent.map(|agent| self.agent(agent).id.to_string()),
            created_at_ns: self.now.wall.0,
        }
    }

    fn place_native(
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

    fn queue_native(
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
        self.native.next_arrival += 1;
        self.native.pending.insert(self.native.next_arrival, slot);
    }

    /// Tries every pending task once; equal requests that failed in this cycle are not tried again.
    pub(crate) fn place_pending_tasks(&mut self, effects: &mut Effects) {
        let Some(framework) = self.native.framework else {
            return;
        };
        let mut failed: Vec<(String, Arc<Resources>, u32)> = Vec::new();
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
    }

    fn take_pending(&mut self, arrival: u64, slot: u32) {
        self.native.pending.remove(&arrival);
        self.records.pending.remove(slot as usize);
        self.free.pending.give(slot);
    }

    #[expect(clippy::too_many_arguments, reason = "one launch is all of these")]
    fn launch_native(
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

    /// Once its end is recorded, a native task leaves the store.
    pub(crate) fn forget_native(&mut self, key: TaskKey, effects: &mut Effects) {
        let Some(task) = self.task(key).cloned() else {
            return;
        };
        if Some(task.framework) == self.native.framework {
            self.persist(vec![delete(NATIVE, &task.id)], effects);
        }
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

    pub(crate) fn restore_native(
        &mut self,
        id: String,
        stored: StoredNativeTask,
        effects: &mut Effects,
    ) -> Result<(), String> {
        let framework = self.native_framework(effects);
        let resources =
            Resources::from_proto(&stored.task.resources).map_err(|error| error.to_string())?;
        let assigned = stored
            .agent_id
            .as_deref()
            .and_then(|agent| self.index.agents.get(agent))
            .copied();
        let task = native_task(&stored);
        let Some(agent) = assigned else {
            self.queue_native(&id, task, resources, Wall(stored.created_at_ns), Vec::new());
            return Ok(());
        };
        // Its agent reports the rest of the record, or the task is placed again.
        let wire_task = v1::Task {
            name: stored.task.name.clone(),
            task_id: stored.task.task_id.clone(),
            framework_id: wire::framework_id_of(&self.native.framework_id),
            agent_id: wire::agent_id_of(&self.agent(agent).id),
            state: v1::TaskState::TaskStaging as i32,
            labels: stored.task.labels.clone(),
            resources: stored.task.resources.clone(),
            ..v1::Task::default()
        };
        let role: Arc<str> = stored.role.as_str().into();
        let taken = resources.allocated_to(&role);
        self.agent_mut(agent).used += &taken;
        self.framework_mut(framework).used += &taken;
        self.insert_task(framework, agent, &role, &wire_task, taken, effects);
        self.native_specs.insert(id.into(), task);
        Ok(())
    }

    fn kill_native(
        &mut self,
        request: RequestKey,
        task_id: &str,
        framework_id: Option<&str>,
        grace_period_ns: Option<i64>,
        effects: &mut Effects,
    ) {
        let pending = self
            .native
            .pending
            .iter()
            .map(|(arrival, slot)| (*arrival, *slot))
            .find(|(_, slot)| {
                self.records
                    .pending
                    .get(*slot as usize)
                    .is_some_and(|pending| *pending.id == *task_id)
            });
        if let (Some((arrival, slot)), None) = (pending, framework_id) {
            self.take_pending(arrival, slot);
            let token = self.persist(vec![delete(NATIVE, task_id)], effects);
            effects.list.push(Effect::Reply {
                request,
                reply: Reply::Accepted,
                after: Some(token),
            });
            return;
        }
        let found: Vec<TaskKey> = self.live_tasks_named(task_id, framework_id);
        match found[..] {
            [] => effects.reply(
                request,
                Reply::NotFound(format!("no live task has the id '{task_id}'")),
            ),
            [key] => {
                let policy = grace_period_ns.map(|nanoseconds| v1::KillPolicy {
                    grace_period: Some(v1::DurationInfo { nanoseconds }),
                });
                self.kill_task(key, policy, effects);
                effects.reply(request, Reply::Accepted);
            }
            _ => {
                let owners: Vec<String> = found
                    .iter()
                    .filter_map(|key| self.task(*key))
                    .map(|task| format!("{}/{task_id}", self.framework(task.framework).id))
                    .collect();
                effects.reply(
                    request,
                    Reply::Conflict(format!(
                        "several tasks have this id; name one of: {}",
                        owners.join(", ")
                    )),
                );
            }
        }
    }

    fn live_tasks_named(&self, task_id: &str, framework_id: Option<&str>) -> Vec<TaskKey> {
        let owners: Vec<FrameworkKey> = match framework_id {
            Some(id) => self.index.frameworks.get(id).copied().into_iter().collect(),
            None => self.frameworks.keys().copied().collect(),
        };
        owners
            .into_iter()
            .filter_map(|framework| self.index.tasks.get(&(framework, task_id.into())).copied())
            .filter(|key| {
                self.task(*key)
                    .is_some_and(|task| task.list == TaskList::Live)
            })
            .collect()
    }

    /// Ends a native task whose agent will not come back; it is not started again: it may have run.
    pub(crate) fn is_native(&self, framework: FrameworkKey) -> bool {
        self.native.framework == Some(framework)
    }

    /// Why something waits, in words: a pending task, a framework or a role.
    pub fn explain(&self, id: &str) -> Option<Vec<String>> {
        if let Some((_, pending)) = self
            .records
            .pending
            .iter()
            .find(|(_, pending)| *pending.id == *id)
        {
            return Some(pending.why.to_vec());
        }
        if let Some(key) = self.index.frameworks.get(id) {
            let roles = self.framework(*key).roles();
            return Some(
                roles
                    .iter()
                    .flat_map(|role| self.sched.explain(self.now.mono.0, sched_key(*key), role))
                    .map(|reason| reason.to_string())
                    .collect(),
            );
        }
        let role = self.records.roles.get(id)?;
        Some(
            role.frameworks
                .iter()
                .flat_map(|key| self.sched.explain(self.now.mono.0, sched_key(*key), id))
                .map(|reason| reason.to_string())
                .collect(),
        )
    }
}

fn task_info(id: &str, task: &NativeTask, resources: &Resources) -> v1::TaskInfo {
    v1::TaskInfo {
        name: task.name.clone(),
        task_id: v1::TaskId {
            value: id.to_owned(),
        },
        resources: resources.to_proto(),
        command: Some(task.command.clone()),
        container: task.container.clone(),
        labels: task.labels.clone(),
        kill_policy: task.kill_policy,
        ..v1::TaskInfo::default()
    }
}

fn native_task(stored: &StoredNativeTask) -> NativeTask {
    NativeTask {
        name: stored.task.name.clone(),
        id: Some(stored.task.task_id.value.clone()),
        role: stored.role.clone(),
        resources: stored.task.resources.clone(),
        port_count: stored.port_count,
        command: stored.task.command.clone().unwrap_or_default(),
        container: stored.task.container.clone(),
        labels: stored.task.labels.clone(),
        kill_policy: stored.task.kill_policy,
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
