//! The agents that a shape may go to, in the order of how well they fit, kept up to date from change to change.
//!
//! Agents that share the values of all wide keys form a partition; a bound that forbids one value closes partitions,
//! not agents.

use std::collections::{BTreeMap, BTreeSet};

use super::agent_test::AgentTest;
use super::cache::Change;
use super::counts::{Excess, KeyCounts};
use super::give_way::Yields;
use super::judge::Score;
use super::shapes::{Shape, ShapeKey};
use crate::agent::Agent;
use crate::config::Capability;
use crate::ids::{AgentIndex, Slot};
use crate::scheduler::Scheduler;

/// Whether an agent as such is for the shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stand {
    /// There is none, or nobody has looked yet.
    #[default]
    Unknown,
    OtherRegion,
    Rule(u32),
    NoValue(u32),
    /// With the sum of the preferences it meets.
    Admitted(i64),
}

/// What is known of one agent.
#[derive(Debug, Clone, Default)]
pub(super) struct Seat {
    pub(super) stand: Stand,
    /// Its value of each counted key.
    values: Vec<u32>,
    /// How many instances of the group are counted for it.
    counted: u32,
    listed: Option<(usize, Score)>,
}

/// No value.
const NONE: u32 = u32::MAX;

/// The agents that share all wide values.
#[derive(Debug, Clone)]
pub(super) struct Partition {
    values: Vec<u32>,
    fitting: BTreeSet<(Score, AgentIndex)>,
}

/// The agents of a shape.
#[derive(Debug, Clone)]
pub(crate) struct Candidates {
    /// Up to which change it has read; none before the first look at all agents.
    cursor: Option<u64>,
    require: Vec<AgentTest>,
    prefer: Vec<(AgentTest, i64)>,
    /// Whether all agents of a class pass the same tests.
    by_class: bool,
    classes: Vec<Stand>,
    pub(super) keys: Vec<KeyCounts>,
    seats: Vec<Seat>,
    pub(super) partitions: Vec<Partition>,
    by_values: BTreeMap<Vec<u32>, usize>,
    /// Instances put on agents in thought.
    supposed: BTreeMap<AgentIndex, u32>,
    /// What could give way, in thought.
    pub(super) yields: Yields,
}

impl Candidates {
    pub(super) fn new(key: &ShapeKey) -> Self {
        let rules = &key.rules;
        let tested = rules
            .require
            .iter()
            .chain(rules.prefer.iter().map(|(rule, _)| rule));
        Self {
            cursor: None,
            require: rules.require.iter().map(AgentTest::new).collect(),
            prefer: rules
                .prefer
                .iter()
                .map(|(rule, weight)| (AgentTest::new(rule), i64::from(*weight)))
                .collect(),
            by_class: !tested.into_iter().any(|rule| rule.key.tells_agents_apart()),
            classes: Vec::new(),
            keys: KeyCounts::of(rules),
            seats: Vec::new(),
            partitions: Vec::new(),
            by_values: BTreeMap::new(),
            supposed: BTreeMap::new(),
            yields: Yields::new(),
        }
    }

    pub(super) fn seat(&self, agent: AgentIndex) -> &Seat {
        const EMPTY: &Seat = &Seat {
            stand: Stand::Unknown,
            values: Vec::new(),
            counted: 0,
            listed: None,
        };
        self.seats.get(agent.slot()).unwrap_or(EMPTY)
    }

    /// How many instances have been put on an agent in thought.
    pub(super) fn taken(&self, agent: AgentIndex) -> u32 {
        if self.supposed.is_empty() {
            return 0;
        }
        self.supposed.get(&agent).copied().unwrap_or(0)
    }

    /// The counted keys with the agent's values of them.
    pub(super) fn values_of(&self, agent: AgentIndex) -> impl Iterator<Item = (&KeyCounts, u32)> {
        let values = self.seat(agent).values.iter().copied();
        self.keys
            .iter()
            .zip(values)
            .filter(|(_, value)| *value != NONE)
    }

    /// Takes in what has changed; says whether it had to look at all agents.
    pub(super) fn refresh(&mut self, sched: &Scheduler, shape: &Shape) -> bool {
        let changes = &sched.queue.changes.0;
        let end = changes.end();
        let behind = self.cursor.and_then(|cursor| changes.since(cursor));
        self.cursor = Some(end);
        let Some(list) = behind else {
            self.look_at_all(sched, shape);
            self.cursor = Some(end);
            return true;
        };
        let least: Vec<u32> = self.leasts().collect();
        for (at, change) in list.iter().enumerate() {
            if list.get(at + 1) != Some(change) {
                self.take_in(sched, shape, *change);
            }
        }
        if !self.leasts().eq(least) {
            self.list_all(sched, shape);
        }
        false
    }

