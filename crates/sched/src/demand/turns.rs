//! Demands among the turns of all: one instance is placed each time that it is their leaf's turn.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::cache::Change;
use super::candidates::Candidates;
use super::queue::Block;
use super::shapes::ShapeIndex;
use super::{DemandKey, DemandPlacement, RunningInstance};
use crate::cycle::{Cycle, Pass, Scope, Step};
use crate::earmark::Keep;
use crate::ids::{AgentIndex, Leaf, LeafNumber, RoleIndex, Slot};
use crate::quota::Room;
use crate::scalars::Sign;
use crate::scheduler::{Grant, Scheduler};
use crate::tree::{RoleNode, Visitor};
use mezz_resource::Resources;

/// So many agents are remembered at most, over all shapes.
const REMEMBERED: usize = 4_000_000;

/// Where the next instance of a leaf goes.
#[derive(Debug, Clone)]
struct Choice {
    shape: ShapeIndex,
    demand: DemandKey,
    agent: AgentIndex,
    /// Of a gang: where the others go.
    others: Vec<AgentIndex>,
}

/// Finds the first of two leaves.
struct FirstOf([Leaf; 2]);

impl Visitor for FirstOf {
    type End = Leaf;

    fn enter(&mut self, _: RoleIndex, _: &RoleNode) -> bool {
        true
    }

    fn visit(&mut self, leaf: Leaf, _: LeafNumber) -> ControlFlow<Leaf> {
        if self.0.contains(&leaf) {
            return ControlFlow::Break(leaf);
        }
        ControlFlow::Continue(())
    }
}

/// Finds the first leaf with something to try.
struct FirstOpen<'a> {
    sched: &'a Scheduler,
    cycle: &'a Cycle,
    pass: Pass,
}

impl Visitor for FirstOpen<'_> {
    type End = Leaf;

    fn enter(&mut self, _: RoleIndex, _: &RoleNode) -> bool {
        true
    }

    fn visit(&mut self, leaf: Leaf, _: LeafNumber) -> ControlFlow<Leaf> {
        if self.sched.may_place(leaf, self.pass, self.cycle) {
            return ControlFlow::Break(leaf);
        }
        ControlFlow::Continue(())
    }
}

impl Scheduler {
    /// Remembers a change of an agent for the shapes.
    pub(crate) fn note_change(&mut self, change: Change) {
        if matches!(change, Change::Kind(_)) {
            self.queue.hopeless.clear();
        }
        if !self.queue.shapes.is_empty() {
            self.queue.changes.0.note(change, self.agents.len());
        }
    }

    /// Whether it may be a leaf's turn to place something in a pass.
    pub(crate) fn may_place(&self, leaf: Leaf, pass: Pass, cycle: &Cycle) -> bool {
        self.queue.is_open(leaf)
            && (pass == Pass::Everyone
                || self
                    .room(leaf.role, cycle.lacking.as_ref())
                    .as_ref()
                    .is_some_and(Room::has_claim))
    }

    /// Has the shapes that nothing fitted tried again, where something fits now.
    pub(crate) fn wake_demands(&mut self, cycle: &Cycle) {
        self.queue.search_ns = None;
        for (shape, block) in self.queue.blocked() {
            let relieved = match block {
                Block::Quota => self.has_quota(shape),
                Block::Agents => self.has_candidate(shape),
            };
            if relieved {
                self.queue.unblock(shape);
            } else if block == Block::Agents {
                self.wait_longer(shape, cycle.now_ns);
            }
        }
    }

    /// Whether the role may take one more, or all of a gang.
    pub(super) fn has_quota(&self, index: ShapeIndex) -> bool {
        let gang = self.queue.shapes.get(index).key.gang;
        let wanted = gang.map_or(1, |demand| self.wanted(demand));
        wanted <= self.quota_left(index)
    }

    /// How many more instances of a shape its role may take.
    pub(super) fn quota_left(&self, index: ShapeIndex) -> u64 {
        let shape = self.queue.shapes.get(index);
        let room = self.room(shape.key.leaf.role, self.lacking_total().as_ref());
        let left = |room: &Room, place| room.limit.get(place).min(room.all.get(place));
        room.map_or(u64::MAX, |room| {
            Self::times(shape, |place| left(&room, place))
        })
    }

