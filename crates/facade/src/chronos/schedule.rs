//! Schedules as Chronos writes them: `R5/2026-01-01T00:00:00Z/PT1H`, with a zone beside it that goes before the offset.
//! What began in the past runs once at once, and then at its times to come.

use mezz_spec::schedule::{Schedule, is_zone};
use mezz_state::time::{SECOND_NS, Wall};

use crate::instant::zulu;

/// Names of zones that Java knows and the IANA data does not.
const LEGACY: [(&str, &str); 6] = [
    ("PST", "America/Los_Angeles"),
    ("CST", "America/Chicago"),
    ("AST", "America/Anchorage"),
    ("JST", "Asia/Tokyo"),
    ("IST", "Asia/Kolkata"),
    ("AET", "Australia/Sydney"),
];

/// A schedule in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// None for ever.
    pub(super) count: Option<u64>,
    /// Empty: at once.
    start: &'a str,
    pub(super) period: &'a str,
    zone: &'a str,
}

/// When a cron fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// None when there is nothing to come.
    pub(super) schedules: Vec<String>,
    pub(super) zone: String,
}

impl<'a> Parts<'a> {
    pub(super) fn parse(text: &'a str, zone: &'a str) -> Result<Self, String> {
        let bad = || format!("Cannot parse schedule '{text}'");
        let words: Vec<&str> = text.split('/').collect();
        let &[repetitions, start, period] = words.as_slice() else {
            return Err(format!("{}: it is R[count]/[start]/period", bad()));
        };
        let digits = repetitions.strip_prefix('R').ok_or_else(bad)?;
        let count = match digits {
            "" | "-1" => None,
            digits => Some(digits.parse().map_err(|_| bad())?),
        };
        let zone = LEGACY
            .iter()
            .find(|(legacy, _)| *legacy == zone)
            .map_or(zone, |(_, name)| name);
        if !zone.is_empty() && !is_zone(zone) {
            return Err(format!("'{zone}' is no time zone, such as Europe/Berlin"));
        }
        let parts = Self {
            count,
            start: start.trim(),
            period: period.trim(),
            zone,
        };
        parts
            .for_ever()
            .map_err(|error| format!("{}: {error}", bad()))?;
        Ok(parts)
    }

    /// The start without its offset where a zone says otherwise.
    fn start(&self) -> &str {
        if self.zone.is_empty() {
            return self.start;
        }
        let time = self.start.find(['T', 't']).map_or(0, |at| at + 1);
        let end = self.start[time..]
            .find(['Z', 'z', '+', '-'])
            .filter(|_| time > 0)
            .map_or(self.start.len(), |at| time + at);
        &self.start[..end]
    }

    fn zone(&self) -> &str {
        if self.zone.is_empty() {
            "UTC"
        } else {
            self.zone
        }
    }

    /// The same start and period without end.
    fn for_ever(&self) -> Result<Schedule, String> {
        let text = format!("R/{}/{}", self.start(), self.period);
        Schedule::parse(&[&text], self.zone()).map_err(|error| error.to_string())
    }

    /// The first fire-time.
    fn first(&self) -> Option<Wall> {
        self.for_ever().ok()?.next_after(0).map(Wall)
    }

