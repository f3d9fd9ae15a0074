//! One cycle: what changed is offered in the order of turns.
//!
//! Only agents on which something changed are looked at, and only for those for whom it changed.

use crate::agent::Dirt;
use crate::candidate::{Refusal, Verdict};
use crate::ids::{AgentIndex, Leaf, LeafNumber};
use crate::scheduler::{Grant, Scheduler};
use mezz_resource::Resources;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Above so many asking at once everybody is looked at.
const FEW_LEAVES: usize = 8;

/// For whom an agent is looked at.
#[derive(Debug, Clone, Copy)]
enum Scope<'a> {
    Everyone,
    Only(&'a [Leaf]),
}

impl Scope<'_> {
    fn includes(self, leaf: Leaf) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(leaves) => leaves.contains(&leaf),
        }
    }
}

/// Who is served in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Roles whose guarantees are not met.
    Claims,
    /// All.
    Everyone,
}

/// How much of what is free on an agent is offered.
enum Part {
    Whole,
    Some(Resources),
}

/// What the walk over the turns of one agent came to.
enum Step {
    Offer(Leaf, Part),
    /// Somebody's minimum is larger than what is free here: see whether an agent be kept for them.
    Short(Leaf),
    /// The agent is kept for the one whose turn it is.
    Kept,
}

/// What one cycle remembers.
pub(crate) struct Cycle {
    pub(crate) now_ns: u64,
    /// For whom an earmark was considered already.
    pub(crate) considered: BTreeSet<Leaf>,
}

impl Scheduler {
    /// One cycle over what changed; appends grants and accounts them as offered.
    pub fn allocate(&mut self, now_ns: u64, grants: &mut Vec<Grant>) {
        self.expire_filters(now_ns);
        self.expire_earmarks(now_ns);
        self.roles.freshen(&self.names);
        self.stats.cycles += 1;
        let mut cycle = Cycle {
            now_ns,
            considered: BTreeSet::new(),
        };
        self.round(&mut cycle, grants);
        // An earmark that was dropped on the way frees an agent: ever fewer of them are left.
        while self.is_dirty() {
            self.round(&mut cycle, grants);
        }
    }

    fn round(&mut self, cycle: &mut Cycle, grants: &mut Vec<Grant>) {
        let asking: Vec<Leaf> = std::mem::take(&mut self.dirty_leaves).into_iter().collect();
        let mut agents = std::mem::take(&mut self.dirty_agents);
        if !asking.is_empty() {
            agents.extend(&self.free);
        }
        agents.sort_unstable();
        agents.dedup();
        for agent in agents {
            let Some(entry) = self.agent_mut(agent) else {
                continue;
            };
            match std::mem::take(&mut entry.dirt) {
                Dirt::Whole => self.serve(agent, Scope::Everyone, cycle, grants),
                _ if asking.len() > FEW_LEAVES => {
                    self.serve(agent, Scope::Everyone, cycle, grants);
                }
                Dirt::Clean => self.serve(agent, Scope::Only(&asking), cycle, grants),
                Dirt::Pairs(mut pairs) => {
                    pairs.extend(&asking);
                    self.serve(agent, Scope::Only(&pairs), cycle, grants);
                }
            }
        }
    }

    fn serve(
        &mut self,
        agent: AgentIndex,
        scope: Scope<'_>,
        cycle: &mut Cycle,
        grants: &mut Vec<Grant>,
    ) {
        self.stats.agents_visited += 1;
        let passes: &[Pass] = if self.guarantees > 0 {
            &[Pass::Claims, Pass::Everyone]
        } else {
            &[Pass::Everyone]
        };
        for pass in passes {
            while self.free.contains(&agent) {
                match self.next_step(agent, scope, *pass, cycle) {
                    Some(Step::Offer(leaf, part)) => {
                        grants.push(self.grant(agent, leaf, part));
                    }
                    Some(Step::Short(leaf)) => self.consider_earmark(leaf, cycle),
                    Some(Step::Kept) | None => break,
                }
            }
        }
    }

    fn next_step(
        &mut self,
        agent: AgentIndex,
        scope: Scope<'_>,
        pass: Pass,
        cycle: &Cycle,
    ) -> Option<Step> {
        let entry = self.agent(agent)?;
        let kept_for = self.earmarks.get(&agent).map(|earmark| earmark.leaf);
        let lacking = self.lacking_total();
        let (mut examined, mut short_of_quota) = (0, false);
        let mut visit = |leaf: Leaf, number: LeafNumber| {
            if scope.includes(leaf) && self.is_match(agent, entry, number) {
                examined += 1;
                let room = self.room(leaf.role, lacking.as_deref());
                let claims = pass == Pass::Everyone
                    || room.as_ref().is_some_and(crate::quota::Room::has_claim);
                if claims {
                    match self.examine(cycle.now_ns, entry, leaf, room.as_ref()) {
                        Verdict::Offer(resources) => {
                            let part = match resources {
                                Cow::Borrowed(_) => Part::Whole,
                                Cow::Owned(part) => Part::Some(part),
                            };
                            return ControlFlow::Break(Step::Offer(leaf, part));
                        }
                        Verdict::Refused(Refusal::BelowMinimum)
                            if self.may_earmark(leaf, cycle) =>
                        {
                            return ControlFlow::Break(Step::Short(leaf));
                        }
                        Verdict::Refused(refusal) => short_of_quota |= refusal.is_for_quota(),
                    }
                }
            }
            if kept_for == Some(leaf) {
                ControlFlow::Break(Step::Kept)
            } else {
                ControlFlow::Continue(())
            }
        };
        let step = match scope {
            // Without an earmark the order does not matter to a single one.
            Scope::Only([leaf]) if kept_for.is_none() && self.wants(*leaf) => {
                match self.number(*leaf) {
                    Some(number) => visit(*leaf, number),
                    None => ControlFlow::Continue(()),
                }
            }
            Scope::Only([]) => ControlFlow::Continue(()),
            _ => self.roles.walk(&mut visit),
        };
        self.stats.leaves_examined += examined;
        if short_of_quota {
            self.held_back.insert(agent);
        }
        step.break_value()
    }

    fn grant(&mut self, agent: AgentIndex, leaf: Leaf, part: Part) -> Grant {
        let role = Arc::clone(&self.roles.node(leaf.role).path);
        let allocated = match part {
            Part::Whole => self.hand_over_whole(leaf, agent, &role),
            Part::Some(part) => {
                let allocated = part.allocated_to(&role);
                self.hand_over(leaf.framework, agent, &part, allocated.clone());
                allocated
            }
        };
        self.drop_earmarks_of(leaf);
        self.stats.grants += 1;
        Grant {
            framework: leaf.framework,
            role,
            agent,
            resources: allocated,
        }
    }
}
