//! How many instances of a group share each value of one key, and what the bounds on that leave open.

use std::collections::BTreeMap;

use super::{PlaceKey, Rules};
use crate::ids::AgentIndex;

/// What is asked of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// By its place among the spreads of the rules.
    Spread {
        rule: usize,
        max_per: Option<u32>,
        max_skew: Option<u32>,
        expected: u32,
    },
    /// By its place among the keys that all instances share.
    Same { rule: usize },
}

/// Which bound forbids one more instance at a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    MaxPer(usize),
    MaxSkew(usize),
    Elsewhere(usize),
}

/// The counts of one key.
#[derive(Debug, Clone)]
pub(super) struct KeyCounts {
    pub(super) key: PlaceKey,
    bound: Bound,
    /// Whether many agents share a value; then values are looked at, not agents.
    pub(super) is_wide: bool,
    values: BTreeMap<String, u32>,
    /// By value: the agents, for keys that are not wide.
    members: Vec<Vec<AgentIndex>>,
    counts: Vec<u32>,
    /// By value: how many agents the rules admit.
    admitted: Vec<u32>,
    /// By count: how many values with admitted agents have it.
    levels: BTreeMap<u32, u32>,
    total: u64,
}

impl KeyCounts {
    /// The counts that rules ask for, all empty.
    pub(super) fn of(rules: &Rules) -> Vec<Self> {
        let spreads = rules.spread.iter().enumerate().map(|(rule, spread)| {
            let bound = Bound::Spread {
                rule,
                max_per: spread.max_per,
                max_skew: spread.max_skew,
                expected: spread.expected.unwrap_or(0),
            };
            Self::new(spread.key.clone(), bound, !spread.key.tells_agents_apart())
        });
        let same = rules.same.iter().enumerate();
        let same = same.map(|(rule, key)| Self::new(key.clone(), Bound::Same { rule }, true));
        spreads.chain(same).collect()
    }

    fn new(key: PlaceKey, bound: Bound, is_wide: bool) -> Self {
        Self {
            key,
            bound,
            is_wide,
            values: BTreeMap::new(),
            members: Vec::new(),
            counts: Vec::new(),
            admitted: Vec::new(),
            levels: BTreeMap::new(),
            total: 0,
        }
    }

    /// The number of a value.
    pub(super) fn intern(&mut self, text: &str) -> u32 {
        if let Some(value) = self.values.get(text) {
            return *value;
        }
        let value = u32::try_from(self.counts.len()).expect("fewer than 2^32 agents");
        self.values.insert(text.to_owned(), value);
        self.counts.push(0);
        self.admitted.push(0);
        self.members.push(Vec::new());
        value
    }

    /// An agent with the value comes.
    pub(super) fn join(&mut self, value: u32, agent: AgentIndex, is_admitted: bool) {
        if !self.is_wide {
            self.members[value as usize].push(agent);
        }
        if is_admitted {
            let admitted = &mut self.admitted[value as usize];
            *admitted += 1;
            if *admitted == 1 {
                *self.levels.entry(self.counts[value as usize]).or_insert(0) += 1;
            }
        }
    }

    /// An agent with the value goes.
    pub(super) fn leave(&mut self, value: u32, agent: AgentIndex, is_admitted: bool) {
        self.members[value as usize].retain(|own| *own != agent);
        if is_admitted {
            let admitted = &mut self.admitted[value as usize];
            *admitted -= 1;
            if *admitted == 0 {
                lower(&mut self.levels, self.counts[value as usize]);
            }
        }
    }

    /// So many instances on an agent with the value, instead of so many.
    pub(super) fn recount(&mut self, value: u32, before: u32, after: u32) {
        let count = &mut self.counts[value as usize];
        let former = *count;
        *count = former.saturating_sub(before).saturating_add(after);
        self.total = (self.total + u64::from(after)).saturating_sub(u64::from(before));
        if self.admitted[value as usize] > 0 {
            lower(&mut self.levels, former);
            *self.levels.entry(*count).or_insert(0) += 1;
        }
    }

    /// The agents that share a value, of a key that is not wide.
    pub(super) fn members(&self, value: u32) -> &[AgentIndex] {
        &self.members[value as usize]
    }

    /// How many run at the emptiest value.
    pub(super) fn least(&self) -> u32 {
        let seen: u32 = self.levels.values().sum();
        match self.bound {
            Bound::Spread { expected, .. } if seen < expected => 0,
            _ => self.levels.keys().next().copied().unwrap_or(0),
        }
    }

    /// Whether the emptiest value bears on what the others may have.
    pub(super) fn watches_least(&self) -> bool {
        matches!(
            self.bound,
            Bound::Spread {
                max_skew: Some(_),
                ..
            }
        )
    }

    /// Whether one more may run at a value.
    pub(super) fn admits(&self, value: u32) -> Result<(), Excess> {
        let count = self.counts[value as usize];
        match self.bound {
            Bound::Same { rule } if self.total > 0 && count == 0 => Err(Excess::Elsewhere(rule)),
            Bound::Same { .. } => Ok(()),
            Bound::Spread {
                rule,
                max_per,
                max_skew,
                ..
            } => {
                if max_per.is_some_and(|most| count >= most) {
                    return Err(Excess::MaxPer(rule));
                }
                let too_many = |skew: u32| count >= self.least().saturating_add(skew.max(1));
                if max_skew.is_some_and(too_many) {
                    return Err(Excess::MaxSkew(rule));
                }
                Ok(())
            }
        }
    }
}

fn lower(levels: &mut BTreeMap<u32, u32>, level: u32) {
    if let Some(values) = levels.get_mut(&level) {
        *values -= 1;
        if *values == 0 {
            levels.remove(&level);
        }
    }
}
