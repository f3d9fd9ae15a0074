//! An agent core on a bench: feeds events, keeps a journal as a shell would, and picks effects apart.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod checks;

use mezz_agent_core::{
    AgentCore, CallOutcome, Config, Effect, Event, Fetch, KnownContainer, KnownContainerState,
    Launch, LaunchId, Limitation, Now, Record, Recovery, RequestId,
};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{
    AcknowledgeUpdate, Admitted, InstanceTerms, KillTask, Registered, RunTask, RunTasks,
    StatusUpdate,
};
use mezz_proto::v1::executor::{self, call};
use mezz_proto::v1::framework_info::{Capability, capability};
use mezz_proto::v1::task_status::{Reason, Source};
use mezz_proto::v1::{
    AgentId, AgentInfo, CommandInfo, DurationInfo, ExecutorId, ExecutorInfo, FrameworkId,
    FrameworkInfo, KillPolicy, MasterInfo, TaskId, TaskInfo, TaskState, TaskStatus,
};

pub(crate) const FRAMEWORK: &str = "F";
pub(crate) const SECOND: u64 = 1_000_000_000;

#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) core: AgentCore,
    pub(crate) now: Now,
    pub(crate) effects: Vec<Effect>,
    pub(crate) journal: Vec<Record>,
    pub(crate) wake_at: Option<u64>,
    pub(crate) token: u64,
    pub(crate) request: u64,
}

pub(crate) fn config() -> Config {
    let agent = AgentInfo {
        hostname: "host".to_owned(),
        port: Some(5051),
        ..AgentInfo::default()
    };
    Config::new(agent, "/agent", "10.0.0.1", 5051, 42)
}

pub(crate) fn framework(checkpoint: bool, capabilities: &[capability::Type]) -> FrameworkInfo {
    FrameworkInfo {
        user: "nobody".to_owned(),
        name: "test".to_owned(),
        id: Some(FrameworkId {
            value: FRAMEWORK.to_owned(),
        }),
        checkpoint: Some(checkpoint),
        capabilities: capabilities
            .iter()
            .map(|kind| Capability {
                r#type: Some((*kind).into()),
            })
            .collect(),
        ..FrameworkInfo::default()
    }
}

pub(crate) fn command(value: &str) -> CommandInfo {
    CommandInfo {
        value: Some(value.to_owned()),
        ..CommandInfo::default()
    }
}

pub(crate) fn command_task(id: &str) -> TaskInfo {
    TaskInfo {
        name: id.to_owned(),
        task_id: TaskId {
            value: id.to_owned(),
        },
        agent_id: AgentId {
            value: "A".to_owned(),
        },
        command: Some(command("sleep 1000")),
        ..TaskInfo::default()
    }
}

pub(crate) fn executor_task(id: &str, executor: &str) -> TaskInfo {
    let info = ExecutorInfo {
        executor_id: ExecutorId {
            value: executor.to_owned(),
        },
        command: Some(command("./executor")),
        ..ExecutorInfo::default()
    };
    TaskInfo {
        command: None,
        executor: Some(Box::new(info)),
        ..command_task(id)
    }
}

pub(crate) fn grace(seconds: i64) -> KillPolicy {
    KillPolicy {
        grace_period: Some(DurationInfo {
            nanoseconds: seconds * 1_000_000_000,
        }),
    }
}

pub(crate) fn executor_status(task: &str, state: TaskState, uuid: u8) -> TaskStatus {
    TaskStatus {
        task_id: TaskId {
            value: task.to_owned(),
        },
        state: state.into(),
        source: Some(Source::Executor.into()),
        uuid: Some(vec![uuid; 16].into()),
        ..TaskStatus::default()
    }
}

/// An update as the master sees it, reduced to what tests ask for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) task: String,
    pub(crate) state: TaskState,
    pub(crate) reason: Option<Reason>,
    pub(crate) source: Source,
    pub(crate) message: Option<String>,
    pub(crate) uuid: Vec<u8>,
}

impl Bench {
    pub(crate) fn fresh() -> Self {
        Self::recovered(config(), Vec::new(), Vec::new(), "boot-1")
    }

