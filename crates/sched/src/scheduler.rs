//! The state of the ledger and the marks of what the next cycle has to look at.

use crate::agent::{Agent, Dirt};
use crate::bits::Bits;
use crate::classes::Classes;
use crate::config::Config;
use crate::demand::{Cache, Change, Queue};
use crate::dice::Dice;
use crate::earmark::Earmark;
use crate::filters::FilterCounts;
use crate::frameworks::Framework;
use crate::held_back::HeldBack;
use crate::ids::{AgentIndex, FrameworkIndex, Leaf, Slot};
use crate::leaves::Leaves;
use crate::recall::Appetite;
use crate::request::Wishes;
use crate::scalars::{NameTable, Scalars, Sign};
use crate::tree::RoleTree;
use mezz_resource::Resources;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An offer to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// To whom.
    pub framework: FrameworkIndex,
    /// In which of its roles.
    pub role: Arc<str>,
    /// On which agent.
    pub agent: AgentIndex,
    /// What, allocated to the role.
    pub resources: Resources,
}

/// What the cycles have cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stats {
    /// Cycles run.
    pub cycles: u64,
    /// Agents looked at.
    pub agents_visited: u64,
    /// Frameworks, in a role, looked at on an agent.
    pub leaves_examined: u64,
    /// Offers made.
    pub grants: u64,
    /// Times that more was given back than was held.
    pub mismatches: u64,
}

/// The fairness ledger.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scheduler {
    pub(crate) config: Config,
    pub(crate) names: NameTable,
    /// The cluster's smallest offers, by the places of the name table.
    pub(crate) least: Vec<Vec<(usize, i64)>>,
    pub(crate) roles: RoleTree,
    pub(crate) agents: Vec<Option<Agent>>,
    pub(crate) frameworks: Vec<Option<Framework>>,
    pub(crate) leaves: Leaves,
    pub(crate) classes: Classes,
    /// How many roles have a quota.
    pub(crate) quotas: usize,
    /// How many of them guarantee something.
    pub(crate) guarantees: usize,
    /// Usable agents with something left.
    pub(crate) free: Bits,
    /// The unreserved, firm scalars left on usable agents.
    pub(crate) unreserved_free: Scalars,
    pub(crate) held_back: HeldBack,
    pub(crate) dirty_agents: Vec<AgentIndex>,
    pub(crate) dirty_leaves: BTreeSet<Leaf>,
    pub(crate) filter_ends: BTreeSet<(u64, AgentIndex, Leaf)>,
    /// Counted when somebody asks for it.
    #[serde(skip)]
    pub(crate) filter_counts: Cache<Option<FilterCounts>>,
    pub(crate) earmarks: BTreeMap<AgentIndex, Earmark>,
    /// Until when one whose earmark has run out gets no other.
    pub(crate) earmark_rests: BTreeMap<Leaf, u64>,
    /// Those for whom no agent is large enough.
    pub(crate) hopeless: BTreeSet<Leaf>,
    pub(crate) appetite: Appetite,
    pub(crate) wishes: BTreeMap<FrameworkIndex, Wishes>,
    pub(crate) queue: Queue,
    pub(crate) dice: Dice,
    pub(crate) stats: Stats,
}

impl Scheduler {
    /// An empty ledger.
    pub fn new(config: Config) -> Self {
        let mut names = NameTable::new(config.excluded_fair_share_names.clone());
        let least = config.min_allocatable.iter().map(|wanted| {
            let places = wanted.iter();
            places
                .map(|(name, amount)| (names.intern(name), amount.0))
                .collect()
        });
        Self {
            least: least.collect(),
            names,
            config,
            roles: RoleTree::new(),
            agents: Vec::new(),
            frameworks: Vec::new(),
            leaves: Leaves::default(),
            classes: Classes::default(),
            quotas: 0,
            guarantees: 0,
            free: Bits::default(),
            unreserved_free: Scalars::default(),
            held_back: HeldBack::default(),
            dirty_agents: Vec::new(),
            dirty_leaves: BTreeSet::new(),
            filter_ends: BTreeSet::new(),
            filter_counts: Cache::default(),
            earmarks: BTreeMap::new(),
            earmark_rests: BTreeMap::new(),
            hopeless: BTreeSet::new(),
            appetite: Appetite::default(),
            wishes: BTreeMap::new(),
            queue: Queue::default(),
            dice: Dice::default(),
            stats: Stats::default(),
        }
    }

