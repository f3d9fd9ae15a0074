//! Runs of the whole cluster under faults in which users apply, change and delete their objects, one per seed.
//!
//! `MEZZ_SIM_SEED=n cargo test -p mezz-sim --test users NAME` runs one seed of a test and prints its trace as it goes;
//! `MEZZ_SIM_SEEDS=n` runs so many, from `MEZZ_SIM_FIRST` on; `MEZZ_SIM_CHAOS=s` makes each so many virtual seconds long.
#![allow(clippy::unwrap_used)]

mod running;

use mezz_sim::{Settings, Users, World};
use running::{number, report, run_all, run_with};

/// Seeds that failed once, each with what was wrong then.
const PINNED: &[(Users, u64)] = &[];

fn settings(users: Users) -> Settings {
    Settings {
        chaos_s: number("MEZZ_SIM_CHAOS").unwrap_or(match users {
            Users::Crons => 200,
            _ => 120,
        }),
        users,
        ..Settings::default()
    }
}

fn check(users: Users, count: u64) {
    let settings = settings(users);
    if let Some(seed) = number("MEZZ_SIM_SEED") {
        let verbose = Settings {
            verbose: true,
            ..settings
        };
        let (outcome, _) = World::new(seed, verbose).run_recorded();
        eprintln!("{:?}", outcome.unwrap());
        return;
    }
    let first = number("MEZZ_SIM_FIRST").unwrap_or(0);
    let seeds: Vec<u64> = (first..first + number("MEZZ_SIM_SEEDS").unwrap_or(count)).collect();
    report(&run_all(&seeds, settings));
}

#[test]
fn objects_of_users_come_to_what_is_wanted_whatever_goes_wrong() {
    check(Users::Busy, 40);
}

#[test]
fn each_fire_time_of_a_cron_has_one_run_whatever_goes_wrong() {
    check(Users::Crons, 200);
}

#[test]
fn seeds_that_failed_once_do_not_fail_again() {
    for (users, seed) in PINNED {
        report(&run_all(&[*seed], settings(*users)));
    }
}

#[test]
fn a_master_with_objects_restored_from_its_snapshot_goes_on_the_same() {
    for seed in 0..2 {
        let settings = settings(Users::Busy);
        let restored = Settings {
            restore_every: 1 + seed * 17,
            ..settings
        };
        assert_eq!(
            run_with(seed, restored),
            run_with(seed, settings),
            "seed {seed}"
        );
    }
}
