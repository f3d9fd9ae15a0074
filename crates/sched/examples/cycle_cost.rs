//! Measures cycles of the ledger: a full one, one freed agent, and one framework's revival.
//!
//! `cargo run --release -p mezz-sched --example cycle_cost [AGENTS] [FRAMEWORKS]`
#![allow(clippy::print_stdout, clippy::disallowed_methods)] // a measuring tool needs a clock and a voice

use mezz_resource::{Resources, parse_text};
use mezz_sched::{AgentIndex, AgentSpec, Config, FrameworkIndex, FrameworkSpec, Grant, Scheduler};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn number(position: usize, default: u32) -> u32 {
    std::env::args()
        .nth(position)
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn cluster(agents: u32, frameworks: u32) -> Scheduler {
    let mut sched = Scheduler::new(Config::default());
    for index in 0..frameworks {
        let spec = FrameworkSpec {
            roles: vec![format!("role{}", index % 20)],
            ..FrameworkSpec::default()
        };
        sched.add_framework(FrameworkIndex(index), spec, true);
    }
    let total =
        parse_text("cpus:64;mem:262144;disk:1000000;ports:[31000-32000]", "*").unwrap_or_default();
    for index in 0..agents {
        let spec = AgentSpec {
            total: total.clone(),
            ..AgentSpec::default()
        };
        sched.add_agent(AgentIndex(index), spec, &[]);
    }
    sched
}

fn timed(sched: &mut Scheduler, now_ns: u64) -> (Duration, Vec<Grant>) {
    let mut grants = Vec::new();
    let start = Instant::now();
    sched.allocate(now_ns, &mut grants);
    (start.elapsed(), grants)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    let (agents, frameworks) = (number(1, 10_000), number(2, 200));
    let mut sched = cluster(agents, frameworks);
    let (full, grants) = timed(&mut sched, 0);
    println!(
        "full cycle, {agents} agents x {frameworks} frameworks: {full:?}, {} offers",
        grants.len()
    );

    let task = parse_text("cpus:1;mem:1024", "*").unwrap_or_else(|_| Resources::new());
    let mut freed = Vec::new();
    for grant in grants.iter().take(2_000) {
        let role: Arc<str> = Arc::clone(&grant.role);
        let start = Instant::now();
        sched.recover(
            1,
            grant.framework,
            grant.agent,
            &task.allocated_to(&role),
            None,
        );
        let mut again = Vec::new();
        sched.allocate(1, &mut again);
        freed.push(start.elapsed());
    }
    println!("one freed task to a new offer: median {:?}", median(freed));

    let start = Instant::now();
    for grant in &grants {
        let held = sched.held(grant.framework, grant.agent);
        for (role, part) in held.by_allocation_role() {
            debug_assert_eq!(role, grant.role);
            sched.recover(2, grant.framework, grant.agent, &part, Some(5_000_000_000));
        }
    }
    println!("declining all of them: {:?}", start.elapsed());
    let (second, offers) = timed(&mut sched, 2);
    println!("the cycle after that: {second:?}, {} offers", offers.len());
    for grant in &offers {
        sched.recover(
            3,
            grant.framework,
            grant.agent,
            &grant.resources,
            Some(5_000_000_000),
        );
    }
    for framework in 0..frameworks {
        sched.suppress(FrameworkIndex(framework), &[]);
    }
    timed(&mut sched, 3);
    sched.revive(FrameworkIndex(0), &[]);
    let (revival, offers) = timed(&mut sched, 4);
    println!("one revival: {revival:?}, {} offers", offers.len());
}