    pub(crate) fn recovered(
        config: Config,
        records: Vec<Record>,
        containers: Vec<KnownContainer>,
        boot_id: &str,
    ) -> Self {
        let now = Now {
            mono_ns: 1_000 * SECOND,
            wall_ns: 1_700_000_000 * SECOND,
        };
        Self::recovered_at(now, config, records, (containers, Vec::new()), boot_id)
    }

    fn recovered_at(
        now: Now,
        config: Config,
        records: Vec<Record>,
        (containers, limited): (Vec<KnownContainer>, Vec<(LaunchId, Limitation)>),
        boot_id: &str,
    ) -> Self {
        let mut bench = Self {
            core: AgentCore::new(config),
            now,
            effects: Vec::new(),
            journal: records.clone(),
            wake_at: None,
            token: 0,
            request: 0,
        };
        bench.event(Event::Recovered(Box::new(Recovery {
            limited,
            records,
            boot_id: boot_id.to_owned(),
            containers,
        })));
        bench
    }

    /// Registered under id `A`.
    pub(crate) fn registered() -> Self {
        let mut bench = Self::fresh();
        bench.register();
        bench.effects.clear();
        bench
    }

    pub(crate) fn register(&mut self) {
        self.event(Event::MasterConnected);
        self.admit(1);
        self.confirm();
    }

    pub(crate) fn admit(&mut self, epoch: u64) {
        let admitted = Admitted {
            cluster_id: "C".to_owned(),
            epoch,
            mezz_version: "1".to_owned(),
            window: None,
            ping_timeout_ms: 75_000,
        };
        self.master(Body::Admitted(admitted));
    }

    pub(crate) fn confirm(&mut self) {
        self.master(Body::Registered(Registered {
            agent_id: AgentId {
                value: "A".to_owned(),
            },
            master: MasterInfo::default(),
        }));
    }

    /// A new life on the same journal, as after kill -9.
    pub(crate) fn restarted(&self, containers: Vec<KnownContainer>) -> Self {
        self.restarted_limited(containers, Vec::new())
    }

    /// The same, where some have used more than they may.
    pub(crate) fn restarted_limited(
        &self,
        containers: Vec<KnownContainer>,
        limited: Vec<(LaunchId, Limitation)>,
    ) -> Self {
        // Every record passes through its binary form.
        let records = self.journal.iter().map(round_trip).collect();
        let mut bench = Self::recovered_at(
            self.now,
            Config {
                seed: 43,
                ..config()
            },
            records,
            (containers, limited),
            "boot-1",
        );
        bench.token = self.token;
        bench.request = self.request;
        bench
    }

    pub(crate) fn event(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.core.handle(self.now, event, &mut effects);
        assert_eq!(self.core.check_invariants(), Ok(()));
        for effect in &effects {
            match effect {
                Effect::Checkpoint { records, .. } => self.journal.extend(records.iter().cloned()),
                Effect::WakeAt { mono_ns } => self.wake_at = Some(*mono_ns),
                _ => {}
            }
        }
        self.effects.extend(effects);
    }

    pub(crate) fn master(&mut self, body: Body) {
        self.event(Event::FromMaster(Box::new(body)));
    }

    /// Lets time pass, waking the core whenever it asked for it.
    pub(crate) fn advance(&mut self, seconds: u64) {
        let until = self.now.mono_ns + seconds * SECOND;
        while let Some(at) = self.wake_at.filter(|at| *at <= until) {
            self.now.wall_ns += at.saturating_sub(self.now.mono_ns);
            self.now.mono_ns = at.max(self.now.mono_ns);
            self.wake_at = None;
            self.event(Event::Wake);
        }
        self.now.wall_ns += until - self.now.mono_ns;
        self.now.mono_ns = until;
    }

    pub(crate) fn run(
        &mut self,
        framework: FrameworkInfo,
        tasks: impl IntoIterator<Item = TaskInfo>,
    ) {
        let tasks = tasks.into_iter().map(|task| (task, None));
        self.run_instances(framework, tasks);
    }

    /// Tasks of users' objects have terms besides.
    pub(crate) fn run_instances(
        &mut self,
        framework: FrameworkInfo,
        tasks: impl IntoIterator<Item = (TaskInfo, Option<InstanceTerms>)>,
    ) {
        let framework_id = framework.id.clone().unwrap();
        let tasks = tasks.into_iter().map(|(task, instance)| {
            self.token += 1;
            RunTask {
                launch_token: self.token,
                task,
                instance: instance.map(Box::new),
            }
        });
        let tasks = tasks.collect();
        self.master(Body::RunTasks(RunTasks {
            framework_id,
            framework: Some(framework),
            tasks,
        }));
    }

