//! A cluster of twenty lines for the controllers: places what is demanded, runs what is launched, keeps what is written,
//! and lets a test say how each task ends and when the master dies.

#![allow(dead_code, unused_imports, reason = "each test file uses a part")]

mod users;
mod words;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use mezz_proto::v1::{TaskInfo, TaskState};
use mezz_sched::{Demand, DemandKey};
use mezz_state::time::{Mono, Now, SECOND_NS, Wall};
use mezz_workload::Workloads;
use mezz_workload::call::Reply;
use mezz_workload::effect::{Effect, Effects};
use mezz_workload::event::{AgentNews, Event, Placed, TimerKey};
use mezz_workload::fact::Fact;

pub(crate) use words::{apply, info, job, object, run, status};

/// 2026-01-01T00:00:00Z.
pub(crate) const START: u64 = 1_767_225_600 * SECOND_NS;

pub(crate) struct Agent {
    pub(crate) is_up: bool,
    pub(crate) room: usize,
}

pub(crate) struct Task {
    pub(crate) agent: String,
    pub(crate) info: TaskInfo,
    pub(crate) state: TaskState,
}

pub(crate) struct Cluster {
    pub(crate) w: Workloads,
    pub(crate) wall: u64,
    mono: u64,
    pub(crate) store: BTreeMap<String, Bytes>,
    pub(crate) writes: Vec<Vec<String>>,
    pub(crate) demands: BTreeMap<DemandKey, Demand>,
    pub(crate) agents: BTreeMap<String, Agent>,
    pub(crate) tasks: BTreeMap<String, Task>,
    timers: BTreeMap<TimerKey, u64>,
    pub(crate) facts: Vec<Arc<Fact>>,
    replies: BTreeMap<u64, Reply>,
    pub(crate) launched: Vec<String>,
    pub(crate) killed: Vec<String>,
    /// Whether a kill ends its task at once.
    pub(crate) obeys: bool,
    queue: VecDeque<Event>,
    next_request: u64,
}

/// Where a master dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    BeforeWrite,
    AfterWrite,
}

impl Cluster {
    pub(crate) fn new(agents: usize, room: usize) -> Self {
        let agents = (0..agents).map(|n| (format!("agent-{n}"), Agent { is_up: true, room }));
        let mut cluster = Self {
            w: Workloads::new(),
            wall: START,
            mono: 0,
            store: BTreeMap::new(),
            writes: Vec::new(),
            demands: BTreeMap::new(),
            agents: agents.collect(),
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            facts: Vec::new(),
            replies: BTreeMap::new(),
            launched: Vec::new(),
            killed: Vec::new(),
            obeys: true,
            queue: VecDeque::new(),
            next_request: 0,
        };
        cluster.take_over();
        cluster
    }

    fn take_over(&mut self) {
        let pairs = self.store.clone().into_iter().collect();
        self.send(Event::Restored(pairs));
        for (id, agent) in &self.agents {
            if agent.is_up {
                self.queue.push_back(Event::Agent(AgentNews::Up(info(id))));
            } else {
                let news = AgentNews::Unreachable(id.as_str().into());
                self.queue.push_back(Event::Agent(news));
            }
        }
        for (id, task) in &self.tasks {
            if self.agents[&task.agent].is_up {
                self.queue.push_back(status(id, task.state, None, ""));
            }
        }
        self.queue.push_back(Event::Reconciled);
        self.pump();
    }

    /// Another master takes over.
    pub(crate) fn restart(&mut self) {
        self.w = Workloads::new();
        self.demands.clear();
        self.timers.clear();
        self.queue.clear();
        self.take_over();
    }

