//! The state machine's entry: owns the whole state and hands each event to the part it belongs to.

use crate::config::Config;
use crate::effect::{Durability, Effect, Fact};
use crate::event::{Event, Now};
use crate::ids::{LaunchId, ProbeId, StreamId, TaskSerial};
use crate::journal::{ExecutorKind, Record};
use crate::model::{
    Begun, Executor, ExecutorKey, Framework, FrameworkKey, FrameworkPhase, KnownFramework,
    ProbedBy, Task, TaskKey,
};
use crate::nested::Nested;
use crate::records::{AgentRecords, Counters, FrameworkRecord};
use crate::rng::Rng;
use crate::session_state::Session;
use crate::slab::Slab;
use crate::timers::{TimerKey, Timers};
use crate::tokens::LaunchTokens;
use bytes::Bytes;
use mezz_proto::v1::AgentInfo;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The agent.
#[derive(Clone, Debug)]
pub struct AgentCore {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    /// What it is named by until it has an id.
    pub(crate) registration_token: Option<Bytes>,
    pub(crate) phase: Phase,
    pub(crate) session: Session,
    pub(crate) rng: Rng,
    pub(crate) timers: Timers,
    pub(crate) frameworks: Slab<Framework>,
    pub(crate) executors: Slab<Executor>,
    pub(crate) tasks: Slab<Task>,
    pub(crate) framework_keys: BTreeMap<Arc<str>, FrameworkKey>,
    pub(crate) known_frameworks: BTreeMap<Arc<str>, KnownFramework>,
    /// Looked up, never iterated.
    pub(crate) launches: FxHashMap<LaunchId, ExecutorKey>,
    /// Looked up, never iterated.
    pub(crate) streams: FxHashMap<StreamId, ExecutorKey>,
    /// Probes that have not ended.
    pub(crate) probes: BTreeMap<ProbeId, Begun>,
    /// Commands and GETs before the end of their tasks.
    pub(crate) pre_stops: BTreeMap<ProbeId, (ExecutorKey, ProbedBy)>,
    /// Containers that no executor stands for.
    pub(crate) nested: Nested,
    pub(crate) tokens: LaunchTokens,
    pub(crate) next_serial: u64,
    pub(crate) completed_frameworks: VecDeque<Arc<FrameworkRecord>>,
    pub(crate) counters: Counters,
    pub(crate) records: Option<Arc<AgentRecords>>,
}

/// Who the agent is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// With id once registered.
    pub(crate) agent: Arc<AgentInfo>,
    pub(crate) cluster_id: Option<String>,
    pub(crate) epoch: u64,
    pub(crate) boot_id: String,
}

/// The life of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// `Recovered` has not come.
    Starting,
    /// Custom executors of an earlier life may still subscribe.
    Recovering,
    Running,
    /// Everything is being ended.
    Ending(EndCause),
    /// `Stop` was given out.
    Stopped,
}

/// Why everything is being ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndCause {
    /// SIGUSR1: the master is told at the end.
    Drained,
    /// The master wants it so.
    Ordered,
    /// Started with `--recover=cleanup`.
    Cleanup,
}

/// One event being handled: its time, and the effects so far.
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) effects: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Adds to the checkpoint that stands last, or begins one.
    pub(crate) fn checkpoint(&mut self, record: Record) {
        if let Some(Effect::Checkpoint {
            records,
            durability: Durability::Written,
        }) = self.effects.last_mut()
        {
            records.push(record);
        } else {
            self.push(Effect::Checkpoint {
                records: vec![record],
                durability: Durability::Written,
            });
        }
    }

    pub(crate) fn ignored(&mut self, message: String) {
        self.push(Effect::Emit(Fact::Ignored { message }));
    }
}

impl AgentCore {
    /// An agent that waits for [`Event::Recovered`].
    pub fn new(config: Config) -> Self {
        let agent = Arc::new(AgentInfo {
            id: None,
            ..config.agent.clone()
        });
        Self {
            rng: Rng::new(config.seed),
            identity: Identity {
                agent,
                cluster_id: None,
                epoch: 0,
                boot_id: String::new(),
            },
            config,
            registration_token: None,
            phase: Phase::Starting,
            session: Session::default(),
            timers: Timers::default(),
            frameworks: Slab::default(),
            executors: Slab::default(),
            tasks: Slab::default(),
            framework_keys: BTreeMap::new(),
            known_frameworks: BTreeMap::new(),
            launches: FxHashMap::default(),
            streams: FxHashMap::default(),
            probes: BTreeMap::new(),
            pre_stops: BTreeMap::new(),
            nested: Nested::default(),
            tokens: LaunchTokens::default(),
            next_serial: 1,
            completed_frameworks: VecDeque::new(),
            counters: Counters::default(),
            records: None,
        }
    }

