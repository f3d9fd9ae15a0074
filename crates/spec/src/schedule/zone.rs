//! Time zones from the built-in data: stretches of one offset, and what lies between them.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::nearest::nearest;

/// Only the built-in data: the same everywhere, whatever the host has.
static DATA: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Whether there is such a time zone.
pub fn is_zone(name: &str) -> bool {
    Zone::named(name).is_some()
}

/// The time zone whose name is closest.
pub fn nearest_zone(name: &str) -> Option<&'static str> {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        DATA.available()
            .map(|name| name.as_str().to_owned())
            .collect()
    });
    let city = name.rsplit('/').next().unwrap_or(name);
    let by_city = NAMES.iter().find(|known| {
        let last = known.rsplit('/').next().unwrap_or_default();
        last.eq_ignore_ascii_case(city) && known.contains('/')
    });
    let known = || nearest(name, NAMES.iter().map(String::as_str));
    by_city.map(String::as_str).or_else(known)
}

/// A time zone.
#[derive(Clone, Debug)]
pub(super) struct Zone(TimeZone);

/// A stretch of time in which the offset does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Its first second; none when it has no beginning.
    pub(super) start: Option<i64>,
    /// The offset before it.
    pub(super) before: i64,
    /// Its offset from UTC in seconds.
    pub(super) offset: i64,
    /// The first second after it.
    pub(super) end: Option<i64>,
}

impl Zone {
    pub(super) fn named(name: &str) -> Option<Self> {
        if name.is_empty() || name.len() > 64 || name.eq_ignore_ascii_case("etc/unknown") {
            return None;
        }
        DATA.get(name).ok().map(Self)
    }

    fn offset(&self, second: i64) -> Option<i64> {
        let moment = Timestamp::from_second(second).ok()?;
        Some(i64::from(self.0.to_offset(moment).seconds()))
    }

    /// The stretch that a second lies in.
    pub(super) fn stretch(&self, second: i64) -> Option<Stretch> {
        let offset = self.offset(second)?;
        let next = Timestamp::from_second(second.checked_add(1)?).ok()?;
        let start = self.0.preceding(next).next();
        let start = start.map(|transition| transition.timestamp().as_second());
        let before = match start {
            Some(start) => self.offset(start - 1)?,
            None => offset,
        };
        let here = Timestamp::from_second(second).ok()?;
        let end = self.0.following(here).next();
        let end = end.map(|transition| transition.timestamp().as_second());
        Some(Stretch {
            start,
            before,
            offset,
            end,
        })
    }

    /// What the clocks show.
    pub(super) fn clocks_at(&self, second: i64) -> Option<DateTime> {
        let moment = Timestamp::from_second(second).ok()?;
        Some(self.0.to_datetime(moment))
    }

    /// When the clocks show this for the first time; the end of the gap when they skip it.
    pub(super) fn second_of(&self, clocks: DateTime) -> Option<i64> {
        let ambiguous = self.0.to_ambiguous_timestamp(clocks);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } => {
                offset.to_timestamp(clocks).ok().map(Timestamp::as_second)
            }
            AmbiguousOffset::Fold { before, .. } => {
                before.to_timestamp(clocks).ok().map(Timestamp::as_second)
            }
            AmbiguousOffset::Gap { after, .. } => {
                let early = after.to_timestamp(clocks).ok()?;
                let end = self.0.following(early).next()?;
                Some(end.timestamp().as_second())
            }
        }
    }
}
