//! Which fire-times are due, and which of them are honoured. It knows times only: neither runs nor the store.

use mezz_spec::cron::CatchUp;
use mezz_state::time::{SECOND_NS, Wall};
use serde::{Deserialize, Serialize};

/// A fire-time that is decided upon within this counts as on time: timers are not exact, and batches take a while.
const ON_TIME_NS: u64 = 10 * SECOND_NS;
/// So many fire-times are looked at for one decision; of a longer absence what is before them is left out at once.
const LOOKED_AT: usize = 10_000;

/// How fire-times follow each other, and which are made up for.
pub(crate) struct Rule<'a> {
    /// The first fire-time after a moment.
    pub(crate) next_after: &'a dyn Fn(Wall) -> Option<Wall>,
    /// By how much the start of a fire-time is delayed.
    pub(crate) jitter: &'a dyn Fn(Wall) -> u64,
    pub(crate) starting_deadline_ns: u64,
    pub(crate) catch_up: CatchUp,
}

/// Why nothing was started for a fire-time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Missed {
    /// Nobody could decide upon it before its starting deadline.
    Deadline,
    /// Nobody could decide upon it in time, and it is not made up for.
    NotCaughtUp,
    /// An earlier run went on.
    Overlap,
    /// What it runs is not there, or does not take its parameters.
    Target,
}

impl Missed {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Deadline => "nothing could be started before the starting deadline",
            Self::NotCaughtUp => "its time had passed, and catch_up does not make up for it",
            Self::Overlap => "an earlier run still went on, and overlap is forbid",
            Self::Target => "what it runs is not there, or does not take its parameters",
        }
    }
}

/// What is decided at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Fire-times to honour, in order.
    pub(crate) fire: Vec<Wall>,
    /// Fire-times that are not honoured: how many for which reason, with the last of them.
    pub(crate) missed: Vec<(Missed, u64, Wall)>,
    /// Up to here all are decided upon now.
    pub(crate) decided_until: Wall,
    /// When there is something to decide again, and the fire-time that it is about.
    pub(crate) next: Option<Next>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) fire_at: Wall,
    /// With its jitter.
    pub(crate) start_at: Wall,
}

/// Decides upon what has become due since `decided_until`. A clock that went back finds nothing due: what was decided
/// stays decided.
pub(crate) fn decide(now: Wall, decided_until: Wall, rule: &Rule<'_>) -> Decision {
    let mut decision = Decision {
        decided_until,
        ..Decision::default()
    };
    let mut due = collect(now, rule, &mut decision);
    let deadline = rule.starting_deadline_ns.max(SECOND_NS);
    let age = |start: &Next| now.0.saturating_sub(start.start_at.0);
    let expired = due.partition_point(|start| age(start) > deadline);
    decision.miss(Missed::Deadline, due.drain(..expired).as_slice());
    let late = due.partition_point(|start| age(start) > ON_TIME_NS);
    let left_out = match rule.catch_up {
        CatchUp::All => 0,
        CatchUp::Last if late == due.len() => late.saturating_sub(1),
        CatchUp::Last | CatchUp::None => late,
    };
    decision.miss(Missed::NotCaughtUp, due.drain(..left_out).as_slice());
    decision.fire = due.iter().map(|start| start.fire_at).collect();
    decision
}

fn collect(now: Wall, rule: &Rule<'_>, decision: &mut Decision) -> Vec<Next> {
    let mut due = Vec::new();
    // Starts keep the order of their fire-times, whatever the jitter.
    let mut latest = Wall(0);
    while let Some(fire_at) = (rule.next_after)(decision.decided_until) {
        if fire_at <= decision.decided_until {
            break;
        }
        let jittered = Wall(fire_at.0.saturating_add((rule.jitter)(fire_at)));
        latest = latest.max(jittered);
        let next = Next {
            fire_at,
            start_at: latest,
        };
        if latest > now {
            decision.next = Some(next);
            break;
        }
        decision.decided_until = fire_at;
        due.push(next);
        if due.len() >= LOOKED_AT {
            skip_ahead(now, rule, decision, &mut due);
        }
    }
    due
}

/// After a very long absence: those that are too late anyway are not looked at one by one.
fn skip_ahead(now: Wall, rule: &Rule<'_>, decision: &mut Decision, due: &mut Vec<Next>) {
    let deadline = rule.starting_deadline_ns.max(SECOND_NS);
    let horizon = Wall(now.0.saturating_sub(deadline).saturating_sub(1));
    let expired = due.partition_point(|start| start.start_at < horizon);
    decision.miss(Missed::Deadline, due.drain(..expired).as_slice());
    if due.is_empty() && decision.decided_until < horizon {
        decision.decided_until = horizon;
    }
    // What is left is within the starting deadline: of these at most so many are kept.
    let extra = due.len().saturating_sub(LOOKED_AT / 2);
    decision.miss(Missed::NotCaughtUp, due.drain(..extra).as_slice());
}

