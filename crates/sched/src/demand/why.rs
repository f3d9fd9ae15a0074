//! Why a demand waits, and where its instances would go, without changing anything.

use std::collections::{BTreeMap, BTreeSet};

use super::cache::Cache;
use super::candidates::Candidates;
use super::counts::Excess;
use super::judge::{Misfit, packing};
use super::queue::Block;
use super::shapes::{Shape, ShapeKey};
use super::{Demand, DemandKey, Preemption, Rules};
use crate::ids::{AgentIndex, FrameworkIndex, Leaf};
use crate::placement::Refusals;
use crate::reason::Reason;
use crate::scheduler::Scheduler;

/// Where the instances of a demand would go now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// One agent for each instance that finds a place, in the order of placing.
    pub agents: Vec<AgentIndex>,
    /// Why the next one finds none; none when all do.
    pub refusals: Option<Refusals>,
}

/// Why agents were passed over, with how many.
#[derive(Debug, Default)]
struct Tally {
    counts: BTreeMap<String, (usize, Reason)>,
    agents: usize,
}

impl Tally {
    fn count(&mut self, reason: Reason) {
        let key = format!("{reason:?}");
        self.counts.entry(key).or_insert((0, reason)).0 += 1;
    }

    /// The causes that concern most agents first.
    fn into_reasons(self) -> Vec<Reason> {
        let mut reasons: Vec<(usize, Reason)> = self.counts.into_values().collect();
        reasons.sort_by_key(|(agents, _)| std::cmp::Reverse(*agents));
        reasons
            .into_iter()
            .map(|(agents, reason)| reason.of_so_many(agents))
            .collect()
    }
}

impl Scheduler {
    /// The demands with keys in a range that still want instances, and how many each.
    pub fn waiting_demands(
        &self,
        first: DemandKey,
        last: DemandKey,
    ) -> impl Iterator<Item = (DemandKey, u64)> {
        self.queue.within(first, last)
    }

    /// Why a demand waits: for its turn, its quota, or agents, counted by what each lacks; none when there is no such demand.
    pub fn why_demand(&self, key: DemandKey) -> Option<Refusals> {
        let pending = self.queue.get(key)?;
        let shape = self.queue.shapes.get(pending.shape);
        let mut reasons = Vec::new();
        let head = shape.turns.first();
        if let Some(first) = head.filter(|turn| turn.priority.0 > pending.demand.priority) {
            reasons.push(Reason::BehindPriority {
                priority: first.priority.0,
            });
        }
        if self.queue.block_of(pending.shape) == Some(Block::Quota) {
            reasons.extend(self.quota_reason(shape));
            return Some(Refusals(reasons));
        }
        let mut candidates = Candidates::new(&shape.key);
        candidates.refresh(self, shape);
        if pending.demand.gang {
            reasons.push(self.gang_reason(shape, &candidates, key));
        }
        let instances = self.ending_for(key);
        if instances > 0 {
            reasons.push(Reason::MakingRoom { instances });
        }
        reasons.extend(self.agent_reasons(shape, &candidates, Some(key)));
        Some(Refusals(reasons))
    }

    /// Why each agent is no place for one more instance of a demand; none when there is no such demand.
    pub fn why_agents(&self, key: DemandKey) -> Option<Vec<(AgentIndex, Reason)>> {
        let pending = self.queue.get(key)?;
        let shape = self.queue.shapes.get(pending.shape);
        let mut candidates = Candidates::new(&shape.key);
        candidates.refresh(self, shape);
        let agents = self
            .agent_indices()
            .filter(|index| self.agent(*index).is_some());
        let is_over = self.queue.block_of(pending.shape) == Some(Block::Quota);
        let quota = is_over.then(|| self.quota_reason(shape)).flatten();
        let told = agents.map(|index| {
            let own = || self.agent_reason(shape, &candidates, Some(key), index);
            (index, quota.clone().unwrap_or_else(own))
        });
        Some(told.collect())
    }

    /// Where so many instances of a demand would go now, as if the framework had nothing else to place.
    ///
    /// Nothing is changed. Turns are left out: others may be served first.
    pub fn try_place(&self, framework: FrameworkIndex, demand: &Demand, count: u64) -> Trial {
        let Some(role) = self.roles.find(&demand.role) else {
            // A role that nobody has used yet: the copy may make it.
            let mut copy = self.clone();
            copy.roles.intern(&demand.role);
            return copy.try_place(framework, demand, count);
        };
        let leaf = Leaf { framework, role };
        let shape = self.trial_shape(leaf, demand);
        let mut thought = Candidates::new(&shape.key);
        thought.refresh(self, &shape);
        let free = |agent: AgentIndex| !self.earmarks.contains_key(&agent);
        let room = self.room(leaf.role, self.lacking_total().as_ref());
        let mut agents = Vec::new();
        let mut taken = 0i64;
        while (agents.len() as u64) < count {
            taken += 1;
            let within = room.as_ref().is_none_or(|room| {
                shape.needs.iter().all(|(place, need)| {
                    let wanted = need.saturating_mul(taken);
                    *place >= self.names.len()
                        || wanted <= room.limit.get(*place).min(room.all.get(*place))
                })
            });
            if !within {
                let refusals = Refusals(self.quota_reason(&shape).into_iter().collect());
                return trial(demand, agents, Some(refusals));
            }
            let Some(agent) = thought.best(free) else {
                let reasons = self.agent_reasons(&shape, &thought, None);
                return trial(demand, agents, Some(Refusals(reasons)));
            };
            thought.suppose(self, &shape, agent);
            agents.push(agent);
        }
        trial(demand, agents, None)
    }

