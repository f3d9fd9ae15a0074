//! The whole state of a large cluster in one answer, and what launches feel of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;

use super::fleet::{Duty, Fleet};
use super::http::{Get, Timed, timed};
use super::launcher::{Launcher, Launches};
use super::master::Master;
use super::shapes::{Burden, TaskShape, reregister};
use super::{Load, runtime};
use crate::measures::{Line, line, median, percentile};

const LIMIT: Duration = Duration::from_mins(5);
const ROUNDS: usize = 5;
/// Reads of the whole state beside which launches are timed.
const READS: u64 = 10;

pub(crate) fn measure(load: &Load) -> Result<Vec<Line>> {
    let runtime = runtime()?;
    let agents = load.scaled(10_000);
    let flags = ["--max-completed-tasks-per-framework", "1000000"];
    let master = Master::start(&load.mezz, &load.folder("state")?, &flags)?;
    // As in Mesos's MasterStateQuery: five frameworks with two tasks on each agent, and as much that is over.
    let burden = Burden {
        shape: TaskShape::MesosBenchmark,
        frameworks: 5,
        running_per_framework: 2,
        completed_frameworks: 5,
        finished_per_framework: 2,
    };
    let registrations: Vec<_> = (0..agents)
        .map(|number| {
            let id = format!("0f8fad5b-d9cb-469f-a165-70867728950e-S{number}");
            reregister(number, &id, &burden)
        })
        .collect();
    let fleet = Fleet::start(
        &runtime,
        &master.address,
        &registrations,
        1_000,
        Duty::Finish,
    );
    fleet.registered(LIMIT)?;
    master.wait_until_quiet();
    let tasks = agents * 10;
    let mut lines = Vec::new();
    for (what, get, mesos) in [
        ("/state", Get::State, "1.43 s"),
        ("GET_STATE in protobuf", Get::StateProtobuf, "0.93 s"),
        ("GET_STATE in JSON", Get::StateJson, "1.86 s"),
    ] {
        lines.push(answered(&master, what, get, (agents, tasks), mesos)?);
    }
    lines.push(beside(&master)?);
    fleet.check()?;
    Ok(lines)
}

fn answered(
    master: &Master,
    what: &str,
    get: Get,
    (agents, tasks): (usize, usize),
    mesos: &str,
) -> Result<Line> {
    let (mut first, mut last, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let before = master.cpu();
        let Timed {
            to_first,
            to_last,
            length,
        } = timed(&master.address, get)?;
        cpu.push(master.cpu().saturating_sub(before).as_secs_f64());
        first.push(to_first.as_secs_f64());
        last.push(to_last.as_secs_f64());
        bytes = length;
    }
    Ok(line(
        format!("{what}, {agents} agents, {tasks} + {tasks} tasks, to the last byte"),
        format!(
            "{:.3} s ({:.1} MB, first byte {:.3} s, CPU {:.2} s)",
            median(&mut last),
            bytes as f64 / 1e6,
            median(&mut first),
            median(&mut cpu)
        ),
        format!("goal 0.6 s; Mesos {mesos}"),
    ))
}

/// Launches one after another, alone and while somebody reads the whole state all the time.
fn beside(master: &Master) -> Result<Line> {
    let mut launcher = Launcher::new(&master.address, "prober")?;
    let run = Launches {
        tasks: 2_000,
        outstanding: 1,
        batch: 1,
    };
    launcher.run(&Launches {
        tasks: 200,
        ..run.clone()
    })?;
    let mut alone = launcher
        .run(&Launches {
            tasks: 10_000,
            ..run.clone()
        })?
        .to_running;
    let stop = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU64::new(0));
    let reader = {
        let (address, stop, reads) = (master.address.clone(), stop.clone(), reads.clone());
        std::thread::spawn(move || -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                timed(&address, Get::State)?;
                reads.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })
    };
    let mut loaded = Vec::new();
    let mut failed = None;
    while reads.load(Ordering::Relaxed) < READS && failed.is_none() {
        match launcher.run(&run) {
            Ok(outcome) => loaded.extend(outcome.to_running),
            Err(error) => failed = Some(error),
        }
    }
    stop.store(true, Ordering::Relaxed);
    reader.join().expect("the reader does not panic")?;
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(line(
        "ACCEPT to RUNNING beside readers of /state, against alone",
        format!(
            "p50 {:.2} ms against {:.2}, p99 {:.2} ms against {:.2} ({} reads)",
            percentile(&mut loaded, 0.5),
            percentile(&mut alone, 0.5),
            percentile(&mut loaded, 0.99),
            percentile(&mut alone, 0.99),
            reads.load(Ordering::Relaxed)
        ),
        "goal: p99 at most twice; Mesos: /health 0.52 ms alone, 164 ms beside /state",
    ))
}