    /// Takes in one event and appends what is to be done.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Stopped {
            return;
        }
        let mut turn = Turn { now, effects };
        self.dispatch(&mut turn, event);
        self.run_timers(&mut turn);
        self.finish_ending(&mut turn);
        if self.phase != Phase::Stopped
            && let Some(mono_ns) = self.timers.arm()
        {
            turn.push(Effect::WakeAt { mono_ns });
        }
    }

    fn dispatch(&mut self, turn: &mut Turn<'_>, event: Event) {
        match event {
            Event::Recovered(recovery) => self.on_recovered(turn, *recovery),
            Event::Wake => self.timers.disarm(),
            Event::MasterConnected => self.on_master_connected(turn),
            Event::MasterDisconnected { reason } => self.on_master_disconnected(turn, reason),
            Event::FromMaster(body) => self.on_master_message(turn, *body),
            Event::ExecutorCall { request, call } => self.on_executor_call(turn, request, *call),
            Event::ContainerCall { request, call } => self.on_container_call(turn, request, call),
            Event::ContainerCallerGone { request } => self.on_container_caller_gone(request),
            Event::ExecutorStreamClosed { stream } => self.on_executor_stream_closed(stream),
            Event::Fetched { launch_id, outcome } => self.on_fetched(turn, launch_id, outcome),
            Event::ContainerDescribed { launch_id, facts } => {
                self.on_container_described(turn, launch_id, facts);
            }
            Event::ContainerStarted { launch_id, pid } => {
                self.on_container_started(turn, launch_id, pid);
            }
            Event::ContainerLaunchFailed { launch_id, message } => {
                self.on_container_launch_failed(turn, launch_id, &message);
            }
            Event::ContainerExited {
                launch_id,
                wait_status,
            } => self.on_container_exited(turn, launch_id, wait_status),
            Event::ContainerLimited {
                launch_id,
                limitation,
            } => self.on_container_limited(turn, launch_id, *limitation),
            Event::Probed { id, outcome } => self.on_probed(turn, id, outcome),
            Event::ContainerVanished { launch_id } => {
                self.on_container_vanished(turn, launch_id);
            }
            Event::WardenLost { containers } => self.on_warden_lost(turn, &containers),
            Event::Stop(request) => self.on_stop(turn, request),
        }
    }

    fn run_timers(&mut self, turn: &mut Turn<'_>) {
        while let Some(key) = self.timers.pop_due(turn.now.mono_ns) {
            match key {
                TimerKey::Dial => self.dial(turn),
                TimerKey::MasterSilence => self.on_master_silence(turn),
                TimerKey::RecoveryWait => self.on_recovery_wait_over(turn),
                TimerKey::UpdateRetry(task) => self.on_update_retry(turn, task),
                TimerKey::Probe(task, purpose) => self.on_probe_timer(turn, task, purpose),
                TimerKey::Completion(task) => self.on_completion_time_over(turn, task),
                TimerKey::PreStop(executor) => self.on_pre_stop_over(turn, executor),
                TimerKey::KillGrace(executor) => self.on_kill_grace_over(turn, executor),
                TimerKey::ExecutorRegistration(executor) => {
                    self.on_registration_timeout(turn, executor);
                }
                TimerKey::ExecutorShutdown(executor) => self.on_shutdown_timeout(turn, executor),
                TimerKey::ExecutorHeartbeat(executor) => self.on_heartbeat_due(turn, executor),
            }
        }
    }

    /// The id given by the master, once there is one.
    pub fn agent_id(&self) -> Option<&str> {
        self.identity.agent.id.as_ref().map(|id| id.value.as_str())
    }

    pub(crate) fn framework_of(&self, id: &str) -> Option<FrameworkKey> {
        self.framework_keys.get(id).copied()
    }

    pub(crate) fn task_of(&self, framework_id: &str, task_id: &str) -> Option<TaskKey> {
        let framework = self.frameworks.get(self.framework_of(framework_id)?)?;
        framework.tasks.get(task_id).copied()
    }

    pub(crate) fn checkpoints(&self, framework: FrameworkKey) -> bool {
        self.frameworks
            .get(framework)
            .is_some_and(|framework| framework.traits.checkpoint)
    }

    pub(crate) fn is_terminating(&self, framework: FrameworkKey) -> bool {
        self.frameworks
            .get(framework)
            .is_none_or(|framework| framework.phase == FrameworkPhase::Terminating)
    }

    /// Adds to the journal if the framework checkpoints.
    pub(crate) fn checkpoint(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        record: Record,
    ) {
        let Some(entry) = self.frameworks.get(framework) else {
            return;
        };
        if !entry.traits.checkpoint {
            return;
        }
        let known = self
            .known_frameworks
            .get_mut(&entry.id)
            .expect("a framework on this agent is known");
        if !known.recorded {
            known.recorded = true;
            turn.checkpoint(Record::Framework {
                info: Arc::clone(&known.info),
            });
        }
        turn.checkpoint(record);
    }

    pub(crate) fn allocate_serial(&mut self) -> TaskSerial {
        let serial = TaskSerial(self.next_serial);
        self.next_serial += 1;
        serial
    }

    /// Where a container's sandbox lies, relative to the work directory. Flat: every folder costs an inode and a block at
    /// each launch. The path of Mesos's form that clients see is made by the shell.
    pub(crate) fn sandbox_path(
        framework_id: &str,
        container_id: crate::ids::ContainerId,
    ) -> String {
        format!("sandboxes/{framework_id}/{container_id}")
    }

    /// Forgets the cached views that show this executor.
    pub(crate) fn touch(&mut self, executor: ExecutorKey) {
        self.records = None;
        let Some(entry) = self.executors.get_mut(executor) else {
            return;
        };
        entry.record = None;
        let (framework, member) = (entry.framework, entry.member);
        if let Some(framework) = self.frameworks.get_mut(framework) {
            framework.record = None;
        }
        if let Some(pod) = member.and_then(|member| self.executors.get_mut(member.pod)) {
            pod.record = None;
        }
    }

    /// The executor of a launch, and whether it is the agent itself.
    pub(crate) fn launched(&self, launch_id: LaunchId) -> Option<(ExecutorKey, ExecutorKind)> {
        let key = *self.launches.get(&launch_id)?;
        self.executors.get(key).map(|executor| (key, executor.kind))
    }
}
