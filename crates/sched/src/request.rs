//! Advice of frameworks on which agents they would like: it expires, and steers nothing but a framework's own turn.
//!
//! Whose turn it is, what may be offered and what counts in the shares stays as it is: a framework whose turn has come on
//! one agent gets the agent that it asked for instead, if it could be offered that one anyway.

use crate::candidate::Verdict;
use crate::cycle::{Cycle, Part};
use crate::ids::{AgentIndex, FrameworkIndex, Leaf, Slot};
use crate::scheduler::Scheduler;
use std::borrow::Cow;

/// So many agents of a request are remembered.
const MOST: usize = 64;

/// The agents that a framework would like.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Wishes {
    agents: Vec<AgentIndex>,
    until_ns: u64,
}

impl Scheduler {
    /// Notes which agents a framework would like next, in place of what it asked for before; none ends it.
    pub fn request(&mut self, framework: FrameworkIndex, agents: &[AgentIndex], until_ns: u64) {
        let agents: Vec<AgentIndex> = agents.iter().copied().take(MOST).collect();
        if agents.is_empty() || self.framework(framework).is_none() {
            self.wishes.remove(&framework);
        } else {
            self.wishes.insert(framework, Wishes { agents, until_ns });
        }
    }

    /// The agent that one whose turn it is would like instead of another, with what may be offered of it.
    pub(crate) fn wished_instead(
        &self,
        agent: AgentIndex,
        leaf: Leaf,
        cycle: &Cycle,
    ) -> Option<(AgentIndex, Part)> {
        let wishes = self.wishes.get(&leaf.framework)?;
        if wishes.until_ns <= cycle.now_ns || wishes.agents.contains(&agent) {
            return None;
        }
        let mut wished = wishes.agents.iter();
        wished.find_map(|wished| Some((*wished, self.part_for(*wished, leaf, cycle)?)))
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
