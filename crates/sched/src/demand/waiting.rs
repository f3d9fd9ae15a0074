//! Room for those that fit nowhere: agents are kept for them, so that small work cannot starve large work, or work of
//! lower priority is ended for their sake.
//!
//! All of it is bounded: agents are kept for one demand of a leaf at a time and for a limited time, for single instances
//! a tenth of the agents and for gangs half of them at most; the others go on serving everybody.

use std::collections::BTreeSet;

use super::judge::Misfit;
use super::queue::Block;
use super::shapes::{Shape, ShapeIndex};
use super::{DemandKey, Eviction, InstanceHandle, Preemption};
use crate::cycle::Cycle;
use crate::earmark::{Earmark, Keep};
use crate::ids::{AgentIndex, Leaf};
use crate::scheduler::Scheduler;

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

    /// No agent fits a shape whose turn it is.
    pub(super) fn wait_for_agents(&mut self, index: ShapeIndex, leaf: Leaf, cycle: &mut Cycle) {
        let head = self.queue.shapes.get(index).turns.first().copied();
        self.queue.block(index, Block::Agents);
        let Some(demand) = head.map(|turn| turn.demand) else {
            return;
        };
        let preempts = self
            .queue
            .get(demand)
            .is_some_and(|pending| pending.demand.preempts == Preemption::LowerPriority);
        if preempts && !self.is_resting(leaf, cycle.now_ns) {
            self.preempt(index, leaf, demand, cycle.now_ns);
        }
        self.consider_keeping(index, leaf, demand, cycle);
    }

    fn is_resting(&self, leaf: Leaf, now_ns: u64) -> bool {
        let rest = self.earmark_rests.get(&leaf);
        rest.is_some_and(|rest_ns| *rest_ns > now_ns)
    }

    /// Keeps agents for a demand, if none are kept for its leaf.
    fn consider_keeping(
        &mut self,
        index: ShapeIndex,
        leaf: Leaf,
        demand: DemandKey,
        cycle: &mut Cycle,
    ) {
        if self.config.earmark_ns == 0
            || self.is_resting(leaf, cycle.now_ns)
            || self.hopeless.contains(&leaf)
            || self.earmarks.values().any(|earmark| earmark.leaf == leaf)
            || !cycle.considered.insert(leaf)
        {
            return;
        }
        let gang = self.queue.shapes.get(index).key.gang.is_some();
        let count = match self.queue.get(demand) {
            Some(pending) if gang => pending.demand.count,
            _ => 1,
        };
        let most = self.agents.len().div_ceil(if gang { 2 } else { 10 });
        let Some(kept) = self.agents_to_keep(index, count) else {
            self.hopeless.insert(leaf);
            return;
        };
        let room = most.saturating_sub(self.earmarks.len());
        let earmark = Earmark {
            leaf,
            keep: Keep::Turn(demand),
            until_ns: cycle.now_ns.saturating_add(self.config.earmark_ns),
        };
        for agent in kept.into_iter().take(room) {
            self.earmarks.insert(agent, earmark);
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
            let Some(entry) = self.agent(agent).filter(|entry| entry.is_usable()) else {
                continue;
            };
            if self.earmarks.contains_key(&agent) {
                continue;
            }
            let total = entry.spec.total.allocatable_to(path);
            let amount = |place| total.scalar(self.names.name(place).as_str()).0;
            let times = Self::times(shape, amount);
            if times > 0 {
                able.push((
                    times,
                    readiness(shape, |place| entry.free.all.get(place)),
                    agent,
                ));
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
        let held = self.earmarks.values();
        let held = held
            .filter(|earmark| earmark.keep == Keep::Room(demand))
            .count();
        let pending = self.queue.get(demand);
        let wanted = pending.map_or(0, |pending| pending.demand.count);
        // A gang would have its victims' places one by one.
        if self.queue.shapes.get(index).key.gang.is_some() {
            return;
        }
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        for _ in held..wanted.min(MOST_EVICTIONS) {
            let Some((agent, victims)) = self.cheapest_victims(index, leaf, demand) else {
                return;
            };
            let until_ns = now_ns.saturating_add(self.config.eviction_hold_ns);
            let keep = Keep::Room(demand);
            self.earmarks.insert(
                agent,
                Earmark {
                    leaf,
                    keep,
                    until_ns,
                },
            );
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
        let role = &self.roles.node(leaf.role).path;
        let instances = &self.queue.instances;
        let expendable = instances.expendable(agent, leaf.framework, role, priority);
        let mut victims = Vec::new();
        let mut freed = mezz_resource::Resources::new();
        for (instance, running) in expendable {
            if self.queue.ending.contains(&instance) {
                continue;
            }
            victims.push(instance);
            freed += running.resources.unallocated();
            if self.fits_with(shape, agent, &freed) {
                self.spare(shape, agent, &mut victims, freed);
                return Some((running.priority, victims));
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
