//! What the ledger is told about itself, its agents and its frameworks.

use crate::constraints::OfferConstraints;
use crate::demand::Packing;
use mezz_proto::v1;
use mezz_resource::{Quantities, Resources};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Whether agents with GPUs are kept for frameworks that ask for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum GpuPolicy {
    /// Only frameworks with the capability see agents with GPUs.
    #[default]
    Reserved,
    /// Everybody sees them.
    Open,
}

/// By what the turns of roles, or of the frameworks of a role, are ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Sorter {
    /// The smallest dominant share first.
    #[default]
    Drf,
    /// By chance, anew for each agent; a role's chance is its weight among its active siblings.
    Random,
}

/// The settings of the ledger.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// An offer must hold one of these; none at all means any non-empty offer.
    pub min_allocatable: Vec<Quantities>,
    /// Resources that do not count in shares.
    pub excluded_fair_share_names: BTreeSet<String>,
    /// The shortest time for which a decline holds.
    pub min_filter_ns: u64,
    /// The only roles that get offers, if given.
    pub role_whitelist: Option<BTreeSet<String>>,
    /// The only hosts that are offered, if given.
    pub agent_whitelist: Option<BTreeSet<String>>,
    /// What becomes of agents with GPUs.
    pub gpus: GpuPolicy,
    /// The region of the master; agents of other regions go to region-aware frameworks only.
    pub home_region: Option<String>,
    /// The order of roles.
    pub role_sorter: Sorter,
    /// The order of the frameworks of a role.
    pub framework_sorter: Sorter,
    /// How long an agent is kept for one that waits for a large offer.
    pub earmark_ns: u64,
    /// How long a demand waits in vain before agents are kept for it.
    pub starving_ns: u64,
    /// How long room is kept that was made by ending work of lower priority.
    pub eviction_hold_ns: u64,
    /// By role: whether what is wanted there fills agents up or is spread; holds below it too.
    pub packing: BTreeMap<String, Packing>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_allocatable: Quantities::parse_alternatives("cpus:0.01|mem:32").unwrap_or_default(),
            excluded_fair_share_names: BTreeSet::new(),
            min_filter_ns: 100_000_000,
            role_whitelist: None,
            agent_whitelist: None,
            gpus: GpuPolicy::default(),
            home_region: None,
            role_sorter: Sorter::default(),
            framework_sorter: Sorter::default(),
            earmark_ns: 300_000_000_000,
            starving_ns: 5_000_000_000,
            eviction_hold_ns: 60_000_000_000,
            packing: BTreeMap::new(),
        }
    }
}

/// What a framework or an agent can do, as far as offers depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Several roles in one framework or agent.
    MultiRole,
    /// Wants agents with GPUs.
    GpuResources,
    /// Takes revocable resources.
    RevocableResources,
    /// Takes shared volumes.
    SharedResources,
    /// Knows refined reservations.
    ReservationRefinement,
    /// Takes agents of other regions.
    RegionAware,
    /// Knows roles with slashes.
    HierarchicalRole,
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Capabilities(u16);

impl Capabilities {
    /// The set with one more.
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u16)
    }

    /// Whether one is in the set.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u16) != 0
    }
}

impl Capabilities {
    /// The set as bits that mean nothing outside.
    pub(crate) const fn bits(self) -> u16 {
        self.0
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(list: I) -> Self {
        list.into_iter().fold(Self::default(), Self::with)
    }
}

/// A region and a zone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FaultDomain {
    /// The region.
    pub region: String,
    /// The zone.
    pub zone: String,
}

/// An agent.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AgentSpec {
    /// Its id; no rule about kinds of agents looks at it.
    pub id: String,
    /// All that it has.
    pub total: Resources,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Its attributes.
    pub attributes: Vec<v1::Attribute>,
    /// Its host.
    pub hostname: String,
    /// Where it stands.
    pub domain: Option<FaultDomain>,
}

/// A framework.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FrameworkSpec {
    /// The roles that it subscribes with.
    pub roles: Vec<String>,
    /// Those for which it wants no offers now.
    pub suppressed: BTreeSet<String>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// By role: an offer must hold one of these; an empty list takes any non-empty offer.
    pub min_allocatable: BTreeMap<String, Vec<Quantities>>,
    /// Which agents it wants offers of.
    pub constraints: Arc<OfferConstraints>,
}
