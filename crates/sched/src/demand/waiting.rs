//! Room for those that fit nowhere: agents are kept for them, so that small work cannot starve large work, or work of
//! lower priority is ended for their sake.
//!
//! All of it is bounded: agents are kept for one demand of a leaf at a time and for a limited time, for single instances
//! a tenth of the agents and for gangs half of them at most; the others go on serving everybody.

use std::collections::BTreeSet;

use super::gang_room::OffersByAgent;
use super::give_way::Given;
use super::judge::{Misfit, take_wanted};
use super::queue::Block;
use super::shapes::{Shape, ShapeIndex};
use super::{DemandKey, Eviction, InstanceHandle, Preemption};
use crate::earmark::{Earmark, Keep};
use crate::ids::{AgentIndex, Leaf};
use crate::scheduler::Scheduler;

/// How long after a search for work to end the next one is made, as long as nothing new fits.
const SEARCH_NS: u64 = 1_000_000_000;

/// So long offers have to make way for a gang before work ends for it.
const RECALL_NS: u64 = 2_000_000_000;

/// For so many instances of one demand work is ended at a time.
const MOST_EVICTIONS: usize = 16;

/// Work on one agent whose end makes room; the cheapest is best.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Price {
    /// The highest priority among the victims.
    priority: i32,
    victims: usize,
    agent: AgentIndex,
}

impl Scheduler {
    /// The next list of instances to end, oldest first.
    pub fn take_eviction(&mut self) -> Option<Eviction> {
        self.queue.evictions.pop_front()
    }

    /// Whether work may be asked to end for the sake of other work. Once it may again, who waits for that is looked at
    /// anew.
    pub fn let_evict(&mut self, may: bool) {
        if self.queue.evicts_nothing && may {
            self.queue.search_by(0);
        }
        self.queue.evicts_nothing = !may;
    }

    /// No agent fits a shape whose turn it is.
    pub(super) fn wait_for_agents(&mut self, index: ShapeIndex, now_ns: u64) {
        self.queue.block(index, Block::Agents);
        self.queue.shapes.get_mut(index).victims_sought_ns = None;
        let head = self.first_of(index);
        if let Some(pending) = head.and_then(|demand| self.queue.get_mut(demand)) {
            pending.starves_since.get_or_insert(now_ns);
        }
        self.wait_longer(index, now_ns);
    }

    /// Sees whether room can be made, or kept, for a shape that nothing fits.
    pub(super) fn wait_longer(&mut self, index: ShapeIndex, now_ns: u64) {
        let leaf = self.queue.shapes.get(index).key.leaf;
        let Some(demand) = self.first_of(index) else {
            return;
        };
        let stated = self
            .queue
            .get(demand)
            .map(|pending| pending.demand.preempts);
        let may_evict = !self.queue.evicts_nothing && self.queue.instances.has_expendable();
        if stated == Some(Preemption::LowerPriority) && may_evict {
            let due_ns = self.search_due(index, demand);
            if due_ns > now_ns {
                self.queue.search_by(due_ns);
            } else {
                self.queue.shapes.get_mut(index).victims_sought_ns = Some(now_ns);
                self.preempt(index, leaf, demand, now_ns);
            }
        }
        if !self.is_resting(leaf, now_ns) {
            self.consider_keeping(index, demand, now_ns);
        }
    }

    /// When work that could end for a demand may next be looked for. For a gang offers that stand are to be recalled
    /// first, which needs their least time.
    fn search_due(&self, index: ShapeIndex, demand: DemandKey) -> u64 {
        let shape = self.queue.shapes.get(index);
        let again = shape
            .victims_sought_ns
            .map(|at| at.saturating_add(SEARCH_NS));
        let since = self.queue.get(demand).and_then(|own| own.starves_since);
        let yielding = shape.key.gang.is_some() && self.is_anyone_served();
        let later = since
            .filter(|_| yielding)
            .map(|at| at.saturating_add(RECALL_NS));
        let rested = self.earmark_rests.get(&shape.key.leaf).copied();
        again.max(later).max(rested).unwrap_or(0)
    }

    pub(super) fn first_of(&self, index: ShapeIndex) -> Option<DemandKey> {
        let turns = &self.queue.shapes.get(index).turns;
        turns.first().map(|turn| turn.demand)
    }

