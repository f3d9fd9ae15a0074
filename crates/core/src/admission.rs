//! What an agent must be to be taken: in a place that this master knows of, and large enough for what it runs.
//!
//! It changes nothing; it only finds reasons.

use mezz_proto::v1;
use mezz_resource::Resources;
use mezz_sched::FaultDomain;

use crate::config::Config;
use crate::reported::{KnownResources, Reported};
use crate::wire::is_terminal;

/// Why an agent cannot be where it says it is.
pub(crate) fn misplaced(config: &Config, agent: &v1::AgentInfo) -> Option<String> {
    let Some(domain) = &agent.domain else {
        return config.require_agent_domain.then(|| {
            "this master takes only agents with a fault domain (--require-agent-domain): start the agent with --domain"
                .to_owned()
        });
    };
    if config.domain.is_none() {
        return Some(
            "the agent has a fault domain, but this master has none to compare it with: start the master with --domain"
                .to_owned(),
        );
    }
    fault_domain(domain)
        .is_none()
        .then(|| "the agent's `domain` has no `fault_domain`".to_owned())
}

/// Why an agent that comes back cannot hold what it says it runs.
pub(crate) fn overcommitted(
    total: &Resources,
    tasks: &[Reported],
    executors: &[v1::ExecutorInfo],
    known: &mut KnownResources,
) -> Option<String> {
    let mut held = Resources::default();
    for task in tasks.iter().filter(|task| !is_terminal(task.task.state)) {
        held += &known.of(task).0.unallocated();
    }
    for executor in executors {
        held += &Resources::from_proto(&executor.resources)
            .unwrap_or_default()
            .unallocated();
    }
    let total = total.unallocated();
    let lacking = held.iter().find(|one| {
        let one = Resources::from_iter([(*one).clone()]);
        !total.contains(&one)
    })?;
    Some(format!(
        "the agent's tasks and executors hold more of '{}' than it has ({} of {}): give it at least the resources it had, or end its tasks first",
        lacking.name(),
        held,
        total
    ))
}

/// The region and zone of a domain that names them.
pub fn fault_domain(domain: &v1::DomainInfo) -> Option<FaultDomain> {
    let domain = domain.fault_domain.as_ref()?;
    Some(FaultDomain {
        region: domain.region.name.clone(),
        zone: domain.zone.name.clone(),
    })
}

pub(crate) fn domain_info(domain: &FaultDomain) -> v1::DomainInfo {
    use v1::domain_info::FaultDomain;
    use v1::domain_info::fault_domain::{RegionInfo, ZoneInfo};
    v1::DomainInfo {
        fault_domain: Some(FaultDomain {
            region: RegionInfo {
                name: domain.region.clone(),
            },
            zone: ZoneInfo {
                name: domain.zone.clone(),
            },
        }),
    }
}
