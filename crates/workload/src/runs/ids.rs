//! Ids of runs and of their attempts. They follow from times and counters, never from chance.

use mezz_spec::Name;
use mezz_state::time::{MILLISECOND_NS, SECOND_NS, Wall};
use xxhash_rust::xxh3::xxh3_64;

use crate::naming::{MAX_ID_BYTES, flat};

/// The longest id that a client may give to a run.
pub(crate) const MAX_RUN_ID_BYTES: usize = 63;
/// `.INDEX.ATTEMPT` at its longest.
const SUFFIX_BYTES: usize = ".999999.4294967295".len();

/// A moment as the start of an id: `20261122T092400`, with milliseconds only where there are any.
pub(crate) fn stamp(at: Wall) -> String {
    let seconds = at.0 / SECOND_NS;
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(day);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let text = format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}");
    match at.0 % SECOND_NS / MILLISECOND_NS {
        0 => text,
        milliseconds => format!("{text}.{milliseconds:03}"),
    }
}

/// A moment as people read it, to the second: `2026-11-22T09:24:00Z`.
pub(crate) fn written(at: Wall) -> String {
    let seconds = at.0 / SECOND_NS;
    let (year, month, day) = civil(seconds / 86_400);
    let second = seconds % 86_400;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day since 1970: the years are counted from March, so that leap days come last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + carry, month, date)
}

/// Why a client's id is none.
pub(crate) fn check_given(id: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if id.is_empty() || id.len() > MAX_RUN_ID_BYTES || !id.bytes().all(is_plain) {
        return Err(format!(
            "a run's id is of 1 to {MAX_RUN_ID_BYTES} letters, digits, '.', '_' and '-'; '{id}' is not"
        ));
    }
    Ok(())
}

/// The task id of an attempt: name, run, index, attempt. What would be too long ends in a digest.
pub(crate) fn attempt_id(name: &Name, run: &str, index: u32, attempt: u32) -> String {
    format!("{}.{index}.{attempt}", attempt_head(name, run))
}

/// How the task ids of a run's attempts begin, up to the point before the index.
pub fn attempt_head(name: &Name, run: &str) -> String {
    let mut head = format!("{}.{run}", flat(name));
    if head.len() + SUFFIX_BYTES > MAX_ID_BYTES {
        let digest = format!("-{:016x}", xxh3_64(head.as_bytes()));
        head.truncate(MAX_ID_BYTES - SUFFIX_BYTES - digest.len());
        head.push_str(&digest);
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_dates_also_around_leap_days() {
        for (seconds, wanted) in [
            (0, "19700101T000000"),
            (951_782_400, "20000229T000000"),
            (951_868_799, "20000229T235959"),
            (1_709_164_800, "20240229T000000"),
            (1_735_689_599, "20241231T235959"),
            (4_107_542_400, "21000301T000000"),
        ] {
            assert_eq!(stamp(Wall(seconds * SECOND_NS)), wanted);
        }
        assert_eq!(stamp(Wall(5 * MILLISECOND_NS)), "19700101T000000.005");
    }

    #[test]
    fn ids_of_attempts_stay_legal_and_distinct_however_long_the_names() {
        let name = Name::new(&[&*"a".repeat(49); 4].join("/")).unwrap();
        let long = "r".repeat(180);
        let ids: Vec<String> = ["1", "2"]
            .iter()
            .map(|end| attempt_id(&name, &format!("{long}{end}"), 999_999, u32::MAX))
            .collect();
        assert!(ids.iter().all(|id| id.len() <= MAX_ID_BYTES));
        assert_ne!(ids[0], ids[1]);
        let short = attempt_id(&Name::new("/team/job").unwrap(), "r1", 3, 0);
        assert_eq!(short, "team_job.r1.3.0");
    }
}
