//! Measures a release build of `mezz` from outside: rates, latencies, memory and idle cost, each beside its floor.
#![expect(clippy::print_stdout, reason = "the report goes to standard output")]

mod client;
mod cluster;
mod framework;
mod measures;

use std::time::Duration;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let all = ["launches", "latency", "run", "memory", "idle"];
    let wanted: Vec<&str> = if names.is_empty() {
        all.to_vec()
    } else {
        names.iter().map(String::as_str).collect()
    };
    let dir = std::env::temp_dir().join(format!("mezz-bench-{}", std::process::id()));
    let programs = cluster::Programs::prepare(&dir.join("programs"))?;
    for name in wanted {
        let lines = match name {
            "launches" => measures::launches(&programs, &dir, 3, 10_000)?,
            "latency" => measures::latency(&programs, &dir, 1_000)?,
            "run" => measures::command_line(&programs, &dir, 50)?,
            "memory" => measures::memory(&programs, &dir, 1_000)?,
            "idle" => measures::idle(&programs, &dir, Duration::from_secs(20))?,
            other => bail!(
                "no measurement is called '{other}'; there are: {}",
                all.join(", ")
            ),
        };
        for line in lines {
            println!("| {} | {} | {} |", line.what, line.value, line.against);
        }
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
