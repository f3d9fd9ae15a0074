//! When crons fire: cron expressions and ISO 8601 repeating intervals, in time zones whose data is built in.
//!
//! What the clocks of a zone skip or repeat is decided here once, by two rules:
//!
//! - A fixed time (`30 2 * * *`, `R/…/P1D`) that is skipped fires at the end of the gap, once for the gap. One that comes
//!   twice fires the first time only.
//! - What goes by elapsed time does neither: intervals shorter than a day, and cron expressions with `*` in their minutes
//!   or hours, such as `*/10 * * * *`.
//!
//! It reads no clock: moments come in as nanoseconds since the Unix epoch, and go out so.

mod fields;
mod repeat;
mod zone;

use thiserror::Error;

use crate::cron::Cron;
use crate::name::Name;
use crate::quantity::Span;
use fields::Fields;
use repeat::Repeat;
use zone::Zone;

pub use zone::{is_zone, nearest_zone};

const SECOND_NS: u64 = 1_000_000_000;
/// The longest schedule.
const MAX_TEXT_BYTES: usize = 256;

/// Why a text is no schedule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ScheduleError {
    #[error("'{text}' is no cron expression: {reason}")]
    Cron { text: String, reason: String },
    #[error("'{text}' is no repeating interval: {reason}")]
    Repeat { text: String, reason: String },
    #[error("'{0}' is no time zone; write a name of the IANA data such as Europe/Berlin")]
    Zone(String),
    #[error("'{0}' never comes")]
    Never(String),
}

/// When a cron fires.
#[derive(Clone, Debug)]
pub struct Schedule {
    rules: Vec<Rule>,
    zone: Zone,
    /// What an interval without a start begins with, in seconds since the epoch.
    origin: i64,
}

#[derive(Clone, Debug)]
enum Rule {
    Fields(Box<Fields>),
    Repeat(Repeat),
}

impl Schedule {
    /// Reads schedules; the fire-times of all are joined. Intervals without a start begin at the epoch until
    /// [`Schedule::beginning`] says otherwise.
    pub fn parse<T: AsRef<str>>(texts: &[T], time_zone: &str) -> Result<Self, ScheduleError> {
        let zone = Zone::named(time_zone).ok_or_else(|| ScheduleError::Zone(time_zone.into()))?;
        let rules = texts.iter().map(|text| Rule::parse(text.as_ref().trim()));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            zone,
            origin: 0,
        })
    }

    /// The schedule of a cron that was created at this moment.
    pub fn of(cron: &Cron, created_ns: u64) -> Result<Self, ScheduleError> {
        Ok(Self::parse(&cron.schedules, &cron.time_zone)?.beginning(created_ns))
    }

    /// With the moment at which intervals without a start begin.
    pub fn beginning(mut self, origin_ns: u64) -> Self {
        self.origin = whole_seconds(origin_ns);
        self
    }

    /// The first fire-time after a moment; none when there will be no more.
    pub fn next_after(&self, after_ns: u64) -> Option<u64> {
        let after = whole_seconds(after_ns);
        let nexts = self.rules.iter().filter_map(|rule| match rule {
            Rule::Fields(fields) => fields.next_after(&self.zone, after),
            Rule::Repeat(repeat) => repeat.next_after(&self.zone, self.origin, after),
        });
        u64::try_from(nexts.min()?).ok()?.checked_mul(SECOND_NS)
    }

    /// How many fire-times there are after a moment; none when they have no end.
    pub fn left_after(&self, after_ns: u64) -> Option<u64> {
        let after = whole_seconds(after_ns);
        self.rules.iter().try_fold(0_u64, |sum, rule| match rule {
            Rule::Fields(_) => None,
            Rule::Repeat(repeat) => {
                Some(sum.saturating_add(repeat.left_after(&self.zone, self.origin, after)?))
            }
        })
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, ScheduleError> {
        if text.starts_with('R') && text.contains('/') {
            return Repeat::parse(text).map(Self::Repeat);
        }
        Fields::parse(text).map(|fields| Self::Fields(Box::new(fields)))
    }
}

/// Whole seconds, rounded down: fire-times are whole, so that the first after both is the same.
fn whole_seconds(moment_ns: u64) -> i64 {
    i64::try_from(moment_ns / SECOND_NS).expect("2^64 ns are fewer than 2^63 s")
}

/// How long the start for a fire-time is delayed: up to `jitter`, and always the same for the same name and fire-time.
pub fn jitter_ns(name: &Name, fire_ns: u64, jitter: Span) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in name.as_str().bytes().chain(fire_ns.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // The low bits of such a product know little of the first bytes.
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^= hash >> 29;
    Span(hash % jitter.0.saturating_add(1)).nanoseconds()
}
