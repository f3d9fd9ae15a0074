//! Advice of frameworks on what they would like: it expires, and steers nothing but a framework's own turn.
//!
//! Whose turn it is, what may be offered and what counts in the shares stays as it is: a framework whose turn has come on
//! one agent gets the agent that it asked for instead, or one that has all that it asked for, if it could be offered that
//! one anyway.

use crate::candidate::Verdict;
use crate::cycle::{Cycle, Part};
use crate::ids::{AgentIndex, FrameworkIndex, Leaf, Slot};
use crate::scheduler::Scheduler;
use mezz_resource::{Resources, Value};
use std::borrow::Cow;

/// So many agents of a request are remembered.
const MOST_AGENTS: usize = 64;
/// So many sets of resources of a request are remembered.
const MOST_WANTED: usize = 16;
/// So many agents are looked at for what a framework wants in one cycle; the next cycle goes on behind them.
const MOST_LOOKS: usize = 4096;

/// What a framework would like.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Wishes {
    agents: Vec<AgentIndex>,
    /// Agents that have all of one of these.
    wanted: Vec<Resources>,
    until_ns: u64,
    /// Where the search for what is wanted goes on.
    next: usize,
}

impl Scheduler {
    /// Notes what a framework would like next, in place of what it asked for before; nothing at all ends it.
    ///
    /// `agents` are those that it named; `wanted` are sets of resources, each to be found whole on one agent.
    pub fn request(
        &mut self,
        framework: FrameworkIndex,
        agents: &[AgentIndex],
        wanted: &[Resources],
        until_ns: u64,
    ) {
        let agents: Vec<AgentIndex> = agents.iter().copied().take(MOST_AGENTS).collect();
        let filled = wanted.iter().filter(|wanted| !wanted.is_empty());
        let wanted: Vec<Resources> = filled.take(MOST_WANTED).cloned().collect();
        if (agents.is_empty() && wanted.is_empty()) || self.framework(framework).is_none() {
            self.wishes.remove(&framework);
            return;
        }
        let wishes = Wishes {
            agents,
            wanted,
            until_ns,
            next: 0,
        };
        self.wishes.insert(framework, wishes);
    }

    /// The agent that one whose turn it is would like instead of another, with what may be offered of it.
    pub(crate) fn wished_instead(
        &mut self,
        agent: AgentIndex,
        part: &Part,
        leaf: Leaf,
        cycle: &mut Cycle,
    ) -> Option<(AgentIndex, Part)> {
        let wishes = self.wishes.get(&leaf.framework)?;
        if wishes.until_ns <= cycle.now_ns || wishes.agents.contains(&agent) {
            return None;
        }
        let mut named = wishes.agents.iter();
        let named = named.find_map(|named| Some((*named, self.part_for(*named, leaf, cycle)?)));
        if named.is_some() || wishes.wanted.is_empty() {
            return named;
        }
        if wishes.is_met_by(self.resources_of(agent, part)?) {
            return None;
        }
        self.search_wanted(leaf, cycle)
    }

    fn resources_of<'a>(&'a self, agent: AgentIndex, part: &'a Part) -> Option<&'a Resources> {
        match part {
            Part::Whole => Some(&self.agent(agent)?.available),
            Part::Some(part) => Some(part),
        }
    }

    /// The next agent that has all of what is wanted. Within a cycle agents only lose, so those passed over stay so.
    fn search_wanted(&mut self, leaf: Leaf, cycle: &mut Cycle) -> Option<(AgentIndex, Part)> {
        let wishes = self.wishes.get(&leaf.framework)?;
        let budget = cycle.looks.get(&leaf.framework).copied();
        let mut left = budget.unwrap_or_else(|| self.free.count().min(MOST_LOOKS));
        let (mut next, mut found) = (wishes.next, None);
        while left > 0 && found.is_none() {
            let ahead = self.free.first_from(next);
            let Some(slot) = ahead.or_else(|| self.free.first_from(0)) else {
                break;
            };
            (left, next) = (left - 1, slot + 1);
            let index = AgentIndex(u32::try_from(slot).expect("agent indices are 32 bits"));
            found = self
                .agent(index)
                .filter(|agent| wishes.is_met_by(&agent.available))
                .and_then(|_| self.part_for(index, leaf, cycle))
                .filter(|part| {
                    let offered = self.resources_of(index, part);
                    offered.is_some_and(|offered| wishes.is_met_by(offered))
                })
                .map(|part| (index, part));
        }
        cycle.looks.insert(leaf.framework, left);
        if let Some(wishes) = self.wishes.get_mut(&leaf.framework) {
            wishes.next = next;
        }
        found
    }

    /// What may be offered of an agent to one whose turn it is, if anything.
    fn part_for(&self, index: AgentIndex, leaf: Leaf, cycle: &Cycle) -> Option<Part> {
        let agent = self.agent(index)?;
        let number = self.number(leaf)?;
        let is_for_it = self.free.has(index.slot())
            && self.matching(agent)?.has(number.slot())
            && self.leaves.admits_host(number, index)
            && self
                .earmarks
                .get(&index)
                .is_none_or(|earmark| earmark.leaf == leaf);
        if !is_for_it {
            return None;
        }
        let room = self.room(leaf.role, cycle.lacking.as_ref());
        match self.examine_match(cycle.now_ns, agent, leaf, room.as_ref()) {
            Verdict::Offer(Cow::Borrowed(_)) => Some(Part::Whole),
            Verdict::Offer(Cow::Owned(part)) => Some(Part::Some(part)),
            Verdict::Refused(_) => None,
        }
    }

    /// Forgets the wishes whose time has come.
    pub(crate) fn expire_wishes(&mut self, now_ns: u64) {
        self.wishes.retain(|_, wishes| wishes.until_ns > now_ns);
    }
}

impl Wishes {
    fn is_met_by(&self, offered: &Resources) -> bool {
        self.wanted.iter().any(|wanted| has_all(offered, wanted))
    }
}

/// Whether so much is there, whatever it is reserved for: scalars by their sums, ranges and sets value by value.
fn has_all(offered: &Resources, wanted: &Resources) -> bool {
    wanted.iter().all(|one| {
        let name = one.name().as_str();
        let same = offered.iter().filter(|own| own.name() == one.name());
        match one.value() {
            Value::Scalar(_) => offered.scalar(name) >= wanted.scalar(name),
            Value::Ranges(ranges) => {
                let mut missing = ranges.clone();
                for own in same {
                    if let Value::Ranges(own) = own.value() {
                        missing = missing.difference(own);
                    }
                }
                missing.is_empty()
            }
            Value::Set(items) => items.iter().all(|item| {
                same.clone()
                    .any(|own| matches!(own.value(), Value::Set(own) if own.contains(item)))
            }),
        }
    })
}
