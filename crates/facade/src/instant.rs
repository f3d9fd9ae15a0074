//! Moments as other systems write them.

use jiff::Timestamp;
use mezz_state::time::Wall;

fn written(at: Wall, format: &str) -> String {
    Timestamp::from_nanosecond(i128::from(at.0))
        .unwrap_or(Timestamp::MAX)
        .strftime(format)
        .to_string()
}

/// `2016-07-15T13:02:59.735Z`: Marathon and Chronos.
pub fn zulu(at: Wall) -> String {
    written(at, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

/// `2016-07-15T13:02:59.735+0000`: Metronome.
pub fn with_offset(at: Wall) -> String {
    written(at, "%Y-%m-%dT%H:%M:%S%.3f+0000")
}

/// `20160715130259`: the start of Metronome's run ids.
pub fn digits(at: Wall) -> String {
    written(at, "%Y%m%d%H%M%S")
}

/// `07/15/16 13:02:59`: Chronos's history of tasks.
pub fn day_and_time(at: Wall) -> String {
    written(at, "%m/%d/%y %H:%M:%S")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_milliseconds() {
        let at = Wall(1_468_587_779_735_999_999);
        assert_eq!(zulu(at), "2016-07-15T13:02:59.735Z");
        assert_eq!(with_offset(at), "2016-07-15T13:02:59.735+0000");
    }
}
