//! Why instances that wait have no place, agent by agent, as the ledger sees it.

use std::collections::BTreeMap;

use mezz_sched::Reason;
use mezz_spec::{Kind, Name};
use mezz_workload::demand_key::Demander;
use mezz_workload::placing::{Lack, NoPlace, NoPlaces};

use crate::key::AgentKey;
use crate::master::Master;

/// Agents of which it is told singly why they are no place.
const AGENTS_TOLD: usize = 50;

impl Master {
    /// Why instances of a service wait for a place, agent by agent.
    pub(crate) fn no_places(&self, service: &Name) -> NoPlaces {
        let mut found = NoPlaces::default();
        let index = &self.records.work.index;
        let Some(key) = index.get(&(Kind::Service, service.clone())) else {
            return found;
        };
        let (first, last) = Demander::of_service(*key);
        let mut counts = BTreeMap::new();
        let waiting = self.sched.waiting_demands(first, last);
        for (demand, _) in waiting {
            for (agent, reason) in self.sched.why_agents(demand).unwrap_or_default() {
                let Some(agent) = self.records.agents.get(AgentKey(agent.0).index()) else {
                    continue;
                };
                found.agents += 1;
                if matches!(reason, Reason::Ready { .. }) {
                    continue;
                }
                let lack = lack(&reason);
                *counts.entry(lack).or_insert(0) += 1;
                if found.examples.len() < AGENTS_TOLD {
                    found.examples.push(NoPlace {
                        agent: agent.id.to_string(),
                        hostname: agent.info.hostname.clone(),
                        lack,
                        reason: reason.to_string(),
                    });
                }
            }
        }
        found.counts = counts.into_iter().collect();
        found
    }
}

/// What an agent lacks, in one word.
fn lack(reason: &Reason) -> Lack {
    match reason {
        Reason::OverQuota { .. }
        | Reason::RoleNotWhitelisted { .. }
        | Reason::BehindPriority { .. } => Lack::Role,
        Reason::OtherRegion { .. }
        | Reason::Constrained { .. }
        | Reason::RuleUnmet { .. }
        | Reason::NoValue { .. }
        | Reason::NotNear { .. }
        | Reason::NotAway { .. }
        | Reason::Crowded { .. }
        | Reason::Uneven { .. }
        | Reason::Elsewhere { .. } => Lack::Rule,
        Reason::ReservedForOthers { .. }
        | Reason::HeldForGuarantees { .. }
        | Reason::Earmarked { .. } => Lack::Reserved,
        Reason::AgentsUnusable { .. } => Lack::Closed,
        Reason::PortTaken { .. } => Lack::Ports,
        Reason::Lacking { name, .. } => match name.as_str() {
            "cpus" => Lack::Cpus,
            "mem" => Lack::Mem,
            "disk" => Lack::Disk,
            "gpus" => Lack::Gpus,
            "ports" => Lack::Ports,
            _ => Lack::Other,
        },
        _ => Lack::Other,
    }
}
