//! `cargo xtask bench`: builds what is measured, then hands over to the measuring client or the simulator.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::command::{cargo, command, succeeds};

/// What the measuring client knows, by its names there.
const MEASUREMENTS: &[(&str, &str)] = &[
    (
        "launches",
        "launches/s through the v1 API, beside `xargs -P2`; CPU per task",
    ),
    (
        "latency",
        "ACCEPT to TASK_RUNNING, freed resource to new offer",
    ),
    ("run", "`mezz run -- true`"),
    (
        "containers",
        "isolated tasks beside plain ones, `runc run` and `docker run`; 1,000 of them at once",
    ),
    ("cycle", "a whole allocation cycle; one freed agent"),
    (
        "mesos-allocator",
        "the allocator benchmarks of Mesos with their parameters",
    ),
    ("memory", "memory of agent and master for each running task"),
    (
        "idle",
        "CPU of idle daemons, also with a framework that declines everything",
    ),
    (
        "register",
        "50,000 simulated agents with 500,000 tasks back after a master's start; pings",
    ),
    (
        "connections",
        "the same with 8,000 agents, each on its own connection",
    ),
    (
        "control-plane",
        "launches/s through the API to simulated agents",
    ),
    (
        "records",
        "memory of the master per task and per agent, to 1,000,000 tasks",
    ),
    (
        "state",
        "/state and GET_STATE of 10,000 agents with 200,000 tasks, and launches meanwhile",
    ),
    ("events", "operator events to 1,000 subscribers"),
    (
        "api",
        "calls of 1 KB JSON over 64 connections (needs `wrk`)",
    ),
    ("offers", "offers to 200 frameworks that decline everything"),
    (
        "placements",
        "10,000 instances of a service on 1,000 simulated agents",
    ),
    (
        "indices",
        "a job of 1,000,000 indices: until it is accepted, and its memory",
    ),
    (
        "array",
        "an array job of 10,000 processes, beside `xargs -P2`, GNU parallel and HyperQueue",
    ),
];

/// Seeds of the long simulation.
const SEEDS: &str = "2000";

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<ExitCode> {
    match arguments.first().map(|name| name.trim_start_matches("--")) {
        None => {
            for (name, what) in MEASUREMENTS {
                println!("{name:13} {what}");
            }
            println!(
                "{:13} instruction counts of the hot paths, against the committed ones (--renew writes them)",
                "instructions"
            );
            println!("{:13} {SEEDS} seeds of the simulated cluster", "sim");
            println!("{:13} all measurements, one after another", "all");
            Ok(ExitCode::SUCCESS)
        }
        Some("sim") => simulate(root),
        Some("instructions") => crate::instructions::run(root, &arguments[1..]),
        Some("all") => measure(root, &[]),
        Some(name) if MEASUREMENTS.iter().any(|(own, _)| *own == name) => measure(root, arguments),
        Some(name) => bail!("no benchmark is named `{name}`; `cargo xtask bench` lists them"),
    }
}

fn measure(root: &Path, arguments: &[String]) -> Result<ExitCode> {
    let cargo = cargo();
    let build = [
        cargo.as_str(),
        "build",
        "--release",
        "-p",
        "mezz",
        "-p",
        "mezz-bench",
    ];
    if !succeeds(command(root, &build))? {
        bail!("the release build failed");
    }
    let mut client = command(
        root,
        &[
            cargo.as_str(),
            "run",
            "--quiet",
            "--release",
            "-p",
            "mezz-bench",
            "--",
        ],
    );
    client.args(arguments);
    Ok(exit_code(succeeds(client)?))
}

fn simulate(root: &Path) -> Result<ExitCode> {
    let cargo = cargo();
    let mut tests = command(
        root,
        &[
            cargo.as_str(),
            "test",
            "--release",
            "-p",
            "mezz-sim",
            "--test",
            "seeds",
        ],
    );
    tests.env("MEZZ_SIM_SEEDS", SEEDS);
    Ok(exit_code(succeeds(tests)?))
}

fn exit_code(ok: bool) -> ExitCode {
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
