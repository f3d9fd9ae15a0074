//! The walk over the turns on one agent: whose turn leads to an offer, and whose to nothing.

use crate::agent::Agent;
use crate::bits::Bits;
use crate::candidate::{Refusal, Verdict};
use crate::config::Capabilities;
use crate::cycle::{Cycle, Part, Pass, Scope, Step};
use crate::earmark::Keep;
use crate::ids::{AgentIndex, FrameworkIndex, Leaf, LeafNumber, RoleIndex, Slot};
use crate::quota::Room;
use crate::scheduler::Scheduler;
use crate::tree::{RoleNode, Visitor};
use std::borrow::Cow;
use std::ops::ControlFlow;

/// What a walk has found out beside its end.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) examined: u64,
    /// The roles that quota kept something from.
    pub(crate) short_of_quota: Vec<RoleIndex>,
    /// Whose refusals cover all that is free.
    pub(crate) refused: Vec<LeafNumber>,
    /// The room of the last role that was asked for.
    room: Option<(RoleIndex, Option<Room>)>,
    /// Nothing is there for any framework of this role with these capabilities and without a minimum of its own.
    barren: Option<(RoleIndex, Capabilities)>,
}

impl Findings {
    /// Empties it, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.examined = 0;
        self.short_of_quota.clear();
        self.refused.clear();
        (self.room, self.barren) = (None, None);
    }
}

/// The walk on one agent.
struct Walk<'a> {
    sched: &'a Scheduler,
    cycle: &'a Cycle,
    index: AgentIndex,
    agent: &'a Agent,
    scope: Scope<'a>,
    pass: Pass,
    /// Those for whom the agent as such is, and who have not refused all that is free.
    candidates: &'a Bits,
    kept_for: Option<Leaf>,
    findings: &'a mut Findings,
}

impl Scheduler {
    /// Walks the turns until one leads to something.
    pub(crate) fn walk_turns(
        &self,
        index: AgentIndex,
        scope: Scope<'_>,
        pass: Pass,
        cycle: &mut Cycle,
        findings: &mut Findings,
    ) -> Option<Step> {
        let agent = self.agent(index)?;
        let matching = self.matching(agent)?;
        let mut candidates = std::mem::take(&mut cycle.candidates);
        let any = candidates.assign_difference(&self.leaves.active, matching, &agent.refused);
        let mut chance = cycle.chance;
        let earmark = self.earmarks.get(&index);
        if earmark.is_some_and(|earmark| matches!(earmark.keep, Keep::Room(_))) {
            cycle.candidates = candidates;
            return Some(Step::Kept);
        }
        let kept_for = earmark.map(|earmark| earmark.leaf);
        let mut walk = Walk {
            sched: self,
            cycle,
            index,
            agent,
            scope,
            pass,
            candidates: &candidates,
            kept_for,
            findings,
        };
        let end = match scope {
            _ if !any => ControlFlow::Continue(()),
            // Without an earmark or a demand the order does not matter to a single one.
            Scope::Only([leaf]) if kept_for.is_none() && !self.queue.is_any_open() => {
                match self.number(*leaf) {
                    Some(number) => walk.visit(*leaf, number),
                    None => ControlFlow::Continue(()),
                }
            }
            Scope::Only([]) if !self.queue.is_any_open() => ControlFlow::Continue(()),
            _ => match &mut chance {
                None => self.roles.walk(&mut walk),
                Some((sorters, dice)) => self.roles.walk_by_chance(*sorters, dice, &mut walk),
            },
        };
        cycle.chance = chance;
        cycle.candidates = candidates;
        end.break_value()
    }

    pub(crate) fn capabilities(&self, framework: FrameworkIndex) -> Capabilities {
        self.framework(framework)
            .map(|entry| entry.spec.capabilities)
            .unwrap_or_default()
    }
}

impl Visitor for Walk<'_> {
    type End = Step;

    fn enter(&mut self, role: RoleIndex, node: &RoleNode) -> bool {
        if self.pass == Pass::Claims && !self.has_guarantee(role, node) {
            return false;
        }
        // Those with a minimum of their own, and the one for whom the agent is kept, are asked one by one.
        if node.minimums_below > 0 || self.kept_for.is_some() {
            return true;
        }
        let spent = node.is_spent(&self.sched.least);
        if !spent && self.agent.is_open {
            return true;
        }
        let special = self.agent.has_special_for(&node.path);
        if spent && !special {
            self.fall_short(role);
        }
        special
    }

    fn visit(&mut self, leaf: Leaf, number: LeafNumber) -> ControlFlow<Step> {
        if self.sched.may_place(leaf, self.pass, self.cycle) {
            return ControlFlow::Break(Step::Place(leaf));
        }
        if self.candidates.has(number.slot())
            && self.scope.includes(leaf)
            && self.sched.leaves.admits_host(number, self.index)
            && let Some(step) = self.take_turn(leaf, number)
        {
            return ControlFlow::Break(step);
        }
        if self.kept_for == Some(leaf) {
            ControlFlow::Break(Step::Kept)
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl Walk<'_> {
    fn has_guarantee(&self, role: RoleIndex, node: &RoleNode) -> bool {
        let roles = &self.sched.roles;
        node.guarantees_below > 0
            || roles
                .lineage(role)
                .any(|role| roles.node(role).guarantees())
    }

    fn fall_short(&mut self, role: RoleIndex) {
        if self.findings.short_of_quota.last() != Some(&role) {
            self.findings.short_of_quota.push(role);
        }
    }

    /// The offer that a turn leads to, or what else has to be done first.
    fn take_turn(&mut self, leaf: Leaf, number: LeafNumber) -> Option<Step> {
        let capabilities = self.sched.capabilities(leaf.framework);
        let own_minimum = self.sched.has_own_minimum(leaf);
        if !own_minimum && self.findings.barren == Some((leaf.role, capabilities)) {
            return None;
        }
        self.findings.examined += 1;
        let refusal = match self.examine(leaf) {
            Ok(part) => return Some(Step::Offer(leaf, part)),
            Err(None) => return None,
            Err(Some(refusal)) => refusal,
        };
        if refusal == Refusal::BelowMinimum && self.sched.may_earmark(leaf, self.cycle) {
            return Some(Step::Short(leaf));
        }
        if refusal.is_for_quota() {
            self.fall_short(leaf.role);
        } else if refusal.is_of_all(self.agent) {
            self.findings.refused.push(number);
        }
        if !own_minimum && !matches!(refusal, Refusal::Declined { .. }) {
            self.findings.barren = Some((leaf.role, capabilities));
        }
        None
    }

    /// What may be offered, or why nothing; no reason when it is not its pass.
    fn examine(&mut self, leaf: Leaf) -> Result<Part, Option<Refusal>> {
        let findings = &mut *self.findings;
        if findings
            .room
            .as_ref()
            .is_none_or(|(role, _)| *role != leaf.role)
        {
            let room = self.sched.room(leaf.role, self.cycle.lacking.as_ref());
            findings.room = Some((leaf.role, room));
        }
        let room = findings.room.as_ref().and_then(|(_, room)| room.as_ref());
        if self.pass == Pass::Claims && !room.is_some_and(Room::has_claim) {
            return Err(None);
        }
        let now_ns = self.cycle.now_ns;
        match self.sched.examine_match(now_ns, self.agent, leaf, room) {
            Verdict::Offer(Cow::Borrowed(_)) => Ok(Part::Whole),
            Verdict::Offer(Cow::Owned(part)) => Ok(Part::Some(part)),
            Verdict::Refused(refusal) => Err(Some(refusal)),
        }
    }
}
