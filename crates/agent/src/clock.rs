//! The two clocks of the core: monotonic for deadlines, wall for what people see.

use std::time::{SystemTime, UNIX_EPOCH};

use mezz_agent_core::Now;
use rustix::time::{ClockId, clock_gettime};

/// This moment.
pub(crate) fn now() -> Now {
    let mono = clock_gettime(ClockId::Monotonic);
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mono_ns = u64::try_from(mono.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(mono.tv_nsec).unwrap_or(0);
    Now {
        mono_ns,
        wall_ns: u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX),
    }
}

/// Seconds since 1970, as Mesos prints times.
pub(crate) fn wall_seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
