//! When a cron fires: its schedules, joined, and the delay of each start.

use mezz_spec::Name;
use mezz_spec::cron::Cron;
use mezz_spec::schedule::{self, Schedule};
use mezz_state::time::Wall;

/// The fire-times of a cron; none when its schedules cannot be read, which an apply refuses.
pub(super) fn of(cron: &Cron, created_at: Wall) -> Option<Schedule> {
    Schedule::of(cron, created_at.0).ok()
}

/// The first fire-time after a moment.
pub(super) fn next_after(schedule: Option<&Schedule>, after: Wall) -> Option<Wall> {
    schedule?.next_after(after.0).map(Wall)
}

/// By how much the start of a fire-time is delayed: it follows from name and fire-time.
pub(super) fn jitter_ns(cron: &Cron, name: &Name, fire_at: Wall) -> u64 {
    schedule::jitter_ns(name, fire_at.0, cron.jitter)
}