    /// Whether a shape that nothing fitted has an agent now; without candidates only what changed is looked at first.
    fn has_candidate(&mut self, index: ShapeIndex) -> bool {
        let shape = self.queue.shapes.get(index);
        let Some(head) = shape.turns.first().map(|turn| turn.demand) else {
            return false;
        };
        if shape.key.gang.is_some() {
            return self.plan_gang(index, head).is_some();
        }
        let changes = &self.queue.changes.0;
        let seen = shape.seen.0.and_then(|seen| changes.since(seen));
        let fits = |change: &Change| {
            let (Change::Contents(agent) | Change::Kind(agent)) = change;
            let agent = self.agent(*agent).filter(|agent| agent.is_usable());
            agent.is_some_and(|agent| self.fits(shape, agent, 0).is_ok())
        };
        if shape.candidates.0.is_none() && seen.is_some_and(|list| !list.iter().any(fits)) {
            let end = changes.end();
            self.queue.shapes.get_mut(index).seen.0 = Some(end);
            return false;
        }
        self.best_agent(index, head).is_some()
    }

    /// The best agent for the next instance of a demand.
    fn best_agent(&mut self, index: ShapeIndex, demand: DemandKey) -> Option<AgentIndex> {
        let candidates = self.informed_candidates(index);
        let best = candidates.best(|agent| !self.is_kept_from(agent, demand));
        self.keep_candidates(index, candidates);
        best
    }

    /// Gives the candidates back to their shape.
    pub(super) fn keep_candidates(&mut self, index: ShapeIndex, candidates: Box<Candidates>) {
        let end = self.queue.changes.0.end();
        let shape = self.queue.shapes.get_mut(index);
        shape.candidates.0 = Some(candidates);
        shape.seen.0 = Some(end);
    }

    /// Takes the candidates out of a shape, up to date.
    pub(super) fn informed_candidates(&mut self, index: ShapeIndex) -> Box<Candidates> {
        let known = self.queue.shapes.get_mut(index).candidates.0.take();
        let mut candidates =
            known.unwrap_or_else(|| Box::new(Candidates::new(&self.queue.shapes.get(index).key)));
        if candidates.refresh(self, self.queue.shapes.get(index)) {
            self.queue.scans.0 += 1;
            self.remember(index);
        }
        candidates
    }

    /// Keeps what is remembered of agents within bounds: whoever looked at them longest ago forgets.
    fn remember(&mut self, index: ShapeIndex) {
        let most = (REMEMBERED / self.agents.len().max(1)).max(4);
        let informed = &mut self.queue.informed.0;
        informed.retain(|own| *own != index);
        informed.push_back(index);
        while self.queue.informed.0.len() > most {
            if let Some(oldest) = self.queue.informed.0.pop_front() {
                self.queue.shapes.forget_candidates_of(oldest);
            }
        }
    }

    /// Where the next instance of a leaf goes; shapes that nothing fits are set aside.
    fn choose(&mut self, leaf: Leaf, cycle: &Cycle) -> Option<Choice> {
        loop {
            let (turn, shape) = self.queue.head(leaf)?;
            if self.quotas > 0 && !self.has_quota(shape) {
                self.queue.block(shape, Block::Quota);
                continue;
            }
            let demand = turn.demand;
            let mut others = Vec::new();
            let found = if self.queue.shapes.get(shape).key.gang.is_some() {
                others = self.plan_gang(shape, demand).unwrap_or_default();
                others.pop()
            } else {
                self.best_agent(shape, demand)
            };
            if let Some(agent) = found {
                return Some(Choice {
                    shape,
                    demand,
                    agent,
                    others,
                });
            }
            self.wait_for_agents(shape, cycle.now_ns);
        }
    }

    /// It is a leaf's turn while an agent is looked at. Where its best agent has yet to be looked at, those before it go first.
    pub(crate) fn place_at_turn(
        &mut self,
        leaf: Leaf,
        here: Option<AgentIndex>,
        cycle: &mut Cycle,
        grants: &mut Vec<Grant>,
    ) {
        let Some(choice) = self.choose(leaf, cycle) else {
            return;
        };
        let mut agents = choice.others.iter().chain([&choice.agent]).copied();
        let unserved =
            agents.find(|agent| Some(*agent) != here && cycle.unserved.has(agent.slot()));
        if let Some(agent) = unserved {
            match self.next_step(agent, Scope::Everyone, Pass::Everyone, cycle) {
                Some(Step::Offer(other, part)) => {
                    grants.push(self.grant(agent, other, part));
                    self.recount_lacking(cycle);
                    return;
                }
                Some(Step::Short(other)) => return self.consider_earmark(other, cycle),
                Some(Step::Place(_) | Step::Kept) | None => {}
            }
        }
        for agent in choice.others.iter().chain([&choice.agent]) {
            self.put(leaf, choice.shape, choice.demand, *agent);
        }
        self.recount_lacking(cycle);
    }

