//! Launches through the API to simulated agents: what the control plane can do when no process has to be started.

use std::time::Duration;

use anyhow::Result;
use mezz_bench::shapes::{TaskShape, register};

use super::fleet::{Duty, Fleet};
use super::launcher::{Launcher, Launches};
use super::master::Master;
use super::{Load, runtime};
use crate::measures::{Line, line, median, percentile};

pub(crate) fn measure(load: &Load) -> Result<Vec<Line>> {
    let runtime = runtime()?;
    let master = Master::start(&load.mezz, &load.folder("control-plane")?, &[])?;
    let agents: Vec<_> = (0..100)
        .map(|number| register(number, TaskShape::Usual))
        .collect();
    let fleet = Fleet::start(&runtime, &master.address, &agents, 25, Duty::Finish);
    fleet.registered(Duration::from_secs(30))?;
    let mut launcher = Launcher::new(&master.address, "launcher")?;
    let mut lines = Vec::new();
    for (outstanding, batch, tasks) in [
        (2_000, 100, 100_000),
        (2_000, 10, 100_000),
        (512, 1, 20_000),
    ] {
        let run = Launches {
            tasks: load.scaled(tasks),
            outstanding,
            batch,
        };
        launcher.run(&Launches {
            tasks: run.tasks / 10 + 1,
            ..run.clone()
        })?;
        let (mut rates, mut costs, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..3 {
            let before = master.cpu();
            let outcome = launcher.run(&run)?;
            let used = master.cpu().saturating_sub(before);
            rates.push(run.tasks as f64 / outcome.wall.as_secs_f64());
            costs.push(used.as_secs_f64() * 1e6 / run.tasks as f64);
            latencies.extend(outcome.to_running);
        }
        lines.push(line(
            format!("launches/s with simulated agents, {outstanding} outstanding, up to {batch} an ACCEPT"),
            format!(
                "{:.0}; ACCEPT to RUNNING p50 {:.1} ms, p99 {:.1} ms",
                median(&mut rates),
                percentile(&mut latencies, 0.5),
                percentile(&mut latencies, 0.99)
            ),
            "goal 10,000, stretch 30,000; Nomad 3,750, kube-scheduler 810",
        ));
        lines.push(line(
            "CPU of the master for each of these",
            format!("{:.1} µs", median(&mut costs)),
            "goal 60, stretch 20; HyperQueue's server 20–25",
        ));
    }
    fleet.check()?;
    Ok(lines)
}
