//! The fairness ledger under load: a whole allocation cycle with all semantics, and one agent that becomes free.
//!
//! The cluster has hierarchical roles with weights, quota limits and guarantees, reservations, GPUs, racks, refusals
//! that stand, and frameworks with offer constraints. It is the same for the same numbers, in every run.

use std::sync::Arc;

use mezz_proto::v1::scheduler as wire;
use mezz_resource::{Quantities, Resources};
use mezz_sched::{
    AgentIndex, AgentSpec, Capabilities, Capability, Config, FrameworkIndex, FrameworkSpec, Grant,
    OfferConstraints, RegexLimits, Scheduler,
};
use wire::attribute_constraint::{Predicate, Selector, predicate, selector};
use wire::offer_constraints::{RoleConstraints, role_constraints::Group};

const HOUR_NS: u64 = 3_600_000_000_000;
const RACKS: u32 = 40;
/// Refusals that stand on each agent when a cycle is measured.
const REFUSALS: usize = 3;

/// A cluster whose agents are all free, or all taken.
#[derive(Debug, Clone)]
pub struct Cluster {
    sched: Scheduler,
    now_ns: u64,
    grants: Vec<Grant>,
    next: usize,
}

impl Cluster {
    /// A cluster with everything free and everybody waiting.
    pub fn free(agents: u32, frameworks: u32) -> Self {
        let mut cluster = Self {
            sched: Scheduler::new(Config::default()),
            now_ns: 1,
            grants: Vec::new(),
            next: 0,
        };
        for index in 0..agents {
            cluster
                .sched
                .add_agent(AgentIndex(index), agent(index), &[]);
        }
        for index in 0..frameworks {
            let spec = framework(index);
            cluster
                .sched
                .add_framework(FrameworkIndex(index), spec, true);
        }
        cluster.set_weights_and_quota(agents);
        for _ in 0..REFUSALS {
            cluster.allocate();
            cluster.give_back(Some(HOUR_NS));
        }
        cluster.allocate();
        cluster.give_back(None);
        cluster
    }

    /// A cluster in which every agent is offered to somebody.
    pub fn taken(agents: u32, frameworks: u32) -> Self {
        let mut cluster = Self::free(agents, frameworks);
        cluster.allocate();
        cluster
    }

    fn set_weights_and_quota(&mut self, agents: u32) {
        let cpus = |share: u32| {
            let agents = u64::from(agents / share);
            quantities(&format!("cpus:{};mem:{}", agents * 24, agents * 4096))
        };
        for (role, weight) in [("team1", 2.0), ("team2/a", 3.0), ("team3", 0.5)] {
            self.sched
                .set_weight(role, weight)
                .expect("a weight in range");
        }
        self.sched
            .set_quota("team4", &Quantities::new(), &cpus(400));
        self.sched.set_quota("team5", &cpus(500), &cpus(300));
    }

    /// One cycle over all agents; the number of offers.
    #[inline(never)]
    pub fn cycle(&mut self) -> usize {
        self.allocate()
    }

    // Inlined, so that a profile can tell the cycles of the preparation from the measured one.
    #[inline]
    fn allocate(&mut self) -> usize {
        self.grants.clear();
        self.sched.allocate(self.now_ns, &mut self.grants);
        self.grants.len()
    }

    /// All offers of the last cycle come back, declined for a while or not.
    pub fn give_back(&mut self, refuse_ns: Option<u64>) {
        for grant in self.grants.drain(..) {
            self.sched.recover(
                self.now_ns,
                grant.framework,
                grant.agent,
                &grant.resources,
                refuse_ns,
            );
        }
    }

    /// One agent comes back and is offered again; the number of offers, which is 1.
    #[inline(never)]
    pub fn free_one(&mut self) -> usize {
        let grant = self.next_taken();
        self.free_taken(&grant)
    }

