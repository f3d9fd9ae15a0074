//! Measures a release build of `mezz` from outside: rates, latencies, memory and idle cost, each beside its floor.
#![expect(clippy::print_stdout, reason = "the report goes to standard output")]

mod array;
mod client;
mod cluster;
mod containers;
mod cycles;
mod framework;
mod hyperqueue;
mod load;
mod measures;
mod mesos_allocator;
mod objects;
mod runc;

use std::time::Duration;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    let all = [
        "cycle",
        "mesos-allocator",
        "launches",
        "array",
        "latency",
        "run",
        "memory",
        "idle",
    ];
    let wanted: Vec<&str> = if options.names.is_empty() {
        all.to_vec()
    } else {
        options.names.iter().map(String::as_str).collect()
    };
    anyhow::ensure!(options.divisor > 0, "--divisor has to be at least 1");
    let dir = std::env::temp_dir().join(format!("mezz-bench-{}", std::process::id()));
    let mut programs = None;
    for name in wanted {
        if let Some(lines) = in_this_process(name, &options) {
            print(&lines);
            continue;
        }
        let programs = match &mut programs {
            Some(programs) => programs,
            None => programs.insert(cluster::Programs::prepare(
                &dir.join("programs"),
                options.mezz.clone(),
            )?),
        };
        let programs = &*programs;
        let load = load::Load {
            mezz: programs.mezz.clone(),
            dir: dir.join("load"),
            divisor: options.divisor,
        };
        let lines = match name {
            "launches" => {
                measures::launches(programs, &dir, options.rounds, options.tasks, &options.only)?
            }
            "containers" => {
                containers::measure(programs, &dir, options.rounds, options.isolation.as_deref())?
            }
            "array" => array::measure(programs, &dir, options.rounds, options.tasks)?,
            "latency" => measures::latency(programs, &dir, 1_000)?,
            "run" => measures::command_line(programs, &dir, 50)?,
            "memory" => measures::memory(programs, &dir, 1_000)?,
            "idle" => measures::idle(programs, &dir, Duration::from_secs(20))?,
            other => match load::run(other, &load)? {
                Some(lines) => lines,
                None => bail!(
                    "no measurement is called '{other}'; there are: {}, {}",
                    all.join(", "),
                    load::CASES.join(", ")
                ),
            },
        };
        print(&lines);
    }
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

/// What needs no programs: these are measured within this process.
fn in_this_process(name: &str, options: &Options) -> Option<Vec<measures::Line>> {
    match name {
        "cycle" => Some(cycles::cycles(options.rounds, &options.only)),
        "mesos-allocator" => Some(mesos_allocator::all()),
        _ => None,
    }
}

fn print(lines: &[measures::Line]) {
    for line in lines {
        println!("| {} | {} | {} |", line.what, line.value, line.against);
    }
}

/// What to measure, and how much of it.
struct Options {
    names: Vec<String>,
    /// Only the kinds of launches whose description holds this.
    only: String,
    rounds: usize,
    tasks: usize,
    /// Simulated agents and tasks are divided by this.
    divisor: usize,
    /// The binary under test, if not the one beside this.
    mezz: Option<std::path::PathBuf>,
    /// What the agent of `containers` isolates with, if not with all that it has.
    isolation: Option<String>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            names: Vec::new(),
            only: String::new(),
            rounds: 3,
            tasks: 10_000,
            divisor: 1,
            mezz: None,
            isolation: None,
        };
        while let Some(argument) = arguments.next() {
            let Some(flag) = argument.strip_prefix("--") else {
                options.names.push(argument);
                continue;
            };
            let Some(value) = arguments.next() else {
                bail!("--{flag} needs a value");
            };
            match flag {
                "only" => options.only = value,
                "rounds" => options.rounds = value.parse().context("--rounds")?,
                "tasks" => options.tasks = value.parse().context("--tasks")?,
                "divisor" => options.divisor = value.parse().context("--divisor")?,
                "mezz" => options.mezz = Some(value.into()),
                "isolation" => options.isolation = Some(value),
                _ => bail!(
                    "no flag --{flag}; there are: --only, --rounds, --tasks, --divisor, --mezz, --isolation"
                ),
            }
        }
        Ok(options)
    }
}
