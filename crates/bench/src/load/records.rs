//! What a million tasks and fifty thousand agents cost in memory.

use std::time::Duration;

use anyhow::Result;
use mezz_bench::shapes::{Burden, TaskShape, reregister};

use super::fleet::{Duty, Fleet};
use super::master::Master;
use super::{Load, runtime};
use crate::measures::{Line, line};

const LIMIT: Duration = Duration::from_mins(5);

pub(crate) fn measure(load: &Load) -> Result<Vec<Line>> {
    let few = resident(load, load.scaled(50_000), 2)?;
    let many = resident(load, load.scaled(50_000), 20)?;
    let fewer_agents = resident(load, load.scaled(5_000), 20)?;
    let slope = |more: u64, less: u64, count: usize| {
        (more.saturating_sub(less)) as f64 * 1024.0 / count as f64
    };
    let tasks = load.scaled(50_000) * 18;
    let (wide, narrow) = (load.scaled(50_000), load.scaled(5_000));
    // Both runs have the tasks of their agents; what is left of the difference belongs to the agents.
    let per_task = slope(many, few, tasks);
    let per_agent = slope(few, 0, 1) - per_task * (wide * 2) as f64;
    let base = slope(fewer_agents, 0, 1) - per_task * (narrow * 20) as f64;
    let per_agent = (per_agent - base) / (wide - narrow).max(1) as f64;
    Ok(vec![
        line(
            format!(
                "master memory per running task, {} to {} tasks",
                wide * 2,
                wide * 20
            ),
            format!("{per_task:.0} B"),
            "goal 1,500, stretch 900; the encoded task alone is about 480, decoded 2,963",
        ),
        line(
            "master memory per agent",
            format!("{per_agent:.0} B"),
            "goal 8,192, stretch 3,072",
        ),
        line(
            format!("master memory with {wide} agents and {} tasks", wide * 20),
            format!("{:.2} GiB", many as f64 / 1_048_576.0),
            "goal 2 GB, stretch 1.2 GB",
        ),
    ])
}

/// Anonymous memory of a master with so many agents and tasks, in KiB.
fn resident(load: &Load, agents: usize, per_agent: usize) -> Result<u64> {
    let dir = load.folder(&format!("records-{agents}-{per_agent}"))?;
    let runtime = runtime()?;
    let burden = Burden {
        shape: TaskShape::Usual,
        frameworks: 2,
        running_per_framework: per_agent / 2,
        completed_frameworks: 0,
        finished_per_framework: 0,
    };
    let registrations: Vec<_> = (0..agents)
        .map(|number| {
            let id = format!("0f8fad5b-d9cb-469f-a165-70867728950e-S{number}");
            reregister(number, &id, &burden)
        })
        .collect();
    let master = Master::start(&load.mezz, &dir, &[])?;
    let fleet = Fleet::start(
        &runtime,
        &master.address,
        &registrations,
        1_000,
        Duty::KeepRunning,
    );
    fleet.registered(LIMIT)?;
    master.wait_until_quiet();
    fleet.check()?;
    Ok(master.anonymous_kib())
}
