//! Room for a gang that fits nowhere whole: what would have to give way is counted first, and only if the gang then fits
//! does anything give way, all of it at once.
//!
//! What is free comes first, then offers that lie, then work of the lowest priority. What turns out not to be needed for
//! the whole is spared. All agents of the plan are kept for the gang until it is there, for a limited time.

use std::collections::{BTreeMap, BTreeSet};

use mezz_resource::Resources;

use super::candidates::Candidates;
use super::give_way::{Given, Giver, Yield, Yields};
use super::recall::RECALL_HOLD_NS;
use super::shapes::{Shape, ShapeIndex};
use super::{DemandKey, Eviction, InstanceHandle, Preemption};
use crate::agent::Agent;
use crate::earmark::{Earmark, Keep};
use crate::ids::AgentIndex;
use crate::recall::Outstanding;
use crate::scheduler::Scheduler;

/// So many times at most it is tried whether a gang fits with less.
const MOST_TRIALS: usize = 64;

/// So much longer the room is kept for each instance that has to end: they are told a few at a time.
const VICTIM_NS: u64 = 20_000_000;

/// Offers by agent, by their positions, the oldest first.
pub(super) type OffersByAgent = BTreeMap<AgentIndex, Vec<usize>>;

/// What gives way for a gang.
#[derive(Debug, Default)]
pub(super) struct GangRoom {
    /// Where the gang goes.
    agents: BTreeSet<AgentIndex>,
    victims: BTreeMap<AgentIndex, Vec<InstanceHandle>>,
    /// By their positions.
    pub(super) offers: Vec<usize>,
}

