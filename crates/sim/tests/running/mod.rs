//! Runs of many seeds, and the report of those that failed.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use mezz_sim::{Settings, Summary, World};

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

pub fn run_with(seed: u64, settings: Settings) -> Result<Summary, String> {
    catch_unwind(AssertUnwindSafe(|| World::new(seed, settings).run()))
        .unwrap_or_else(|_| Err("a core panicked; see above".into()))
}

pub fn run_all(seeds: &[u64], settings: Settings) -> Vec<(u64, String)> {
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(seed) =
                    seeds.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap())
                {
                    if let Err(broken) = run_with(*seed, settings) {
                        failures.lock().unwrap().push((*seed, broken));
                    }
                }
            });
        }
    });
    failures.into_inner().unwrap()
}

/// Fails with the trace of the first, and the numbers of all.
pub fn report(failures: &[(u64, String)]) {
    let Some((seed, broken)) = failures.first() else {
        return;
    };
    let mut seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    seeds.sort_unstable();
    if std::env::var_os("MEZZ_SIM_SHORT").is_some() {
        for (seed, broken) in failures {
            let what = broken.split("\n\nbroken: ").last().unwrap_or_default();
            eprintln!(
                "seed {seed}: {}",
                what.chars().take(400).collect::<String>()
            );
        }
    }
    panic!(
        "{broken}\n\nfailing seeds: {seeds:?}; run one alone with MEZZ_SIM_SEED={seed} and the name of this test"
    );
}