    /// Sets what all chance follows from.
    pub fn seed(&mut self, seed: u64) {
        self.dice = Dice::new(seed);
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the cycles have cost so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// True when something changed that may yield an offer.
    pub fn is_dirty(&self) -> bool {
        !self.dirty_agents.is_empty()
            || !self.dirty_leaves.is_empty()
            || self.held_back.is_relieved()
            || self.queue.is_any_open()
    }

    /// The earliest time at which a refusal or an earmark ends, or somebody may be made room for, and a cycle may be due.
    pub fn next_deadline(&mut self) -> Option<u64> {
        let filter = self.filter_ends.first().map(|(until_ns, _, _)| *until_ns);
        let earmark = self.earmarks.values().map(|earmark| earmark.until_ns).min();
        let found = filter.into_iter().chain(earmark);
        found.chain(self.queue.search_ns).min()
    }

    pub(crate) fn agent(&self, agent: AgentIndex) -> Option<&Agent> {
        self.agents.get(agent.slot())?.as_ref()
    }

    pub(crate) fn agent_mut(&mut self, agent: AgentIndex) -> Option<&mut Agent> {
        self.agents.get_mut(agent.slot())?.as_mut()
    }

    pub(crate) fn framework(&self, framework: FrameworkIndex) -> Option<&Framework> {
        self.frameworks.get(framework.slot())?.as_ref()
    }

    pub(crate) fn framework_mut(&mut self, framework: FrameworkIndex) -> Option<&mut Framework> {
        self.frameworks.get_mut(framework.slot())?.as_mut()
    }

    pub(crate) fn agent_indices(&self) -> impl Iterator<Item = AgentIndex> + use<> {
        (0..self.agents.len())
            .map(|slot| AgentIndex(u32::try_from(slot).expect("agent indices are 32 bits")))
    }

    /// Derives all that follows from what is available on an agent.
    pub(crate) fn refresh_agent(&mut self, index: AgentIndex) {
        let Some(agent) = self.agents.get_mut(index.slot()).and_then(Option::as_mut) else {
            return;
        };
        if self.free.has(index.slot()) {
            self.unreserved_free.apply(&agent.free.charged, Sign::Minus);
        }
        agent.refresh(&mut self.names, &self.config.min_allocatable);
        if agent.is_usable() && !agent.available.is_empty() {
            self.unreserved_free.apply(&agent.free.charged, Sign::Plus);
            self.free.set(index.slot(), true);
        } else {
            self.free.set(index.slot(), false);
        }
        self.note_change(Change::Contents(index));
    }

    /// Has the next cycle look at an agent for everybody.
    pub(crate) fn mark_agent(&mut self, index: AgentIndex) {
        let Some(agent) = self.agent_mut(index) else {
            return;
        };
        let before = std::mem::replace(&mut agent.dirt, Dirt::Whole);
        if before == Dirt::Clean {
            self.dirty_agents.push(index);
        }
    }

    /// Has the next cycle look at an agent for one framework in one role.
    pub(crate) fn mark_pair(&mut self, index: AgentIndex, leaf: Leaf) {
        let Some(agent) = self.agent_mut(index) else {
            return;
        };
        match &mut agent.dirt {
            Dirt::Whole => {}
            Dirt::Pairs(pairs) => {
                if !pairs.contains(&leaf) {
                    pairs.push(leaf);
                }
            }
            Dirt::Clean => {
                agent.dirt = Dirt::Pairs(vec![leaf]);
                self.dirty_agents.push(index);
            }
        }
    }

    /// Has the next cycle look at all agents with something left, for everybody.
    pub(crate) fn mark_all_free(&mut self) {
        for agent in self.free_agents() {
            self.mark_agent(agent);
        }
    }

    /// The usable agents with something left.
    pub(crate) fn free_agents(&self) -> Vec<AgentIndex> {
        let index = |slot| AgentIndex(u32::try_from(slot).expect("agent indices are 32 bits"));
        self.free.iter().map(index).collect()
    }
}
