//! What could give way on agents for the sake of others, and how many more would fit then: for plans made in thought.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use mezz_resource::{Name, Resources, Value};

use super::InstanceHandle;
use super::candidates::Candidates;
use super::judge::{Misfit, take_wanted};
use super::shapes::Shape;
use crate::agent::Agent;
use crate::ids::{AgentIndex, Leaf};
use crate::scheduler::Scheduler;

/// What a place costs; the smallest is best.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Toll {
    kind: TollKind,
    /// The highest priority of the work that would end.
    priority: i32,
    /// How many offers or instances give way for it.
    count: usize,
    /// For how many more they make room.
    gain: Reverse<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum TollKind {
    #[default]
    Nothing,
    Offers,
    Work,
}

/// What gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// By its position among the offers that stand.
    Offer(usize),
    Work(InstanceHandle),
}

/// One that could give way on an agent.
#[derive(Debug, Clone)]
pub(super) struct Giver {
    pub(super) given: Given,
    pub(super) priority: i32,
    pub(super) resources: Resources,
}

/// All that could give way on an agent, in the order in which it would.
#[derive(Debug, Clone)]
pub(super) struct Yield {
    pub(super) givers: Vec<Giver>,
    /// How many instances find room once so many of them have given way.
    rooms: Vec<u64>,
}

/// What could give way, by agent.
pub(super) type Yields = BTreeMap<AgentIndex, Yield>;

impl Yield {
    /// So many have to give way for so many instances; none when that is too little.
    pub(super) fn needed(&self, instances: u64) -> Option<usize> {
        let needed = self.rooms.partition_point(|room| *room < instances);
        (needed < self.rooms.len()).then_some(needed)
    }

    /// All has given way that is to.
    pub(super) fn settled(room: u64) -> Self {
        Self {
            givers: Vec::new(),
            rooms: vec![room],
        }
    }

    /// How many instances find room once all have given way.
    pub(super) fn most(&self) -> u64 {
        self.rooms.last().copied().unwrap_or(0)
    }

    /// Lets no more than so many give way.
    fn truncate(&mut self, givers: usize) {
        self.givers.truncate(givers);
        self.rooms.truncate(givers + 1);
    }

    /// What one more instance than so many costs.
    fn toll(&self, taken: u64) -> Option<Toll> {
        let (before, after) = (self.needed(taken)?, self.needed(taken + 1)?);
        let more = &self.givers[before..after];
        let work = more
            .iter()
            .filter(|own| matches!(own.given, Given::Work(_)));
        let gain = Reverse(self.rooms[after] - taken);
        let ended = work.clone().count();
        Some(match (work.map(|own| own.priority).max(), more.len()) {
            (Some(priority), _) => Toll {
                kind: TollKind::Work,
                priority,
                count: ended,
                gain,
            },
            (None, 0) => Toll::default(),
            (None, count) => Toll {
                kind: TollKind::Offers,
                priority: 0,
                count,
                gain,
            },
        })
    }
}

impl Candidates {
    /// What a place on an agent costs, if there is one.
    pub(super) fn toll(
        &self,
        sched: &Scheduler,
        shape: &Shape,
        (index, agent): (AgentIndex, &Agent),
    ) -> Result<Toll, Misfit> {
        let taken = self.taken(index);
        let own = self.yields.get(&index);
        if let Some(toll) = own.and_then(|own| own.toll(u64::from(taken))) {
            return Ok(toll);
        }
        sched.fits(shape, agent, taken)?;
        Ok(Toll::default())
    }

    /// The same candidates when all of this could give way.
    pub(super) fn with_yields(&self, sched: &Scheduler, shape: &Shape, yields: Yields) -> Self {
        let mut thought = self.clone();
        let agents: Vec<AgentIndex> = yields.keys().copied().collect();
        thought.yields = yields;
        for agent in agents {
            thought.list(sched, shape, agent);
        }
        thought
    }
}

impl Scheduler {
    /// What could give way on an agent for one of these, the cheapest first: offers, then work from the lowest priority
    /// on. Nothing that is not asked for `most` instances is counted.
    pub(super) fn yield_of(
        &self,
        shape: &Shape,
        agent: AgentIndex,
        givers: Vec<Giver>,
        most: u64,
    ) -> Option<Yield> {
        let mut free = self.agent(agent)?.available.clone();
        let mut rooms = vec![self.room_in(shape, &free, most)];
        for giver in &givers {
            free += &giver.resources;
            rooms.push(self.room_in(shape, &free, most));
        }
        let needed = rooms.partition_point(|room| *room < most);
        let mut own = Yield { givers, rooms };
        own.truncate(needed);
        Some(own)
    }

    /// The work on an agent that may be ended for a leaf's demand of some priority: the lowest priority first. What the
    /// shape's rules look at stays.
    pub(super) fn workers(
        &self,
        shape: &Shape,
        leaf: Leaf,
        agent: AgentIndex,
        priority: i32,
    ) -> Vec<Giver> {
        let role = &self.roles.node(leaf.role).path;
        let instances = &self.queue.instances;
        let expendable = instances.expendable(agent, leaf.framework, role, priority);
        let expendable = expendable.filter(|(instance, running)| {
            !self.queue.ending.contains(instance) && !shape.key.watches(running.group)
        });
        let givers = expendable.map(|(instance, running)| Giver {
            given: Given::Work(instance),
            priority: running.priority,
            resources: running.resources.unallocated(),
        });
        givers.collect()
    }

    /// How many instances find room in a list, counted up to `most`.
    pub(super) fn room_in(&self, shape: &Shape, free: &Resources, most: u64) -> u64 {
        let is_simple = free.iter().all(|own| own.traits().is_none());
        if !is_simple || shape.is_exact || !shape.key.ports.fixed.is_empty() {
            return self.exact_room_in(shape, free, most);
        }
        let needs = shape.quantities.iter().filter(|(_, need)| need.0 > 0);
        let by_scalars = needs.map(|(name, need)| {
            let amount = free.scalar(name.as_str()).0;
            u64::try_from(amount / need.0).unwrap_or(0)
        });
        let room = by_scalars.min().unwrap_or(most).min(most);
        match u64::from(shape.key.ports.any) {
            0 => room,
            any => room.min(count_ports(free) / any),
        }
    }

    fn exact_room_in(&self, shape: &Shape, free: &Resources, most: u64) -> u64 {
        let leaf = shape.key.leaf;
        let mut left = self.usable_here(free, leaf.framework, leaf.role);
        let mut room = 0;
        while room < most && take_wanted(&mut left, &shape.key.request, &shape.key.ports).is_ok() {
            room += 1;
        }
        room
    }
}

fn count_ports(free: &Resources) -> u64 {
    let ports = free.iter().filter(|own| *own.name() == Name::Ports);
    let counts = ports.map(|own| match own.value() {
        Value::Ranges(ranges) => ranges.count(),
        _ => 0,
    });
    counts.fold(0, u64::saturating_add)
}
