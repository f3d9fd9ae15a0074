//! Resources changing hands.

use crate::ids::{AgentIndex, FrameworkIndex, Leaf, Slot};
use crate::scalars::Sign;
use crate::scheduler::Scheduler;
use mezz_resource::{Resource, Resources};
use std::borrow::Cow;
use std::sync::Arc;

impl Scheduler {
    /// Gives back what a framework holds but does not use: declined, rescinded or left over.
    ///
    /// `filter` is the time for which a decline refuses the like; without it the resources may go
    /// to anybody at once, the same framework included. What the framework does not hold is counted
    /// in [`crate::Stats::mismatches`] and otherwise ignored.
    pub fn recover(
        &mut self,
        now_ns: u64,
        framework: FrameworkIndex,
        agent: AgentIndex,
        resources: &Resources,
        filter: Option<u64>,
    ) {
        let Some(entry) = self.agent_mut(agent) else {
            return;
        };
        let missing = entry.held.take(framework, resources);
        let held = if missing.is_empty() {
            Cow::Borrowed(resources)
        } else {
            self.stats.mismatches += 1;
            Cow::Owned(resources.subtract(&missing).unwrap_or_default())
        };
        if held.is_empty() {
            return;
        }
        if let Some(entry) = self.agent_mut(agent) {
            if entry.overcommitted {
                entry.recompute_available();
            } else {
                entry.available += held.unallocated();
            }
        }
        self.bound_used(framework, agent);
        self.settle(framework, &held, Sign::Minus);
        self.refresh_agent(agent);
        if let Some(refuse_ns) = filter {
            self.refuse(now_ns, framework, agent, &held, refuse_ns);
        }
        self.mark_agent(agent);
    }

    /// Gives back what a framework used: a task or executor has ended.
    pub fn release(
        &mut self,
        now_ns: u64,
        framework: FrameworkIndex,
        agent: AgentIndex,
        resources: &Resources,
    ) {
        self.mark_unused(framework, agent, resources);
        self.recover(now_ns, framework, agent, resources, None);
    }

    /// Keeps a set of resources of an agent from a framework for a while, without moving anything.
    pub fn refuse(
        &mut self,
        now_ns: u64,
        framework: FrameworkIndex,
        agent: AgentIndex,
        resources: &Resources,
        refuse_ns: u64,
    ) {
        if let Some(role) = resources.allocation_role() {
            self.refuse_in_role((framework, agent), role, resources, now_ns, refuse_ns);
            return;
        }
        for (role, refused) in resources.by_allocation_role() {
            self.refuse_in_role((framework, agent), &role, &refused, now_ns, refuse_ns);
        }
    }

    fn refuse_in_role(
        &mut self,
        (framework, agent): (FrameworkIndex, AgentIndex),
        role: &str,
        refused: &Resources,
        now_ns: u64,
        refuse_ns: u64,
    ) {
        let Some(role) = self.roles.find(role) else {
            return;
        };
        let leaf = Leaf { framework, role };
        if !self.wants(leaf) {
            return;
        }
        let (refused, least_ns) = (refused.unallocated(), self.config.min_filter_ns);
        let floor_ns = match self.agent_mut(agent) {
            Some(entry) if refuse_ns < least_ns => entry.filters.floor_ns(leaf, &refused, least_ns),
            _ => least_ns,
        };
        let until_ns = now_ns.saturating_add(refuse_ns.max(floor_ns));
        self.add_filter(agent, leaf, until_ns, refused);
    }

    /// Takes resources (allocated to a role) outside an offer, as used: re-registered tasks.
    ///
    /// It never fails: an agent that is then overcommitted offers nothing until enough was given back.
    pub fn charge(&mut self, framework: FrameworkIndex, agent: AgentIndex, resources: &Resources) {
        if self.agent(agent).is_none() {
            return;
        }
        let resources = resources.filter(|resource| resource.allocation_role().is_some());
        self.hand_over(
            framework,
            agent,
            &resources.unallocated(),
            resources.clone(),
        );
        self.mark_used(framework, agent, &resources);
    }

    /// Marks part of what a framework was offered as used; what it does not hold is ignored.
    pub fn mark_used(
        &mut self,
        framework: FrameworkIndex,
        agent: AgentIndex,
        resources: &Resources,
    ) {
        let Some(entry) = self.agent_mut(agent) else {
            return;
        };
        entry.used.add(framework, resources.clone());
        entry.filters.forget_repeats(framework);
        self.count_used(resources, Sign::Plus);
        self.bound_used(framework, agent);
        self.note_appetite(framework);
    }

    /// Marks what a framework used as merely held, before it is recovered.
    pub fn mark_unused(
        &mut self,
        framework: FrameworkIndex,
        agent: AgentIndex,
        resources: &Resources,
    ) {
        let Some(entry) = self.agent_mut(agent) else {
            return;
        };
        let missing = entry.used.take(framework, resources);
        let taken = resources.subtract(&missing).unwrap_or_default();
        self.count_used(&taken, Sign::Minus);
    }

