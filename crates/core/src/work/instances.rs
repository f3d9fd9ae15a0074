//! Instances as tasks of the built-in framework: launched where the ledger says, expected after a restart, told of.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::{check_labels, v1};
use mezz_resource::Resources;
use mezz_sched::{Demand as Wanted, DemandKey, InstanceHandle, RunningInstance};
use mezz_workload::demand_key::Demander;
use mezz_workload::effect::Launch;
use mezz_workload::event::{CheckFound, Event, FoundByMany, Placed, Status};
use prost::Message;

use crate::accounts::agent_sched_key;
use crate::effect::Effects;
use crate::frameworks::sched_key;
use crate::key::{AgentKey, FrameworkKey, TaskKey};
use crate::launch::Demand;
use crate::master::Master;
use crate::records::{AgentState, TaskList};
use crate::reported::{NewTask, moment};
use crate::wire;
use crate::work::{LastUpdate, Unheard};

/// A place that the ledger has given and accounted.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) agent: AgentKey,
    pub(crate) role: Arc<str>,
    pub(crate) handle: InstanceHandle,
    pub(crate) resources: Resources,
}

impl Master {
    pub(super) fn state_demand(&mut self, key: DemandKey, demand: Wanted, effects: &mut Effects) {
        let framework = self.native_framework(effects);
        self.note_native_role(&demand.role);
        self.sched.set_demand(sched_key(framework), key, demand);
    }

    /// Launches what the ledger has placed in this cycle.
    pub(crate) fn place_instances(&mut self, effects: &mut Effects) {
        loop {
            let (mut events, mut places) = (Vec::new(), VecDeque::new());
            let mut tasks = Vec::new();
            while let Some(placed) = self.sched.take_placement() {
                let role = placed.resources.allocation_role().cloned();
                let place = Place {
                    agent: AgentKey(placed.agent.0),
                    role: role.unwrap_or_else(|| "*".into()),
                    handle: placed.instance,
                    resources: placed.resources,
                };
                if let Demander::Task { number } = Demander::of(placed.demand) {
                    tasks.push((number, place));
                    continue;
                }
                events.push(Event::Placed(Placed {
                    demand: placed.demand,
                    agent: self.work_agent(place.agent),
                    ports: placed.ports,
                    resources: place.resources.to_proto(),
                }));
                places.push_back(place);
            }
            self.launch_placed(tasks, effects);
            if events.is_empty() {
                return;
            }
            self.tell_work_all(events, places, effects);
        }
    }

    /// Has the controllers end what the ledger wants out of the way.
    pub(crate) fn evict_instances(&mut self, effects: &mut Effects) {
        let mut victims = BTreeSet::new();
        while let Some(eviction) = self.sched.take_eviction() {
            victims.extend(eviction.victims);
        }
        if victims.is_empty() {
            return;
        }
        let tasks = self.work.handles.iter();
        let tasks = tasks.filter(|(_, handle)| victims.contains(handle));
        let instances = tasks.filter_map(|(key, _)| Some(self.task(*key)?.id.clone()));
        let events = instances.map(|instance| Event::Preempted { instance });
        let events = events.collect();
        self.tell_work_all(events, VecDeque::new(), effects);
    }

    pub(crate) fn give_back(&mut self, place: Place) {
        let Some(framework) = self.native.framework else {
            return;
        };
        self.sched.instance_removed(place.handle);
        self.sched.release(
            self.now.mono.0,
            sched_key(framework),
            agent_sched_key(place.agent),
            &place.resources,
        );
    }

    pub(super) fn launch_instance(&mut self, launch: Launch, place: Place, effects: &mut Effects) {
        let framework = self.native_framework(effects);
        let mut task = launch.task;
        task.agent_id = wire::agent_id_of(&self.agent(place.agent).id);
        task.resources = place.resources.to_proto();
        let id = task.task_id.value.clone();
        let demand = Demand {
            task: place.resources,
            executor: None,
        };
        let run = agent::RunTask {
            instance: launch.terms,
            ..self.admit_task(framework, place.agent, &place.role, task, demand, effects)
        };
        self.count_task(framework, &id, place.handle);
        let after = self.last_token();
        self.send_launches(framework, place.agent, vec![run], after, effects);
    }

