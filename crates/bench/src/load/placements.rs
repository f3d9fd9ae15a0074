//! Instances of services placed on simulated agents: from `apply` until each is running, told and acknowledged.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use mezz_bench::shapes::{TaskShape, register};
use serde_json::json;

use super::fleet::{Duty, Fleet};
use super::master::Master;
use super::{Load, runtime};
use crate::measures::{Line, line, median};
use crate::objects::apply;

/// One service after the other, so that it lasts.
const SERVICES: usize = 15;

pub(crate) fn measure(load: &Load) -> Result<Vec<Line>> {
    let runtime = runtime()?;
    let master = Master::start(&load.mezz, &load.folder("placements")?, &[])?;
    let agents: Vec<_> = (0..load.scaled(1_000))
        .map(|number| register(number, TaskShape::Usual))
        .collect();
    let fleet = Fleet::start(&runtime, &master.address, &agents, 250, Duty::KeepRunning);
    fleet.registered(Duration::from_secs(30))?;
    let replicas = load.scaled(10_000);
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for number in 0..SERVICES {
        let (started, before) = (Instant::now(), master.cpu());
        apply(&master.address, &service(number, replicas))?;
        running(&fleet, ((number + 1) * replicas) as u64)?;
        rates.push(replicas as f64 / started.elapsed().as_secs_f64());
        let used = master.cpu().saturating_sub(before);
        costs.push(used.as_secs_f64() * 1e6 / replicas as f64);
    }
    let took = began.elapsed();
    let threads: Vec<String> = master
        .cpu_by_thread()
        .into_iter()
        .take(4)
        .map(|(name, used)| format!("{name} {:.1} s", used.as_secs_f64()))
        .collect();
    Ok(vec![
        line(
            format!(
                "placements/s of {replicas} instances of a service on {} simulated agents, from apply to RUNNING acknowledged",
                agents.len()
            ),
            format!(
                "{:.0}; CPU of the master {:.1} µs each",
                median(&mut rates),
                median(&mut costs)
            ),
            "goal 10,000, stretch 30,000; kube-scheduler 680–1,100, Nomad 3,750",
        ),
        line(
            format!(
                "the same for {SERVICES} services one after the other, {:.1} s",
                took.as_secs_f64()
            ),
            format!("{:.0}", (SERVICES * replicas) as f64 / took.as_secs_f64()),
            threads.join(", "),
        ),
    ])
}

fn service(number: usize, replicas: usize) -> serde_json::Value {
    json!({
        "kind": "service",
        "name": format!("/bench/web-{number}"),
        "spec": {
            "replicas": replicas,
            "template": { "containers": [{
                "command": "exec sleep 1000000",
                "resources": { "cpus": 0.01, "mem": "16MiB" },
            }] },
        },
    })
}

/// Waits until so many updates were acknowledged.
fn running(fleet: &Fleet, wanted: u64) -> Result<()> {
    let end = Instant::now() + Duration::from_mins(2);
    loop {
        fleet.check()?;
        let acknowledged = fleet.counters.acknowledged.load(Ordering::Relaxed);
        if acknowledged >= wanted {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("{acknowledged} of {wanted} instances run");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
