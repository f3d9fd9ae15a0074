//! A custom executor as frameworks write them: it subscribes, runs tasks, reports, and subscribes again when its agent was away.

use std::collections::BTreeMap;

use bytes::Bytes;
use mezz_agent_core::{Event, Launch, LaunchId, RequestId, StreamId};
use mezz_proto::v1::executor::call::{self, Type};
use mezz_proto::v1::executor::{self, Call};
use mezz_proto::v1::{self, TaskState, task_status};
use mezz_proto::{decode_binary, from_json, to_json};
use prost::Message;

use crate::network::{MILLISECOND, SECOND};
use crate::schedule::Occurrence;
use crate::world::World;

/// One task of an executor.
#[derive(Debug)]
struct Job {
    info: v1::TaskInfo,
    state: TaskState,
    killed: bool,
    /// The agent has acknowledged something of it.
    acknowledged: bool,
}

/// The process.
#[derive(Debug)]
pub(crate) struct Executor {
    framework_id: String,
    id: String,
    stream: Option<StreamId>,
    jobs: BTreeMap<String, Job>,
    unacknowledged: Vec<v1::TaskStatus>,
    shutting_down: bool,
}

impl Executor {
    pub(crate) fn new(launch: &Launch) -> Self {
        let variable = |name: &str| {
            let found = launch.environment.iter().rev().find(|(own, _)| own == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        Self {
            framework_id: variable("MESOS_FRAMEWORK_ID"),
            id: variable("MESOS_EXECUTOR_ID"),
            stream: None,
            jobs: BTreeMap::new(),
            unacknowledged: Vec::new(),
            shutting_down: false,
        }
    }

    /// The process is over; its stream, if it had one.
    pub(crate) fn end(&mut self) -> Option<StreamId> {
        self.stream.take()
    }

    fn call(&self, kind: Type) -> Call {
        Call {
            executor_id: v1::ExecutorId {
                value: self.id.clone(),
            },
            framework_id: v1::FrameworkId {
                value: self.framework_id.clone(),
            },
            r#type: Some(kind as i32),
            ..Call::default()
        }
    }

    fn subscription(&self) -> Call {
        let tasks = self.jobs.values().filter(|job| !job.acknowledged);
        let updates = self.unacknowledged.iter().map(|status| call::Update {
            status: status.clone(),
        });
        Call {
            subscribe: Some(call::Subscribe {
                unacknowledged_tasks: tasks.map(|job| job.info.clone()).collect(),
                unacknowledged_updates: updates.collect(),
            }),
            ..self.call(Type::Subscribe)
        }
    }

    /// The next state of some task, if one has somewhere to go.
    fn progress(&mut self, pick: u64, uuid: Bytes) -> Option<Call> {
        let open: Vec<String> = self
            .jobs
            .iter()
            .filter(|(_, job)| !mezz_core::is_terminal(job.state))
            .map(|(id, _)| id.clone())
            .collect();
        let id = open.get(usize::try_from(pick).ok()? % open.len().max(1))?;
        let job = self.jobs.get_mut(id)?;
        job.state = match job.state {
            _ if job.killed => TaskState::TaskKilled,
            TaskState::TaskStaging => TaskState::TaskStarting,
            TaskState::TaskStarting => TaskState::TaskRunning,
            _ if pick.is_multiple_of(5) => TaskState::TaskFailed,
            _ => TaskState::TaskFinished,
        };
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: id.clone() },
            state: job.state as i32,
            source: Some(task_status::Source::Executor as i32),
            executor_id: Some(v1::ExecutorId {
                value: self.id.clone(),
            }),
            uuid: Some(uuid),
            ..v1::TaskStatus::default()
        };
        self.unacknowledged.push(status.clone());
        Some(Call {
            update: Some(call::Update { status }),
            ..self.call(Type::Update)
        })
    }