    fn trial_shape(&self, leaf: Leaf, demand: &Demand) -> Shape {
        let quantities = demand.request.quantities();
        let known = quantities.iter();
        // A name that no agent and nobody else has ever used lies beyond the table: nothing of it is free.
        let needs = known.map(|(name, amount)| {
            let place = self.names.find(name).unwrap_or(self.names.len());
            (place, amount.0)
        });
        let key = ShapeKey {
            group: Some(demand.group),
            ..ShapeKey::of(leaf, DemandKey(0), demand)
        };
        Shape {
            key,
            needs: needs.collect(),
            quantities: quantities.clone(),
            is_exact: demand
                .request
                .iter()
                .any(|own| own.as_scalar().is_none() || own.traits().is_some()),
            wants_gpus: !demand.request.scalar("gpus").is_zero(),
            packing: packing(self, demand.rules.packing, &demand.role),
            turns: BTreeSet::new(),
            victims_sought_ns: None,
            candidates: Cache::default(),
            seen: Cache::default(),
        }
    }

    fn gang_reason(&self, shape: &Shape, candidates: &Candidates, demand: DemandKey) -> Reason {
        let count = self.wanted(demand);
        let free = |agent: AgentIndex| !self.is_kept_from(agent, demand);
        let room = self.fill(candidates, shape, count, &free).len() as u64;
        let pending = self.queue.get(demand);
        let preempts = pending.map(|own| own.demand.preempts) == Some(Preemption::LowerPriority);
        let is_being_made = self.ending_for(demand) > 0;
        let is_asked = preempts && room < count && !is_being_made;
        Reason::AllAtOnce {
            count,
            room,
            room_after: is_asked.then(|| self.room_after_all(shape, candidates, demand)),
        }
    }

    fn quota_reason(&self, shape: &Shape) -> Option<Reason> {
        let refused = self.check_quota(shape.key.leaf, &shape.key.request);
        let first = refused
            .err()
            .and_then(|refusals| refusals.0.into_iter().next());
        first.or_else(|| {
            // A gang, or several in thought, are more than the one that fits.
            let (role, name, left) = self.tightest_limit(shape.key.leaf);
            Some(Reason::OverQuota {
                agents: self.free.count(),
                role,
                name,
                left,
            })
        })
    }

    /// Why each agent is no place for one more, counted.
    fn agent_reasons(
        &self,
        shape: &Shape,
        candidates: &Candidates,
        demand: Option<DemandKey>,
    ) -> Vec<Reason> {
        let mut tally = Tally::default();
        for index in self.agent_indices() {
            if self.agent(index).is_none() {
                continue;
            }
            tally.agents += 1;
            tally.count(self.agent_reason(shape, candidates, demand, index));
        }
        if tally.agents == 0 {
            return vec![Reason::NoAgents];
        }
        tally.into_reasons()
    }

    /// Why one agent is no place for one more.
    fn agent_reason(
        &self,
        shape: &Shape,
        candidates: &Candidates,
        demand: Option<DemandKey>,
        index: AgentIndex,
    ) -> Reason {
        let verdict = candidates.judge(self, shape, index);
        let closed = candidates.closed_for(index).map(Misfit::Excess);
        let kept = self.earmarks.get(&index);
        match verdict.err().or(closed) {
            Some(misfit) => reason(&misfit, &shape.key.rules, candidates, 1),
            None if kept.is_some_and(|kept| kept.keep.demand() != demand) => {
                Reason::Earmarked { agents: 1 }
            }
            None => Reason::Ready { agents: 1 },
        }
    }
}

/// A gang goes as a whole or not at all.
fn trial(demand: &Demand, mut agents: Vec<AgentIndex>, refusals: Option<Refusals>) -> Trial {
    if demand.gang && refusals.is_some() {
        agents.clear();
    }
    Trial { agents, refusals }
}

fn reason(misfit: &Misfit, rules: &Rules, candidates: &Candidates, agents: usize) -> Reason {
    match misfit {
        Misfit::Unusable => Reason::AgentsUnusable { agents },
        Misfit::OtherRegion => Reason::OtherRegion { agents },
        Misfit::Rule(rule) => Reason::RuleUnmet {
            agents,
            rule: rules.require[*rule].to_string(),
        },
        Misfit::NoValue(key) => Reason::NoValue {
            agents,
            key: candidates.keys[*key].key.to_string(),
        },
        Misfit::Lacks(name, wanted) => Reason::Lacking {
            agents,
            name: name.clone(),
            wanted: *wanted,
        },
        Misfit::PortTaken(port) => Reason::PortTaken {
            agents,
            port: *port,
        },
        Misfit::NotNear(_) => Reason::NotNear { agents },
        Misfit::NotAway => Reason::NotAway { agents },
        Misfit::Excess(Excess::MaxPer(spread)) => Reason::Crowded {
            agents,
            key: rules.spread[*spread].key.to_string(),
            max_per: rules.spread[*spread].max_per.unwrap_or(0),
        },
        Misfit::Excess(Excess::MaxSkew(spread)) => Reason::Uneven {
            agents,
            key: rules.spread[*spread].key.to_string(),
            max_skew: rules.spread[*spread].max_skew.unwrap_or(0),
        },
        Misfit::Excess(Excess::Elsewhere(same)) => Reason::Elsewhere {
            agents,
            key: rules.same[*same].to_string(),
        },
    }
}
