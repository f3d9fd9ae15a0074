//! Durations in words (`10mins`), for the fields that Mesos's own documents write so.

use crate::well_known::Duration;

const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("ms", 1e6),
    ("secs", 1e9),
    ("mins", 60e9),
    ("hrs", 3_600e9),
    ("days", 86_400e9),
    ("weeks", 604_800e9),
];

/// Reads a number followed by its unit.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (amount, unit) = text.split_at(split);
    let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let nanoseconds = amount.parse::<f64>().ok()? * scale;
    // The bound of a signed 64-bit count of nanoseconds.
    if nanoseconds.abs() >= 9.2e18 {
        return None;
    }
    #[allow(clippy::cast_possible_truncation)] // The range was checked.
    let nanoseconds = nanoseconds.round() as i64;
    Some(Duration {
        seconds: nanoseconds / 1_000_000_000,
        nanos: i32::try_from(nanoseconds % 1_000_000_000).expect("a remainder of 10^9 fits"),
    })
}
