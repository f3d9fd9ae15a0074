//! What passed and what failed, in the words of the closing line.

use std::ops::AddAssign;

/// Counts of tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// One test or check.
    pub(crate) fn of(success: bool) -> Self {
        Self {
            passed: u64::from(success),
            failed: u64::from(!success),
        }
    }

    /// The counts in a runner's summary line, if `line` is one (cargo-nextest or libtest).
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let line = line.trim();
        let nextest = line.strip_prefix("Summary").and_then(|rest| {
            rest.split_once("tests run:")
                .or_else(|| rest.split_once("test run:"))
        });
        let counts = match nextest {
            Some((_, counts)) => counts,
            None => line.strip_prefix("test result:")?,
        };
        let mut tally = Self::default();
        for part in counts.split([',', ';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(word)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match word {
                "passed" => tally.passed += number,
                // nextest counts a test that ran out of time apart from the failed ones.
                "failed" | "timed" => tally.failed += number,
                _ => {}
            }
        }
        Some(tally)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_both_runners_are_understood() {
        let nextest = "     Summary [   0.959s] 49 tests run: 47 passed (2 slow), 1 failed, 1 timed out, 1 skipped";
        assert_eq!(
            Tally::from_line(nextest),
            Some(Tally {
                passed: 47,
                failed: 2
            })
        );
        let one = "     Summary [   0.1s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(
            Tally::from_line(one),
            Some(Tally {
                passed: 1,
                failed: 0
            })
        );
        let libtest = "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(
            Tally::from_line(libtest),
            Some(Tally {
                passed: 3,
                failed: 1
            })
        );
        assert_eq!(Tally::from_line("test a_name ... ok"), None);
    }
}