    fn is_resting(&self, leaf: Leaf, now_ns: u64) -> bool {
        let rest = self.earmark_rests.get(&leaf);
        rest.is_some_and(|rest_ns| *rest_ns > now_ns)
    }

    /// Keeps agents for the first demand of a shape once it has waited long enough, unless the leaf has some already for
    /// one that does not come later.
    fn consider_keeping(&mut self, index: ShapeIndex, demand: DemandKey, now_ns: u64) {
        let shape = self.queue.shapes.get(index);
        let (leaf, gang) = (shape.key.leaf, shape.key.gang.is_some());
        let Some(pending) = self.queue.get(demand) else {
            return;
        };
        let patience_ns = self.config.starving_ns;
        let starves = pending
            .starves_since
            .is_some_and(|since_ns| since_ns.saturating_add(patience_ns) <= now_ns);
        if !starves || self.config.earmark_ns == 0 || self.queue.hopeless.contains(&demand) {
            return;
        }
        let (count, turn) = (if gang { pending.demand.count } else { 1 }, pending.turn);
        let earlier = |other: DemandKey| self.queue.get(other).is_some_and(|own| own.turn <= turn);
        let mut kept = self.earmarks.values().filter(|own| own.leaf == leaf);
        if kept.any(|own| own.keep.demand().is_none_or(earlier)) {
            return;
        }
        let Some(agents) = self.agents_to_keep(index, count) else {
            self.queue.hopeless.insert(demand);
            return;
        };
        let most = self.agents.len().div_ceil(if gang { 2 } else { 10 });
        let until_ns = now_ns.saturating_add(self.config.earmark_ns);
        self.keep_agents(leaf, demand, &agents, most, until_ns);
    }

    fn keep_agents(
        &mut self,
        leaf: Leaf,
        demand: DemandKey,
        agents: &[AgentIndex],
        most: usize,
        until_ns: u64,
    ) {
        let later = self.earmarks.iter();
        // Where work has ended for somebody, it would have ended for nothing.
        let later = later.filter(|(_, own)| own.leaf == leaf && !own.keep.is_room());
        for agent in later.map(|(agent, _)| *agent).collect::<Vec<_>>() {
            self.drop_earmark(agent);
        }
        let keep = Keep::Turn(demand);
        for agent in agents {
            if self.earmarks.len() >= most {
                return;
            }
            let earmark = Earmark {
                leaf,
                keep,
                until_ns,
            };
            self.earmarks.entry(*agent).or_insert(earmark);
        }
    }

    /// The agents that together could hold so many instances if all of them were free, those with most free first; none
    /// if all agents together could not.
    fn agents_to_keep(&mut self, index: ShapeIndex, count: u64) -> Option<Vec<AgentIndex>> {
        let candidates = self.informed_candidates(index);
        let shape = self.queue.shapes.get(index);
        let path = self.role_path(shape.key.leaf.role);
        let mut able: Vec<(u64, i64, AgentIndex)> = Vec::new();
        for agent in candidates.admitted() {
            let lacks = candidates.judge(self, shape, agent);
            let may_fit = matches!(lacks, Ok(_) | Err(Misfit::Lacks(..)));
            let Some(entry) = self.agent(agent).filter(|_| may_fit) else {
                continue;
            };
            if candidates.closed_for(agent).is_some() {
                continue;
            }
            let mut total = entry.spec.total.allocatable_to(path);
            let amount = |place| total.scalar(self.names.name(place).as_str()).0;
            let times = Self::times(shape, amount);
            if times > 0 && take_wanted(&mut total, &shape.key.request, &shape.key.ports).is_ok() {
                let ready = readiness(shape, |place| entry.free.all.get(place));
                able.push((times, ready, agent));
            }
        }
        self.keep_candidates(index, candidates);
        able.sort_unstable_by_key(|(_, ready, agent)| (std::cmp::Reverse(*ready), *agent));
        let mut sum = 0u64;
        let mut kept = Vec::new();
        for (times, _, agent) in able {
            kept.push(agent);
            sum = sum.saturating_add(times);
            if sum >= count {
                return Some(kept);
            }
        }
        None
    }

