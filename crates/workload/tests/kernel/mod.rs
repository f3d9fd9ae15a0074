//! A kernel of a few lines: it places demands at once where there is room, runs instances, keeps the store and the timers,
//! and lets tests say how each instance ends.
#![allow(dead_code, unreachable_pub, unused_imports)]

mod agents;
mod machine;
mod talk;

pub use talk::{name, object, service};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use mezz_proto::agent_protocol::InstanceTerms;
use mezz_proto::v1::{self, TaskState};
use mezz_sched::{Demand, DemandKey};
use mezz_state::time::{Mono, Now, Wall};
use mezz_workload::Workloads;
use mezz_workload::call::Reply;
use mezz_workload::event::{AgentInfo, CheckFound, Event, FoundByMany, TimerKey};
use mezz_workload::fact::Fact;

pub const SECOND: u64 = 1_000_000_000;

/// What a task does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// It runs as soon as it is launched.
    pub starts: bool,
    /// It ends as soon as it is told to.
    pub ends: bool,
}

#[derive(Clone, Debug)]
pub struct Agent {
    pub info: AgentInfo,
    /// In thousandths.
    pub cpus: i64,
    pub next_port: u16,
    pub is_up: bool,
}

#[derive(Clone, Debug)]
pub struct Task {
    pub info: v1::TaskInfo,
    pub agent: Arc<str>,
    pub group: u64,
    pub cpus: i64,
    pub state: TaskState,
    pub healthy: Option<bool>,
    pub check: Option<CheckFound>,
    pub findings: Option<Box<FoundByMany>>,
    pub launched_at: u64,
    pub told_to_end: bool,
}

pub struct Kernel {
    /// What launches said besides their tasks.
    pub terms: BTreeMap<String, Option<Box<InstanceTerms>>>,
    pub workloads: Workloads,
    pub now: u64,
    pub agents: BTreeMap<Arc<str>, Agent>,
    pub demands: BTreeMap<DemandKey, Demand>,
    pub tasks: BTreeMap<String, Task>,
    pub store: BTreeMap<String, Bytes>,
    pub timers: BTreeMap<TimerKey, Wall>,
    pub replies: BTreeMap<u64, Reply>,
    pub facts: Vec<Fact>,
    /// When and whom.
    pub kills: Vec<(u64, String)>,
    /// When and what.
    pub launches: Vec<(u64, v1::TaskInfo)>,
    pub manners: Manners,
    /// Looked at after each event.
    pub watch: Option<fn(&Kernel)>,
    events: VecDeque<Event>,
    next_request: u64,
    /// Placements are held back.
    pub is_full: bool,
    pub unreachable: BTreeSet<Arc<str>>,
    /// Group and cpus of what is being placed.
    placing: Option<(u64, i64)>,
    /// Of what was placed last.
    pub last_role: Option<String>,
    /// So many of these objects have to go on serving.
    pub floors: BTreeMap<u32, u32>,
}

/// Whether what follows is the controllers' own doing.
fn is_voluntary(event: &Event) -> bool {
    match event {
        Event::Placed(_) | Event::Timer(_) | Event::Metrics { .. } => true,
        Event::Status { status, .. } => {
            status.state == TaskState::TaskRunning && status.check == Some(CheckFound::Command(0))
        }
        Event::Call { .. }
        | Event::Preempted { .. }
        | Event::Agent(_)
        | Event::Restored(_)
        | Event::Reconciled => false,
    }
}

impl Kernel {
    /// Agents of 100 cpus each, all up, and nothing in the store.
    pub fn new(agents: usize) -> Self {
        let mut kernel = Self {
            terms: BTreeMap::new(),
            workloads: Workloads::new(),
            now: 1_000_000 * SECOND,
            agents: BTreeMap::new(),
            demands: BTreeMap::new(),
            tasks: BTreeMap::new(),
            store: BTreeMap::new(),
            timers: BTreeMap::new(),
            replies: BTreeMap::new(),
            facts: Vec::new(),
            kills: Vec::new(),
            launches: Vec::new(),
            manners: Manners {
                starts: true,
                ends: true,
            },
            watch: None,
            events: VecDeque::new(),
            next_request: 0,
            is_full: false,
            unreachable: BTreeSet::new(),
            placing: None,
            last_role: None,
            floors: BTreeMap::new(),
        };
        for number in 0..agents {
            kernel.add_agent(number);
        }
        kernel.send(Event::Restored(Vec::new()));
        kernel.tell_agents();
        kernel.send(Event::Reconciled);
        kernel.settle();
        kernel
    }

