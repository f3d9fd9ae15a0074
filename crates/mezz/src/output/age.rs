//! How long ago something was, in a word. Pure: the present is handed in.

use jiff::Timestamp;

/// The time from an RFC 3339 instant to `now`, in its largest one or two units; `-` when there is no instant.
pub(crate) fn age(instant: Option<&str>, now: Timestamp) -> String {
    let Some(then) = instant.and_then(|text| text.parse::<Timestamp>().ok()) else {
        return "-".to_owned();
    };
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..600 => format!("{}m{}s", seconds / 60, seconds % 60),
        600..3600 => format!("{}m", seconds / 60),
        3600..36_000 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        36_000..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short_words() {
        let now: Timestamp = "2026-01-10T00:00:00Z".parse().expect("an instant");
        for (then, expected) in [
            ("2026-01-09T23:59:55Z", "5s"),
            ("2026-01-09T23:58:30.5Z", "1m30s"),
            ("2026-01-09T22:30:00Z", "1h30m"),
            ("2026-01-01T00:00:00Z", "9d"),
            ("2027-01-01T00:00:00Z", "0s"),
        ] {
            assert_eq!(age(Some(then), now), expected);
        }
        assert_eq!(age(None, now), "-");
    }
}
