//! Which controller states a demand, inside the one number that the ledger knows it by.

use mezz_sched::DemandKey;

use crate::key::{ObjectKey, RunKey};

/// Who states a demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demander {
    /// A service, for instances of one revision.
    Service { object: ObjectKey, revision: u32 },
    /// A run of a job.
    Run { run: RunKey, part: u32 },
    /// Whoever runs a task without an object of a user; no controller has to do with it.
    Task { number: u64 },
}

const RUN: u64 = 1 << 63;
/// Of runs there are fewer than 2^31.
const TASK: u64 = RUN | 1 << 62;
const NUMBER_BITS: u32 = 31;
const NUMBER: u64 = (1 << NUMBER_BITS) - 1;

impl Demander {
    /// As the ledger knows it.
    pub fn key(self) -> DemandKey {
        DemandKey(match self {
            Self::Service { object, revision } => {
                u64::from(object.0) << NUMBER_BITS | u64::from(revision) & NUMBER
            }
            Self::Run { run, part } => {
                RUN | u64::from(run.0) << NUMBER_BITS | u64::from(part) & NUMBER
            }
            Self::Task { number } => TASK | number & !TASK,
        })
    }

    /// The first and the last key that demands of a service may have.
    pub fn of_service(object: ObjectKey) -> (DemandKey, DemandKey) {
        let first = Self::Service {
            object,
            revision: 0,
        }
        .key();
        (first, DemandKey(first.0 | NUMBER))
    }

    /// The first and the last key that demands of a run may have.
    pub fn of_run(run: RunKey) -> (DemandKey, DemandKey) {
        let first = Self::Run { run, part: 0 }.key();
        (first, DemandKey(first.0 | NUMBER))
    }

    /// Whom the ledger means.
    pub fn of(key: DemandKey) -> Self {
        if key.0 & TASK == TASK {
            return Self::Task {
                number: key.0 & !TASK,
            };
        }
        let number = u32::try_from(key.0 & NUMBER).expect("31 bits fit");
        let owner = u32::try_from((key.0 & !RUN) >> NUMBER_BITS).expect("32 bits are left");
        if key.0 & RUN == 0 {
            Self::Service {
                object: ObjectKey(owner),
                revision: number,
            }
        } else {
            Self::Run {
                run: RunKey(owner),
                part: number,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demand_is_found_again_by_its_number() {
        for demander in [
            Demander::Service {
                object: ObjectKey(u32::MAX),
                revision: 7,
            },
            Demander::Run {
                run: RunKey(3),
                part: 0,
            },
            Demander::Task { number: 1 << 40 },
        ] {
            assert_eq!(Demander::of(demander.key()), demander);
        }
    }
}
