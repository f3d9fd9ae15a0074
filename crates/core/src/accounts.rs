//! Accounts of what tasks, executors and offers hold, on agents, of frameworks and in the ledger.

use mezz_resource::Resources;

use crate::frameworks::sched_key;
use crate::key::{AgentKey, FrameworkKey};
use crate::master::Master;

impl Master {
    /// Counts what a task or an executor holds; the ledger hears of it from the caller.
    pub(crate) fn charge(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        resources: &Resources,
    ) {
        self.agent_mut(agent).used += resources;
        self.framework_mut(framework).used += resources;
    }

    /// Gives back what a task or an executor held.
    pub(crate) fn release(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        resources: &Resources,
    ) {
        discharge(&mut self.agent_mut(agent).used, resources);
        discharge_merged(&mut self.framework_mut(framework).used, resources);
        self.sched
            .mark_unused(sched_key(framework), agent_sched_key(agent), resources);
        self.recover(framework, agent, resources, None);
    }
}

/// What can be added up over agents: ports and sets of one agent have nothing to do with those of another.
pub(crate) fn scalars(resources: &Resources) -> Resources {
    resources.filter(|resource| resource.as_scalar().is_some())
}

/// Takes a part out of an account. All of it is there, unless two tasks hold the same ports: one that was counted as
/// lost and came back, and one that was started in its place.
pub(crate) fn discharge(account: &mut Resources, part: &Resources) {
    // Most often it is the only part.
    if account == part {
        *account = Resources::new();
    } else if !account.subtract_assign(part) {
        let _ = account.subtract_available(part);
    }
}

/// Takes a part out of an account of several agents. The same ports of two agents are one range in it, as in Mesos,
/// so what another agent's part has taken with it is not missed.
pub(crate) fn discharge_merged(account: &mut Resources, part: &Resources) {
    account.subtract_available(part);
}

pub(crate) fn agent_sched_key(key: AgentKey) -> mezz_sched::AgentIndex {
    mezz_sched::AgentIndex(key.0)
}
