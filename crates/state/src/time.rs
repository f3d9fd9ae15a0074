//! The two clocks that every event carries. This module reads neither: the shell does.

/// Monotonic time in nanoseconds from an arbitrary start; what in-memory timers use.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Mono(pub u64);

/// Wall-clock time in nanoseconds since the Unix epoch; what records and persisted deadlines use.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Wall(pub u64);

/// The time at which an event is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Now {
    pub mono: Mono,
    pub wall: Wall,
}

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub const MILLISECOND_NS: u64 = 1_000_000;

impl Mono {
    /// This moment plus a span, saturating.
    pub fn after(self, span_ns: u64) -> Self {
        Self(self.0.saturating_add(span_ns))
    }
}

impl Wall {
    /// Seconds since the epoch, as Mesos prints times.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Nanoseconds since the epoch, as `TimeInfo` carries them.
    pub fn nanoseconds(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}
