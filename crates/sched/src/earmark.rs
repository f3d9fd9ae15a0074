//! Agents kept for those who wait for a large offer, so that small work cannot starve them.
//!
//! A framework whose own minimum is larger than what is free on every agent gets one agent kept:
//! what becomes free there is not offered to anybody whose turn comes later. Earmarks are bounded:
//! one to a framework and role, at most a tenth of the agents, and for a limited time, after which
//! the framework waits as long before it gets another.

use crate::agent::{Agent, is_allocatable};
use crate::cycle::Cycle;
use crate::demand::{Change, DemandKey};
use crate::ids::{AgentIndex, Leaf, RoleIndex};
use crate::scheduler::Scheduler;
use mezz_resource::Quantities;

/// An agent kept for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Earmark {
    pub(crate) leaf: Leaf,
    pub(crate) keep: Keep,
    pub(crate) until_ns: u64,
}

/// What an agent is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Keep {
    /// A large offer; whoever comes earlier in the order is served all the same.
    Offers,
    /// A demand, in the same way.
    Turn(DemandKey),
    /// A demand, for whose sake work was ended there: nobody else is served.
    Room(DemandKey),
}

impl Keep {
    /// Whether work was ended there for somebody.
    pub(crate) fn is_room(self) -> bool {
        matches!(self, Self::Room(_))
    }

    pub(crate) fn demand(self) -> Option<DemandKey> {
        match self {
            Self::Offers => None,
            Self::Turn(demand) | Self::Room(demand) => Some(demand),
        }
    }
}

/// What the search for an agent to keep came to.
enum Search {
    /// Enough is free somewhere: they will be offered it, or have refused it.
    EnoughFree,
    Keep(AgentIndex),
    NoneLargeEnough,
}

impl Scheduler {
    /// Whether it is worth looking for an agent to keep for somebody.
    pub(crate) fn may_earmark(&self, leaf: Leaf, cycle: &Cycle) -> bool {
        self.config.earmark_ns > 0
            && self.has_own_minimum(leaf)
            && !cycle.considered.contains(&leaf)
            && !self.hopeless.contains(&leaf)
            && self.earmarks.len() < self.most_earmarks()
            && self
                .earmark_rests
                .get(&leaf)
                .is_none_or(|rest_ns| *rest_ns <= cycle.now_ns)
            && self.earmarks.values().all(|earmark| earmark.leaf != leaf)
    }

    fn most_earmarks(&self) -> usize {
        self.agents.len().div_ceil(10)
    }

    pub(crate) fn consider_earmark(&mut self, leaf: Leaf, cycle: &mut Cycle) {
        cycle.considered.insert(leaf);
        match self.search_agent_to_keep(leaf) {
            Search::EnoughFree => {}
            Search::NoneLargeEnough => {
                self.hopeless.insert(leaf);
            }
            Search::Keep(agent) => {
                let until_ns = cycle.now_ns.saturating_add(self.config.earmark_ns);
                self.earmark_rests.remove(&leaf);
                self.earmarks.insert(
                    agent,
                    Earmark {
                        leaf,
                        keep: Keep::Offers,
                        until_ns,
                    },
                );
            }
        }
    }

    /// The agent that could hold the minimum and has most of it free.
    fn search_agent_to_keep(&self, leaf: Leaf) -> Search {
        let minimum = self.minimum(leaf);
        let mut best: Option<(i128, AgentIndex)> = None;
        for index in self.agent_indices() {
            let Some(agent) = self.agent(index) else {
                continue;
            };
            if !agent.is_usable() || self.mismatch(agent, leaf).is_some() {
                continue;
            }
            if is_allocatable(&self.takeable(agent, &agent.available, leaf), minimum) {
                return Search::EnoughFree;
            }
            if self.earmarks.contains_key(&index) || !self.could_hold(agent, leaf, minimum) {
                continue;
            }
            let score = minimum
                .iter()
                .map(|wanted| readiness(agent, wanted))
                .max()
                .unwrap_or(0);
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, index));
            }
        }
        best.map_or(Search::NoneLargeEnough, |(_, agent)| Search::Keep(agent))
    }

    fn could_hold(&self, agent: &Agent, leaf: Leaf, minimum: &[Quantities]) -> bool {
        let path = &self.roles.node(leaf.role).path;
        is_allocatable(&agent.spec.total.allocatable_to(path), minimum)
    }

    /// Lets go of the agent that is kept for somebody.
    pub(crate) fn drop_earmarks_of(&mut self, leaf: Leaf) {
        let kept = self
            .earmarks
            .iter()
            .find(|(_, earmark)| earmark.leaf == leaf);
        if let Some(agent) = kept.map(|(agent, _)| *agent) {
            self.drop_earmark(agent);
        }
    }

    /// Lets go of the agents that are kept for a demand.
    pub(crate) fn drop_earmarks_of_demand(&mut self, demand: DemandKey) {
        let kept = self.earmarks.iter();
        let kept = kept.filter(|(_, earmark)| earmark.keep.demand() == Some(demand));
        for agent in kept.map(|(agent, _)| *agent).collect::<Vec<_>>() {
            self.drop_earmark(agent);
        }
    }

    /// A demand has got one place: it needs neither that of the agent nor those that were to be the next.
    pub(crate) fn drop_used_earmarks(&mut self, agent: AgentIndex, demand: DemandKey) {
        if self.earmarks.is_empty() {
            return;
        }
        let gang = self.queue.get(demand).is_some_and(|own| own.demand.gang);
        let used = self.earmarks.iter().filter(|(own, earmark)| {
            let is_used = match earmark.keep {
                Keep::Turn(_) => !gang,
                Keep::Room(_) => **own == agent,
                Keep::Offers => false,
            };
            earmark.keep.demand() == Some(demand) && is_used
        });
        for agent in used.map(|(agent, _)| *agent).collect::<Vec<_>>() {
            self.drop_earmark(agent);
        }
    }

    pub(crate) fn drop_earmark(&mut self, agent: AgentIndex) {
        if self.earmarks.remove(&agent).is_some() {
            self.hopeless.clear();
            self.note_change(Change::Contents(agent));
            self.mark_agent(agent);
        }
    }

    /// Ends the earmarks whose time has come.
    pub(crate) fn expire_earmarks(&mut self, now_ns: u64) {
        self.earmark_rests.retain(|_, rest_ns| *rest_ns > now_ns);
        let ended: Vec<(AgentIndex, Earmark)> = self
            .earmarks
            .iter()
            .filter(|(_, earmark)| earmark.until_ns <= now_ns)
            .map(|(agent, earmark)| (*agent, *earmark))
            .collect();
        for (agent, earmark) in ended {
            let rest_ns = match earmark.keep {
                Keep::Room(_) => self.config.eviction_hold_ns,
                Keep::Turn(_) | Keep::Offers => self.config.earmark_ns,
            };
            self.earmark_rests
                .insert(earmark.leaf, now_ns.saturating_add(rest_ns));
            self.drop_earmark(agent);
        }
    }

    /// The role of a leaf in words.
    pub(crate) fn role_path(&self, role: RoleIndex) -> &str {
        &self.roles.node(role).path
    }
}

/// How much of the least plentiful wanted resource is free, in millionths.
fn readiness(agent: &Agent, wanted: &Quantities) -> i128 {
    wanted
        .iter()
        .map(|(name, wanted)| {
            let free = agent.available.scalar(name.as_str());
            i128::from(free.0) * 1_000_000 / i128::from(wanted.0.max(1))
        })
        .min()
        .unwrap_or(0)
}
