//! Agents coming, going and changing.

use crate::agent::{Activity, Agent};
use crate::config::{AgentSpec, FaultDomain};
use crate::demand::Change;
use crate::ids::{AgentIndex, FrameworkIndex, Slot, grow};
use crate::scalars::Sign;
use crate::scheduler::Scheduler;
use mezz_resource::Resources;

impl Scheduler {
    /// Adds an active agent, with what frameworks already use of it (each allocated to a role).
    pub fn add_agent(
        &mut self,
        agent: AgentIndex,
        spec: AgentSpec,
        used: &[(FrameworkIndex, Resources)],
    ) {
        self.remove_agent(agent);
        let mut entry = Agent::new(spec);
        entry.whitelisted = self.is_host_whitelisted(&entry.spec.hostname);
        entry.remote = self.is_remote(entry.spec.domain.as_ref());
        self.count_total(&entry.spec.total, Sign::Plus);
        grow(&mut self.agents, agent.slot());
        self.agents[agent.slot()] = Some(entry);
        self.classify(agent);
        self.note_change(Change::Kind(agent));
        for (framework, resources) in used {
            self.charge(*framework, agent, resources);
        }
        self.refresh_agent(agent);
        self.hopeless.clear();
        self.mark_agent(agent);
        self.relieve_all();
    }

    /// Removes an agent with all that is held of it.
    pub fn remove_agent(&mut self, agent: AgentIndex) {
        let Some(entry) = self.agent(agent) else {
            return;
        };
        let (held, used) = (entry.held.clone(), entry.used.clone());
        let total = entry.spec.total.clone();
        for (_, resources) in used.iter() {
            self.count_used(resources, Sign::Minus);
        }
        for (framework, resources) in held.iter() {
            self.settle(*framework, resources, Sign::Minus);
        }
        self.clear_filters_on(agent);
        self.drop_earmark(agent);
        if let Some(entry) = self.agent_mut(agent) {
            entry.activity = Activity::Inactive;
        }
        self.refresh_agent(agent);
        self.count_total(&total, Sign::Minus);
        self.declassify(agent);
        self.agents[agent.slot()] = None;
        self.note_change(Change::Kind(agent));
        self.relieve_all();
    }

    /// Offers of an agent may be made again.
    pub fn activate_agent(&mut self, agent: AgentIndex) {
        self.set_agent_activity(agent, Activity::Active);
    }

    /// No more offers of an agent.
    pub fn deactivate_agent(&mut self, agent: AgentIndex) {
        self.set_agent_activity(agent, Activity::Inactive);
        self.drop_earmark(agent);
    }

    fn set_agent_activity(&mut self, agent: AgentIndex, activity: Activity) {
        let Some(entry) = self.agent_mut(agent) else {
            return;
        };
        entry.activity = activity;
        self.refresh_agent(agent);
        self.hopeless.clear();
        self.mark_agent(agent);
        self.relieve_all();
    }

    /// Changes what an agent has; refusals on it end.
    pub fn update_agent_total(&mut self, agent: AgentIndex, total: Resources) {
        let Some(entry) = self.agent_mut(agent) else {
            return;
        };
        let before = std::mem::replace(&mut entry.spec.total, total.clone());
        entry.has_gpus = !total.scalar("gpus").is_zero();
        entry.recompute_available();
        self.count_total(&before, Sign::Minus);
        self.count_total(&total, Sign::Plus);
        self.after_agent_change(agent);
    }

    /// Changes everything about an agent but what is held of it; refusals on it end.
    pub fn update_agent(&mut self, agent: AgentIndex, spec: AgentSpec) {
        let (whitelisted, remote) = (
            self.is_host_whitelisted(&spec.hostname),
            self.is_remote(spec.domain.as_ref()),
        );
        let total = spec.total.clone();
        let Some(entry) = self.agent_mut(agent) else {
            return;
        };
        entry.spec = AgentSpec {
            total: std::mem::take(&mut entry.spec.total),
            ..spec
        };
        entry.whitelisted = whitelisted;
        entry.remote = remote;
        self.update_agent_total(agent, total);
    }

    fn after_agent_change(&mut self, agent: AgentIndex) {
        self.classify(agent);
        self.note_change(Change::Kind(agent));
        self.refresh_agent(agent);
        self.clear_filters_on(agent);
        self.hopeless.clear();
        self.mark_agent(agent);
        self.relieve_all();
    }

    /// Changes the hosts that are offered; none means all.
    pub fn set_agent_whitelist(&mut self, hosts: Option<std::collections::BTreeSet<String>>) {
        self.config.agent_whitelist = hosts;
        for agent in self.agent_indices() {
            let Some(entry) = self.agent(agent) else {
                continue;
            };
            let whitelisted = self.is_host_whitelisted(&entry.spec.hostname);
            if whitelisted == entry.whitelisted {
                continue;
            }
            if let Some(entry) = self.agent_mut(agent) {
                entry.whitelisted = whitelisted;
            }
            self.refresh_agent(agent);
            self.mark_agent(agent);
        }
        self.relieve_all();
    }

    fn is_host_whitelisted(&self, hostname: &str) -> bool {
        self.config
            .agent_whitelist
            .as_ref()
            .is_none_or(|hosts| hosts.contains(hostname))
    }

    fn is_remote(&self, domain: Option<&FaultDomain>) -> bool {
        match (&self.config.home_region, domain) {
            (Some(home), Some(domain)) => *home != domain.region,
            _ => false,
        }
    }

    /// Counts what an agent has into the totals, and its reservations into the quota of their roles.
    fn count_total(&mut self, total: &Resources, sign: Sign) {
        let delta = self.names.delta(total);
        self.roles.change_totals(&delta.all, sign);
        for (role, reserved) in total.reserved_by_role() {
            let delta = self.names.delta(&reserved);
            let role = self.roles.intern(&role);
            self.roles
                .apply_upwards(role, &delta.all, sign, |node| &mut node.reserved);
            self.roles.prune(role);
        }
    }
}
