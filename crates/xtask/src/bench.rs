//! `cargo xtask bench`: the names of the benchmarks and their runners.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

/// A benchmark: its name, what it measures, and how it runs.
struct Benchmark {
    name: &'static str,
    what: &'static str,
    run: fn(&Path) -> Result<ExitCode>,
}

const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "launch",
        what: "launches/s through the v1 API, beside `xargs -P2`",
        run: not_built,
    },
    Benchmark {
        name: "latency",
        what: "ACCEPT to TASK_RUNNING, freed resource to new offer",
        run: not_built,
    },
    Benchmark {
        name: "run",
        what: "`mezz run -- true`",
        run: not_built,
    },
    Benchmark {
        name: "memory",
        what: "agent memory for each running task",
        run: not_built,
    },
    Benchmark {
        name: "idle",
        what: "CPU of an idle master and agent",
        run: not_built,
    },
    Benchmark {
        name: "sim",
        what: "thousands of simulation seeds",
        run: not_built,
    },
];

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<ExitCode> {
    let Some(name) = arguments.first() else {
        for benchmark in BENCHMARKS {
            println!("{:8} {}", benchmark.name, benchmark.what);
        }
        return Ok(ExitCode::SUCCESS);
    };
    let Some(benchmark) = BENCHMARKS
        .iter()
        .find(|benchmark| benchmark.name == name.trim_start_matches("--"))
    else {
        bail!("no benchmark is named `{name}`; `cargo xtask bench` lists them");
    };
    (benchmark.run)(root)
}

fn not_built(_root: &Path) -> Result<ExitCode> {
    bail!("this benchmark is not built yet")
}