    fn hear(&mut self, event: executor::Event) {
        if let Some(launch) = event.launch {
            let job = Job {
                info: launch.task,
                state: TaskState::TaskStaging,
                killed: false,
                acknowledged: false,
            };
            self.jobs.insert(job.info.task_id.value.clone(), job);
        } else if let Some(kill) = event.kill {
            if let Some(job) = self.jobs.get_mut(&kill.task_id.value) {
                job.killed = true;
            }
        } else if let Some(acknowledged) = event.acknowledged {
            self.unacknowledged
                .retain(|status| status.uuid.as_ref() != Some(&acknowledged.uuid));
            let id = &acknowledged.task_id.value;
            if let Some(job) = self.jobs.get_mut(id) {
                job.acknowledged = true;
            }
            let waits = self
                .unacknowledged
                .iter()
                .any(|status| status.task_id.value == *id);
            self.jobs
                .retain(|own, job| own != id || waits || !mezz_core::is_terminal(job.state));
        } else if event.r#type() == executor::event::Type::Shutdown {
            self.shutting_down = true;
        }
    }
}

impl World {
    pub(crate) fn executor_step(&mut self, agent: usize, launch_id: LaunchId) {
        let (pick, uuid) = (self.rng.below(1000), self.random_uuid());
        let Some(container) = self.agents[agent].containers.get_mut(&launch_id) else {
            return;
        };
        let Some(executor) = container
            .executor
            .as_mut()
            .filter(|_| container.exit.is_none())
        else {
            return;
        };
        if executor.shutting_down || pick < 15 {
            let wait_status = if executor.shutting_down { 0 } else { 256 };
            return self.container_exits(agent, launch_id, wait_status);
        }
        let call = if executor.stream.is_none() {
            Some(executor.subscription())
        } else if executor.jobs.is_empty() && pick < 200 {
            return self.container_exits(agent, launch_id, 0);
        } else {
            executor.progress(pick, uuid)
        };
        if let Some(call) = call {
            self.executor_calls(agent, launch_id, call);
        }
        let next = self.rng.span(1500 * MILLISECOND, 20 * SECOND);
        self.schedule.at(
            self.now_ns + next,
            Occurrence::ExecutorStep { agent, launch_id },
        );
    }

    fn executor_calls(&mut self, agent: usize, launch_id: LaunchId, call: Call) {
        let json = self.rng.chance(500);
        let node = &mut self.agents[agent];
        if node.core.is_none() {
            return;
        }
        node.next_request += 1;
        let request = RequestId(node.next_request);
        if call.subscribe.is_some()
            && let Some(executor) = node
                .containers
                .get_mut(&launch_id)
                .and_then(|container| container.executor.as_mut())
        {
            executor.stream = Some(StreamId::from(request));
        }
        let carried = if json {
            from_json::<Call>(&to_json(&call)).map_err(|error| error.to_string())
        } else {
            decode_binary::<Call>(&call.encode_to_vec()).map_err(|error| error.to_string())
        };
        match carried {
            Ok(call) => self.report(
                agent,
                MILLISECOND,
                Event::ExecutorCall {
                    request,
                    call: Box::new(call),
                },
            ),
            Err(error) => self.fail(format!("an executor's call is refused: {error}")),
        }
    }

    pub(crate) fn random_uuid(&mut self) -> Bytes {
        let (high, low) = (self.rng.number(), self.rng.number());
        Bytes::from([high.to_be_bytes(), low.to_be_bytes()].concat())
    }

    fn executor_at(&mut self, agent: usize, stream: StreamId) -> Option<&mut Executor> {
        let executors = self.agents[agent]
            .containers
            .values_mut()
            .filter_map(|container| container.executor.as_mut());
        executors
            .into_iter()
            .find(|executor| executor.stream == Some(stream))
    }

    pub(crate) fn executor_hears(
        &mut self,
        agent: usize,
        stream: StreamId,
        event: &executor::Event,
    ) {
        match decode_binary::<executor::Event>(&event.encode_to_vec()) {
            Ok(event) => {
                if let Some(executor) = self.executor_at(agent, stream) {
                    executor.hear(event);
                }
            }
            Err(error) => self.fail(format!("an executor cannot read its event: {error}")),
        }
    }

    pub(crate) fn executor_loses(&mut self, agent: usize, stream: StreamId) {
        if let Some(executor) = self.executor_at(agent, stream) {
            executor.stream = None;
        }
    }

    pub(crate) fn close_executor_streams(&mut self, agent: usize) {
        for container in self.agents[agent].containers.values_mut() {
            if let Some(executor) = &mut container.executor {
                executor.stream = None;
            }
        }
    }
}