    /// The master dies while it handles an event; another takes over.
    pub(crate) fn die(&mut self, event: Event, death: Death) {
        let mut effects = Effects::default();
        self.w.handle(self.now(), event, &mut effects);
        if death == Death::AfterWrite {
            for effect in effects.list {
                if let Effect::Persist(writes) = effect {
                    self.write(writes);
                }
            }
        }
        self.restart();
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            mono: Mono(self.mono),
            wall: Wall(self.wall),
        }
    }

    pub(crate) fn send(&mut self, event: Event) {
        self.queue.push_back(event);
        self.pump();
    }

    fn pump(&mut self) {
        while let Some(event) = self.queue.pop_front() {
            self.handle(event, None);
            self.place();
        }
    }

    fn handle(&mut self, event: Event, placed_on: Option<&str>) {
        let mut effects = Effects::default();
        self.w.handle(self.now(), event, &mut effects);
        let mut answers = 0;
        for effect in effects.list {
            match effect {
                Effect::Persist(writes) => self.write(writes),
                Effect::Reply { request, reply } => {
                    self.replies.insert(request.0, reply);
                }
                Effect::Demand { key, demand } => {
                    assert!(demand.count > 0);
                    self.demands.insert(key, *demand);
                }
                Effect::Withdraw(key) => {
                    self.demands.remove(&key);
                }
                Effect::Launch(launch) => {
                    answers += 1;
                    let agent = placed_on.expect("a launch answers a place");
                    self.launch(agent, launch.task);
                }
                Effect::Decline => answers += 1,
                Effect::Expect { .. } => {}
                Effect::Kill { instance, .. } => self.kill(&instance),
                Effect::SetTimer { key, at } => {
                    self.timers.insert(key, at.0);
                }
                Effect::CancelTimer(key) => {
                    self.timers.remove(&key);
                }
                Effect::Fact(fact) => self.facts.push(fact),
            }
        }
        assert_eq!(
            answers,
            usize::from(placed_on.is_some()),
            "one answer to a place"
        );
    }

    fn write(&mut self, writes: Vec<(String, Option<Bytes>)>) {
        self.writes
            .push(writes.iter().map(|(key, _)| key.clone()).collect());
        for (key, value) in writes {
            match value {
                Some(value) => self.store.insert(key, value),
                None => self.store.remove(&key),
            };
        }
    }

    fn launch(&mut self, agent: &str, info: TaskInfo) {
        let id = info.task_id.value.clone();
        assert!(!self.tasks.contains_key(&id), "{id} is launched twice");
        self.launched.push(id.clone());
        let task = Task {
            agent: agent.to_owned(),
            info,
            state: TaskState::TaskStaging,
        };
        self.tasks.insert(id, task);
    }

    fn kill(&mut self, id: &str) {
        self.killed.push(id.to_owned());
        let is_reached = self
            .tasks
            .get(id)
            .is_some_and(|task| self.agents[&task.agent].is_up);
        if self.obeys && is_reached {
            self.tasks.remove(id);
            self.queue
                .push_back(status(id, TaskState::TaskKilled, None, ""));
        }
    }

    fn free(&self, agent: &str) -> usize {
        let used = self
            .tasks
            .values()
            .filter(|task| task.agent == agent)
            .count();
        let agent = &self.agents[agent];
        if agent.is_up {
            agent.room.saturating_sub(used)
        } else {
            0
        }
    }

    /// Places what is demanded, one at a time, on the emptiest agent.
    fn place(&mut self) {
        while let Some((key, agent)) = self.next_place() {
            let demand = self.demands.get_mut(&key).expect("it was just seen");
            demand.count -= 1;
            demand.gang = false;
            if demand.count == 0 {
                self.demands.remove(&key);
            }
            let placed = Placed {
                demand: key,
                agent: info(&agent),
                ports: Vec::new(),
                resources: Vec::new(),
            };
            self.handle(Event::Placed(placed), Some(&agent));
        }
    }

    fn next_place(&self) -> Option<(DemandKey, String)> {
        let total: usize = self.agents.keys().map(|id| self.free(id)).sum();
        let mut demands: Vec<_> = self.demands.iter().collect();
        demands.sort_by_key(|(key, demand)| (-demand.priority, **key));
        let fits = |demand: &Demand| !demand.gang || demand.count <= total as u64;
        let (key, _) = demands.into_iter().find(|(_, demand)| fits(demand))?;
        let agent = self.agents.keys().max_by_key(|id| self.free(id))?;
        (self.free(agent) > 0).then(|| (*key, agent.clone()))
    }

    /// Time passes; timers fire in their order.
    pub(crate) fn pass(&mut self, seconds: u64) {
        let until = self.wall + seconds * SECOND_NS;
        while let Some((key, at)) = self.due(until) {
            let later = at.max(self.wall);
            self.mono += later - self.wall;
            self.wall = later;
            self.timers.remove(&key);
            self.send(Event::Timer(key));
        }
        self.mono += until - self.wall;
        self.wall = until;
    }

    fn due(&self, until: u64) -> Option<(TimerKey, u64)> {
        let due = self.timers.iter().filter(|(_, at)| **at <= until);
        due.min_by_key(|(_, at)| **at).map(|(key, at)| (*key, *at))
    }

    /// The clock is set; timers notice.
    pub(crate) fn set_clock(&mut self, wall: u64) {
        self.wall = wall;
        self.pass(0);
    }
}
