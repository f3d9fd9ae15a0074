//! What a cycle of the fairness ledger costs, in CPU time of this process.

use std::time::Duration;

use mezz_bench::ledger::Cluster;

use crate::measures::Line;

/// Agents, frameworks, and the goal in milliseconds.
const SIZES: [(u32, u32, &str); 3] = [
    (10_000, 200, "goal 10 ms, hoped for 2 ms"),
    (20_000, 2_000, "goal 40 ms; Mesos 1.8 3.8 s (published)"),
    (50_000, 2_000, "goal 120 ms, hoped for 30 ms"),
];

/// The CPU time that this thread has used.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let before = cpu_time();
    let result = work();
    (cpu_time().saturating_sub(before), result)
}

/// The whole cycle and the single freed agent, at each size.
pub(crate) fn cycles(rounds: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (agents, frameworks, goal) in SIZES {
        let mut cluster = Cluster::free(agents, frameworks);
        let mut times = Vec::new();
        let mut offers = 0;
        for _ in 0..rounds.max(1) {
            let (time, made) = timed(|| cluster.cycle());
            times.push(time);
            offers = made;
            cluster.give_back(None);
        }
        times.sort_unstable();
        let median = times[times.len() / 2];
        lines.push(Line {
            what: format!("full cycle, {agents} agents x {frameworks} frameworks, {offers} offers"),
            value: format!("{:.2} ms", median.as_secs_f64() * 1e3),
            against: goal.to_owned(),
        });
    }
    for agents in [1_000, 10_000, 50_000] {
        let mut cluster = Cluster::taken(agents, 2_000);
        for _ in 0..1_000 {
            cluster.free_one();
        }
        let (time, ()) = timed(|| {
            for _ in 0..10_000 {
                cluster.free_one();
            }
        });
        lines.push(Line {
            what: format!("one freed agent, {agents} agents x 2000 frameworks"),
            value: format!("{:.2} us", time.as_secs_f64() * 1e2),
            against: "goal 50 us, hoped for 10 us, flat".to_owned(),
        });
    }
    lines
}
