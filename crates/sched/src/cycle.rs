//! One cycle: what changed is offered in the order of turns.
//!
//! Only agents on which something changed are looked at, and only for those for whom it changed.

use crate::agent::Dirt;
use crate::bits::Bits;
use crate::config::Sorter;
use crate::dice::Dice;
use crate::ids::{AgentIndex, FrameworkIndex, Leaf, Slot};
use crate::scalars::Scalars;
use crate::scheduler::{Grant, Scheduler};
use crate::tree::Sorters;
use crate::walk::Findings;
use mezz_resource::Resources;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Above so many asking at once everybody is looked at.
const FEW_LEAVES: usize = 8;

/// For whom an agent is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    Everyone,
    Only(&'a [Leaf]),
}

impl Scope<'_> {
    pub(crate) fn includes(self, leaf: Leaf) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(leaves) => leaves.contains(&leaf),
        }
    }
}

/// Who is served in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Roles whose guarantees are not met.
    Claims,
    /// All.
    Everyone,
}

/// How much of what is free on an agent is offered.
pub(crate) enum Part {
    Whole,
    Some(Resources),
}

/// What the walk over the turns of one agent came to.
pub(crate) enum Step {
    Offer(Leaf, Part),
    /// It is the turn of one with demands: the best of them goes to the agent that it fits best.
    Place(Leaf),
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
    /// What all guarantees together lack, after the last grant.
    pub(crate) lacking: Option<Scalars>,
    /// Room for the set of those that an agent may be offered to.
    pub(crate) candidates: Bits,
    /// Room for what a walk finds out.
    pub(crate) findings: Findings,
    /// How many more agents are looked at for what somebody wishes.
    pub(crate) looks: BTreeMap<FrameworkIndex, usize>,
    /// The agents that have yet to be looked at.
    pub(crate) unserved: Bits,
    /// None while all orders are by share.
    pub(crate) chance: Option<(Sorters, Dice)>,
}

impl Scheduler {
    /// One cycle over what changed; appends grants and accounts them as offered.
    pub fn allocate(&mut self, now_ns: u64, grants: &mut Vec<Grant>) {
        self.expire_filters(now_ns);
        self.expire_earmarks(now_ns);
        self.expire_wishes(now_ns);
        self.roles.freshen(&self.names);
        self.stats.cycles += 1;
        let mut cycle = self.new_cycle(now_ns);
        self.round(&mut cycle, grants);
        // An earmark that was dropped on the way frees an agent, and what was given back makes room: ever less is left.
        while self.is_dirty() {
            self.round(&mut cycle, grants);
        }
        if let Some((_, dice)) = cycle.chance {
            self.dice = dice;
        }
    }

    pub(crate) fn new_cycle(&self, now_ns: u64) -> Cycle {
        Cycle {
            now_ns,
            considered: BTreeSet::new(),
            lacking: self.lacking_total(),
            candidates: Bits::default(),
            findings: Findings::default(),
            looks: BTreeMap::new(),
            unserved: Bits::default(),
            chance: self.chance(),
        }
    }

    fn chance(&self) -> Option<(Sorters, Dice)> {
        let sorters = Sorters {
            roles: self.config.role_sorter,
            frameworks: self.config.framework_sorter,
        };
        let by_share = Sorters {
            roles: Sorter::Drf,
            frameworks: Sorter::Drf,
        };
        (sorters != by_share).then_some((sorters, self.dice))
    }

    fn round(&mut self, cycle: &mut Cycle, grants: &mut Vec<Grant>) {
        let asking: Vec<Leaf> = std::mem::take(&mut self.dirty_leaves).into_iter().collect();
        let mut agents = std::mem::take(&mut self.dirty_agents);
        if !asking.is_empty() {
            agents.extend(self.free_agents());
        }
        agents.sort_unstable();
        agents.dedup();
        self.wake_demands(cycle);
        for agent in &agents {
            cycle.unserved.set(agent.slot(), true);
        }
        for agent in agents {
            cycle.unserved.set(agent.slot(), false);
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
        self.retry_held_back(cycle, grants);
        self.place_open(cycle, grants);
    }

    /// Looks at an agent for everybody, outside its turn.
    pub(crate) fn serve_anew(
        &mut self,
        agent: AgentIndex,
        cycle: &mut Cycle,
        grants: &mut Vec<Grant>,
    ) {
        self.serve(agent, Scope::Everyone, cycle, grants);
    }

    pub(crate) fn serve(
        &mut self,
        agent: AgentIndex,
        scope: Scope<'_>,
        cycle: &mut Cycle,
        grants: &mut Vec<Grant>,
    ) {
        self.stats.agents_visited += 1;
        if let Some(entry) = self.agent_mut(agent) {
            entry.freshen_refusals();
        }
        let passes: &[Pass] = if cycle.lacking.is_some() {
            &[Pass::Claims, Pass::Everyone]
        } else {
            &[Pass::Everyone]
        };
        for pass in passes {
            while self.free.has(agent.slot()) {
                match self.next_step(agent, scope, *pass, cycle) {
                    Some(Step::Offer(leaf, part)) => {
                        let wished = match pass {
                            Pass::Everyone => self.wished_instead(agent, &part, leaf, cycle),
                            Pass::Claims => None,
                        };
                        let (agent, part) = wished.unwrap_or((agent, part));
                        grants.push(self.grant(agent, leaf, part));
                        // A grant never makes guarantees lack more.
                        if cycle.lacking.is_some() && self.is_guaranteed(leaf.role) {
                            cycle.lacking = self.lacking_total();
                        }
                    }
                    Some(Step::Place(leaf)) => {
                        self.place_at_turn(leaf, Some(agent), cycle, grants);
                    }
                    Some(Step::Short(leaf)) => self.consider_earmark(leaf, cycle),
                    Some(Step::Kept) | None => break,
                }
            }
        }
    }

    /// What the next turn on an agent leads to.
    pub(crate) fn next_step(
        &mut self,
        agent: AgentIndex,
        scope: Scope<'_>,
        pass: Pass,
        cycle: &mut Cycle,
    ) -> Option<Step> {
        let mut findings = std::mem::take(&mut cycle.findings);
        findings.clear();
        let step = self.walk_turns(agent, scope, pass, cycle, &mut findings);
        self.stats.leaves_examined += findings.examined;
        // An agent of which something was offered is walked again, unless nothing of it is left to hold back.
        if matches!(step, None | Some(Step::Kept)) {
            for role in &findings.short_of_quota {
                self.hold_back(agent, *role, cycle.lacking.as_ref());
            }
        }
        if let Some(entry) = self.agent_mut(agent) {
            entry.note_refusals(&findings.refused);
        }
        cycle.findings = findings;
        step
    }

    pub(crate) fn grant(&mut self, agent: AgentIndex, leaf: Leaf, part: Part) -> Grant {
        let role = Arc::clone(&self.roles.node(leaf.role).path);
        let allocated = match part {
            Part::Whole => self.hand_over_whole(leaf, agent, &role),
            Part::Some(part) => self.hand_over_part(leaf, agent, &role, part),
        };
        self.drop_earmarks_of(leaf);
        self.note_offer(leaf.framework);
        self.stats.grants += 1;
        Grant {
            framework: leaf.framework,
            role,
            agent,
            resources: allocated,
        }
    }
}
