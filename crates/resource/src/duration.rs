//! Durations as Mesos writes them: `10mins`, `1.5hrs`, `500ms`.

use std::time::Duration;
use thiserror::Error;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// No number in front.
    #[error("Invalid duration '{0}': it must be a number and a unit, as in 10mins")]
    Number(String),
    /// A unit that does not exist.
    #[error(
        "Unknown duration unit '{unit}' in '{text}'; the units are ns, us, ms, secs, mins, hrs, days, weeks"
    )]
    Unit {
        /// The unit at fault.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// Below zero or too long.
    #[error("Invalid duration '{0}': out of range")]
    Range(String),
}

/// Units with their nanoseconds, longest first.
const UNITS: [(&str, u64); 8] = [
    ("weeks", 604_800_000_000_000),
    ("days", 86_400_000_000_000),
    ("hrs", 3_600_000_000_000),
    ("mins", 60_000_000_000),
    ("secs", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Parses a number followed by a unit.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked against the range just before
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let value: f64 = number
        .parse()
        .map_err(|_| DurationError::Number(text.to_owned()))?;
    let unit = unit.trim();
    let (_, nanos) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| DurationError::Unit {
            unit: unit.to_owned(),
            text: text.to_owned(),
        })?;
    let whole = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*nanos));
    if let Some(total) = whole {
        return Ok(Duration::from_nanos(total));
    }
    let total = value * *nanos as f64;
    if !(0.0..9.0e18).contains(&total) {
        return Err(DurationError::Range(text.to_owned()));
    }
    Ok(Duration::from_nanos(total.round() as u64))
}

/// The duration in the largest unit in which it is at least one.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let (unit, size) = UNITS
        .iter()
        .find(|(_, size)| nanos >= u128::from(*size))
        .map_or(("ns", 1), |(unit, size)| (*unit, u128::from(*size)));
    if nanos.is_multiple_of(size) {
        return format!("{}{unit}", nanos / size);
    }
    format!("{}{unit}", nanos as f64 / size as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_flags_parse_and_print() {
        for (text, nanos) in [
            ("10mins", 600_000_000_000),
            ("1secs", 1_000_000_000),
            ("15secs", 15_000_000_000),
            ("1.5hrs", 5_400_000_000_000),
            ("500ms", 500_000_000),
            ("2weeks", 1_209_600_000_000_000),
            ("0ns", 0),
            ("3us", 3_000),
            ("1days", 86_400_000_000_000),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_nanos(nanos), "{text}");
            assert_eq!(format_duration(duration), text);
        }
    }

    #[test]
    fn bad_durations_say_what_is_wrong() {
        assert!(matches!(
            parse_duration("mins"),
            Err(DurationError::Number(_))
        ));
        assert!(matches!(
            parse_duration("5"),
            Err(DurationError::Unit { .. })
        ));
        assert!(matches!(
            parse_duration("5m"),
            Err(DurationError::Unit { .. })
        ));
        assert!(matches!(
            parse_duration("-5mins"),
            Err(DurationError::Range(_))
        ));
        assert!(matches!(
            parse_duration("99999999weeks"),
            Err(DurationError::Range(_))
        ));
    }
}