    pub(crate) fn kill(&mut self, task: &str, policy: Option<KillPolicy>) {
        self.master(Body::KillTask(KillTask {
            framework_id: FrameworkId {
                value: FRAMEWORK.to_owned(),
            },
            task_id: TaskId {
                value: task.to_owned(),
            },
            kill_policy: policy,
        }));
    }

    pub(crate) fn acknowledge(&mut self, update: &Seen) {
        self.master(Body::AcknowledgeUpdate(AcknowledgeUpdate {
            framework_id: FrameworkId {
                value: FRAMEWORK.to_owned(),
            },
            task_id: TaskId {
                value: update.task.clone(),
            },
            uuid: update.uuid.clone().into(),
        }));
    }

    /// Takes the updates sent so far and acknowledges each until nothing more comes; all of them, in order.
    pub(crate) fn drain_updates(&mut self) -> Vec<Seen> {
        let mut all = Vec::new();
        loop {
            let updates = self.take_updates();
            if updates.is_empty() {
                return all;
            }
            for update in updates {
                self.acknowledge(&update);
                all.push(update);
            }
        }
    }

    pub(crate) fn take_updates(&mut self) -> Vec<Seen> {
        self.take_to_master()
            .into_iter()
            .filter_map(|body| {
                if let Body::StatusUpdate(update) = body {
                    Some(seen(update))
                } else {
                    None
                }
            })
            .collect()
    }

    /// The updates sent so far, in full.
    pub(crate) fn take_statuses(&mut self) -> Vec<TaskStatus> {
        let bodies = self.take_to_master().into_iter();
        let statuses = bodies.filter_map(|body| match body {
            Body::StatusUpdate(update) => Some(update.status),
            _ => None,
        });
        statuses.collect()
    }

    pub(crate) fn acknowledge_status(&mut self, status: &TaskStatus) {
        self.master(Body::AcknowledgeUpdate(AcknowledgeUpdate {
            framework_id: FrameworkId {
                value: FRAMEWORK.to_owned(),
            },
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().unwrap(),
        }));
    }

    pub(crate) fn take_to_master(&mut self) -> Vec<Body> {
        self.take(|effect| {
            if let Effect::ToMaster(body) = effect {
                Some(*body.clone())
            } else {
                None
            }
        })
    }

    pub(crate) fn take_launches(&mut self) -> Vec<Launch> {
        self.take(|effect| {
            if let Effect::Launch(launch) = effect {
                Some(*launch.clone())
            } else {
                None
            }
        })
    }

    pub(crate) fn take_fetches(&mut self) -> Vec<Fetch> {
        self.take(|effect| {
            if let Effect::Fetch(fetch) = effect {
                Some(*fetch.clone())
            } else {
                None
            }
        })
    }

    pub(crate) fn take_executor_events(&mut self) -> Vec<executor::Event> {
        self.take(|effect| {
            if let Effect::ToExecutor { event, .. } = effect {
                Some(*event.clone())
            } else {
                None
            }
        })
    }

    pub(crate) fn take_replies(&mut self) -> Vec<CallOutcome> {
        self.take(|effect| {
            if let Effect::Reply { outcome, .. } = effect {
                Some(outcome.clone())
            } else {
                None
            }
        })
    }

    /// Signals and kills, as text.
    pub(crate) fn take_signals(&mut self) -> Vec<String> {
        self.take(|effect| match effect {
            Effect::Signal { signal, .. } => Some(format!("signal {signal}")),
            Effect::KillTree { .. } => Some("kill tree".to_owned()),
            Effect::CancelFetch { .. } => Some("cancel fetch".to_owned()),
            _ => None,
        })
    }

    pub(crate) fn take<T>(&mut self, pick: impl Fn(&Effect) -> Option<T>) -> Vec<T> {
        let mut taken = Vec::new();
        self.effects.retain(|effect| match pick(effect) {
            Some(found) => {
                taken.push(found);
                false
            }
            None => true,
        });
        taken
    }

