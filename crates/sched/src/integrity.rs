//! The invariants of the ledger, checked after every event in tests and simulation.

use crate::agent::Agent;
use crate::ids::{AgentIndex, Slot};
use crate::scalars::{NameTable, Scalars, Sign};
use crate::scheduler::Scheduler;
use mezz_resource::Resources;

impl Scheduler {
    /// Checks conservation on every agent, the sums of the roles, the order of turns and the limits;
    /// says what is broken.
    pub fn check_integrity(&self) -> Result<(), String> {
        let mut names = self.names.clone();
        let mut all_held = Resources::new();
        let mut all_totals = Scalars::default();
        let mut unreserved_free = Scalars::default();
        for index in self.agent_indices() {
            let Some(agent) = self.agent(index) else {
                continue;
            };
            check_agent(index, agent)?;
            let free = agent.is_usable() && !agent.available.is_empty();
            if free != self.free.has(index.slot()) {
                return Err(format!(
                    "agent {} is listed wrongly among the free",
                    index.0
                ));
            }
            if free {
                unreserved_free.apply(&names.delta(&agent.available).charged, Sign::Plus);
            }
            all_totals.apply(&names.delta(&agent.spec.total).all, Sign::Plus);
            for (_, held) in agent.held.iter() {
                all_held += held;
            }
        }
        same("totals", self.roles.totals(), &all_totals)?;
        same(
            "unreserved and free",
            &self.unreserved_free,
            &unreserved_free,
        )?;
        self.check_roles(&all_held, &mut names)?;
        let filters: usize = self
            .agents
            .iter()
            .flatten()
            .map(|agent| agent.filters.len())
            .sum();
        if filters < self.filter_ends.len() {
            return Err(format!(
                "{filters} refusals but {} ends",
                self.filter_ends.len()
            ));
        }
        if !self.roles.is_consistent(&self.names) {
            return Err("the order of turns is stale".to_owned());
        }
        self.queue.check()
    }

    fn check_roles(&self, all_held: &Resources, names: &mut NameTable) -> Result<(), String> {
        for (_, node) in self.roles.iter() {
            let own = all_held.filter(|resource| resource.allocation_role() == Some(&node.path));
            same(&node.path, &node.own.held, &names.delta(&own).all)?;
            let below = all_held.filter(|resource| {
                resource
                    .allocation_role()
                    .is_some_and(|role| mezz_resource::role::is_in_subtree_of(role, &node.path))
            });
            let delta = names.delta(&below);
            same(&node.path, &node.subtree.held, &delta.all)?;
            same(&node.path, &node.charged, &delta.charged)?;
            if let Some((index, used)) = node
                .used
                .iter()
                .find(|(index, used)| *used > node.charged.get(*index))
            {
                return Err(format!(
                    "role {} uses {used} of {} but holds less",
                    node.path,
                    names.name(index)
                ));
            }
        }
        Ok(())
    }

    /// Whether a role's subtree is within its limits.
    pub fn is_within_limits(&self, role: &str) -> bool {
        let Some(role) = self.roles.find(role) else {
            return true;
        };
        let node = self.roles.node(role);
        node.quota
            .iter()
            .flat_map(|quota| &quota.limits)
            .all(|(index, bound)| node.consumed(*index) <= *bound)
    }
}

fn check_agent(index: AgentIndex, agent: &Agent) -> Result<(), String> {
    if agent.overcommitted {
        return Ok(());
    }
    let mut sum = agent.available.clone();
    for (framework, held) in agent.held.iter() {
        sum += held.unallocated();
        if agent
            .used
            .of(*framework)
            .is_some_and(|used| !held.contains(used))
        {
            return Err(format!(
                "framework {} uses more on agent {} than it holds",
                framework.0, index.0
            ));
        }
    }
    if sum == agent.spec.total.unallocated() {
        return Ok(());
    }
    Err(format!(
        "agent {} has {} but accounts for {sum}",
        index.0, agent.spec.total
    ))
}

fn same(what: &str, own: &Scalars, anew: &Scalars) -> Result<(), String> {
    let mut difference = own.clone();
    difference.apply(anew, Sign::Minus);
    if difference.is_zero() {
        return Ok(());
    }
    Err(format!("{what}: cached {own:?}, computed {anew:?}"))
}
