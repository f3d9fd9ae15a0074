//! What the ledger shows of roles, shares and earmarks.

use crate::ids::{AgentIndex, FrameworkIndex};
use crate::quota::{Limits, Quota};
use crate::scalars::Scalars;
use crate::scheduler::Scheduler;
use crate::share::UNIT_WEIGHT;
use crate::tree::{Phase, RoleNode};
use mezz_resource::{Quantities, Scalar};
use std::sync::Arc;

/// The share of one framework in one role.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameworkShare {
    /// The framework.
    pub framework: FrameworkIndex,
    /// Its dominant share of the cluster, between 0 and 1.
    pub share: f64,
    /// What it holds, offered and used.
    pub held: Quantities,
    /// Whether it takes part in the turns now.
    pub active: bool,
}

/// A role with what its subtree holds.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleShare {
    /// The role.
    pub role: Arc<str>,
    /// Its weight among its siblings.
    pub weight: f64,
    /// The dominant share of the subtree, between 0 and 1, before the weight.
    pub share: f64,
    /// What the subtree holds, offered and used.
    pub held: Quantities,
    /// What counts against a quota as operators see it: reserved, or unreserved and used.
    pub consumed: Quantities,
    /// Its quota.
    pub quota: Option<Quota>,
    /// Its own frameworks.
    pub frameworks: Vec<FrameworkShare>,
}

/// An agent kept for somebody who waits for a large offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarmarkView {
    /// The agent.
    pub agent: AgentIndex,
    /// For whom.
    pub framework: FrameworkIndex,
    /// In which role.
    pub role: Arc<str>,
    /// Until when.
    pub until_ns: u64,
}

impl Scheduler {
    /// All roles in the order of their names, with the shares of their frameworks.
    pub fn shares(&self) -> Vec<RoleShare> {
        let fresh = self.roles.freshened(&self.names);
        fresh
            .iter()
            .map(|(_, node)| self.role_share(node))
            .collect()
    }

    /// One role.
    pub fn share_of(&self, role: &str) -> Option<RoleShare> {
        self.shares().into_iter().find(|share| &*share.role == role)
    }

    fn role_share(&self, node: &RoleNode) -> RoleShare {
        let mut consumed: Scalars = node.used.clone();
        consumed.apply(&node.reserved, crate::scalars::Sign::Plus);
        let named = |list: &[(usize, i64)]| -> Vec<_> {
            list.iter()
                .map(|(index, amount)| (self.names.name(*index).clone(), Scalar(*amount)))
                .collect()
        };
        let frameworks = node
            .clients
            .iter()
            .map(|(framework, client)| FrameworkShare {
                framework: *framework,
                share: client.tally.share.unweighted(),
                held: self.names.quantities(&client.tally.held),
                active: client.phase == Phase::Active,
            });
        RoleShare {
            role: Arc::clone(&node.path),
            weight: node.weight as f64 / UNIT_WEIGHT as f64,
            share: node.subtree.share.unweighted(),
            held: self.names.quantities(&node.subtree.held),
            consumed: self.names.quantities(&consumed),
            quota: node.quota.as_ref().map(|quota| Quota {
                guarantees: named(&quota.guarantees).into_iter().collect(),
                limits: named(&quota.limits).into_iter().collect::<Limits>(),
            }),
            frameworks: frameworks.collect(),
        }
    }

    /// What the whole cluster has.
    pub fn totals(&self) -> Quantities {
        self.names.quantities(self.roles.totals())
    }

    /// The agents kept for those who wait for a large offer.
    pub fn earmarks(&self) -> impl Iterator<Item = EarmarkView> + '_ {
        self.earmarks.iter().map(|(agent, earmark)| EarmarkView {
            agent: *agent,
            framework: earmark.leaf.framework,
            role: Arc::clone(&self.roles.node(earmark.leaf.role).path),
            until_ns: earmark.until_ns,
        })
    }
}
