//! Runs of the whole cluster under faults, one per seed.
//!
//! `MEZZ_SIM_SEED=n cargo test -p mezz-sim` runs one seed and prints its trace as it goes; `MEZZ_SIM_SEEDS=n` runs so many,
//! from `MEZZ_SIM_FIRST` on; `MEZZ_SIM_CHAOS=s` makes each run so many virtual seconds long.
#![allow(clippy::unwrap_used)]

mod running;

use mezz_sim::{Settings, Summary};
use running::{number, report, run_all, run_with};

/// Seeds that failed once, each with what was wrong then. What runs of another length found is kept as scenarios in
/// `crates/core/tests/returning_agents.rs`.
const PINNED: &[u64] = &[];

fn settings(verbose: bool) -> Settings {
    let usual = Settings::default();
    Settings {
        chaos_s: number("MEZZ_SIM_CHAOS").unwrap_or(usual.chaos_s),
        verbose,
        ..usual
    }
}

fn run(seed: u64, verbose: bool) -> Result<Summary, String> {
    run_with(seed, settings(verbose))
}

#[test]
fn a_cluster_under_faults_keeps_its_promises() {
    if let Some(seed) = number("MEZZ_SIM_SEED") {
        let summary = run(seed, true);
        match summary {
            Ok(summary) => eprintln!("{summary:?}"),
            Err(broken) => panic!(
                "{}",
                broken.split("\n\nbroken: ").last().unwrap_or_default()
            ),
        }
        return;
    }
    let first = number("MEZZ_SIM_FIRST").unwrap_or(0);
    let seeds: Vec<u64> = (first..first + number("MEZZ_SIM_SEEDS").unwrap_or(200)).collect();
    report(&run_all(&seeds, settings(false)));
}

#[test]
fn seeds_that_failed_once_do_not_fail_again() {
    report(&run_all(PINNED, settings(false)));
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    assert_eq!(run(7, false), run(7, false));
}

#[test]
fn a_master_restored_from_its_snapshot_goes_on_the_same() {
    for seed in 0..6 {
        let restored = Settings {
            restore_every: 1 + seed * 17,
            ..Settings::default()
        };
        assert_eq!(
            run_with(seed, restored),
            run_with(seed, Settings::default()),
            "seed {seed}"
        );
    }
}
