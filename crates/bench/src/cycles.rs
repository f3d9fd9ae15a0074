//! What a cycle of the fairness ledger costs, in CPU time of this process.

use std::time::{Duration, Instant};

use mezz_bench::ledger::Cluster;

use crate::measures::Line;

/// Agents, frameworks, and the goal in milliseconds.
const SIZES: [(u32, u32, &str); 4] = [
    (1_000, 200, "Mesos 42 ms (without quota or reservations)"),
    (10_000, 200, "goal 10 ms, hoped for 2 ms"),
    (20_000, 2_000, "goal 40 ms; Mesos 1.8 3.8 s (published)"),
    (50_000, 2_000, "goal 120 ms, hoped for 30 ms"),
];

/// The CPU time that this thread has used, as the kernel's scheduler counts it.
fn cpu_time() -> Duration {
    // The kernel brings its count up to date when a thread yields.
    std::thread::yield_now();
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = counts.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let before = cpu_time();
    let result = work();
    (cpu_time().saturating_sub(before), result)
}

/// The whole cycle and the single freed agent, at each size.
pub(crate) fn cycles(rounds: usize, only: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for (agents, frameworks, goal) in SIZES {
        let what = format!("full cycle, {agents} agents x {frameworks} frameworks");
        if !what.contains(only) {
            continue;
        }
        let mut cluster = Cluster::free(agents, frameworks);
        let mut times = Vec::new();
        let (mut offers, mut looks) = (0, 0);
        for _ in 0..rounds.max(1) {
            let before = cluster.stats().leaves_examined;
            let (time, made) = timed(|| cluster.cycle());
            looks = cluster.stats().leaves_examined - before;
            times.push(time);
            offers = made;
            cluster.give_back(None);
        }
        times.sort_unstable();
        let median = times[times.len() / 2];
        lines.push(Line {
            what: format!("{what}, {offers} offers, {looks} looks"),
            value: format!("{:.2} ms", median.as_secs_f64() * 1e3),
            against: goal.to_owned(),
        });
    }
    for agents in [1_000, 10_000, 50_000] {
        let what = format!("one freed agent, {agents} agents x 2000 frameworks");
        if !what.contains(only) {
            continue;
        }
        let mut cluster = Cluster::taken(agents, 2_000);
        for _ in 0..1_000 {
            cluster.free_one();
        }
        let mut times: Vec<_> = (0..10_000)
            .map(|_| {
                let grant = cluster.next_taken();
                let started = Instant::now();
                cluster.free_taken(&grant);
                started.elapsed()
            })
            .collect();
        times.sort_unstable();
        let median = times[times.len() / 2];
        lines.push(Line {
            what: format!("{what}, median"),
            value: format!("{:.2} us", median.as_secs_f64() * 1e6),
            against: "goal 50 us, hoped for 10 us, flat".to_owned(),
        });
    }
    lines
}