    /// The ledger counts a task that it has placed.
    pub(crate) fn count_task(&mut self, framework: FrameworkKey, id: &str, handle: InstanceHandle) {
        if let Some(key) = self.task_key(framework, id) {
            self.work.handles.insert(key, handle);
        }
    }

    /// A task that the store knows: its resources are held until its agent reports it, or has nothing of it.
    pub(super) fn expect_instance(&mut self, task: v1::TaskInfo, effects: &mut Effects) {
        let framework = self.native_framework(effects);
        let resources = Resources::from_proto(&task.resources).unwrap_or_default();
        let role: Arc<str> = resources
            .allocation_role()
            .cloned()
            .unwrap_or_else(|| "*".into());
        self.note_native_role(&role);
        let agent = self.index.agents.get(task.agent_id.value.as_str()).copied();
        let lost = agent.is_none_or(|agent| {
            matches!(
                self.agent(agent).state,
                AgentState::Gone | AgentState::Removed
            )
        });
        let (Some(agent), false) = (agent, lost) else {
            let status = Status {
                state: v1::TaskState::TaskGone,
                at: None,
                reason: Some(v1::task_status::Reason::AgentRemoved as i32),
                message: "The agent is gone".into(),
                healthy: None,
                check: None,
                findings: None,
                exit_status: None,
                addresses: Vec::new(),
            };
            let instance = task.task_id.value.into();
            return self.tell_work(Event::Status { instance, status }, None, effects);
        };
        let unreachable = self.agent(agent).state == AgentState::Unreachable;
        let state = if unreachable {
            v1::TaskState::TaskUnreachable
        } else {
            v1::TaskState::TaskStaging
        };
        let wire_task = v1::Task {
            name: task.name,
            task_id: task.task_id,
            framework_id: wire::framework_id_of(&self.native.framework_id),
            agent_id: task.agent_id,
            state: state as i32,
            labels: task.labels,
            discovery: task.discovery,
            resources: task.resources,
            ..v1::Task::default()
        };
        if !unreachable {
            self.charge(framework, agent, &resources);
        }
        let new = NewTask::of(&wire_task);
        let key = self.insert_task(framework, agent, &role, new, Arc::new(resources), effects);
        if unreachable {
            self.list_unreachable(key, framework, agent);
            // Nobody has told this master's controllers of the loss.
            self.touch_reported(key);
        } else {
            self.count_instance(key);
        }
    }

    /// The ledger counts a task that it did not place itself.
    fn count_instance(&mut self, key: TaskKey) {
        let Some(task) = self.task(key).cloned() else {
            return;
        };
        if self.work.handles.contains_key(&key) {
            return;
        }
        let Some(footing) = self.work.controllers.footing(&task.id) else {
            return;
        };
        let handle = self.sched.instance_added(RunningInstance {
            framework: sched_key(task.framework),
            role: Arc::clone(&task.role),
            agent: agent_sched_key(task.agent),
            group: footing.group,
            priority: footing.priority,
            preemptible: footing.preemptible,
            resources: Arc::clone(&task.resources),
        });
        self.work.handles.insert(key, handle);
    }

    /// A task gave its resources back: the ledger counts its instance no more.
    pub(crate) fn uncount_instance(&mut self, key: TaskKey) {
        if let Some(handle) = self.work.handles.remove(&key) {
            self.sched.instance_removed(handle);
        }
    }