    /// Keeps what counts as used within what is held.
    fn bound_used(&mut self, framework: FrameworkIndex, agent: AgentIndex) {
        let Some(entry) = self.agent_mut(agent) else {
            return;
        };
        let Some(used) = entry.used.of(framework) else {
            return;
        };
        let held = entry.held.of(framework).cloned().unwrap_or_default();
        if held.contains(used) {
            return;
        }
        let excess = held.clone().subtract_available(used);
        let missing = entry.used.take(framework, &excess);
        debug_assert!(missing.is_empty(), "the excess is a part of what is used");
        self.count_used(&excess, Sign::Minus);
    }

    pub(crate) fn count_used(&mut self, resources: &Resources, sign: Sign) {
        for (role, part) in resources.by_allocation_role() {
            let delta = self.names.delta(&part);
            let role = self.roles.intern(&role);
            self.roles
                .apply_upwards(role, &delta.charged, sign, |node| &mut node.used);
            self.roles.prune(role);
        }
    }

    /// Moves resources to a framework; `allocated` are the same as `unallocated` with their roles.
    pub(crate) fn hand_over(
        &mut self,
        framework: FrameworkIndex,
        agent: AgentIndex,
        unallocated: &Resources,
        allocated: Resources,
    ) {
        self.settle(framework, &allocated, Sign::Plus);
        if let Some(entry) = self.agent_mut(agent) {
            entry.hold(framework, unallocated, allocated);
        }
        self.refresh_agent(agent);
    }

    /// Moves all that is free on an agent, in one role; returns it as allocated.
    pub(crate) fn hand_over_whole(
        &mut self,
        leaf: Leaf,
        agent: AgentIndex,
        role: &Arc<str>,
    ) -> Resources {
        let Some(entry) = self.agents.get_mut(agent.slot()).and_then(Option::as_mut) else {
            return Resources::new();
        };
        let allocated = std::mem::take(&mut entry.available).into_allocated(Some(role));
        entry.held.add(leaf.framework, allocated.clone());
        self.roles.apply(leaf, &entry.free, Sign::Plus);
        self.refresh_agent(agent);
        allocated
    }

    /// Moves a part of what is free on an agent, in one role; returns it as allocated.
    pub(crate) fn hand_over_part(
        &mut self,
        leaf: Leaf,
        agent: AgentIndex,
        role: &Arc<str>,
        part: Resources,
    ) -> Resources {
        let delta = self.names.delta(&part);
        self.roles.apply(leaf, &delta, Sign::Plus);
        self.relieve(leaf.role);
        let allocated = part.allocated_to(role);
        if let Some(entry) = self.agent_mut(agent) {
            entry.hold(leaf.framework, &part, allocated.clone());
        }
        self.refresh_agent(agent);
        allocated
    }

    /// Counts what a framework holds in its roles.
    pub(crate) fn settle(&mut self, framework: FrameworkIndex, resources: &Resources, sign: Sign) {
        match resources.allocation_role() {
            Some(role) => self.settle_role(framework, &Arc::clone(role), resources, sign),
            None => {
                for (role, part) in resources.by_allocation_role() {
                    self.settle_role(framework, &role, &part, sign);
                }
            }
        }
    }

    fn settle_role(
        &mut self,
        framework: FrameworkIndex,
        role: &str,
        resources: &Resources,
        sign: Sign,
    ) {
        let delta = self.names.delta(resources);
        let role = self.roles.intern(role);
        let leaf = Leaf { framework, role };
        self.roles.apply(leaf, &delta, sign);
        self.relieve(role);
        let subscribed = self
            .framework(framework)
            .is_some_and(|entry| entry.roles.contains_key(&role));
        if sign == Sign::Minus && !subscribed {
            self.roles.forget_client(leaf);
        }
    }

    /// What a framework holds on an agent, offered and used.
    pub fn held(&self, framework: FrameworkIndex, agent: AgentIndex) -> Resources {
        let held = self.agent(agent).and_then(|entry| entry.held.of(framework));
        held.cloned().unwrap_or_default()
    }

    /// What nobody holds on an agent.
    pub fn available(&self, agent: AgentIndex) -> Resources {
        self.agent(agent)
            .map(|entry| entry.available.clone())
            .unwrap_or_default()
    }
}

/// Whether a framework with these capabilities may take the resource.
pub(crate) fn is_taken_by(resource: &Resource, capabilities: crate::config::Capabilities) -> bool {
    use crate::config::Capability::{ReservationRefinement, RevocableResources, SharedResources};
    (!resource.is_revocable() || capabilities.has(RevocableResources))
        && (!resource.is_shared() || capabilities.has(SharedResources))
        && (!resource.is_refined() || capabilities.has(ReservationRefinement))
}
