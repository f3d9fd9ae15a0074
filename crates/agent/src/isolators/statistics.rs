//! What containers use, read from their groups: never twice at once, whoever asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use mezz_agent_core::{Allotment, LaunchId, Limit};
use mezz_cgroup::{Ceiling, Counted, Limits, Reader};
use mezz_proto::v1::ResourceStatistics;
use mezz_resource::Scalar;
use tokio::sync::Mutex;

use super::limits::bytes;
use super::tenants::{Tenant, Tenants};

/// Containers whose files stay open between two readings: it saves half of the work and costs seven descriptors each.
const KEPT_OPEN: usize = 128;

/// By launch.
pub(crate) type Round = BTreeMap<LaunchId, ResourceStatistics>;

/// Reads for all who ask.
#[derive(Debug)]
pub(crate) struct Statistics {
    tenants: Arc<Tenants>,
    counted: Counted,
    last: Mutex<Option<(Instant, Arc<Round>)>>,
    open: std::sync::Mutex<BTreeMap<LaunchId, Reader>>,
}

impl Statistics {
    pub(super) fn new(tenants: Arc<Tenants>, counted: Counted) -> Self {
        Self {
            tenants,
            counted,
            last: Mutex::default(),
            open: std::sync::Mutex::default(),
        }
    }

    /// What all containers use, as of now or a little later: those who ask while others are answered share one round.
    pub(crate) async fn round(self: &Arc<Self>) -> Arc<Round> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some((began, round)) = &*last
            && *began >= asked
        {
            return Arc::clone(round);
        }
        let began = Instant::now();
        let this = Arc::clone(self);
        let round = tokio::task::spawn_blocking(move || this.read_all()).await;
        let round = Arc::new(round.unwrap_or_default());
        *last = Some((began, Arc::clone(&round)));
        round
    }

    fn read_all(&self) -> Round {
        let tenants = self.tenants.all();
        let mut open = self
            .open
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        open.retain(|launch_id, _| self.tenants.get(*launch_id).is_some());
        let mut buffer = Vec::new();
        let mut round = Round::new();
        for tenant in tenants {
            let mut statistics = held(&tenant);
            if let Some(group) = &tenant.group {
                if open.len() < KEPT_OPEN
                    && !open.contains_key(&tenant.launch_id)
                    && let Ok(reader) = Reader::new(group, self.counted)
                {
                    open.insert(tenant.launch_id, reader);
                }
                let read = match open.get(&tenant.launch_id) {
                    Some(reader) => reader.read(&mut buffer),
                    None => {
                        Reader::new(group, self.counted).and_then(|reader| reader.read(&mut buffer))
                    }
                };
                // It has ended meanwhile.
                let Ok(used) = read else { continue };
                used.fill(&mut statistics);
            }
            round.insert(tenant.launch_id, statistics);
        }
        round
    }
}

/// What it may use, and what its sandbox takes.
fn held(tenant: &Tenant) -> ResourceStatistics {
    let state = tenant.state();
    ResourceStatistics {
        disk_limit_bytes: state.allotment.disk.map(|disk| bytes(disk).0),
        disk_used_bytes: state.disk_used,
        ..limits(&state.allotment, &state.limits)
    }
}

/// The limits as the kernel has them, else as they were asked for.
fn limits(allotment: &Allotment, limits: &Limits) -> ResourceStatistics {
    let cpus_limit = match allotment.cpus_limit {
        Some(Limit::At(limit)) => Some(limit),
        Some(Limit::Infinite) => None,
        None => Some(allotment.cpus),
    };
    let (soft, hard) = match &limits.memory {
        Some(memory) => (memory.soft, memory.hard),
        None => match allotment.mem_limit {
            Some(Limit::Infinite) => (bytes(allotment.mem), Ceiling::Infinite),
            Some(Limit::At(limit)) => (bytes(allotment.mem), Ceiling::At(bytes(limit))),
            None => (bytes(allotment.mem), Ceiling::At(bytes(allotment.mem))),
        },
    };
    ResourceStatistics {
        cpus_soft_limit: Some(allotment.cpus.to_f64()),
        cpus_limit: cpus_limit.map(Scalar::to_f64),
        mem_soft_limit_bytes: Some(soft.0),
        mem_limit_bytes: match hard {
            Ceiling::At(limit) => Some(limit.0),
            Ceiling::Infinite => None,
        },
        ..ResourceStatistics::default()
    }
}
