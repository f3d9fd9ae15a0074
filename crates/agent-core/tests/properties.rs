//! Laws under random events, crashes in the middle of a batch of effects included.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_agent_core::{
    AgentCore, Config, Effect, Event, FetchOutcome, KnownContainer, KnownContainerState, LaunchId,
    Now, ProbeId, ProbeOutcome, Record, Recovery, RequestId, StopRequest, TaskSerial,
};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{
    AcknowledgeUpdate, Admitted, KillTask, Ping, Registered, RunTask, RunTasks,
};
use mezz_proto::v1::command_info::Uri;
use mezz_proto::v1::executor::{self, call};
use mezz_proto::v1::{
    AgentId, CheckInfo, CommandInfo, DurationInfo, ExecutorId, FrameworkId, HealthCheck,
    MasterInfo, TaskId, TaskInfo, TaskState,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use support::{
    FRAMEWORK, SECOND, command, command_task, config, executor_status, executor_task, framework,
    round_trip,
};

fn is_terminal(state: TaskState) -> bool {
    use TaskState::{
        TaskDropped, TaskError, TaskFailed, TaskFinished, TaskGone, TaskKilled, TaskLost,
    };
    matches!(
        state,
        TaskFinished | TaskFailed | TaskKilled | TaskError | TaskLost | TaskDropped | TaskGone
    )
}

/// A task that is checked soon, and seldom after that: what settles must not be kept awake.
fn checked_task(id: &str, pick: usize) -> TaskInfo {
    let health_check = support::checks::health(u32::try_from(pick % 3).unwrap());
    let check = support::checks::command_check();
    TaskInfo {
        health_check: Some(Box::new(HealthCheck {
            interval_seconds: Some(1e6),
            ..health_check
        })),
        check: Some(Box::new(CheckInfo {
            interval_seconds: Some(1e6),
            ..check
        })),
        max_completion_time: pick.is_multiple_of(2).then_some(DurationInfo {
            nanoseconds: 30_000_000_000,
        }),
        ..command_task(id)
    }
}

/// The world around one agent: a warden, a master, executors, a journal.
struct World {
    core: AgentCore,
    now: Now,
    wake_at: Option<u64>,
    journal: Vec<Record>,
    /// Fetches that have not ended.
    fetching: Vec<LaunchId>,
    /// Probes that have not ended.
    probing: Vec<ProbeId>,
    /// Launched, the start not reported yet.
    starting: VecDeque<LaunchId>,
    warden: BTreeMap<LaunchId, KnownContainerState>,
    session: Session,
    /// Per task, the updates that the master saw: state and uuid, each once, in order.
    seen: BTreeMap<String, Vec<(TaskState, Vec<u8>)>>,
    to_acknowledge: VecDeque<(String, Vec<u8>)>,
    next: u64,
    tasks: Vec<String>,
    executors: Vec<String>,
    stopped: bool,
    /// Effects to perform before the next crash.
    fuse: Option<usize>,
    lives: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    Down,
    Dialled,
    Up,
    HungUp,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            core: AgentCore::new(config()),
            now: Now {
                mono_ns: SECOND,
                wall_ns: SECOND,
            },
            wake_at: None,
            journal: Vec::new(),
            fetching: Vec::new(),
            probing: Vec::new(),
            starting: VecDeque::new(),
            warden: BTreeMap::new(),
            session: Session::Down,
            seen: BTreeMap::new(),
            to_acknowledge: VecDeque::new(),
            next: 0,
            tasks: Vec::new(),
            executors: Vec::new(),
            stopped: false,
            fuse: None,
            lives: 0,
        };
        world.live();
        world
    }

    /// Begins a life on what journal and warden hold.
    fn live(&mut self) {
        self.lives += 1;
        self.core = AgentCore::new(Config {
            seed: 1000 + self.lives,
            ..config()
        });
        self.fetching.clear();
        self.probing.clear();
        self.starting.clear();
        self.session = Session::Down;
        self.to_acknowledge.clear();
        self.stopped = false;
        self.fuse = None;
        let containers = self
            .warden
            .iter()
            .map(|(launch_id, state)| KnownContainer {
                launch_id: *launch_id,
                state: *state,
            })
            .collect();
        let records = self.journal.iter().map(round_trip).collect();
        self.event(Event::Recovered(Box::new(Recovery {
            limited: Vec::new(),
            records,
            boot_id: "boot".to_owned(),
            containers,
        })));
    }

    fn event(&mut self, event: Event) {
        if self.stopped {
            return;
        }
        let mut effects = Vec::new();
        self.core.handle(self.now, event, &mut effects);
        assert_eq!(self.core.check_invariants(), Ok(()));
        for effect in effects {
            if let Some(fuse) = &mut self.fuse {
                if *fuse == 0 {
                    self.live();
                    return;
                }
                *fuse -= 1;
            }
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Checkpoint { records, .. } => self.journal.extend(records),
            Effect::WakeAt { mono_ns } => self.wake_at = Some(mono_ns),
            Effect::DialMaster => self.session = Session::Dialled,
            Effect::HangUpMaster => self.session = Session::HungUp,
            Effect::ToMaster(body) => self.master_sees(*body),
            Effect::Fetch(fetch) => self.fetching.push(fetch.launch_id),
            Effect::CancelFetch { launch_id } => self.fetching.retain(|fetch| *fetch != launch_id),
            Effect::Launch(launch) => {
                self.starting.push_back(launch.launch_id);
                self.warden
                    .insert(launch.launch_id, KnownContainerState::Running { pid: 7 });
            }
            Effect::KillTree { launch_id } => {
                if let Some(state @ KnownContainerState::Running { .. }) =
                    self.warden.get_mut(&launch_id)
                {
                    *state = KnownContainerState::Exited { wait_status: 9 };
                }
            }
            Effect::AcknowledgeExit { launch_id } => {
                self.warden.remove(&launch_id);
            }
            Effect::Probe(probe) => self.probing.push(probe.id),
            Effect::CancelProbe { id } => self.probing.retain(|probe| *probe != id),
            Effect::Stop { .. } => self.stopped = true,
            _ => {}
        }
    }

    fn master_sees(&mut self, body: Body) {
        let Body::StatusUpdate(update) = body else {
            return;
        };
        let task = update.status.task_id.value.clone();
        let state = TaskState::try_from(update.status.state).unwrap();
        let uuid = update.status.uuid.unwrap().to_vec();
        if update.status.message.as_deref() == Some("Cannot find executor") {
            return;
        }
        let history = self.seen.entry(task.clone()).or_default();
        if !history.iter().any(|(_, known)| *known == uuid) {
            assert!(
                history.last().is_none_or(|(last, _)| !is_terminal(*last)),
                "{task}: {state:?} after {history:?}"
            );
            history.push((state, uuid.clone()));
        }
        self.to_acknowledge.push_back((task, uuid));
    }

    fn master(&mut self, body: Body) {
        if self.session == Session::Up {
            self.event(Event::FromMaster(Box::new(body)));
        }
    }

    fn connect(&mut self) {
        if self.session != Session::Dialled {
            return;
        }
        self.session = Session::Up;
        self.event(Event::MasterConnected);
        let admitted = Admitted {
            cluster_id: "C".to_owned(),
            epoch: 1,
            mezz_version: String::new(),
            window: None,
            ping_timeout_ms: 75_000,
        };
        self.master(Body::Admitted(admitted));
        self.confirm();
    }

    fn confirm(&mut self) {
        self.master(Body::Registered(Registered {
            agent_id: AgentId {
                value: "A".to_owned(),
            },
            master: MasterInfo::default(),
        }));
    }

    fn run(&mut self, pick: usize) {
        self.next += 1;
        let id = format!("t{}", self.next);
        let task = match pick % 4 {
            0 => executor_task(&id, &format!("e{}", pick % 3)),
            1 => {
                let uris = vec![Uri {
                    value: "file:///x".to_owned(),
                    ..Uri::default()
                }];
                TaskInfo {
                    command: Some(CommandInfo {
                        uris,
                        ..command("true")
                    }),
                    ..command_task(&id)
                }
            }
            2 => checked_task(&id, pick),
            _ => command_task(&id),
        };
        if let Some(executor) = &task.executor {
            self.executors.push(executor.executor_id.value.clone());
        }
        self.tasks.push(id);
        let framework_id = FrameworkId {
            value: FRAMEWORK.to_owned(),
        };
        self.master(Body::RunTasks(RunTasks {
            framework_id,
            framework: Some(framework(true, &[])),
            tasks: vec![RunTask {
                launch_token: self.next,
                task,
                instance: None,
            }],
        }));
    }

    fn report_start(&mut self, fails: bool) {
        let Some(launch_id) = self.starting.pop_front() else {
            return;
        };
        if fails && self.warden.contains_key(&launch_id) {
            self.warden.remove(&launch_id);
            self.event(Event::ContainerLaunchFailed {
                launch_id,
                message: "no".to_owned(),
            });
        } else {
            self.event(Event::ContainerStarted { launch_id, pid: 7 });
        }
    }

    fn report_exit(&mut self, pick: usize) {
        let started: Vec<LaunchId> = self
            .warden
            .keys()
            .copied()
            .filter(|id| !self.starting.contains(id))
            .collect();
        let Some(launch_id) = started.get(pick % started.len().max(1)).copied() else {
            return;
        };
        let wait_status = match self.warden[&launch_id] {
            KnownContainerState::Exited { wait_status } => wait_status,
            KnownContainerState::Running { .. } => i32::try_from(pick % 2).unwrap() << 8,
        };
        self.warden
            .insert(launch_id, KnownContainerState::Exited { wait_status });
        self.event(Event::ContainerExited {
            launch_id,
            wait_status,
        });
    }

    fn acknowledge(&mut self) {
        let Some((task, uuid)) = self.to_acknowledge.pop_front() else {
            return;
        };
        let framework_id = FrameworkId {
            value: FRAMEWORK.to_owned(),
        };
        self.master(Body::AcknowledgeUpdate(AcknowledgeUpdate {
            framework_id,
            task_id: TaskId { value: task },
            uuid: uuid.into(),
        }));
    }

    fn executor_call(&mut self, pick: usize, kind: call::Type) {
        let Some(executor) = self
            .executors
            .get(pick % self.executors.len().max(1))
            .cloned()
        else {
            return;
        };
        self.next += 1;
        let task = self.tasks[pick % self.tasks.len()].clone();
        let state = [
            TaskState::TaskStarting,
            TaskState::TaskRunning,
            TaskState::TaskFinished,
        ][pick % 3];
        let update = (kind == call::Type::Update).then(|| call::Update {
            status: executor_status(&task, state, u8::try_from(self.next % 251).unwrap()),
        });
        let call = executor::Call {
            executor_id: ExecutorId { value: executor },
            framework_id: FrameworkId {
                value: FRAMEWORK.to_owned(),
            },
            r#type: Some(kind.into()),
            subscribe: Some(call::Subscribe::default()),
            update,
            message: None,
        };
        self.event(Event::ExecutorCall {
            request: RequestId(self.next),
            call: Box::new(call),
        });
    }

    fn advance(&mut self, seconds: u64) {
        let until = self.now.mono_ns + seconds * SECOND;
        while let Some(at) = self.wake_at.filter(|at| *at <= until) {
            self.now.mono_ns = self.now.mono_ns.max(at);
            self.wake_at = None;
            self.event(Event::Wake);
        }
        self.now.mono_ns = until;
    }

    fn step(&mut self, kind: u8, pick: usize) {
        match kind {
            0..=3 => self.run(pick),
            4..=6 => self.report_start(pick.is_multiple_of(7)),
            7..=8 => self.report_exit(pick),
            9..=12 => self.acknowledge(),
            13 => {
                if let Some(task) = self.tasks.get(pick % self.tasks.len().max(1)).cloned() {
                    let kill_policy = pick.is_multiple_of(3).then(|| support::grace(1));
                    self.master(Body::KillTask(KillTask {
                        framework_id: FrameworkId {
                            value: FRAMEWORK.to_owned(),
                        },
                        task_id: TaskId { value: task },
                        kill_policy,
                    }));
                }
            }
            14 => self.executor_call(pick, call::Type::Subscribe),
            15..=16 => self.executor_call(pick, call::Type::Update),
            17 => {
                if self.session != Session::Down {
                    self.session = Session::Down;
                    self.event(Event::MasterDisconnected {
                        reason: String::new(),
                    });
                }
            }
            18..=19 => self.connect(),
            20 => self.advance(pick as u64 % 40),
            21 => self.live(),
            22 => self.fuse = Some(pick % 6),
            23 => self.journal = self.core.snapshot(),
            24 => {
                if let Some(launch_id) = self.fetching.pop() {
                    let outcome = if pick.is_multiple_of(4) {
                        FetchOutcome::Failed {
                            message: "no".to_owned(),
                        }
                    } else {
                        FetchOutcome::Done
                    };
                    self.event(Event::Fetched { launch_id, outcome });
                }
            }
            25 => self.event(Event::WardenLost {
                containers: self
                    .warden
                    .iter()
                    .map(|(id, state)| KnownContainer {
                        launch_id: *id,
                        state: *state,
                    })
                    .collect(),
            }),
            26 => {
                if let Some(id) = self.probing.pop() {
                    let outcome = if pick.is_multiple_of(3) {
                        ProbeOutcome::Connected
                    } else {
                        ProbeOutcome::Failed
                    };
                    self.event(Event::Probed { id, outcome });
                }
            }
            _ => {
                let connected = !pick.is_multiple_of(5);
                self.master(Body::Ping(Ping { connected }));
                if !connected {
                    self.confirm();
                }
            }
        }
        self.check_records();
    }

    fn check_records(&mut self) {
        let records = self.core.records();
        let mut ids = BTreeSet::new();
        for executor in records
            .frameworks
            .iter()
            .flat_map(|framework| &framework.executors)
        {
            for task in executor.tasks.iter().chain(&executor.queued) {
                assert!(
                    ids.insert(task.info.task_id.value.clone()),
                    "a task is shown twice"
                );
                let states = || {
                    task.statuses
                        .iter()
                        .map(|status| TaskState::try_from(status.state).unwrap())
                };
                assert!(
                    states().filter(|state| is_terminal(*state)).count() <= 1,
                    "{:?}",
                    states().collect::<Vec<_>>()
                );
                assert!(
                    states()
                        .position(is_terminal)
                        .is_none_or(|at| at + 1 == task.statuses.len())
                );
                assert!(states().next_back().is_none_or(|last| last == task.state));
            }
        }
    }

    /// Lets everything end: all containers exit, all updates are acknowledged.
    fn settle(&mut self) {
        self.fuse = None;
        if self.stopped {
            return;
        }
        for _ in 0..400 {
            self.connect_if_needed();
            self.report_start(false);
            while let Some(launch_id) = self.fetching.pop() {
                self.event(Event::Fetched {
                    launch_id,
                    outcome: FetchOutcome::Done,
                });
            }
            self.report_exit(1);
            while !self.to_acknowledge.is_empty() && self.session == Session::Up {
                self.acknowledge();
            }
            self.master(Body::Ping(Ping { connected: true }));
            self.advance(5);
        }
    }

    fn connect_if_needed(&mut self) {
        if self.session == Session::HungUp {
            self.session = Session::Down;
            self.event(Event::MasterDisconnected {
                reason: String::new(),
            });
        }
        self.connect();
    }

    /// Tasks that reached the journal, by name.
    fn journalled(&self) -> BTreeSet<String> {
        let launched = self.journal.iter().filter_map(|record| match record {
            Record::TaskLaunched { info, .. } => Some(info.task_id.value.clone()),
            _ => None,
        });
        launched.collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_task_ends_once_and_nothing_unacknowledged_is_forgotten(steps in prop::collection::vec((0u8..28, 0usize..1000), 1..120)) {
        let mut world = World::new();
        world.advance(1);
        world.connect();
        for (kind, pick) in steps {
            world.step(kind, pick);
        }
        let journalled = world.journalled();
        world.settle();
        let left: Vec<_> = world.core.records().frameworks.iter().flat_map(|framework| &framework.executors).map(|executor| (executor.state, executor.sandbox.clone())).collect();
        prop_assert!(world.core.records().frameworks.is_empty(), "left: {:?}, session {:?}", left, world.session);
        for task in journalled {
            let history = world.seen.get(&task).cloned().unwrap_or_default();
            let terminal = history.iter().filter(|(state, _)| is_terminal(*state)).count();
            prop_assert_eq!(terminal, 1, "task {} saw {:?}", task, history);
        }
        prop_assert!(world.warden.is_empty(), "containers left: {:?}", world.warden);
    }

    #[test]
    fn an_ordered_end_leaves_no_container(steps in prop::collection::vec((0u8..21, 0usize..1000), 1..60)) {
        let mut world = World::new();
        world.advance(1);
        world.connect();
        for (kind, pick) in steps {
            world.step(kind, pick);
        }
        world.event(Event::Stop(StopRequest::Drain));
        world.settle();
        prop_assert!(world.stopped);
        world.live();
        prop_assert_eq!(world.core.agent_id(), None);
        prop_assert_eq!(world.core.snapshot().len(), 1);
    }
}

#[test]
fn serials_do_not_repeat_over_lives() {
    let mut world = World::new();
    world.advance(1);
    world.connect();
    for life in 0..3 {
        world.run(2);
        if life < 2 {
            world.live();
            world.connect();
        }
    }
    let serials: Vec<TaskSerial> = world
        .journal
        .iter()
        .filter_map(|record| {
            if let Record::TaskLaunched { serial, .. } = record {
                Some(*serial)
            } else {
                None
            }
        })
        .collect();
    let distinct: BTreeSet<_> = serials.iter().collect();
    assert_eq!(distinct.len(), serials.len());
    assert_eq!(serials.len(), 3);
}