    fn look_at_all(&mut self, sched: &Scheduler, shape: &Shape) {
        *self = Self {
            supposed: std::mem::take(&mut self.supposed),
            ..Self::new(&shape.key)
        };
        for agent in sched.agent_indices() {
            self.learn(sched, shape, agent);
        }
        self.list_all(sched, shape);
    }

    /// The emptiest values on which the fitness of single agents depends.
    fn leasts(&self) -> impl Iterator<Item = u32> {
        let watched = self
            .keys
            .iter()
            .filter(|key| !key.is_wide && key.watches_least());
        watched.map(KeyCounts::least)
    }

    fn take_in(&mut self, sched: &Scheduler, shape: &Shape, change: Change) {
        let agent = match change {
            Change::Contents(agent) => agent,
            Change::Kind(agent) => {
                self.forget(agent);
                agent
            }
        };
        if self.seat(agent).stand == Stand::Unknown {
            self.learn(sched, shape, agent);
        }
        self.recount(sched, shape, agent);
        self.list(sched, shape, agent);
    }

    /// An agent is not what it was.
    fn forget(&mut self, agent: AgentIndex) {
        self.classes.clear();
        self.unlist(agent);
        let Some(seat) = self.seats.get_mut(agent.slot()) else {
            return;
        };
        let seat = std::mem::take(seat);
        let is_admitted = matches!(seat.stand, Stand::Admitted(_));
        for (key, value) in self.keys.iter_mut().zip(seat.values) {
            if value != NONE {
                key.recount(value, seat.counted, 0);
                key.leave(value, agent, is_admitted);
            }
        }
    }

    /// Finds out what does not change with what is free.
    fn learn(&mut self, sched: &Scheduler, shape: &Shape, index: AgentIndex) {
        if self.seats.len() <= index.slot() {
            self.seats.resize(index.slot() + 1, Seat::default());
        }
        let Some(agent) = sched.agent(index) else {
            return;
        };
        let mut stand = self.stand(sched, shape, agent);
        let mut values = Vec::new();
        for (place, key) in (0u32..).zip(&mut self.keys) {
            let value = key.key.find(&agent.spec);
            let value = value.map_or(NONE, |found| key.intern(&found.text()));
            if value == NONE && matches!(stand, Stand::Admitted(_)) {
                stand = Stand::NoValue(place);
            }
            values.push(value);
        }
        let is_admitted = matches!(stand, Stand::Admitted(_));
        for (key, value) in self.keys.iter_mut().zip(&values) {
            if *value != NONE {
                key.join(*value, index, is_admitted);
            }
        }
        let seat = &mut self.seats[index.slot()];
        seat.stand = stand;
        seat.values = values;
        self.count(sched, shape, index);
    }

    fn stand(&mut self, sched: &Scheduler, shape: &Shape, agent: &Agent) -> Stand {
        let class = agent.class.filter(|_| self.by_class).map(Slot::slot);
        let known = class.and_then(|class| self.classes.get(class));
        if let Some(known) = known.filter(|known| **known != Stand::Unknown) {
            return *known;
        }
        let capabilities = sched.capabilities(shape.key.leaf.framework);
        let failed = self
            .require
            .iter()
            .position(|test| !test.passes(&agent.spec));
        let stand = if agent.remote && !capabilities.has(Capability::RegionAware) {
            Stand::OtherRegion
        } else if let Some(rule) = failed {
            Stand::Rule(u32::try_from(rule).expect("fewer than 2^32 rules"))
        } else {
            let met = self
                .prefer
                .iter()
                .filter(|(test, _)| test.passes(&agent.spec));
            Stand::Admitted(met.map(|(_, weight)| weight).sum())
        };
        if let Some(class) = class {
            if self.classes.len() <= class {
                self.classes.resize(class + 1, Stand::Unknown);
            }
            self.classes[class] = stand;
        }
        stand
    }

    /// Takes in how many instances run on an agent; says whether that has changed.
    fn count(&mut self, sched: &Scheduler, shape: &Shape, agent: AgentIndex) -> bool {
        let Some(group) = shape.key.group else {
            return false;
        };
        let now = sched.queue.instances.count(group, agent) + self.taken(agent);
        let Some(seat) = self.seats.get_mut(agent.slot()) else {
            return false;
        };
        let before = std::mem::replace(&mut seat.counted, now);
        if before == now {
            return false;
        }
        for (key, value) in self.keys.iter_mut().zip(&seat.values) {
            if *value != NONE {
                key.recount(*value, before, now);
            }
        }
        true
    }