    /// Places what is left once every agent that changed has been looked at for everybody.
    pub(crate) fn place_open(&mut self, cycle: &mut Cycle, grants: &mut Vec<Grant>) {
        while let Some(leaf) = self.first_open(cycle) {
            self.place_at_turn(leaf, None, cycle, grants);
        }
    }

    /// The leaf whose turn it is among those with something to try.
    fn first_open(&self, cycle: &mut Cycle) -> Option<Leaf> {
        let open = self.queue.open_leaves();
        if open.len() < 2 {
            return open.first().copied();
        }
        let mut chance = cycle.chance;
        let passes: &[Pass] = if cycle.lacking.is_some() {
            &[Pass::Claims, Pass::Everyone]
        } else {
            &[Pass::Everyone]
        };
        let found = passes.iter().find_map(|pass| {
            let mut first = FirstOpen {
                sched: self,
                cycle,
                pass: *pass,
            };
            match &mut chance {
                None => self.roles.walk(&mut first),
                Some((sorters, dice)) => self.roles.walk_by_chance(*sorters, dice, &mut first),
            }
            .break_value()
        });
        cycle.chance = chance;
        found
    }

    /// Places one instance and gives its demand the next turn.
    fn put(&mut self, leaf: Leaf, shape: ShapeIndex, demand: DemandKey, agent: AgentIndex) {
        let picked = self.pick_wanted(self.queue.shapes.get(shape), agent);
        let Ok((taken, ports)) = picked else {
            debug_assert!(false, "an agent that fits has what is picked");
            return self.queue.block(shape, Block::Agents);
        };
        let role = Arc::clone(&self.roles.node(leaf.role).path);
        let resources = taken.allocated_to(&role);
        self.occupy(leaf, agent, &taken, resources.clone());
        let Some(pending) = self.queue.get_mut(demand) else {
            return;
        };
        pending.demand.count -= 1;
        pending.starves_since = None;
        let (stated, is_done) = (&pending.demand, pending.demand.count == 0);
        let priority = stated.priority;
        let running = RunningInstance {
            framework: leaf.framework,
            role,
            agent,
            group: stated.group,
            priority,
            preemptible: stated.preemptible,
            resources: if stated.preemptible {
                Arc::new(resources.clone())
            } else {
                Arc::clone(&stated.request)
            },
        };
        let instance = self.instance_added(running);
        self.queue.push_placement(DemandPlacement {
            demand,
            instance,
            framework: leaf.framework,
            agent,
            resources,
            ports,
        });
        if is_done {
            return self.withdraw(demand);
        }
        self.queue.requeue(demand, priority);
        self.drop_used_earmarks(agent, demand);
    }

    /// Moves resources to a leaf, as used.
    fn occupy(&mut self, leaf: Leaf, agent: AgentIndex, taken: &Resources, resources: Resources) {
        let delta = self.names.delta(&resources);
        self.roles.apply(leaf, &delta, Sign::Plus);
        self.roles
            .apply_upwards(leaf.role, &delta.charged, Sign::Plus, |node| &mut node.used);
        self.relieve(leaf.role);
        if let Some(entry) = self.agent_mut(agent) {
            entry.used.add(leaf.framework, resources.clone());
            entry.filters.forget_repeats(leaf.framework);
            entry.hold(leaf.framework, taken, resources);
        }
        self.refresh_agent(agent);
    }

    /// Whether an agent is kept for somebody else.
    pub(super) fn is_kept_from(&self, agent: AgentIndex, demand: DemandKey) -> bool {
        if self.earmarks.is_empty() {
            return false;
        }
        let Some(earmark) = self.earmarks.get(&agent) else {
            return false;
        };
        let Some(own) = self.queue.get(demand) else {
            return true;
        };
        match earmark.keep {
            Keep::Room(other) => other != demand,
            Keep::Turn(other) if earmark.leaf == own.leaf => {
                let other = self.queue.get(other);
                other.is_some_and(|other| other.turn.priority <= own.turn.priority)
                    && earmark.keep.demand() != Some(demand)
            }
            Keep::Turn(_) | Keep::Offers => !self.comes_before(own.leaf, earmark.leaf),
        }
    }

    /// Whether one leaf's turn is before that of another.
    fn comes_before(&self, leaf: Leaf, other: Leaf) -> bool {
        let mut first = FirstOf([leaf, other]);
        self.roles.walk(&mut first).break_value() == Some(leaf)
    }

    fn recount_lacking(&mut self, cycle: &mut Cycle) {
        if cycle.lacking.is_some() {
            cycle.lacking = self.lacking_total();
        }
    }
}
