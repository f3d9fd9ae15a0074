//! Cron expressions: five fields, or six with seconds first, and words such as `@daily`.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Date, Weekday};

use super::zone::{Stretch, Zone};
use super::{MAX_TEXT_BYTES, ScheduleError};

const DAY: i64 = 86_400;
/// No day that comes at all comes later: the calendar repeats after 400 years, weekdays of leap days after 40 at most.
const HORIZON: i64 = 60 * 366 * DAY;

const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A cron expression.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    cron: Cron,
    /// Seconds of the day, in the three parts that the clocks have.
    hours: Vec<u8>,
    minutes: Vec<u8>,
    seconds: Vec<u8>,
    /// Whether it goes by elapsed time.
    is_elapsed: bool,
}

impl Fields {
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let shown: String = text.chars().take(80).collect();
        let bad = |reason: String| ScheduleError::Cron {
            text: shown.clone(),
            reason,
        };
        if text.len() > MAX_TEXT_BYTES || !text.is_ascii() {
            return Err(bad("it is too long or not plain ASCII".into()));
        }
        let expression = expression_of(text).map_err(bad)?;
        let words: Vec<&str> = expression.split_whitespace().collect();
        if !(5..=6).contains(&words.len()) {
            let reason = format!(
                "it has {} fields, not 5 (or 6 with seconds first)",
                words.len()
            );
            return Err(bad(reason));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Optional)
            .build();
        let cron = parser
            .parse(&expression)
            .map_err(|error| bad(error.to_string()))?;
        let pattern = &cron.pattern;
        let all = |count: u8, fits: &dyn Fn(u32) -> bool| -> Vec<u8> {
            (0..count).filter(|value| fits(u32::from(*value))).collect()
        };
        let starred = &words[words.len() - 5..words.len() - 3];
        let fields = Self {
            hours: all(24, &|hour| pattern.hour_match(hour).unwrap_or(false)),
            minutes: all(60, &|minute| pattern.minute_match(minute).unwrap_or(false)),
            seconds: all(60, &|second| pattern.second_match(second).unwrap_or(false)),
            is_elapsed: starred.iter().any(|field| field.starts_with('*')),
            cron,
        };
        let is_alive = fields.first_match(0, HORIZON).is_some();
        is_alive
            .then_some(fields)
            .ok_or(ScheduleError::Never(shown))
    }

    /// The first second after `after` at which it fires.
    pub(super) fn next_after(&self, zone: &Zone, after: i64) -> Option<i64> {
        let limit = after.checked_add(HORIZON)?;
        let mut from = after.checked_add(1)?;
        while from <= limit {
            let stretch = zone.stretch(from)?;
            if stretch.start == Some(from) && self.is_skipped_by(&stretch) {
                return Some(from);
            }
            let end = stretch.end.unwrap_or(limit + 1);
            let mut clocks = from + stretch.offset;
            if let Some(start) = stretch.start
                && !self.is_elapsed
            {
                // What the clocks have shown before, they show again.
                clocks = clocks.max(start + stretch.before);
            }
            if let Some(found) = self.first_match(clocks, end + stretch.offset) {
                return Some(found - stretch.offset);
            }
            from = end;
        }
        None
    }

    /// Whether the clocks skipped a fixed time when this stretch began.
    fn is_skipped_by(&self, stretch: &Stretch) -> bool {
        let Some(start) = stretch.start else {
            return false;
        };
        !self.is_elapsed
            && stretch.before < stretch.offset
            && self
                .first_match(start + stretch.before, start + stretch.offset)
                .is_some()
    }

    /// The first reading of the clocks from `from` to before `end` that matches, both in seconds since 1970.
    fn first_match(&self, from: i64, end: i64) -> Option<i64> {
        let epoch = Date::constant(1970, 1, 1);
        let mut day = from.div_euclid(DAY);
        let span = jiff::Span::new().try_days(day).ok()?;
        let mut date = epoch.checked_add(span).ok()?;
        let mut least = from.rem_euclid(DAY);
        while day * DAY < end {
            if self.is_day(date)
                && let Some(time) = self.first_time(least)
            {
                let found = day * DAY + time;
                return (found < end).then_some(found);
            }
            least = 0;
            if self.is_month(date) {
                date = date.tomorrow().ok()?;
                day += 1;
            } else {
                let next = date.last_of_month().tomorrow().ok()?;
                day += i64::from(next.since(date).ok()?.get_days());
                date = next;
            }
        }
        None
    }

    fn is_month(&self, date: Date) -> bool {
        self.cron
            .pattern
            .month_match(date.month().unsigned_abs().into())
            .unwrap_or(false)
    }

    fn is_day(&self, date: Date) -> bool {
        let month = date.month().unsigned_abs().into();
        let day = date.day().unsigned_abs().into();
        let weekday = weekday(date.weekday());
        let fits = self
            .cron
            .pattern
            .day_match(date.year().into(), month, day, weekday);
        self.is_month(date) && fits.unwrap_or(false)
    }

    /// The first time of a day from `least` seconds on.
    fn first_time(&self, least: i64) -> Option<i64> {
        for hour in &self.hours {
            let hour = i64::from(*hour) * 3_600;
            if hour + 3_600 <= least {
                continue;
            }
            for minute in &self.minutes {
                let minute = hour + i64::from(*minute) * 60;
                if minute + 60 <= least {
                    continue;
                }
                let seconds = self
                    .seconds
                    .iter()
                    .map(|second| minute + i64::from(*second));
                if let Some(time) = seconds.into_iter().find(|time| *time >= least) {
                    return Some(time);
                }
            }
        }
        None
    }
}

fn expression_of(text: &str) -> Result<String, String> {
    if !text.starts_with('@') {
        return Ok(text.to_owned());
    }
    let lower = text.to_ascii_lowercase();
    let known = WORDS.iter().find(|(word, _)| *word == lower);
    let expression = known.map(|(_, expression)| (*expression).to_owned());
    expression.ok_or_else(|| {
        "the words are @yearly, @monthly, @weekly, @daily, @midnight and @hourly".to_owned()
    })
}

fn weekday(day: Weekday) -> croner::time::Weekday {
    use croner::time::Weekday as Theirs;
    match day {
        Weekday::Monday => Theirs::Monday,
        Weekday::Tuesday => Theirs::Tuesday,
        Weekday::Wednesday => Theirs::Wednesday,
        Weekday::Thursday => Theirs::Thursday,
        Weekday::Friday => Theirs::Friday,
        Weekday::Saturday => Theirs::Saturday,
        Weekday::Sunday => Theirs::Sunday,
    }
}