impl Decision {
    fn miss(&mut self, why: Missed, which: &[Next]) {
        let Some(last) = which.last() else {
            return;
        };
        let count = which.len() as u64;
        match self.missed.iter_mut().find(|(other, ..)| *other == why) {
            Some((_, total, at)) => {
                *total += count;
                *at = last.fire_at;
            }
            None => self.missed.push((why, count, last.fire_at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: u64 = 60 * SECOND_NS;

    #[expect(clippy::unnecessary_wraps, reason = "a rule's schedule may end")]
    fn every_minute(after: Wall) -> Option<Wall> {
        Some(Wall((after.0 / MINUTE + 1) * MINUTE))
    }

    fn decide_at(now: u64, until: u64, deadline: u64, catch_up: CatchUp) -> Decision {
        let rule = Rule {
            next_after: &every_minute,
            jitter: &|_| 0,
            starting_deadline_ns: deadline,
            catch_up,
        };
        decide(Wall(now), Wall(until), &rule)
    }

    fn minutes(times: &[Wall]) -> Vec<u64> {
        times.iter().map(|at| at.0 / MINUTE).collect()
    }

    #[test]
    fn what_is_on_time_fires_whatever_the_catch_up() {
        for catch_up in [CatchUp::None, CatchUp::Last, CatchUp::All] {
            let decision = decide_at(5 * MINUTE + 1, 4 * MINUTE, MINUTE, catch_up);
            assert_eq!(minutes(&decision.fire), [5]);
            assert_eq!(decision.missed, []);
            assert_eq!(decision.next.unwrap().fire_at, Wall(6 * MINUTE));
        }
    }

    #[test]
    fn of_what_passed_while_nobody_looked_catch_up_says_what_is_made_up_for() {
        let now = 10 * MINUTE + 30 * SECOND_NS;
        let none = decide_at(now, 4 * MINUTE, 3 * MINUTE, CatchUp::None);
        assert_eq!(minutes(&none.fire), [0_u64; 0]);
        assert_eq!(
            none.missed,
            [
                (Missed::Deadline, 3, Wall(7 * MINUTE)),
                (Missed::NotCaughtUp, 3, Wall(10 * MINUTE))
            ]
        );
        let last = decide_at(now, 4 * MINUTE, 3 * MINUTE, CatchUp::Last);
        assert_eq!(minutes(&last.fire), [10]);
        let all = decide_at(now, 4 * MINUTE, 3 * MINUTE, CatchUp::All);
        assert_eq!(minutes(&all.fire), [8, 9, 10]);
        assert_eq!(all.missed, [(Missed::Deadline, 3, Wall(7 * MINUTE))]);
    }

    #[test]
    fn the_last_is_not_made_up_for_when_another_is_on_time() {
        let decision = decide_at(10 * MINUTE + 1, 4 * MINUTE, 9 * MINUTE, CatchUp::Last);
        assert_eq!(minutes(&decision.fire), [10]);
        assert_eq!(
            decision.missed,
            [(Missed::NotCaughtUp, 5, Wall(9 * MINUTE))]
        );
    }

    #[test]
    fn a_clock_that_went_back_fires_nothing_twice() {
        let decision = decide_at(3 * MINUTE, 5 * MINUTE, MINUTE, CatchUp::All);
        assert_eq!(decision.fire, []);
        assert_eq!(decision.decided_until, Wall(5 * MINUTE));
        assert_eq!(decision.next.unwrap().fire_at, Wall(6 * MINUTE));
    }

    #[test]
    fn a_year_of_absence_is_decided_at_once() {
        let year = 365 * 24 * 60 * MINUTE;
        let decision = decide_at(year, MINUTE, 10 * MINUTE, CatchUp::All);
        assert_eq!(decision.fire.len(), 11);
        assert_eq!(decision.decided_until, Wall(year));
    }

    proptest! {
        #[test]
        fn each_fire_time_is_decided_upon_once_wherever_the_moments_of_decision_lie(
            steps in prop::collection::vec(0_u64..5 * MINUTE, 1..40),
            jitter in 0_u64..3 * MINUTE,
        ) {
            let spread = |at: Wall| if jitter == 0 { 0 } else { at.0.wrapping_mul(0x9e37_79b9) % jitter };
            let rule = Rule {
                next_after: &every_minute,
                jitter: &spread,
                starting_deadline_ns: 1_000 * MINUTE,
                catch_up: CatchUp::All,
            };
            let mut now = 0;
            let mut until = Wall(0);
            let mut fired = Vec::new();
            for step in steps {
                now += step;
                let decision = decide(Wall(now), until, &rule);
                prop_assert!(decision.next.unwrap().start_at.0 > now);
                until = decision.decided_until;
                fired.extend(minutes(&decision.fire));
            }
            prop_assert_eq!(fired, (1..=until.0 / MINUTE).collect::<Vec<_>>());
        }
    }
}
