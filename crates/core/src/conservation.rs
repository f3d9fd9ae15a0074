//! Conservation: what records, offers and ledger say of the same resources agrees. Reads the state, changes nothing.

use std::collections::BTreeMap;

use mezz_resource::Resources;

use crate::accounts::{agent_sched_key, scalars};
use crate::frameworks::sched_key;
use crate::key::{AgentKey, FrameworkKey};
use crate::master::Master;
use crate::records::{AgentRecord, AgentState, TaskList};
use crate::wire::is_terminal;

/// Who has what of which agent, computed anew from the records.
#[derive(Default)]
struct Account {
    used: BTreeMap<(AgentKey, FrameworkKey), Resources>,
    offered: BTreeMap<(AgentKey, FrameworkKey), Resources>,
}

impl Account {
    fn of_agent(
        side: &BTreeMap<(AgentKey, FrameworkKey), Resources>,
        agent: AgentKey,
    ) -> Resources {
        let range = (agent, FrameworkKey(0))..=(agent, FrameworkKey(u32::MAX));
        let mut sum = Resources::new();
        for (_, part) in side.range(range) {
            sum += part;
        }
        sum
    }

    fn by_framework(
        side: &BTreeMap<(AgentKey, FrameworkKey), Resources>,
    ) -> BTreeMap<FrameworkKey, Resources> {
        let mut sums: BTreeMap<FrameworkKey, Resources> = BTreeMap::new();
        for ((_, framework), part) in side {
            *sums.entry(*framework).or_default() += &scalars(part);
        }
        sums
    }
}

impl Master {
    /// Resources are conserved on every agent, none is in two offers, and the ledger agrees.
    pub(crate) fn check_conservation(&self) -> Result<(), String> {
        let account = self.account();
        for (_, agent) in self.records.agents.iter() {
            self.check_agent_account(agent, &account)?;
        }
        let used = Account::by_framework(&account.used);
        let offered = Account::by_framework(&account.offered);
        for (_, framework) in self.records.frameworks.iter() {
            let name = format!("framework {}", framework.id);
            // Ports of several agents are one range in these sums, so only scalars can be held to account.
            let key = framework.key;
            same(&name, "used", &scalars(&framework.used), used.get(&key))?;
            same(
                &name,
                "offered",
                &scalars(&framework.offered),
                offered.get(&key),
            )?;
        }
        let mismatches = self.sched.stats().mismatches;
        if mismatches > 0 {
            return Err(format!(
                "{mismatches} times more was given back to the ledger than was held"
            ));
        }
        self.sched
            .check_integrity()
            .map_err(|error| format!("ledger: {error}"))
    }

    fn account(&self) -> Account {
        let mut account = Account::default();
        for (_, task) in self.records.tasks.iter() {
            if task.list == TaskList::Live && !is_terminal(task.state) {
                let place = (task.agent, task.framework);
                *account.used.entry(place).or_default() += &*task.resources;
            }
        }
        for (_, executor) in self.records.executors.iter() {
            let place = (executor.agent, executor.framework);
            *account.used.entry(place).or_default() += &*executor.resources;
        }
        for (_, offer) in self.records.offers.iter() {
            let place = (offer.agent, offer.framework);
            *account.offered.entry(place).or_default() += &*offer.resources;
        }
        account
    }

    fn check_agent_account(&self, agent: &AgentRecord, account: &Account) -> Result<(), String> {
        let name = format!("agent {}", agent.id);
        let used = Account::of_agent(&account.used, agent.key);
        let offered = Account::of_agent(&account.offered, agent.key);
        same(&name, "used", &agent.used, Some(&used))?;
        same(&name, "offered", &agent.offered, Some(&offered))?;
        let total = agent.total.unallocated();
        let mut left = total.clone();
        // Tasks that were once counted as lost may come back on top of others; what they leave may be offered.
        let _ = left.subtract_available(&used.unallocated());
        if !left.contains(&offered.unallocated()) {
            return Err(format!(
                "{name}: {used} used and {offered} offered are more than {total}"
            ));
        }
        let in_ledger = matches!(
            agent.state,
            AgentState::Connected | AgentState::Disconnected
        );
        let mut free = total;
        for (_, framework) in self.records.frameworks.iter() {
            let place = (agent.key, framework.key);
            let mut expected = account.used.get(&place).cloned().unwrap_or_default();
            expected += account.offered.get(&place).cloned().unwrap_or_default();
            let held = self
                .sched
                .held(sched_key(framework.key), agent_sched_key(agent.key));
            let expected = if in_ledger {
                expected
            } else {
                Resources::new()
            };
            let of = format!("{name}, framework {}", framework.id);
            same(&of, "held in the ledger", &held, Some(&expected))?;
            let _ = free.subtract_available(&expected.unallocated());
        }
        let free = if in_ledger { free } else { Resources::new() };
        let available = self.sched.available(agent_sched_key(agent.key));
        same(&name, "available in the ledger", &available, Some(&free))
    }
}

fn same(
    name: &str,
    what: &str,
    recorded: &Resources,
    computed: Option<&Resources>,
) -> Result<(), String> {
    let none = Resources::new();
    let computed = computed.unwrap_or(&none);
    if recorded == computed {
        return Ok(());
    }
    Err(format!(
        "{name}: {what} is recorded as [{recorded}], computed as [{computed}]"
    ))
}
