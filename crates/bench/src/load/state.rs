//! The whole state of a large cluster in one answer, and what launches feel of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use mezz_bench::shapes::{Burden, TaskShape, reregister};

use super::fleet::{Duty, Fleet};
use super::http::{Get, Timed, timed};
use super::launcher::{Launcher, Launches};
use super::master::Master;
use super::{Load, runtime};
use crate::measures::{Line, line, median, percentile};

const LIMIT: Duration = Duration::from_mins(5);
const ROUNDS: usize = 5;
/// Turns of launches alone and launches beside a reader, and what is read in one.
const TURNS: usize = 8;
const READS_A_TURN: usize = 2;

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

/// Launches one after another, alone and while somebody reads the whole state, in turns: what else happens on the
/// machine then touches both alike.
fn beside(master: &Master) -> Result<Line> {
    let mut launcher = Launcher::new(&master.address, "prober")?;
    let run = |tasks| Launches {
        tasks,
        outstanding: 1,
        batch: 1,
    };
    launcher.run(&run(500))?;
    let (mut alone, mut loaded) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        alone.extend(launcher.run(&run(1_000))?.to_running);
        let stop = Arc::new(AtomicBool::new(false));
        let reader = reader(master, &stop);
        while !stop.load(Ordering::Relaxed) {
            loaded.extend(launcher.run(&run(100))?.to_running);
        }
        reader.join().expect("the reader does not panic")?;
    }
    let [p50, p99] = [0.5, 0.99].map(|part| {
        let (loaded, alone) = (percentile(&mut loaded, part), percentile(&mut alone, part));
        format!(
            "{loaded:.2} ms against {alone:.2} ({:.1} times)",
            loaded / alone
        )
    });
    Ok(line(
        "ACCEPT to RUNNING beside readers of /state, against alone, in turns",
        format!(
            "p50 {p50}, p99 {p99}; {} and {} launches",
            loaded.len(),
            alone.len()
        ),
        "goal: p99 at most twice; Mesos: /health 0.52 ms alone, 164 ms beside /state",
    ))
}

/// Reads the state some times, then says so.
fn reader(master: &Master, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<Result<()>> {
    let (address, stop) = (master.address.clone(), stop.clone());
    std::thread::spawn(move || {
        let outcome = (0..READS_A_TURN).try_for_each(|_| timed(&address, Get::State).map(|_| ()));
        stop.store(true, Ordering::Relaxed);
        outcome
    })
}
