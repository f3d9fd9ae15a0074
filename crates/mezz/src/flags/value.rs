//! The texts that daemon flags take: durations, byte counts, switches and numbers, in Mesos's spelling and in the
//! plain one. Pure: it reads no environment and no file.

use std::time::Duration;

use thiserror::Error;

/// Why the text of a flag is not what the flag takes.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ValueError {
    #[error("'{0}' is not a duration: write a number and a unit, as in 10secs, 500ms or 2h")]
    Duration(String),
    #[error("'{0}' is not a size: write a number and a unit, as in 2GB or 512MB")]
    Bytes(String),
    #[error("'{0}' is neither true nor false")]
    Switch(String),
    #[error("'{0}' is not a whole number from {1} to {2}")]
    Count(String, u64, u64),
    #[error("'{0}' is not a number")]
    Decimal(String),
    #[error("'{0}' is not an IP address")]
    Ip(String),
    #[error("'{0}' is not one of {1}")]
    Choice(String, String),
}

const DURATION_UNITS_NS: [(&str, f64); 22] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("sec", 1e9),
    ("secs", 1e9),
    ("second", 1e9),
    ("seconds", 1e9),
    ("m", 6e10),
    ("min", 6e10),
    ("mins", 6e10),
    ("minutes", 6e10),
    ("h", 3.6e12),
    ("hr", 3.6e12),
    ("hrs", 3.6e12),
    ("hours", 3.6e12),
    ("d", 8.64e13),
    ("day", 8.64e13),
    ("days", 8.64e13),
    ("w", 6.048e14),
    ("week", 6.048e14),
    ("weeks", 6.048e14),
];

/// Reads `10secs`, `1.5hrs`, `500ms`, `10s`, `2h`.
pub(crate) fn duration(text: &str) -> Result<Duration, ValueError> {
    let wrong = || ValueError::Duration(text.to_owned());
    let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let (_, unit_ns) = DURATION_UNITS_NS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(wrong)?;
    let nanoseconds = number * unit_ns;
    // A century keeps every later addition of deadlines far from overflow.
    if !(0.0..=3.2e18).contains(&nanoseconds) {
        return Err(wrong());
    }
    Ok(Duration::from_secs_f64(nanoseconds / 1e9))
}

/// Writes a duration as Mesos shows it: the largest unit that divides it.
pub(crate) fn duration_text(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let units = [
        ("weeks", 604_800_000_000_000),
        ("days", 86_400_000_000_000),
        ("hrs", 3_600_000_000_000),
        ("mins", 60_000_000_000),
        ("secs", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
    ];
    match units
        .iter()
        .find(|(_, unit)| nanoseconds != 0 && nanoseconds.is_multiple_of(*unit))
    {
        Some((name, unit)) => format!("{}{name}", nanoseconds / unit),
        None => format!("{nanoseconds}ns"),
    }
}

/// Reads `2GB`, `512MB`, `4KB`, `100B` into bytes.
pub(crate) fn bytes(text: &str) -> Result<u64, ValueError> {
    let wrong = || ValueError::Bytes(text.to_owned());
    let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let shift = match unit.to_ascii_uppercase().as_str() {
        "B" => 0,
        "K" | "KB" => 10,
        "M" | "MB" => 20,
        "G" | "GB" => 30,
        "T" | "TB" => 40,
        _ => return Err(wrong()),
    };
    let total = number * (1_u64 << shift) as f64;
    if !(0.0..=9e18).contains(&total) {
        return Err(wrong());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked just above"
    )]
    Ok(total as u64)
}

/// Writes a byte count as Mesos shows it.
pub(crate) fn bytes_text(bytes: u64) -> String {
    let units = [("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)];
    match units
        .iter()
        .find(|(_, shift)| bytes != 0 && bytes.is_multiple_of(1 << shift))
    {
        Some((name, shift)) => format!("{}{name}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

/// Reads `true`, `false`, `1`, `0`.
pub(crate) fn switch(text: &str) -> Result<bool, ValueError> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(ValueError::Switch(text.to_owned())),
    }
}

/// Reads a whole number between two bounds.
pub(crate) fn count(text: &str, least: u64, most: u64) -> Result<u64, ValueError> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| ValueError::Count(text.to_owned(), least, most))
}

/// Reads a finite decimal number.
pub(crate) fn decimal(text: &str) -> Result<f64, ValueError> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| ValueError::Decimal(text.to_owned()))
}

fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = text[..split].trim().parse().ok()?;
    Some((number, &text[split..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_both_spellings() {
        for (text, expected_ms) in [
            ("10secs", 10_000),
            ("10s", 10_000),
            ("1.5mins", 90_000),
            ("500ms", 500),
            ("2h", 7_200_000),
            ("1weeks", 604_800_000),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(expected_ms)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_duration_without_a_unit_or_with_an_unknown_one_is_refused() {
        for text in ["10", "10 fortnights", "secs", "", "-1secs", "1e30weeks"] {
            assert_eq!(
                duration(text),
                Err(ValueError::Duration(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn durations_and_sizes_are_shown_in_the_largest_whole_unit() {
        assert_eq!(duration_text(Duration::from_mins(10)), "10mins");
        assert_eq!(duration_text(Duration::from_millis(1500)), "1500ms");
        assert_eq!(duration_text(Duration::ZERO), "0ns");
        assert_eq!(bytes_text(bytes("2048MB").expect("a size")), "2GB");
        assert_eq!(bytes_text(4096), "4KB");
    }
}