    pub(super) fn kill_instance(
        &mut self,
        instance: &str,
        grace_period_ns: u64,
        effects: &mut Effects,
    ) {
        let key = self
            .native
            .framework
            .and_then(|framework| self.task_key(framework, instance));
        let Some(key) = key else { return };
        if self
            .task(key)
            .is_some_and(|task| task.list == TaskList::Completed)
        {
            return;
        }
        let policy = v1::KillPolicy {
            grace_period: Some(v1::DurationInfo {
                nanoseconds: i64::try_from(grace_period_ns).unwrap_or(i64::MAX),
            }),
        };
        self.kill_task(key, Some(policy), effects);
    }

    /// Keeps a status of one of the built-in framework's tasks until the event is done.
    pub(crate) fn touch_work(&mut self, status: &v1::TaskStatus) {
        if self.native.ids.contains(status.task_id.value.as_str()) {
            return;
        }
        let instance = status.task_id.value.as_str().into();
        let status = told(status);
        self.work.touched.push(Unheard {
            event: Event::Status { instance, status },
            acknowledge: None,
        });
    }

    /// Keeps the acknowledgement of a task's last update until the controllers have heard it; returns one that they will
    /// not hear.
    pub(crate) fn acknowledge_when_heard(&mut self, update: LastUpdate) -> Option<LastUpdate> {
        match self.work.touched.last_mut() {
            Some(Unheard {
                event: Event::Status { instance, status },
                acknowledge: kept @ None,
            }) if *instance == update.task_id && wire::is_terminal(status.state) => {
                *kept = Some(update);
                None
            }
            _ => Some(update),
        }
    }

    /// The same with the newest status that a record holds: an agent has reported its task.
    pub(crate) fn touch_reported(&mut self, key: TaskKey) {
        let Some(task) = self.task(key).cloned() else {
            return;
        };
        if task.list == TaskList::Live && !wire::is_terminal(task.state) {
            self.count_instance(key);
        }
        let last = v1::Task::decode(task.wire.clone())
            .ok()
            .and_then(|task| task.statuses.into_iter().next_back())
            .unwrap_or_default();
        let status = v1::TaskStatus {
            task_id: v1::TaskId {
                value: task.id.to_string(),
            },
            state: task.state as i32,
            ..last
        };
        self.touch_work(&status);
    }
}

/// A status in the controllers' words.
fn told(status: &v1::TaskStatus) -> Status {
    let check = status.check_status.as_ref().and_then(found);
    let addresses = status
        .container_status
        .iter()
        .flat_map(|container| &container.network_infos)
        .flat_map(|network| &network.ip_addresses)
        .filter_map(|address| address.ip_address.as_deref().map(Into::into));
    Status {
        state: status.state(),
        at: moment(status.timestamp),
        reason: status.reason,
        message: status.message().into(),
        healthy: status.healthy,
        check,
        findings: status.labels.as_ref().and_then(findings).map(Box::new),
        exit_status: exit_status(status.message()),
        addresses: addresses.collect(),
    }
}

/// What each of several checks found, which the labels of a status tell.
fn findings(labels: &v1::Labels) -> Option<FoundByMany> {
    let health = check_labels::health(labels).into_iter();
    let checks = check_labels::checks(labels).into_iter();
    let many = FoundByMany {
        health: health
            .map(|told| told.map(|told| (told.alive, told.failures)))
            .collect(),
        checks: checks
            .map(|status| status.as_ref().and_then(found))
            .collect(),
    };
    (many != FoundByMany::default()).then_some(many)
}

fn found(check: &v1::CheckStatusInfo) -> Option<CheckFound> {
    let http = check.http.as_ref().and_then(|http| http.status_code);
    let tcp = check.tcp.as_ref().and_then(|tcp| tcp.succeeded);
    let command = check.command.as_ref().and_then(|command| command.exit_code);
    http.map(CheckFound::Http)
        .or(tcp.map(CheckFound::Tcp))
        .or(command.map(CheckFound::Command))
}

/// The exit status that the agent's message tells, in Mesos's words.
fn exit_status(message: &str) -> Option<i32> {
    message
        .rsplit_once("exited with status ")
        .and_then(|(_, number)| number.trim().parse().ok())
}
