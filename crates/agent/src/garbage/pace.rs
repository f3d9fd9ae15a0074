//! How fast sandboxes are deleted: in small batches, each followed by a rest that grows with what it took.

use std::time::{Duration, Instant};

/// So many files are deleted in one go.
const BATCH: u32 = 64;
/// After a sandbox there is at least this much rest.
const LEAST_REST: Duration = Duration::from_millis(2);
/// However slow the disk, no rest is longer.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Going {
    On,
    Stopped,
}

/// Rests between batches. `rest` sleeps and says whether to go on.
pub(crate) struct Pace<F> {
    rest: F,
    /// Rest for each unit of work.
    idle_share: u32,
    deleted: u32,
    since: Instant,
}

impl<F: FnMut(Duration) -> Going> Pace<F> {
    /// With `pressed` the disk is full: then deleting takes half of the time, otherwise a fifth.
    pub(crate) fn new(pressed: bool, rest: F) -> Self {
        Self {
            rest,
            idle_share: if pressed { 1 } else { 4 },
            deleted: 0,
            since: Instant::now(),
        }
    }

    /// One more file is gone.
    pub(crate) fn file_done(&mut self) -> Going {
        self.deleted += 1;
        if self.deleted < BATCH {
            return Going::On;
        }
        self.pause(Duration::ZERO)
    }

    /// One more sandbox is gone.
    pub(crate) fn sandbox_done(&mut self) -> Going {
        self.pause(LEAST_REST)
    }

    fn pause(&mut self, least: Duration) -> Going {
        let rest = (self.since.elapsed() * self.idle_share).clamp(least, LONGEST_REST);
        let going = (self.rest)(rest);
        self.deleted = 0;
        self.since = Instant::now();
        going
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_each_batch_comes_a_rest_and_an_end_is_noticed_there() {
        let mut rests = 0;
        let mut pace = Pace::new(false, |_| {
            rests += 1;
            if rests == 3 {
                Going::Stopped
            } else {
                Going::On
            }
        });
        let mut deleted = 0;
        while pace.file_done() == Going::On {
            deleted += 1;
        }
        assert_eq!((deleted, rests), (3 * BATCH - 1, 3));
    }

    #[test]
    fn a_full_disk_shortens_the_rests() {
        let mut longest = [Duration::ZERO; 2];
        for (pressed, longest) in [false, true].into_iter().zip(&mut longest) {
            let mut pace = Pace::new(pressed, |rest| {
                *longest = rest;
                Going::On
            });
            pace.since = Instant::now()
                .checked_sub(Duration::from_millis(100))
                .expect("the machine runs longer than that");
            pace.sandbox_done();
        }
        assert!(longest[0] > longest[1] * 2, "{longest:?}");
    }
}