    pub(crate) fn launch_one(&mut self) -> LaunchId {
        let launches = self.take_launches();
        assert_eq!(launches.len(), 1, "exactly one launch");
        launches[0].launch_id
    }

    /// A command task that runs, its two updates acknowledged.
    pub(crate) fn running_task(&mut self, framework: FrameworkInfo, task: TaskInfo) -> LaunchId {
        self.run(framework, [task]);
        let launch_id = self.launch_one();
        self.event(Event::ContainerStarted { launch_id, pid: 77 });
        let states: Vec<TaskState> = self
            .drain_updates()
            .into_iter()
            .map(|update| update.state)
            .collect();
        assert_eq!(states, [TaskState::TaskStarting, TaskState::TaskRunning]);
        launch_id
    }

    pub(crate) fn exit(&mut self, launch_id: LaunchId, wait_status: i32) {
        self.event(Event::ContainerExited {
            launch_id,
            wait_status,
        });
    }

    pub(crate) fn call(
        &mut self,
        executor: &str,
        kind: call::Type,
        fill: impl FnOnce(&mut executor::Call),
    ) -> RequestId {
        self.request += 1;
        let request = RequestId(self.request);
        let mut call = executor::Call {
            executor_id: ExecutorId {
                value: executor.to_owned(),
            },
            framework_id: FrameworkId {
                value: FRAMEWORK.to_owned(),
            },
            r#type: Some(kind.into()),
            ..executor::Call::default()
        };
        fill(&mut call);
        self.event(Event::ExecutorCall {
            request,
            call: Box::new(call),
        });
        request
    }

    pub(crate) fn subscribe(
        &mut self,
        executor: &str,
        tasks: Vec<TaskInfo>,
        updates: Vec<TaskStatus>,
    ) -> RequestId {
        self.call(executor, call::Type::Subscribe, |call| {
            let unacknowledged_updates = updates
                .into_iter()
                .map(|status| call::Update { status })
                .collect();
            call.subscribe = Some(call::Subscribe {
                unacknowledged_tasks: tasks,
                unacknowledged_updates,
            });
        })
    }

    pub(crate) fn executor_update(&mut self, executor: &str, status: TaskStatus) -> CallOutcome {
        self.call(executor, call::Type::Update, |call| {
            call.update = Some(call::Update { status });
        });
        self.take_replies().pop().unwrap()
    }

    /// A custom executor that has subscribed and got the task.
    pub(crate) fn running_executor(
        &mut self,
        framework: FrameworkInfo,
        task: &str,
        executor: &str,
    ) -> LaunchId {
        self.run(framework, [executor_task(task, executor)]);
        let launch_id = self.launch_one();
        self.event(Event::ContainerStarted { launch_id, pid: 88 });
        self.subscribe(executor, Vec::new(), Vec::new());
        self.effects.clear();
        launch_id
    }

    pub(crate) fn stopped(&self) -> Option<u8> {
        self.effects.iter().find_map(|effect| {
            if let Effect::Stop { exit_code, .. } = effect {
                Some(*exit_code)
            } else {
                None
            }
        })
    }
}

pub(crate) fn round_trip(record: &Record) -> Record {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    let read = Record::decode(&bytes).unwrap();
    assert_eq!(&read, record);
    read
}

pub(crate) fn running(launch_id: LaunchId) -> KnownContainer {
    KnownContainer {
        launch_id,
        state: KnownContainerState::Running { pid: 77 },
    }
}

pub(crate) fn exited(launch_id: LaunchId, wait_status: i32) -> KnownContainer {
    KnownContainer {
        launch_id,
        state: KnownContainerState::Exited { wait_status },
    }
}

pub(crate) fn seen(update: StatusUpdate) -> Seen {
    let status = update.status;
    Seen {
        task: status.task_id.value.clone(),
        state: TaskState::try_from(status.state).unwrap(),
        reason: status
            .reason
            .map(|reason| Reason::try_from(reason).unwrap()),
        source: Source::try_from(status.source.unwrap()).unwrap(),
        message: status.message.clone(),
        uuid: status.uuid.unwrap().to_vec(),
    }
}

pub(crate) fn states(updates: &[Seen]) -> Vec<TaskState> {
    updates.iter().map(|update| update.state).collect()
}
