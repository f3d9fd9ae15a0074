//! Agents on which quota kept something from being offered, and when they are worth another look.
//!
//! They are kept by the role whose quota it was, so that what one role gives back has nobody look at agents that another
//! role's limit holds back. Of those that are looked at again, a few that are still held back end the search: it is
//! the role that lacks room then, not the agent.

use crate::bits::Bits;
use crate::cycle::Cycle;
use crate::ids::{AgentIndex, RoleIndex, Slot};
use crate::scalars::Scalars;
use crate::scheduler::{Grant, Scheduler};
use crate::tree::ROOT;
use std::collections::{BTreeMap, BTreeSet};

/// So many in vain, one after the other, end a search.
const MISSES: usize = 4;

/// Agents by the role whose quota bears on them; the root stands for the guarantees of all.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct HeldBack {
    by_role: BTreeMap<RoleIndex, Waiting>,
    /// The roles that have more room than before.
    relieved: BTreeSet<RoleIndex>,
}

/// The agents of one role, and where the last search ended.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Waiting {
    agents: Bits,
    /// How many they are.
    count: usize,
    /// Whether some of them had something reserved for the role, which no limit holds back.
    has_special: bool,
    next: usize,
}

impl Waiting {
    fn add(&mut self, agent: AgentIndex) {
        if !self.agents.has(agent.slot()) {
            self.agents.set(agent.slot(), true);
            self.count += 1;
        }
    }

    /// Takes the next agent in a circle.
    fn next(&mut self) -> Option<AgentIndex> {
        let ahead = self.agents.first_from(self.next);
        let slot = ahead.or_else(|| self.agents.first_from(0))?;
        self.next = slot + 1;
        self.agents.set(slot, false);
        self.count -= 1;
        u32::try_from(slot).ok().map(AgentIndex)
    }
}

impl HeldBack {
    pub(crate) fn is_relieved(&self) -> bool {
        !self.relieved.is_empty()
    }

    fn relieve(&mut self, role: RoleIndex) {
        if self.by_role.contains_key(&role) {
            self.relieved.insert(role);
        }
    }

    fn has(&self, role: RoleIndex, agent: AgentIndex) -> bool {
        let waiting = self.by_role.get(&role);
        waiting.is_some_and(|waiting| waiting.agents.has(agent.slot()))
    }
}

impl Scheduler {
    /// Remembers that quota kept something on an agent from a role: its limits, or what guarantees lack, if anything.
    pub(crate) fn hold_back(
        &mut self,
        agent: AgentIndex,
        role: RoleIndex,
        lacking: Option<&Scalars>,
    ) {
        let mut next = Some(role);
        while let Some(role) = next {
            let node = self.roles.node(role);
            next = node.parent;
            if !node.has_limits() && (role != ROOT || lacking.is_none()) {
                continue;
            }
            let special = self
                .agent(agent)
                .is_some_and(|agent| agent.has_special_for(&node.path));
            let waiting = self.held_back.by_role.entry(role).or_default();
            waiting.add(agent);
            waiting.has_special |= special;
        }
    }

    /// A role gave something back or took it: others may have more room now.
    pub(crate) fn relieve(&mut self, role: RoleIndex) {
        if self.quotas == 0 {
            return;
        }
        if self.guarantees > 0 {
            self.held_back.relieve(ROOT);
        }
        let mut next = Some(role);
        while let Some(role) = next {
            let node = self.roles.node(role);
            if node.has_limits() {
                self.held_back.relieve(role);
            }
            next = node.parent;
        }
    }

    /// What the whole cluster has changed: everybody may have more room.
    pub(crate) fn relieve_all(&mut self) {
        let roles: Vec<RoleIndex> = self.held_back.by_role.keys().copied().collect();
        self.held_back.relieved.extend(roles);
    }

    /// Looks again where quota kept something back, as far as there is room.
    pub(crate) fn retry_held_back(&mut self, cycle: &mut Cycle, grants: &mut Vec<Grant>) {
        for role in std::mem::take(&mut self.held_back.relieved) {
            // What was given back is spent again, as when an agent goes from one of the role's frameworks to another.
            let Some(waiting) = self.held_back.by_role.get(&role) else {
                continue;
            };
            let node = self.roles.get(role);
            if !waiting.has_special
                && node.is_some_and(|node| node.minimums_below == 0 && node.is_spent(&self.least))
            {
                continue;
            }
            let mut left = waiting.count;
            let mut misses = 0;
            while left > 0 && misses < MISSES {
                left -= 1;
                let waiting = self.held_back.by_role.get_mut(&role);
                let Some(agent) = waiting.and_then(Waiting::next) else {
                    break;
                };
                let before = grants.len();
                self.serve_anew(agent, cycle, grants);
                if grants.len() > before {
                    misses = 0;
                } else if self.held_back.has(role, agent) {
                    misses += 1;
                }
            }
        }
    }
}
