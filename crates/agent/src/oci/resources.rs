//! What a container may use, in the words of the runtime specification. Pure.

use mezz_agent_core::{Allotment, Limit};
use mezz_oci::Resources;
use mezz_oci::config::{CpuLimits, MemoryLimits};
use mezz_resource::Scalar;

/// Of a whole processor.
const SHARES: u64 = 1024;
/// The least that the kernel takes.
const LEAST_SHARES: u64 = 2;
/// In microseconds.
const PERIOD: u64 = 100_000;
/// The least quota that the kernel takes, in microseconds.
const LEAST_QUOTA: u64 = 1000;
/// As Mesos has it: less than this runs nothing.
const LEAST_MEMORY: u64 = 32 << 20;

/// Processors are shares, and a quota only where a limit was named; memory is a limit.
pub(super) fn of(allotment: &Allotment, name: &str) -> Resources {
    let cpus = thousandths(allotment.cpus);
    let quota = match allotment.cpus_limit {
        Some(Limit::At(limit)) => Some((thousandths(limit) * PERIOD / 1000).max(LEAST_QUOTA)),
        Some(Limit::Infinite) | None => None,
    };
    let requested = bytes(allotment.mem);
    let limit = match allotment.mem_limit {
        Some(Limit::At(limit)) => Some(bytes(limit)),
        Some(Limit::Infinite) => None,
        None => Some(requested),
    };
    Resources {
        cpu: Some(CpuLimits {
            shares: Some((cpus * SHARES / 1000).max(LEAST_SHARES)),
            quota: quota.and_then(|quota| i64::try_from(quota).ok()),
            period: quota.map(|_| PERIOD),
            cpus: None,
        }),
        memory: (allotment.mem > Scalar::ZERO).then_some(MemoryLimits {
            limit,
            reservation: Some(requested),
            swap: None,
        }),
        pids: None,
        cgroups_path: format!("/mezz-oci-{name}"),
    }
}

fn thousandths(scalar: Scalar) -> u64 {
    u64::try_from(scalar.0).unwrap_or(0)
}

/// Of megabytes.
fn bytes(scalar: Scalar) -> u64 {
    (thousandths(scalar) * 1024 * 1024 / 1000).max(LEAST_MEMORY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_shares_and_memory_and_limits_are_quotas() {
        let mut allotment = Allotment {
            cpus: Scalar(500),
            mem: Scalar::whole(64),
            ..Allotment::default()
        };
        let made = of(&allotment, "one");
        let cpu = made.cpu.expect("set");
        assert_eq!((cpu.shares, cpu.quota), (Some(512), None));
        assert_eq!(made.memory.expect("set").limit, Some(64 << 20));
        assert_eq!(made.cgroups_path, "/mezz-oci-one");
        allotment.cpus_limit = Some(Limit::At(Scalar(1500)));
        allotment.mem_limit = Some(Limit::Infinite);
        let made = of(&allotment, "one");
        let cpu = made.cpu.expect("set");
        assert_eq!((cpu.quota, cpu.period), (Some(150_000), Some(100_000)));
        let memory = made.memory.expect("set");
        assert_eq!((memory.limit, memory.reservation), (None, Some(64 << 20)));
    }
}