impl Scheduler {
    /// What has to give way so that all of a gang fits; none if that would not help, or nothing is in its way.
    pub(super) fn room_for_gang(
        &mut self,
        index: ShapeIndex,
        demand: DemandKey,
        offers: &[Outstanding<'_>],
        by_agent: &OffersByAgent,
    ) -> Option<GangRoom> {
        let count = self.queue.get(demand)?.demand.count;
        if self.ending_for(demand) > 0 || !self.has_quota(index) {
            return None;
        }
        let candidates = self.informed_candidates(index);
        let shape = self.queue.shapes.get(index);
        let yields = self.yields(shape, &candidates, demand, (offers, by_agent));
        let free = |agent: AgentIndex| self.is_open_for(agent, demand);
        let room = if yields.is_empty() {
            None
        } else {
            let thought = candidates.with_yields(self, shape, yields);
            let places = self.plan(&thought, shape, count, &free);
            places.map(|places| self.least_room(shape, &candidates, &thought, places))
        };
        self.keep_candidates(index, candidates);
        room
    }

    /// How many of a gang find room once all has ended that may end for it.
    pub(super) fn room_after_all(
        &self,
        shape: &Shape,
        candidates: &Candidates,
        demand: DemandKey,
    ) -> u64 {
        let count = self.wanted(demand);
        let yields = self.yields(shape, candidates, demand, (&[], &OffersByAgent::new()));
        let thought = candidates.with_yields(self, shape, yields);
        let free = |agent: AgentIndex| self.is_open_for(agent, demand);
        self.fill(&thought, shape, count, &free).len() as u64
    }

    /// How many instances were told to end for a demand and have not yet.
    pub(super) fn ending_for(&self, demand: DemandKey) -> usize {
        let ending = self.queue.ending.iter();
        let ending = ending.filter_map(|instance| self.queue.instances.get(*instance));
        ending
            .filter(|running| {
                let own = self.earmarks.get(&running.agent);
                own.is_some_and(|own| own.keep == Keep::Room(demand))
            })
            .count()
    }

    /// Whether an agent is kept for nobody else.
    fn is_open_for(&self, agent: AgentIndex, demand: DemandKey) -> bool {
        let own = self.earmarks.get(&agent);
        own.is_none_or(|own| own.keep.demand() == Some(demand))
    }

    fn yields(
        &self,
        shape: &Shape,
        candidates: &Candidates,
        demand: DemandKey,
        (offers, by_agent): (&[Outstanding<'_>], &OffersByAgent),
    ) -> Yields {
        let mut yields = Yields::new();
        let Some(own) = self.queue.get(demand).map(|pending| &pending.demand) else {
            return yields;
        };
        let preempts = own.preempts == Preemption::LowerPriority;
        for agent in candidates.admitted() {
            let is_usable = self.agent(agent).is_some_and(Agent::is_usable);
            if !is_usable || !self.is_open_for(agent, demand) {
                continue;
            }
            let lying = by_agent.get(&agent).into_iter().flatten();
            let mut givers: Vec<Giver> = lying.map(|nth| lying_offer(offers, *nth)).collect();
            if preempts {
                givers.extend(self.workers(shape, shape.key.leaf, agent, own.priority));
            }
            if givers.is_empty() {
                continue;
            }
            if let Some(found) = self.yield_of(shape, agent, givers, own.count) {
                yields.insert(agent, found);
            }
        }
        yields
    }

    /// Leaves out what need not give way for the whole, the dearest first.
    fn least_room(
        &self,
        shape: &Shape,
        candidates: &Candidates,
        thought: &Candidates,
        places: Vec<AgentIndex>,
    ) -> GangRoom {
        let count = places.len() as u64;
        let mut plan = Plan::of(&places);
        for (agent, taken) in &plan.taken {
            let own = thought.yields.get(agent);
            let givers = own.and_then(|own| Some(&own.givers[..own.needed(*taken)?]));
            if let (Some(givers), Some(entry)) = (givers, self.agent(*agent)) {
                let sum = |sum: Resources, own: &Giver| sum + own.resources.clone();
                let free = givers.iter().fold(entry.available.clone(), sum);
                let room = self.room_in(shape, &free, count);
                let givers = givers.to_vec();
                plan.cleared.insert(*agent, Cleared { free, room, givers });
            }
        }
        let (mut trials, mut total) = (MOST_TRIALS, plan.room());
        for (agent, giver) in plan.dearest_first() {
            let own = &plan.cleared[&agent];
            let Some(less) = self.without(shape, own, giver, count) else {
                continue;
            };
            let left = total - own.room + less.room;
            if plan
                .taken
                .get(&agent)
                .is_none_or(|taken| less.room >= *taken)
            {
                plan.cleared.insert(agent, less);
                total = left;
            } else if trials > 0 && left >= count {
                trials -= 1;
                let mut fewer = plan.clone();
                fewer.cleared.insert(agent, less);
                let allowed = |agent: AgentIndex| plan.taken.contains_key(&agent);
                let again = candidates.with_yields(self, shape, fewer.yields());
                if let Some(found) = self.plan(&again, shape, count, &allowed) {
                    fewer.taken = counts(&found);
                    total = fewer.room();
                    plan = fewer;
                }
            }
        }
        plan.into_room()
    }

    /// The same agent without one that gives way.
    fn without(&self, shape: &Shape, own: &Cleared, giver: Given, count: u64) -> Option<Cleared> {
        let nth = own.givers.iter().position(|own| own.given == giver)?;
        let free = own.free.subtract(&own.givers[nth].resources)?;
        let mut givers = own.givers.clone();
        givers.remove(nth);
        let room = self.room_in(shape, &free, count);
        Some(Cleared { free, room, givers })
    }

    /// Keeps the agents of a plan for a gang, and has what is in its way end.
    pub(super) fn make_room(
        &mut self,
        index: ShapeIndex,
        demand: DemandKey,
        room: GangRoom,
        now_ns: u64,
    ) {
        let leaf = self.queue.shapes.get(index).key.leaf;
        let victims: usize = room.victims.values().map(Vec::len).sum();
        let hold_ns = match u64::try_from(victims).unwrap_or(u64::MAX) {
            0 => RECALL_HOLD_NS,
            victims => {
                let longer_ns = victims.saturating_mul(VICTIM_NS);
                self.config.eviction_hold_ns.saturating_add(longer_ns)
            }
        };
        let until_ns = now_ns.saturating_add(hold_ns);
        for agent in room.agents {
            let earmark = Earmark {
                leaf,
                keep: Keep::Room(demand),
                until_ns,
            };
            self.earmarks.insert(agent, earmark);
        }
        for (agent, victims) in room.victims {
            self.queue.ending.extend(&victims);
            self.queue.evictions.push_back(Eviction {
                demand,
                agent,
                victims,
            });
        }
    }
}

/// An agent on which something gives way.
#[derive(Debug, Clone)]
struct Cleared {
    free: Resources,
    /// How many instances find room then.
    room: u64,
    givers: Vec<Giver>,
}

/// How many of a gang go where, and what gives way there.
#[derive(Debug, Clone)]
struct Plan {
    taken: BTreeMap<AgentIndex, u64>,
    cleared: BTreeMap<AgentIndex, Cleared>,
}

impl Plan {
    fn of(places: &[AgentIndex]) -> Self {
        Self {
            taken: counts(places),
            cleared: BTreeMap::new(),
        }
    }

    /// All that gives way: the highest priority first, offers last.
    fn dearest_first(&self) -> Vec<(AgentIndex, Given)> {
        let mut all = Vec::new();
        for (agent, own) in &self.cleared {
            let givers = own.givers.iter();
            all.extend(givers.map(|giver| (giver.priority, *agent, giver.given)));
        }
        all.sort_by_key(|(priority, ..)| std::cmp::Reverse(*priority));
        all.into_iter()
            .map(|(_, agent, given)| (agent, given))
            .collect()
    }

    /// How many instances find room on these agents.
    fn room(&self) -> u64 {
        let cleared = self.cleared.values().map(|own| own.room);
        let free = self.taken.iter();
        let free = free.filter(|(agent, _)| !self.cleared.contains_key(agent));
        let rooms = cleared.chain(free.map(|(_, taken)| *taken));
        rooms.fold(0, u64::saturating_add)
    }

    /// The same as if all of it had given way.
    fn yields(&self) -> Yields {
        let cleared = self.cleared.iter();
        cleared
            .map(|(agent, own)| (*agent, Yield::settled(own.room)))
            .collect()
    }

    fn into_room(self) -> GangRoom {
        let mut room = GangRoom {
            agents: self.taken.keys().copied().collect(),
            ..GangRoom::default()
        };
        for (agent, own) in self.cleared {
            if !own.givers.is_empty() {
                room.agents.insert(agent);
            }
            for giver in own.givers {
                match giver.given {
                    Given::Offer(nth) => room.offers.push(nth),
                    Given::Work(instance) => {
                        room.victims.entry(agent).or_default().push(instance);
                    }
                }
            }
        }
        room
    }
}

fn lying_offer(offers: &[Outstanding<'_>], nth: usize) -> Giver {
    Giver {
        given: Given::Offer(nth),
        priority: i32::MIN,
        resources: offers[nth].resources.unallocated(),
    }
}

/// How many instances go to each agent.
fn counts(places: &[AgentIndex]) -> BTreeMap<AgentIndex, u64> {
    let mut counts = BTreeMap::new();
    for agent in places {
        *counts.entry(*agent).or_insert(0) += 1;
    }
    counts
}
