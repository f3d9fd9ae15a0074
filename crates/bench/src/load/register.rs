//! All agents of a cluster come back to a master that has just started, with everything that they run.

use std::time::{Duration, Instant};

use anyhow::Result;
use mezz_bench::shapes::{Burden, TaskShape, register, reregister};

use super::fleet::{Duty, Fleet};
use super::master::Master;
use super::{Load, floors, runtime};
use crate::measures::{Line, line};

const LIMIT: Duration = Duration::from_mins(5);
/// How long pings are watched.
const STEADY: Duration = Duration::from_secs(30);

struct Case {
    name: &'static str,
    agents: usize,
    per_connection: usize,
}

/// 50,000 agents with 500,000 tasks, 1,000 agents on each connection.
pub(crate) fn on_shared_connections(load: &Load) -> Result<Vec<Line>> {
    let case = Case {
        name: "register",
        agents: load.scaled(50_000),
        per_connection: 1_000,
    };
    measure(load, &case)
}

/// 8,000 agents with 80,000 tasks, each on a connection of its own.
pub(crate) fn on_own_connections(load: &Load) -> Result<Vec<Line>> {
    let case = Case {
        name: "connections",
        agents: load.scaled(8_000),
        per_connection: 1,
    };
    measure(load, &case)
}

fn measure(load: &Load, case: &Case) -> Result<Vec<Line>> {
    let dir = load.folder(case.name)?;
    let runtime = runtime()?;
    let agents = case.agents;
    let first: Vec<_> = (0..agents)
        .map(|number| register(number, TaskShape::Usual))
        .collect();
    let (ids, fresh, fresh_cpu) = {
        let master = Master::start(&load.mezz, &dir, &[])?;
        let (started, before) = (Instant::now(), master.cpu());
        let fleet = Fleet::start(
            &runtime,
            &master.address,
            &first,
            case.per_connection,
            Duty::KeepRunning,
        );
        let ids = fleet.registered(LIMIT)?;
        (ids, started.elapsed(), master.cpu().saturating_sub(before))
    };
    let burden = Burden {
        shape: TaskShape::Usual,
        frameworks: 5,
        running_per_framework: 2,
        completed_frameworks: 0,
        finished_per_framework: 0,
    };
    let back: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(number, id)| reregister(number, id, &burden))
        .collect();
    let floor = floors::decode(&back)?;
    let starting = Instant::now();
    let master = Master::start(&load.mezz, &dir, &[])?;
    let start = starting.elapsed();
    let (started, before) = (Instant::now(), master.cpu());
    let fleet = Fleet::start(
        &runtime,
        &master.address,
        &back,
        case.per_connection,
        Duty::KeepRunning,
    );
    fleet.registered(LIMIT)?;
    let (wall, used) = (started.elapsed(), master.cpu().saturating_sub(before));
    let threads = master.cpu_by_thread();
    master.wait_until_quiet();
    let idle = master.cpu();
    let pings = fleet
        .counters
        .pings
        .load(std::sync::atomic::Ordering::Relaxed);
    std::thread::sleep(STEADY);
    let steady = master.cpu().saturating_sub(idle).as_secs_f64() / STEADY.as_secs_f64();
    let pings = fleet
        .counters
        .pings
        .load(std::sync::atomic::Ordering::Relaxed)
        - pings;
    fleet.check()?;
    let tasks = agents * 10;
    let seconds = |span: Duration| format!("{:.2} s", span.as_secs_f64());
    let threads: Vec<String> = threads
        .iter()
        .take(3)
        .map(|(name, used)| format!("{name} {:.2} s", used.as_secs_f64()))
        .collect();
    Ok(vec![
        line(
            format!(
                "{agents} new agents registered, {} a connection",
                case.per_connection
            ),
            format!("{} (master {} CPU)", seconds(fresh), seconds(fresh_cpu)),
            "",
        ),
        line(
            format!("{agents} agents with {tasks} tasks back after a start"),
            format!("{} (master {} CPU)", seconds(wall), seconds(used)),
            format!(
                "goal 8 s, stretch 3 s; decoding alone {}; Mesos 1.5: 40,000 with 400,000 in 19 s; {}",
                seconds(floor),
                threads.join(", ")
            ),
        ),
        line(
            format!("master from start to ready with {agents} agents in its store"),
            seconds(start),
            "",
        ),
        line(
            format!("CPU with {agents} agents, nothing but pings ({pings} in {STEADY:?})"),
            format!("{:.1} % of a core", steady * 100.0),
            "goal 15 %, stretch 5 %",
        ),
    ])
}
