//! What an operator sets: parsed and checked at the edge, read here.

use std::collections::{BTreeMap, BTreeSet};

use mezz_resource::Quantities;

use crate::time::{MILLISECOND_NS, SECOND_NS};

/// The weights that the ledger can tell apart.
pub const WEIGHTS: std::ops::RangeInclusive<f64> = 1e-6..=1e9;

/// A hundred percent, as limits are counted.
pub const WHOLE: u32 = 10_000;

/// The configuration of the core. Defaults are Mesos's where it has them.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// `MasterInfo` address fields.
    pub hostname: String,
    pub ip: std::net::IpAddr,
    pub port: u16,
    pub offer_timeout_ns: u64,
    /// How long an offer stands at least before it may be taken back for somebody who starves; 0 means it never is.
    pub offer_hold_ns: u64,
    pub agent_ping_timeout_ns: u64,
    pub max_agent_ping_timeouts: u32,
    pub agent_reregister_timeout_ns: u64,
    pub heartbeat_interval_ns: u64,
    /// Bursts of changes within this span share one allocation cycle.
    pub allocation_coalescing_ns: u64,
    pub min_allocatable: Vec<Quantities>,
    pub role_whitelist: Option<BTreeSet<String>>,
    /// Each within [`WEIGHTS`].
    pub weights: BTreeMap<String, f64>,
    pub fair_sharing_excluded_resource_names: BTreeSet<String>,
    /// Whether a role's instances fill agents or spread over them; of roles that are not named the nearest above counts.
    pub packing: BTreeMap<String, mezz_sched::Packing>,
    /// The order in which roles, and the frameworks of a role, get offers.
    pub role_sorter: mezz_sched::Sorter,
    pub framework_sorter: mezz_sched::Sorter,
    /// What becomes of agents with GPUs.
    pub gpus: mezz_sched::GpuPolicy,
    /// How large a regular expression in offer constraints may become.
    pub constraint_regex_limits: mezz_sched::RegexLimits,
    pub root_submissions: bool,
    /// Where this master stands: its region is home, and agents of other regions are for frameworks that ask for them.
    pub domain: Option<mezz_sched::FaultDomain>,
    /// Whether agents have to say where they stand.
    pub require_agent_domain: bool,
    pub max_completed_frameworks: usize,
    pub max_completed_tasks_per_framework: usize,
    pub max_unreachable_tasks_per_framework: usize,
    /// The least time between two agents that are made unreachable; none where they are not paced.
    pub agent_removal_interval_ns: Option<u64>,
    /// The share of known agents, in hundredths of a percent, that may stay away after a failover.
    pub recovery_agent_removal_limit: u32,
    pub registry_gc_interval_ns: u64,
    pub registry_max_agent_age_ns: u64,
    /// Holds for unreachable agents and for those marked gone, each.
    pub registry_max_agent_count: usize,
    /// Agents that may re-register at the same time.
    pub registration_permits: u32,
    pub mezz_version: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hostname: "localhost".into(),
            ip: std::net::IpAddr::from([127, 0, 0, 1]),
            port: 5050,
            offer_timeout_ns: 60 * SECOND_NS,
            offer_hold_ns: SECOND_NS,
            agent_ping_timeout_ns: 15 * SECOND_NS,
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout_ns: 600 * SECOND_NS,
            heartbeat_interval_ns: 15 * SECOND_NS,
            allocation_coalescing_ns: MILLISECOND_NS,
            min_allocatable: Quantities::parse_alternatives("cpus:0.01|mem:32")
                .expect("Mesos's default is well formed"),
            role_whitelist: None,
            weights: BTreeMap::new(),
            fair_sharing_excluded_resource_names: BTreeSet::new(),
            packing: BTreeMap::new(),
            role_sorter: mezz_sched::Sorter::default(),
            framework_sorter: mezz_sched::Sorter::default(),
            gpus: mezz_sched::GpuPolicy::default(),
            constraint_regex_limits: mezz_sched::RegexLimits::default(),
            root_submissions: true,
            domain: None,
            require_agent_domain: false,
            max_completed_frameworks: 50,
            max_completed_tasks_per_framework: 1000,
            max_unreachable_tasks_per_framework: 1000,
            agent_removal_interval_ns: None,
            recovery_agent_removal_limit: WHOLE,
            registry_gc_interval_ns: 900 * SECOND_NS,
            registry_max_agent_age_ns: 14 * 24 * 3600 * SECOND_NS,
            registry_max_agent_count: 102_400,
            registration_permits: 256,
            mezz_version: String::new(),
        }
    }
}
