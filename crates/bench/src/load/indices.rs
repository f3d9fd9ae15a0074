//! A job of a million indices: how soon it is accepted, and what it takes in memory until its last index has ended.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use mezz_bench::shapes::{TaskShape, register};
use serde_json::json;

use super::fleet::{Duty, Fleet};
use super::master::Master;
use super::{Load, runtime};
use crate::measures::{Line, line};
use crate::objects::{apply, succeeded};

const LIMIT: Duration = Duration::from_mins(10);
const MIB: f64 = 1024.0;

pub(crate) fn measure(load: &Load) -> Result<Vec<Line>> {
    let runtime = runtime()?;
    let master = Master::start(&load.mezz, &load.folder("indices")?, &[])?;
    let agents: Vec<_> = (0..100)
        .map(|number| register(number, TaskShape::Usual))
        .collect();
    let duty = Duty::EndAtOnce;
    let fleet = Fleet::start(&runtime, &master.address, &agents, 25, duty);
    fleet.registered(Duration::from_secs(30))?;
    // Buffers, tables and the list of ended tasks get the size that they keep.
    apply(&master.address, &job("small", load.scaled(50_000)))?;
    succeeded(&master.address, "/bench/small", LIMIT, || Ok(()))?;
    master.wait_until_quiet();
    let (count, base) = (load.scaled(1_000_000), master.anonymous_kib());
    let (started, before) = (Instant::now(), master.cpu());
    apply(&master.address, &job("large", count))?;
    let accepted = started.elapsed();
    let mut most = base;
    let run = succeeded(&master.address, "/bench/large", LIMIT, || {
        most = most.max(master.anonymous_kib());
        fleet.check()
    })?;
    let took = started.elapsed();
    let used = master.cpu().saturating_sub(before);
    let attempts = fleet.counters.launched.load(Ordering::Relaxed);
    Ok(vec![
        line(
            format!("a job of {count} indices: until it is accepted"),
            format!("{:.0} ms", accepted.as_secs_f64() * 1e3),
            "goal 1 s",
        ),
        line(
            "the most memory of the master through its run, above what it had",
            format!(
                "{:.1} MiB (it had {:.1})",
                (most - base) as f64 / MIB,
                base as f64 / MIB
            ),
            "goal 16 MiB",
        ),
        line(
            format!(
                "its indices/s; {} of them retried, {attempts} attempts in all",
                run["retried"]
            ),
            format!(
                "{:.0} ({:.0} s; CPU of the master {:.1} µs each)",
                count as f64 / took.as_secs_f64(),
                took.as_secs_f64(),
                used.as_secs_f64() * 1e6 / count as f64
            ),
            "",
        ),
    ])
}

fn job(name: &str, completions: usize) -> serde_json::Value {
    json!({
        "kind": "job",
        "name": format!("/bench/{name}"),
        "spec": {
            "completions": completions,
            "parallelism": 2_000,
            "retries": 5,
            "backoff": { "initial": "100ms" },
            "template": { "containers": [{
                "command": "true",
                "resources": { "cpus": 0.1, "mem": "16MiB" },
            }] },
        },
    })
}