    /// The same, and looks again at the agents that share a value that is not wide.
    fn recount(&mut self, sched: &Scheduler, shape: &Shape, agent: AgentIndex) {
        if !self.count(sched, shape, agent) {
            return;
        }
        let mut others = Vec::new();
        for (key, value) in self.values_of(agent).filter(|(key, _)| !key.is_wide) {
            others.extend(key.members(value).iter().filter(|own| **own != agent));
        }
        for other in others {
            self.list(sched, shape, other);
        }
    }

    fn list_all(&mut self, sched: &Scheduler, shape: &Shape) {
        for agent in sched.agent_indices() {
            self.list(sched, shape, agent);
        }
    }

    /// Lists an agent where it belongs now, if it fits.
    pub(super) fn list(&mut self, sched: &Scheduler, shape: &Shape, agent: AgentIndex) {
        let score = self.judge(sched, shape, agent).ok();
        let listed = self.seat(agent).listed;
        if listed.map(|(_, score)| score) == score {
            return;
        }
        self.unlist(agent);
        let Some(score) = score else {
            return;
        };
        let partition = match listed {
            Some((partition, _)) => partition,
            None => self.partition_of(agent),
        };
        self.partitions[partition].fitting.insert((score, agent));
        self.seats[agent.slot()].listed = Some((partition, score));
    }

    fn unlist(&mut self, agent: AgentIndex) {
        let seat = self.seats.get_mut(agent.slot());
        if let Some((partition, score)) = seat.and_then(|seat| seat.listed.take()) {
            self.partitions[partition].fitting.remove(&(score, agent));
        }
    }

    fn partition_of(&mut self, agent: AgentIndex) -> usize {
        let wide = self.keys.iter().zip(&self.seats[agent.slot()].values);
        let wide = wide.filter(|(key, _)| key.is_wide);
        let values: Vec<u32> = wide.map(|(_, value)| *value).collect();
        if let Some(partition) = self.by_values.get(&values) {
            return *partition;
        }
        let partition = self.partitions.len();
        self.by_values.insert(values.clone(), partition);
        self.partitions.push(Partition {
            values,
            fitting: BTreeSet::new(),
        });
        partition
    }

    /// Which bound forbids all agents with these values.
    fn closed(&self, values: &[u32]) -> Option<Excess> {
        let wide = self.keys.iter().filter(|key| key.is_wide);
        let mut verdicts = wide.zip(values).map(|(key, value)| key.admits(*value));
        verdicts.find_map(Result::err)
    }

    /// Which bound forbids the partition of an agent.
    pub(super) fn closed_for(&self, agent: AgentIndex) -> Option<Excess> {
        let wide = self.values_of(agent).filter(|(key, _)| key.is_wide);
        wide.map(|(key, value)| key.admits(value))
            .find_map(Result::err)
    }

    /// The best agent of those that pass a condition.
    pub(super) fn best(&self, free: impl Fn(AgentIndex) -> bool) -> Option<AgentIndex> {
        let open = self.partitions.iter().filter(|partition| {
            !partition.fitting.is_empty() && self.closed(&partition.values).is_none()
        });
        let best = open.filter_map(|partition| {
            let mut fitting = partition.fitting.iter();
            fitting.find(|(_, agent)| free(*agent))
        });
        best.min().map(|(_, agent)| *agent)
    }

    /// All agents that fit, whether or not a bound forbids their values.
    pub(super) fn fitting(&self) -> impl Iterator<Item = AgentIndex> {
        let partitions = self.partitions.iter();
        partitions.flat_map(|partition| partition.fitting.iter().map(|(_, agent)| *agent))
    }

    /// The agents that as such are for the shape, whether or not they have room.
    pub(super) fn admitted(&self) -> impl Iterator<Item = AgentIndex> {
        let seats = (0u32..).zip(&self.seats);
        seats
            .filter(|(_, seat)| matches!(seat.stand, Stand::Admitted(_)))
            .map(|(agent, _)| AgentIndex(agent))
    }

    /// The partition in which an agent fits.
    pub(super) fn place_of(&self, agent: AgentIndex) -> Option<usize> {
        self.seat(agent).listed.map(|(partition, _)| partition)
    }

    /// Puts an instance on an agent in thought.
    pub(super) fn suppose(&mut self, sched: &Scheduler, shape: &Shape, agent: AgentIndex) {
        *self.supposed.entry(agent).or_insert(0) += 1;
        let least: Vec<u32> = self.leasts().collect();
        self.recount(sched, shape, agent);
        self.list(sched, shape, agent);
        if !self.leasts().eq(least) {
            self.list_all(sched, shape);
        }
    }
}
