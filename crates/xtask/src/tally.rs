//! What passed and what failed, in the words of the closing line.

use std::ops::AddAssign;

/// A program that runs tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    Nextest,
    Libtest,
}

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

    /// The counts in a summary line of `runner`, if `line` is one.
    pub(crate) fn from_line(runner: Runner, line: &str) -> Option<Self> {
        let line = line.trim();
        // A failed test's output, which nextest shows, may hold summary lines of libtest.
        let counts = match runner {
            Runner::Nextest => {
                let rest = line.strip_prefix("Summary")?;
                rest.split_once("tests run:")
                    .or_else(|| rest.split_once("test run:"))?
                    .1
            }
            Runner::Libtest => line.strip_prefix("test result:")?,
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
        let nextest = |line| Tally::from_line(Runner::Nextest, line);
        let line = "     Summary [   0.959s] 49 tests run: 47 passed (2 slow), 1 failed, 1 timed out, 1 skipped";
        assert_eq!(
            nextest(line),
            Some(Tally {
                passed: 47,
                failed: 2
            })
        );
        let one = "     Summary [   0.1s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(
            nextest(one),
            Some(Tally {
                passed: 1,
                failed: 0
            })
        );
        let libtest = "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(nextest(libtest), None);
        assert_eq!(
            Tally::from_line(Runner::Libtest, libtest),
            Some(Tally {
                passed: 3,
                failed: 1
            })
        );
        assert_eq!(
            Tally::from_line(Runner::Libtest, "test a_name ... ok"),
            None
        );
    }
}
