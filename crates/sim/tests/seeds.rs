//! Runs of the whole cluster under faults, one per seed.
//!
//! `MEZZ_SIM_SEED=n cargo test -p mezz-sim` runs one seed and prints its trace as it goes; `MEZZ_SIM_SEEDS=n` runs so many,
//! from `MEZZ_SIM_FIRST` on; `MEZZ_SIM_CHAOS=s` makes each run so many virtual seconds long.
#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use mezz_sim::{Settings, Summary, World};

/// Seeds that failed once, each with what was wrong then. What runs of another length found is kept as scenarios in
/// `crates/core/tests/returning_agents.rs`.
const PINNED: &[u64] = &[];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn run(seed: u64, verbose: bool) -> Result<Summary, String> {
    let usual = Settings::default();
    run_with(
        seed,
        Settings {
            chaos_s: number("MEZZ_SIM_CHAOS").unwrap_or(usual.chaos_s),
            verbose,
            ..usual
        },
    )
}

fn run_with(seed: u64, settings: Settings) -> Result<Summary, String> {
    catch_unwind(AssertUnwindSafe(|| World::new(seed, settings).run()))
        .unwrap_or_else(|_| Err("a core panicked; see above".into()))
}

fn run_all(seeds: &[u64]) -> Vec<(u64, String)> {
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(seed) =
                    seeds.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap())
                {
                    if let Err(broken) = run(*seed, false) {
                        failures.lock().unwrap().push((*seed, broken));
                    }
                }
            });
        }
    });
    failures.into_inner().unwrap()
}

fn report(failures: &[(u64, String)]) {
    let Some((seed, broken)) = failures.first() else {
        return;
    };
    let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    panic!(
        "{broken}\n\nfailing seeds: {seeds:?}; run one with MEZZ_SIM_SEED={seed} cargo test -p mezz-sim --test seeds"
    );
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
    report(&run_all(&seeds));
}

#[test]
fn seeds_that_failed_once_do_not_fail_again() {
    report(&run_all(PINNED));
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
