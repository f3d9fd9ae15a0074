//! An array job of short processes, from `apply` to the end of its run, beside what else starts processes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::cluster::{Cluster, Programs};
use crate::hyperqueue::HyperQueue;
use crate::measures::{Line, line, median, xargs_rate};
use crate::objects::{apply, succeeded};

const LIMIT: Duration = Duration::from_mins(2);

/// Each round runs all of them one after the other, with the same program.
pub(crate) fn measure(
    programs: &Programs,
    dir: &Path,
    rounds: usize,
    tasks: usize,
) -> Result<Vec<Line>> {
    let (mut rates, mut floors, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut parallel, mut costs) = (Vec::new(), [const { Vec::new() }; 3]);
    let mut hyperqueue = Vec::new();
    for round in 0..rounds {
        let cluster = Cluster::start(&programs.mezz, &dir.join(format!("array-{round}")))?;
        let floor = xargs_rate(&programs.no_op, tasks)?;
        if let Some(rate) = parallel_rate(&programs.no_op, tasks / 10)? {
            parallel.push(rate);
        }
        let folder = dir.join(format!("hyperqueue-{round}"));
        if let Some(other) = HyperQueue::start(&folder)? {
            hyperqueue.push(other.rate(&programs.no_op, tasks)?);
        }
        let (before, started) = (cluster.cpu(), Instant::now());
        apply(&cluster.address, &array(&programs.no_op, tasks))?;
        succeeded(&cluster.address, "/bench/array", LIMIT, || Ok(()))?;
        let rate = tasks as f64 / started.elapsed().as_secs_f64();
        let used = cluster.cpu().since(before);
        for (costs, used) in costs.iter_mut().zip([used.master, used.agent, used.warden]) {
            costs.push(used.as_secs_f64() * 1e6 / tasks as f64);
        }
        ratios.push(rate / floor);
        rates.push(rate);
        floors.push(floor);
    }
    let [master, agent, warden] = &mut costs;
    let parallel = beside("GNU parallel -j2", parallel);
    let hyperqueue = beside("HyperQueue with 2 slots", hyperqueue);
    Ok(vec![
        line(
            format!("indices/s of an array of {tasks}, from apply to the end of its run"),
            format!(
                "{:.0}: {:.2} of xargs",
                median(&mut rates),
                median(&mut ratios)
            ),
            format!(
                "xargs -P2 {:.0}/s; {parallel}; {hyperqueue}; goal 0.46 of xargs",
                median(&mut floors)
            ),
        ),
        line(
            "CPU for each: master, agent, warden",
            format!(
                "{:.0}, {:.0}, {:.0} µs",
                median(master),
                median(agent),
                median(warden)
            ),
            "",
        ),
    ])
}

fn beside(name: &str, mut rates: Vec<f64>) -> String {
    if rates.is_empty() {
        format!("{name}: not installed")
    } else {
        format!("{name} {:.0}/s", median(&mut rates))
    }
}

fn array(program: &Path, tasks: usize) -> serde_json::Value {
    json!({
        "kind": "job",
        "name": "/bench/array",
        "spec": {
            "completions": tasks,
            "parallelism": 512,
            "template": { "containers": [{
                "command": [program],
                "resources": { "cpus": 0.01, "mem": "1MiB" },
            }] },
        },
    })
}

/// Processes per second of GNU parallel, where it is installed.
fn parallel_rate(program: &Path, tasks: usize) -> Result<Option<f64>> {
    let about = Command::new("parallel").arg("--version").output();
    if !about.is_ok_and(|about| String::from_utf8_lossy(&about.stdout).contains("GNU parallel")) {
        return Ok(None);
    }
    let started = Instant::now();
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("seq {tasks} | parallel -j2 {}", program.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "GNU parallel failed");
    Ok(Some(tasks as f64 / started.elapsed().as_secs_f64()))
}
