//! What a task was given, and what of it the Engine is told to enforce. Mesos's rules and least values.

use crate::create::Limits;
use crate::request::HostRules;

const SHARES_PER_CPU: u64 = 1024;
const LEAST_SHARES: u64 = 2;
const PERIOD_US: u64 = 100_000;
const LEAST_QUOTA_US: u64 = 1_000;
const MIB: u64 = 1 << 20;
const LEAST_MEMORY: u64 = 32 * MIB;

/// Something that may have no upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// No more thousandths than this.
    At(u64),
    /// As much as there is.
    Infinite,
}

/// What a container was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Thousandths of a processor, if any were given.
    pub cpus: Option<u64>,
    /// Thousandths of a MiB, if any were given.
    pub mem: Option<u64>,
    /// First and last ports.
    pub ports: Vec<(u64, u64)>,
    /// What it may use of processors at most, if the task says so.
    pub cpus_limit: Option<Bound>,
    /// What it may use of memory at most, if the task says so.
    pub mem_limit: Option<Bound>,
    /// The role that it was given them for.
    pub role: Option<String>,
}

impl Needs {
    pub(crate) fn has_port(&self, port: u32) -> bool {
        let port = u64::from(port);
        self.ports
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&port))
    }
}

/// What the Engine shall enforce.
pub(crate) fn limits(needs: &Needs, rules: HostRules) -> Limits {
    let quota = |milli: u64| (milli.saturating_mul(PERIOD_US) / 1000).max(LEAST_QUOTA_US);
    let bytes = |milli: u64| (milli / 1000).saturating_mul(MIB).max(LEAST_MEMORY);
    let mut limits = Limits {
        cpu_shares: needs
            .cpus
            .map(|milli| (milli.saturating_mul(SHARES_PER_CPU) / 1000).max(LEAST_SHARES)),
        cpu_quota: match needs.cpus_limit {
            Some(Bound::At(milli)) => Some(quota(milli)),
            Some(Bound::Infinite) => None,
            None => needs.cpus.filter(|_| rules.quotas).map(quota),
        },
        ..Limits::default()
    };
    match needs.mem_limit {
        None => limits.memory = needs.mem.map(bytes),
        Some(limit) => {
            if let Bound::At(milli) = limit {
                limits.memory = Some(bytes(milli));
            }
            limits.memory_reservation = needs.mem.map(bytes);
            let bursts = needs.mem.filter(|request| match limit {
                Bound::Infinite => true,
                Bound::At(most) => request / 1000 < most / 1000,
            });
            limits.oom_score_adj = bursts
                .filter(|_| rules.memory_bytes > 0)
                .map(|request| score(bytes(request), rules.memory_bytes));
        }
    }
    limits
}

/// Who asked for little goes first.
fn score(request: u64, total: u64) -> i32 {
    let share = request.saturating_mul(1000) / total;
    1000 - i32::try_from(share.min(1000)).unwrap_or(1000)
}
