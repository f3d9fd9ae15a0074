//! When a cron fires: its schedules, joined, and the delay of each start.

use mezz_spec::cron::Cron;
use mezz_state::time::Wall;
use xxhash_rust::xxh3::xxh3_64;

/// The first fire-time after a moment.
pub(crate) fn next_after(cron: &Cron, created_at: Wall, after: Wall) -> Option<Wall> {
    let _ = created_at;
    let schedule = |text: &String| {
        let minutes: u64 = match text.strip_suffix(" * * * *")? {
            "*" => 1,
            every => every.strip_prefix("*/")?.parse().ok()?,
        };
        let period = minutes * 60 * mezz_state::time::SECOND_NS;
        Some(Wall((after.0 / period + 1) * period))
    };
    cron.schedules.iter().filter_map(schedule).min()
}

/// By how much the start of a fire-time is delayed: it follows from name and fire-time.
pub(crate) fn jitter_ns(cron: &Cron, name: &str, fire_at: Wall) -> u64 {
    let most = cron.jitter.nanoseconds();
    if most == 0 {
        return 0;
    }
    let mut bytes = name.as_bytes().to_vec();
    bytes.extend_from_slice(&fire_at.0.to_le_bytes());
    xxh3_64(&bytes) % (most + 1)
}