    /// What comes back next, copied as if its message had just arrived.
    pub fn next_taken(&mut self) -> Grant {
        self.next = (self.next + 7_919) % self.grants.len();
        self.grants[self.next].clone()
    }

    /// The agent of [`Self::next_taken`] comes back and is offered again; the number of offers, which is 1.
    #[inline(never)]
    pub fn free_taken(&mut self, grant: &Grant) -> usize {
        self.sched.recover(
            self.now_ns,
            grant.framework,
            grant.agent,
            &grant.resources,
            None,
        );
        let mut again = Vec::new();
        self.sched.allocate(self.now_ns, &mut again);
        let count = again.len();
        if let Some(grant) = again.pop() {
            self.grants[self.next] = grant;
        }
        count
    }

    /// What the cycles have cost so far, by count.
    pub fn stats(&self) -> mezz_sched::Stats {
        self.sched.stats()
    }
}

fn quantities(text: &str) -> Quantities {
    Quantities::parse(text).expect("a well-formed text")
}

fn resources(text: &str) -> Resources {
    mezz_resource::parse(text, "*").expect("a well-formed text")
}

fn agent(index: u32) -> AgentSpec {
    let total = match index % 20 {
        0 => "cpus:24;mem:4096;disk:4096;gpus:2;ports:[31000-32000]",
        1 | 2 => "cpus:20;cpus(team6):4;mem:4096;disk:4096;ports:[31000-31500,31700-32000]",
        _ => "cpus:24;mem:4096;disk:4096;ports:[31000-31500,31700-32000]",
    };
    let attributes = format!("rack:r{};zone:z{}", index % RACKS, index % 4);
    AgentSpec {
        total: resources(total),
        attributes: mezz_resource::attributes::parse(&attributes).expect("a well-formed text"),
        hostname: format!("node-{index}"),
        ..AgentSpec::default()
    }
}

/// One role to ten frameworks; every other role lies below another.
fn framework(index: u32) -> FrameworkSpec {
    let team = index / 10 % 100;
    let role = if index.is_multiple_of(2) {
        format!("team{team}")
    } else {
        format!("team{team}/{}", if index % 4 == 1 { "a" } else { "b" })
    };
    let mut capabilities: Capabilities = [Capability::MultiRole, Capability::ReservationRefinement]
        .into_iter()
        .collect();
    if index.is_multiple_of(8) {
        capabilities = capabilities.with(Capability::GpuResources);
    }
    let constraints = if index % 5 == 3 {
        in_racks(&role, index)
    } else {
        OfferConstraints::default()
    };
    FrameworkSpec {
        roles: vec![role],
        capabilities,
        constraints: Arc::new(constraints),
        ..FrameworkSpec::default()
    }
}

/// Only agents of ten racks, or of one zone.
fn in_racks(role: &str, index: u32) -> OfferConstraints {
    let attribute = |name: &str, regex: String| wire::AttributeConstraint {
        selector: Selector {
            selector: Some(selector::Selector::AttributeName(name.to_owned())),
        },
        predicate: Predicate {
            predicate: Some(predicate::Predicate::TextMatches(predicate::TextMatches {
                regex,
            })),
        },
    };
    let group = |constraint| Group {
        attribute_constraints: vec![constraint],
    };
    let expression = RoleConstraints {
        groups: vec![
            group(attribute("rack", format!("r{}[0-9]", index % 4))),
            group(attribute("zone", format!("z{}", index % 4))),
        ],
    };
    let constraints = wire::OfferConstraints {
        role_constraints: [(role.to_owned(), expression)].into(),
    };
    OfferConstraints::compile(&constraints, RegexLimits::default())
        .expect("well-formed constraints")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_agent_is_offered_in_a_cycle_and_again_when_it_becomes_free() {
        let mut cluster = Cluster::free(200, 40);
        let offers = cluster.cycle();
        assert!(offers >= 180, "{offers}");
        assert_eq!((0..50).map(|_| cluster.free_one()).sum::<usize>(), 50);
    }
}