    /// Has work of lower priority ended for a demand that fits nowhere, and keeps the room for it.
    fn preempt(&mut self, index: ShapeIndex, leaf: Leaf, demand: DemandKey, now_ns: u64) {
        let until_ns = now_ns.saturating_add(self.config.eviction_hold_ns);
        if self.queue.shapes.get(index).key.gang.is_some() {
            let room = self.room_for_gang(index, demand, &[], &OffersByAgent::new());
            return room
                .into_iter()
                .for_each(|room| self.make_room(index, demand, room, now_ns));
        }
        if !self.has_quota(index) {
            return;
        }
        let keep = Keep::Room(demand);
        let held = self
            .earmarks
            .values()
            .filter(|own| own.keep == keep)
            .count();
        let pending = self.queue.get(demand);
        let wanted = pending.map_or(0, |pending| pending.demand.count);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        for _ in held..wanted.min(MOST_EVICTIONS) {
            let Some((agent, victims)) = self.cheapest_victims(index, leaf, demand) else {
                return;
            };
            let earmark = Earmark {
                leaf,
                keep,
                until_ns,
            };
            self.earmarks.insert(agent, earmark);
            self.queue.ending.extend(&victims);
            self.queue.evictions.push_back(Eviction {
                demand,
                agent,
                victims,
            });
        }
    }

    /// The instances whose end makes room for one of a demand at the least price.
    fn cheapest_victims(
        &mut self,
        index: ShapeIndex,
        leaf: Leaf,
        demand: DemandKey,
    ) -> Option<(AgentIndex, Vec<InstanceHandle>)> {
        let priority = self.queue.get(demand)?.demand.priority;
        let candidates = self.informed_candidates(index);
        let shape = self.queue.shapes.get(index);
        let mut best: Option<(Price, Vec<InstanceHandle>)> = None;
        for agent in candidates.admitted() {
            if self.earmarks.contains_key(&agent) || candidates.closed_for(agent).is_some() {
                continue;
            }
            let lacks = candidates.judge(self, shape, agent);
            if !matches!(lacks, Err(Misfit::Lacks(..) | Misfit::PortTaken(_))) {
                continue;
            }
            let Some((highest, victims)) = self.victims_on(agent, shape, leaf, priority) else {
                continue;
            };
            let price = Price {
                priority: highest,
                victims: victims.len(),
                agent,
            };
            if best.as_ref().is_none_or(|(least, _)| price < *least) {
                best = Some((price, victims));
            }
        }
        self.keep_candidates(index, candidates);
        best.map(|(price, victims)| (price.agent, victims))
    }

    /// The fewest instances of the lowest priorities on an agent whose end makes room there.
    fn victims_on(
        &self,
        agent: AgentIndex,
        shape: &Shape,
        leaf: Leaf,
        priority: i32,
    ) -> Option<(i32, Vec<InstanceHandle>)> {
        let mut victims = Vec::new();
        let mut freed = mezz_resource::Resources::new();
        for worker in self.workers(shape, leaf, agent, priority) {
            let Given::Work(instance) = worker.given else {
                continue;
            };
            victims.push(instance);
            freed += worker.resources;
            if self.fits_with(shape, agent, &freed) {
                self.spare(shape, agent, &mut victims, freed);
                return Some((worker.priority, victims));
            }
        }
        None
    }

    /// Takes those out of the victims whose end would not help.
    fn spare(
        &self,
        shape: &Shape,
        agent: AgentIndex,
        victims: &mut Vec<InstanceHandle>,
        mut freed: mezz_resource::Resources,
    ) {
        victims.retain(|victim| {
            let Some(running) = self.queue.instances.get(*victim) else {
                return false;
            };
            let Some(less) = freed.subtract(&running.resources.unallocated()) else {
                return true;
            };
            if self.fits_with(shape, agent, &less) {
                freed = less;
                return false;
            }
            true
        });
    }

    /// Whether an instance was asked to end for a demand's sake.
    pub fn is_ending(&self, instance: InstanceHandle) -> bool {
        self.queue.ending.contains(&instance)
    }
}

/// How much of the least plentiful scalar is free, in millionths of what one instance needs.
fn readiness(shape: &Shape, free: impl Fn(usize) -> i64) -> i64 {
    let needs = shape.needs.iter().filter(|(_, need)| *need > 0);
    needs
        .map(|(place, need)| free(*place).saturating_mul(1_000_000) / need)
        .min()
        .unwrap_or(i64::MAX)
}

/// The instances that were asked to end.
pub(crate) type Ending = BTreeSet<InstanceHandle>;
