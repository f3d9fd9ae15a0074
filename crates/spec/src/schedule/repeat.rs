//! ISO 8601 repeating intervals: `R/2026-01-01T00:00:00Z/PT1H`, `R5//P1D`.

use jiff::civil::{Date, DateTime};
use jiff::{Span, Timestamp};

use super::zone::Zone;
use super::{MAX_TEXT_BYTES, ScheduleError};

const DAY: i64 = 86_400;
/// A thousand years: more is a mistake.
const MAX_MONTHS: i64 = 12_000;
const MAX_SECONDS: i64 = 365_000 * DAY;

/// A repeating interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    /// How many fire-times there are; none for no end.
    count: Option<u64>,
    start: Start,
    period: Period,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// When the object was created.
    Origin,
    /// In seconds since the epoch.
    Second(i64),
    /// By the clocks of the zone.
    Clocks(DateTime),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Period {
    months: i64,
    days: i64,
    seconds: i64,
}

impl Repeat {
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let shown: String = text.chars().take(80).collect();
        let bad = |reason: String| ScheduleError::Repeat {
            text: shown.clone(),
            reason,
        };
        let parts: Vec<&str> = text.split('/').collect();
        let (&[repetitions, start, period], true) =
            (parts.as_slice(), text.len() <= MAX_TEXT_BYTES)
        else {
            return Err(bad("it is written R[count]/[start]/period".into()));
        };
        let count = match repetitions.strip_prefix('R').unwrap_or_default() {
            "" | "-1" => None,
            "0" => return Err(ScheduleError::Never(shown)),
            digits => Some(
                digits
                    .parse()
                    .map_err(|_| bad(format!("'{digits}' is no count")))?,
            ),
        };
        Ok(Self {
            count,
            start: start_of(start).map_err(bad)?,
            period: period_of(period).map_err(bad)?,
        })
    }

    /// The first second after `after` at which it fires.
    pub(super) fn next_after(&self, zone: &Zone, origin: i64, after: i64) -> Option<i64> {
        let (index, found) = self.indexed_after(zone, origin, after)?;
        let is_left = self
            .count
            .is_none_or(|count| u64::try_from(index).is_ok_and(|index| index < count));
        is_left.then_some(found)
    }

    /// How many fire-times there are after `after`; none when they have no end.
    pub(super) fn left_after(&self, zone: &Zone, origin: i64, after: i64) -> Option<u64> {
        let count = self.count?;
        let index = self.indexed_after(zone, origin, after);
        let past = index.and_then(|(index, _)| u64::try_from(index).ok());
        Some(past.map_or(0, |past| count.saturating_sub(past)))
    }

    /// The first second after `after` at which it would fire without end, and its number from 0 on.
    fn indexed_after(&self, zone: &Zone, origin: i64, after: i64) -> Option<(i64, i64)> {
        let start = match self.start {
            Start::Origin => origin,
            Start::Second(second) => second,
            Start::Clocks(clocks) => zone.second_of(clocks)?,
        };
        if self.period.months == 0 && self.period.days == 0 {
            let index = (after - start).div_euclid(self.period.seconds) + 1;
            let index = index.max(0);
            let found = start.checked_add(index.checked_mul(self.period.seconds)?)?;
            Some((index, found))
        } else {
            self.next_by_calendar(zone, start, after)
        }
    }

    /// Days and months are counted by the clocks.
    fn next_by_calendar(&self, zone: &Zone, start: i64, after: i64) -> Option<(i64, i64)> {
        let first = match self.start {
            Start::Clocks(clocks) => clocks,
            Start::Origin | Start::Second(_) => zone.clocks_at(start)?,
        };
        let elapsed = (after - start).max(0);
        let shortest = self.period.months * 28 * DAY + self.period.days * DAY + self.period.seconds;
        let longest = self.period.months * 31 * DAY + self.period.days * DAY + self.period.seconds;
        // Two days more for what the clocks of zones do.
        let mut low = ((elapsed - 2 * DAY).max(0)) / longest;
        let mut high = (elapsed + 2 * DAY) / shortest + 1;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.by_calendar(zone, start, first, middle) {
                Some(second) if second <= after => low = middle + 1,
                _ => high = middle,
            }
        }
        let found = self.by_calendar(zone, start, first, low)?;
        (found > after).then_some((low, found))
    }

    fn by_calendar(&self, zone: &Zone, start: i64, first: DateTime, index: i64) -> Option<i64> {
        if index == 0 {
            return Some(start);
        }
        let span = Span::new()
            .try_months(self.period.months.checked_mul(index)?)
            .ok()?
            .try_days(self.period.days.checked_mul(index)?)
            .ok()?;
        let clocks = first.checked_add(span).ok()?;
        let second = zone.second_of(clocks)?;
        second.checked_add(self.period.seconds.checked_mul(index)?)
    }
}

fn start_of(text: &str) -> Result<Start, String> {
    if text.is_empty() {
        return Ok(Start::Origin);
    }
    let bad = || format!("'{text}' is no moment such as 2026-01-01T00:00:00Z");
    if !text.is_ascii() || text.contains(['[', ' ']) {
        return Err(bad());
    }
    let time = text.split_once(['T', 't']).map(|(_, time)| time);
    let has_offset = time.is_some_and(|time| time.contains(['Z', 'z', '+', '-']));
    if has_offset {
        let moment: Timestamp = text.parse().map_err(|_| bad())?;
        return Ok(Start::Second(moment.as_second()));
    }
    let clocks = match time {
        Some(_) => text.parse::<DateTime>().map_err(|_| bad())?,
        None => text.parse::<Date>().map_err(|_| bad())?.at(0, 0, 0, 0),
    };
    let whole = clocks
        .with()
        .subsec_nanosecond(0)
        .build()
        .map_err(|_| bad())?;
    Ok(Start::Clocks(whole))
}

fn period_of(text: &str) -> Result<Period, String> {
    let bad = || format!("'{text}' is no period such as PT1H, P1D or P1M");
    let rest = text.strip_prefix('P').ok_or_else(bad)?;
    let (dates, times) = match rest.split_once('T') {
        Some((dates, times)) if !times.is_empty() => (dates, times),
        Some(_) => return Err(bad()),
        None => (rest, ""),
    };
    let mut period = Period::default();
    for (number, unit) in parts(dates, "YMWD").ok_or_else(bad)? {
        match unit {
            'Y' => period.months += number * 12,
            'M' => period.months += number,
            'W' => period.days += number * 7,
            _ => period.days += number,
        }
    }
    for (number, unit) in parts(times, "HMS").ok_or_else(bad)? {
        let factor = match unit {
            'H' => 3_600,
            'M' => 60,
            _ => 1,
        };
        period.seconds += number * factor;
    }
    if period == Period::default() {
        return Err("its period is 0; the shortest is PT1S".into());
    }
    let is_long = period.months > MAX_MONTHS
        || period.days > MAX_SECONDS / DAY
        || period.seconds > MAX_SECONDS;
    if is_long {
        return Err("its period is longer than a thousand years".into());
    }
    Ok(period)
}

/// Whole numbers with their units, in the order of `units`, each at most once.
fn parts(text: &str, units: &str) -> Option<Vec<(i64, char)>> {
    let mut units = units.chars();
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let unit = rest[digits..].chars().next()?;
        units.find(|other| *other == unit)?;
        let number: u32 = rest[..digits].parse().ok()?;
        parts.push((i64::from(number), unit));
        rest = &rest[digits + 1..];
    }
    Some(parts)
}
