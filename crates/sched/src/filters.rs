//! Refusals that keep a declined set of resources from the one who declined it, for a while.

mod counts;

use crate::ids::{AgentIndex, FrameworkIndex, Leaf, Slot};
use crate::scheduler::Scheduler;
use mezz_resource::Resources;

pub use counts::FilterCounts;

/// One refusal on one agent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Filter {
    pub(crate) leaf: Leaf,
    pub(crate) until_ns: u64,
    pub(crate) refused: Resources,
}

/// The refusals on one agent, sorted by who declined.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Filters(Vec<Filter>, Vec<Repeat>);

/// How often somebody declined just this set in a row.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Repeat {
    leaf: Leaf,
    times: u32,
    refused: Resources,
}

/// So many are looked through one by one.
const FEW: usize = 8;

/// The floor doubles with each repetition, this often at most.
const MAX_DOUBLINGS: u32 = 2;

impl Filters {
    fn of(&self, leaf: Leaf) -> &[Filter] {
        let start = self.0.partition_point(|filter| filter.leaf < leaf);
        let count = self.0[start..].partition_point(|filter| filter.leaf == leaf);
        &self.0[start..start + count]
    }

    /// Until when a set of resources is refused, if it is: a bigger set passes.
    pub(crate) fn refuses(&self, now_ns: u64, leaf: Leaf, resources: &Resources) -> Option<u64> {
        let own = if self.0.len() <= FEW {
            self.0.as_slice()
        } else {
            self.of(leaf)
        };
        own.iter()
            .filter(|filter| filter.leaf == leaf && filter.until_ns > now_ns)
            .filter(|filter| filter.refused.contains(resources))
            .map(|filter| filter.until_ns)
            .max()
    }

    /// The least time that a refusal holds: longer for one who declines the same over and over, so that a framework
    /// which refuses for no time at all costs next to nothing.
    pub(crate) fn floor_ns(&mut self, leaf: Leaf, refused: &Resources, least_ns: u64) -> u64 {
        let at = self.1.partition_point(|own| own.leaf < leaf);
        match self.1.get_mut(at).filter(|own| own.leaf == leaf) {
            Some(own) if own.refused == *refused => own.times = own.times.saturating_add(1),
            Some(own) => {
                own.times = 0;
                own.refused = refused.clone();
            }
            None => self.1.insert(
                at,
                Repeat {
                    leaf,
                    times: 0,
                    refused: refused.clone(),
                },
            ),
        }
        least_ns << self.1[at].times.min(MAX_DOUBLINGS)
    }

    /// Whoever used something, or asked for everything again, starts anew.
    pub(crate) fn forget_repeats(&mut self, framework: FrameworkIndex) {
        self.1.retain(|own| own.leaf.framework != framework);
    }

    fn has(&self, leaf: Leaf, until_ns: u64) -> bool {
        self.of(leaf)
            .iter()
            .any(|filter| filter.until_ns == until_ns)
    }

    fn insert(&mut self, filter: Filter) {
        let at = self.0.partition_point(|own| own.leaf <= filter.leaf);
        self.0.insert(at, filter);
    }

    fn take_if(&mut self, leaf: Leaf, mut gone: impl FnMut(&Filter) -> bool) -> Vec<Filter> {
        let start = self.0.partition_point(|filter| filter.leaf < leaf);
        let count = self.0[start..].partition_point(|filter| filter.leaf == leaf);
        self.0
            .extract_if(start..start + count, |filter| gone(filter))
            .collect()
    }

    fn iter(&self) -> impl Iterator<Item = &Filter> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Scheduler {
    /// Remembers a refusal; one that it covers is forgotten.
    pub(crate) fn add_filter(
        &mut self,
        agent: AgentIndex,
        leaf: Leaf,
        until_ns: u64,
        refused: Resources,
    ) {
        let Some(entry) = self.agent_mut(agent) else {
            return;
        };
        let covered = entry.filters.take_if(leaf, |old| {
            old.until_ns <= until_ns && refused.contains(&old.refused)
        });
        let kept_longer = entry
            .filters
            .of(leaf)
            .iter()
            .any(|old| old.until_ns >= until_ns && old.refused.contains(&refused));
        if !kept_longer {
            entry.filters.insert(Filter {
                leaf,
                until_ns,
                refused,
            });
            self.filter_ends.insert((until_ns, agent, leaf));
            self.count_filters(leaf.framework, 1);
            self.count_filter(leaf.role);
        }
        self.drop_filter_ends(agent, leaf, &covered);
    }

    fn drop_filter_ends(&mut self, agent: AgentIndex, leaf: Leaf, gone: &[Filter]) {
        if gone.is_empty() {
            return;
        }
        if let (Some(number), Some(entry)) = (self.number(leaf), self.agent_mut(agent)) {
            entry.refused.set(number.slot(), false);
        }
        for filter in gone {
            let key = filter.until_ns;
            if !self
                .agent(agent)
                .is_some_and(|entry| entry.filters.has(leaf, key))
            {
                self.filter_ends.remove(&(key, agent, leaf));
            }
        }
        self.count_filters(
            leaf.framework,
            -i64::try_from(gone.len()).unwrap_or(i64::MAX),
        );
        self.discount_filters(leaf.role, gone.len());
    }

    fn count_filters(&mut self, framework: FrameworkIndex, change: i64) {
        if let Some(framework) = self.framework_mut(framework) {
            framework.filters = framework.filters.saturating_add_signed(change);
        }
    }

    /// Ends the refusals whose time has come and lets those agents be looked at for them.
    pub(crate) fn expire_filters(&mut self, now_ns: u64) {
        while let Some((until_ns, agent, leaf)) = self.filter_ends.first().copied() {
            if until_ns > now_ns {
                return;
            }
            self.filter_ends.pop_first();
            let Some(entry) = self.agent_mut(agent) else {
                continue;
            };
            let gone = entry
                .filters
                .take_if(leaf, |filter| filter.until_ns <= now_ns);
            if gone.is_empty() {
                continue;
            }
            self.drop_filter_ends(agent, leaf, &gone);
            self.mark_pair(agent, leaf);
        }
    }

    /// Ends all refusals of one framework in one role.
    pub(crate) fn clear_filters_of(&mut self, leaf: Leaf) {
        if self
            .framework(leaf.framework)
            .is_none_or(|framework| framework.filters == 0)
        {
            return;
        }
        for slot in 0..self.agents.len() {
            let agent = AgentIndex(u32::try_from(slot).expect("agent indices are 32 bits"));
            let Some(entry) = self.agent_mut(agent) else {
                continue;
            };
            let gone = entry.filters.take_if(leaf, |_| true);
            if !gone.is_empty() {
                self.drop_filter_ends(agent, leaf, &gone);
            }
        }
    }

    /// Ends all refusals on one agent.
    pub(crate) fn clear_filters_on(&mut self, agent: AgentIndex) {
        let Some(entry) = self.agent_mut(agent) else {
            return;
        };
        entry.refused.clear();
        for filter in std::mem::take(&mut entry.filters).0 {
            self.filter_ends
                .remove(&(filter.until_ns, agent, filter.leaf));
            self.count_filters(filter.leaf.framework, -1);
            self.discount_filters(filter.leaf.role, 1);
        }
    }
}
