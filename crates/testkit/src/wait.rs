//! Waiting for a condition of a running system.

use std::time::{Duration, Instant};

/// How long a test waits for something that should come soon; generous, since machines are loaded.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `probe` until it answers, and panics with `what` when it has not within [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, probe)
        .unwrap_or_else(|| panic!("not seen within {} s: {what}", PATIENCE.as_secs()))
}

/// Asks `probe` until it answers or `limit` has passed.
pub fn within<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
