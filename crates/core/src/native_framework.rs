//! The built-in framework: its tasks are placed with the full view of the cluster, without an offer round trip,
//! and are durable before anybody is told that they were taken.

use std::sync::Arc;

use mezz_proto::v1;
use mezz_resource::Resources;
use v1::framework_info::capability::Type;

use crate::durable::{NATIVE, StoredNativeTask, delete, put};
use crate::effect::{Effect, Effects, Reply};
use crate::key::{AgentKey, FrameworkKey, RequestKey, TaskKey};
use crate::master::Master;
use crate::native::{NativeCall, NativeTask};
use crate::records::{AgentState, FrameworkState, TaskList};
use crate::reported::NewTask;
use crate::time::Wall;
use crate::{validation, wire};

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

    pub(crate) fn note_native_role(&mut self, role: &str) {
        if self.native.roles.insert(role.to_owned()) {
            self.refresh_roles();
        }
    }

    fn run_native(&mut self, request: RequestKey, task: NativeTask, effects: &mut Effects) {
        let resources = match self.check_native(&task) {
            Ok(resources) => resources,
            Err(reply) => return effects.reply(request, reply),
        };
        let framework = self.native_framework(effects);
        self.note_native_role(&task.role);
        let id = task
            .id
            .clone()
            .unwrap_or_else(|| self.next_native_id(&task.name));
        self.native.ids.insert(id.as_str().into());
        let info = task_info(&id, &task, &resources);
        let stored = self.stored(&info, &task, None);
        let token = self.persist(vec![put(NATIVE, &id, &stored)], effects);
        self.queue_native(framework, &id, task, resources, self.now.wall);
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
        if live || self.pending_named(id).is_some() {
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
    pub(crate) fn native_framework(&mut self, effects: &mut Effects) -> FrameworkKey {
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

    pub(crate) fn stored(
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
            taken: Vec::new(),
            priority: task.priority,
        }
    }

    /// Once its end is recorded, a native task leaves the store.
    pub(crate) fn forget_native(&mut self, key: TaskKey, effects: &mut Effects) {
        let Some(task) = self.task(key).cloned() else {
            return;
        };
        if Some(task.framework) == self.native.framework && self.native.ids.remove(&task.id) {
            self.native_specs.remove(&task.id);
            self.persist(vec![delete(NATIVE, &task.id)], effects);
        }
    }

    pub(crate) fn restore_native(
        &mut self,
        id: String,
        stored: StoredNativeTask,
        effects: &mut Effects,
    ) -> Result<(), String> {
        let framework = self.native_framework(effects);
        self.native.ids.insert(id.as_str().into());
        self.note_native_role(&stored.role);
        let mut resources =
            Resources::from_proto(&stored.task.resources).map_err(|error| error.to_string())?;
        let assigned = stored
            .agent_id
            .as_deref()
            .and_then(|agent| self.index.agents.get(agent))
            .copied();
        let task = native_task(&stored);
        let Some(agent) = assigned else {
            let created_at = Wall(stored.created_at_ns);
            self.queue_native(framework, &id, task, resources, created_at);
            return Ok(());
        };
        if self.agent(agent).state == AgentState::Gone {
            // It ended with its agent; the master that knew went down before the task left the store.
            self.native.ids.remove(id.as_str());
            self.persist(vec![delete(NATIVE, &id)], effects);
            return Ok(());
        }
        if !stored.taken.is_empty() {
            resources = Resources::from_proto(&stored.taken).map_err(|error| error.to_string())?;
        }
        // Its agent reports the rest of the record, or the task is placed again.
        let mut wire_task = v1::Task {
            name: stored.task.name.clone(),
            task_id: stored.task.task_id.clone(),
            framework_id: wire::framework_id_of(&self.native.framework_id),
            agent_id: wire::agent_id_of(&self.agent(agent).id),
            state: v1::TaskState::TaskStaging as i32,
            labels: stored.task.labels.clone(),
            resources: resources.to_proto(),
            ..v1::Task::default()
        };
        let role: Arc<str> = stored.role.as_str().into();
        let taken = resources.allocated_to(&role);
        if self.agent(agent).state == AgentState::Unreachable {
            wire_task.state = v1::TaskState::TaskUnreachable as i32;
            let new = NewTask::of(&wire_task);
            let key = self.insert_task(framework, agent, &role, new, Arc::new(taken), effects);
            self.list_unreachable(key, framework, agent);
        } else {
            self.charge(framework, agent, &taken);
            let new = NewTask::of(&wire_task);
            self.insert_task(framework, agent, &role, new, Arc::new(taken), effects);
        }
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
        let pending = self.pending_named(task_id);
        if let (Some((arrival, slot)), None) = (pending, framework_id) {
            self.end_pending(arrival, slot, effects);
            self.native.ids.remove(task_id);
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
}

pub(crate) fn task_info(id: &str, task: &NativeTask, resources: &Resources) -> v1::TaskInfo {
    v1::TaskInfo {
        name: task.name.clone(),
        task_id: v1::TaskId {
            value: id.to_owned(),
        },
        resources: resources.to_proto(),
        command: Some(task.command.clone()),
        container: task.container.clone().map(Box::new),
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
        priority: stored.priority,
        resources: stored.task.resources.clone(),
        port_count: stored.port_count,
        command: stored.task.command.clone().unwrap_or_default(),
        container: stored.task.container.as_deref().cloned(),
        labels: stored.task.labels.clone(),
        kill_policy: stored.task.kill_policy,
    }
}