    /// The times to come from now on.
    pub(super) fn times(&self, now: Wall) -> Times {
        // So far ahead that it is not past when the core hears of it.
        let soon = Wall((now.0 / SECOND_NS + 2) * SECOND_NS);
        let once = format!("R1/{}/P1D", zulu(soon));
        let repeated = |count: Option<u64>, start: &str| match count {
            None => Some(format!("R/{start}/{}", self.period)),
            Some(0) => None,
            Some(count) => Some(format!("R{count}/{start}/{}", self.period)),
        };
        let is_past = self.start.is_empty() || self.first().is_none_or(|first| first < soon);
        let schedules = if self.count == Some(0) {
            Vec::new()
        } else if self.start.is_empty() {
            repeated(self.count, &zulu(soon)).into_iter().collect()
        } else if is_past {
            let next = self
                .for_ever()
                .ok()
                .and_then(|schedule| schedule.next_after(soon.0));
            let rest = next.and_then(|next| {
                let count = self.count.map(|count| count - 1);
                match count {
                    // Without end it goes on by its own start, which keeps days and clocks together.
                    None => repeated(None, self.start()),
                    count => repeated(count, &zulu(Wall(next))),
                }
            });
            std::iter::once(once).chain(rest).collect()
        } else {
            repeated(self.count, self.start()).into_iter().collect()
        };
        Times {
            schedules,
            zone: self.zone().to_owned(),
        }
    }

    /// As it is written, whatever the time is: an empty start is when the cron comes into being.
    pub(super) fn as_written(&self) -> Times {
        let start = self.start();
        let schedules = match self.count {
            None => vec![format!("R/{start}/{}", self.period)],
            Some(0) => Vec::new(),
            Some(count) => vec![format!("R{count}/{start}/{}", self.period)],
        };
        Times {
            schedules,
            zone: self.zone().to_owned(),
        }
    }

    /// As it is shown when `left` fire-times are to come, the next of them then.
    pub(super) fn shown(&self, left: Option<u64>, next: Wall) -> String {
        let count = left.map_or_else(String::new, |left| left.to_string());
        format!("R{count}/{}/{}", zulu(next), self.period)
    }

    /// Whether it begins whenever it is written.
    pub(super) fn is_at_once(&self) -> bool {
        self.start.is_empty()
    }

    /// Whether the first fire-time is still to come.
    pub(super) fn is_ahead(&self, now: Wall) -> bool {
        !self.start.is_empty() && self.first().is_some_and(|first| first > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01T00:00:00Z
    const NOW: Wall = Wall(1_767_225_600 * SECOND_NS);

    fn times(text: &str, zone: &str) -> Vec<String> {
        Parts::parse(text, zone).unwrap().times(NOW).schedules
    }

    #[test]
    fn what_is_to_come_is_taken_as_it_is() {
        let text = "R5/2026-03-01T00:00:00Z/PT1H";
        assert_eq!(times(text, ""), [text]);
        assert_eq!(
            times(text, "Europe/Berlin"),
            ["R5/2026-03-01T00:00:00/PT1H"]
        );
        assert_eq!(
            Parts::parse("R/2026-03-01T01:00:00.000-08:00/P1D", "PST")
                .unwrap()
                .times(NOW)
                .schedules,
            ["R/2026-03-01T01:00:00.000/P1D"]
        );
    }

    #[test]
    fn what_began_runs_at_once_and_then_at_its_times() {
        let soon = "R1/2026-01-01T00:00:02.000Z/P1D";
        assert_eq!(
            times("R/2025-12-31T23:30:00Z/PT1H", ""),
            [soon, "R/2025-12-31T23:30:00Z/PT1H"]
        );
        assert_eq!(
            times("R3/2025-12-31T23:30:00Z/PT1H", ""),
            [soon, "R2/2026-01-01T00:30:00.000Z/PT1H"]
        );
        assert_eq!(times("R1/2025-12-31T23:30:00Z/PT1H", ""), [soon]);
        assert_eq!(times("R1//PT1H", ""), ["R1/2026-01-01T00:00:02.000Z/PT1H"]);
        assert_eq!(times("R0/2025-12-31T23:30:00Z/PT1H", ""), [""; 0]);
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "x",
            "R/2026",
            "R/yesterday/PT1H",
            "Rx//PT1H",
            "R//1H",
            "* * * * *",
            "R//PT1H/x",
        ] {
            assert!(Parts::parse(bad, "").is_err(), "{bad}");
        }
        assert!(Parts::parse("R//PT1H", "Nowhere/Town").is_err());
    }
}
