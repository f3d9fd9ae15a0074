//! The only place of the master that reads clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mezz_core::time::{Mono, Now, Wall};

/// Turns the system's clocks into the core's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic time begins now (at one second, so that nothing lies before it).
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            start: now.checked_sub(Duration::from_secs(1)).unwrap_or(now),
        }
    }

    /// Both times.
    pub(crate) fn now(&self) -> Now {
        Now {
            mono: self.mono(),
            wall: wall_now(),
        }
    }

    /// Monotonic time.
    pub(crate) fn mono(&self) -> Mono {
        Mono(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The instant of a monotonic time.
    pub(crate) fn instant(&self, mono: Mono) -> Instant {
        self.start + Duration::from_nanos(mono.0)
    }
}

/// Wall time.
pub(crate) fn wall_now() -> Wall {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Wall(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