    /// An event, now, without what follows from it.
    pub fn send(&mut self, event: Event) {
        let mut effects = mezz_workload::effect::Effects::default();
        let now = Now {
            mono: Mono(self.now),
            wall: Wall(self.now),
        };
        let is_placed = matches!(event, Event::Placed(_));
        let placed = if let Event::Placed(placed) = &event {
            Some(placed.clone())
        } else {
            None
        };
        let voluntary = is_voluntary(&event);
        let before = self.serving();
        self.workloads.handle(now, event, &mut effects);
        if voluntary {
            self.check_floor(&before);
        }
        let answers = effects.list.iter().filter(|effect| {
            matches!(
                effect,
                mezz_workload::effect::Effect::Launch(_) | mezz_workload::effect::Effect::Decline
            )
        });
        assert_eq!(answers.count(), usize::from(is_placed));
        for effect in effects.list {
            self.perform(effect, placed.as_ref());
        }
        if let Some(watch) = self.watch {
            watch(self);
        }
    }

    /// How many instances of each service serve.
    fn serving(&self) -> BTreeMap<u32, u32> {
        let mut serving = BTreeMap::new();
        if self.floors.is_empty() {
            return serving;
        }
        for (_, instance) in self.workloads.records().instances.iter() {
            let serves = instance.ready && !instance.parked && instance.ending.is_none();
            *serving.entry(instance.object.0).or_default() += u32::from(serves);
        }
        serving
    }

    /// No act of the controllers goes below what a service is promised.
    fn check_floor(&self, before: &BTreeMap<u32, u32>) {
        let after = self.serving();
        for (object, floor) in &self.floors {
            let count = |serving: &BTreeMap<u32, u32>| serving.get(object).copied().unwrap_or(0);
            let (before, after) = (count(before), count(&after));
            assert!(
                after >= before || after >= *floor,
                "{before} instances of {object} served, {after} are left of {floor} promised"
            );
        }
    }

    /// All that follows, as long as no time passes.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            if let Some(event) = self.events.pop_front() {
                self.send(event);
            } else if !self.place_one() {
                return;
            }
        }
        panic!("it goes on for ever: {:?}", self.demands);
    }

    /// Time passes; timers go off in order.
    pub fn pass(&mut self, seconds: u64) {
        self.pass_ns(seconds * SECOND);
    }

    pub fn pass_ns(&mut self, span: u64) {
        let end = self.now + span;
        self.settle();
        let mut rounds = 0;
        while let Some((key, at)) = self.next_timer().filter(|(_, at)| at.0 <= end) {
            rounds += 1;
            assert!(rounds < 5_000, "{key:?} goes off for ever");
            self.timers.remove(&key);
            self.now = self.now.max(at.0);
            self.send(Event::Timer(key));
            self.settle();
        }
        self.now = end;
    }

    fn next_timer(&self) -> Option<(TimerKey, Wall)> {
        let (key, at) = self.timers.iter().min_by_key(|(_, at)| **at)?;
        Some((*key, *at))
    }

    /// The master goes down and another takes over from the store; agents report their tasks.
    pub fn restart(&mut self) {
        self.take_over();
        self.tell_agents();
        let running: Vec<String> = self.tasks.keys().cloned().collect();
        for id in running {
            if !self.unreachable.contains(&self.tasks[&id].agent) {
                self.tell(&id);
            }
        }
        self.settle();
        self.send(Event::Reconciled);
        self.settle();
    }

    /// The first half of a restart: no agent has reported yet.
    pub fn take_over(&mut self) {
        self.now += 1_000;
        self.workloads = Workloads::new();
        self.timers.clear();
        self.demands.clear();
        self.events.clear();
        let pairs = self
            .store
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        self.send(Event::Restored(pairs));
    }
}
