//! Tasks that are set apart from their host, beside plain ones and beside what else makes containers.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mezz_proto::v1;

use crate::client::Encoding;
use crate::cluster::{Cluster, Programs, http_get, pss_kib};
use crate::framework::{Outcome, Run, drive};
use crate::measures::{Line, line, median, percentile};
use crate::objects::post;
use crate::runc::{Runc, docker};

/// All that the agent has.
const ISOLATION: &str = "filesystem/linux,namespaces/pid,namespaces/ipc,linux/nnp,linux/seccomp,\
                         cgroups/cpu,cgroups/mem,cgroups/pids,cgroups/devices,cgroups/blkio";

/// Containers that are there at once, as in the benchmark of Mesos that launches and destroys as many.
const TOGETHER: usize = 1_000;

pub(crate) fn measure(
    programs: &Programs,
    dir: &Path,
    rounds: usize,
    isolation: Option<&str>,
) -> Result<Vec<Line>> {
    let isolation = format!("--isolation={}", isolation.unwrap_or(ISOLATION));
    let capabilities = "--bounding-capabilities={\"capabilities\":[]}".to_owned();
    let flags = [isolation, capabilities];
    let mut lines = rates(programs, dir, rounds, &flags)?;
    lines.extend(together(programs, &dir.join("together"), &flags)?);
    Ok(lines)
}

/// Isolated tasks, plain tasks and the others, in turn.
fn rates(programs: &Programs, dir: &Path, rounds: usize, flags: &[String]) -> Result<Vec<Line>> {
    const TASKS: usize = 2_000;
    const OTHERS: usize = 40;
    let runc = Runc::prepare(&dir.join("runc"), &programs.no_op)?;
    let (mut isolated, mut plain, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut runc_rates, mut docker_rates) = (Vec::new(), Vec::new());
    let (mut starts, mut plain_starts, mut runc_times) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let cluster = |name: &str, flags: &[String]| {
            Cluster::start_with(&programs.mezz, &dir.join(format!("{name}-{round}")), flags)
        };
        let (with, without) = (cluster("isolated", flags)?, cluster("plain", &[])?);
        let rate = |outcome: &Outcome| outcome.finished as f64 / outcome.wall.as_secs_f64();
        isolated.push(rate(&run(&with, programs, TASKS, 64)?));
        plain.push(rate(&run(&without, programs, TASKS, 64)?));
        starts.extend(run(&with, programs, 200, 1)?.to_running);
        plain_starts.extend(run(&without, programs, 200, 1)?.to_running);
        if let Some(runc) = &runc {
            let times = runc.one_after_the_other(OTHERS)?;
            runc_rates.push(per_second(&times));
            ratios.push(isolated[round] / runc_rates[round]);
            runc_times.extend(times);
        }
        if let Some(times) = docker(dir, &programs.no_op, OTHERS / 4)? {
            docker_rates.push(per_second(&times));
        }
    }
    let beside = |name: &str, rates: &mut Vec<f64>| {
        if rates.is_empty() {
            format!("{name} not there")
        } else {
            format!("{name} {:.1}/s", median(rates))
        }
    };
    let quantiles = |times: &mut Vec<Duration>| {
        format!(
            "{:.2} / {:.2}",
            percentile(times, 0.5),
            percentile(times, 0.99)
        )
    };
    Ok(vec![
        line(
            "isolated tasks/s to their acknowledged end",
            format!(
                "{:.0}: {:.1} x runc",
                median(&mut isolated),
                median(&mut ratios)
            ),
            format!(
                "{}; {}; plain tasks {:.0}/s; goal 12 x runc",
                beside("runc run", &mut runc_rates),
                beside("docker run", &mut docker_rates),
                median(&mut plain)
            ),
        ),
        line(
            "ACCEPT to TASK_RUNNING of an isolated task, p50 / p99 ms",
            quantiles(&mut starts),
            format!(
                "plain {}; runc run, whole {}",
                quantiles(&mut plain_starts),
                quantiles(&mut runc_times)
            ),
        ),
    ])
}

/// Many isolated tasks at once: how long until all run, what each costs, how long until none is left.
fn together(programs: &Programs, dir: &Path, flags: &[String]) -> Result<Vec<Line>> {
    let cluster = Cluster::start_with(&programs.mezz, dir, flags)?;
    // A first one, so that what is made once does not count.
    run(&cluster, programs, 1, 1)?;
    let before = cluster.agent_pss_kib();
    let started = Instant::now();
    let outcome = drive(Run {
        program: programs.sleep.display().to_string(),
        until_running: true,
        outstanding: TOGETHER,
        ..tasks(&cluster, programs, TOGETHER, TOGETHER)
    })?;
    let launched = started.elapsed();
    let mut first = outcome.to_running[..100.min(outcome.to_running.len())].to_vec();
    let last_hundred = outcome.to_running.len().saturating_sub(100);
    let mut last = outcome.to_running[last_hundred..].to_vec();
    std::thread::sleep(Duration::from_secs(1));
    let keepers = descendants(&cluster, &programs.sleep);
    let per = |kib: u64| kib as f64 / TOGETHER as f64;
    let memory = per(cluster.agent_pss_kib().saturating_sub(before));
    let beside = per(keepers.iter().map(|pid| pss_kib(*pid)).sum());
    let (cpu, sampled) = (cluster.cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let idle = cluster.cpu().since(cpu);
    let idle = (idle.agent + idle.warden).as_secs_f64() / sampled.elapsed().as_secs_f64();
    let destroyed = destroy_all(&cluster, &programs.sleep)?;
    Ok(vec![
        line(
            format!("{TOGETHER} isolated tasks: all launched / all destroyed, s"),
            format!(
                "{:.2} / {:.2}",
                launched.as_secs_f64(),
                destroyed.as_secs_f64()
            ),
            "Mesos 30.5 / 22; goal 4 / 4, M 1 / 1",
        ),
        line(
            "  ACCEPT to TASK_RUNNING of the first and of the last hundred, p50 ms",
            format!(
                "{:.0} / {:.0}",
                percentile(&mut first, 0.5),
                percentile(&mut last, 0.5)
            ),
            "launched in one burst",
        ),
        line(
            "  KiB for each: agent and warden / its keeper processes",
            format!("{memory:.1} / {beside:.1}"),
            "goal 64 together",
        ),
        line(
            "  CPU of agent and warden while they run",
            format!("{:.2} %", idle * 100.0),
            "",
        ),
    ])
}

fn per_second(times: &[Duration]) -> f64 {
    times.len() as f64 / times.iter().sum::<Duration>().as_secs_f64()
}

fn run(
    cluster: &Cluster,
    programs: &Programs,
    count: usize,
    outstanding: usize,
) -> Result<Outcome> {
    let outcome = drive(tasks(cluster, programs, count, outstanding))?;
    ensure!(
        outcome.failed == 0,
        "{} of {count} tasks failed",
        outcome.failed
    );
    Ok(outcome)
}

fn tasks(cluster: &Cluster, programs: &Programs, tasks: usize, outstanding: usize) -> Run {
    Run {
        master: cluster.address.clone(),
        encoding: Encoding::Protobuf,
        tasks,
        outstanding,
        batch: 100,
        program: programs.no_op.display().to_string(),
        checkpoint: true,
        cpus: 0.01,
        until_running: false,
        arguments: Vec::new(),
        container: Some(v1::ContainerInfo {
            r#type: v1::container_info::Type::Mesos as i32,
            hostname: Some("bench".into()),
            ..v1::ContainerInfo::default()
        }),
    }
}

/// The processes that were started for the containers beside their own programs.
fn descendants(cluster: &Cluster, program: &Path) -> Vec<u32> {
    let daemons = cluster.agent_processes();
    let all = processes();
    let mut found: Vec<u32> = Vec::new();
    for (pid, parent, runs) in &all {
        let below = daemons.contains(parent) && !daemons.contains(pid);
        if below && runs != program {
            found.push(*pid);
        }
    }
    found
}

/// Process, parent, and the program that it runs.
fn processes() -> Vec<(u32, u32, std::path::PathBuf)> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let one = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        Some((pid, parent, program))
    };
    entries
        .filter_map(|entry| one(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// Ends all that runs by the end of the agent, and waits until nothing of it is left.
fn destroy_all(cluster: &Cluster, program: &Path) -> Result<Duration> {
    let started = Instant::now();
    tear_down(&cluster.address)?;
    let end = started + Duration::from_mins(2);
    let left = || {
        processes()
            .iter()
            .filter(|(_, _, runs)| runs == program)
            .count()
    };
    while left() > 0 {
        ensure!(
            Instant::now() < end,
            "{} containers are still there",
            left()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(started.elapsed())
}

/// Ends every framework, by the operator's call.
fn tear_down(address: &str) -> Result<()> {
    let text = http_get(address, "/frameworks")?;
    let (_, body) = text
        .split_once("\r\n\r\n")
        .context("an answer with a body")?;
    let all: serde_json::Value = serde_json::from_str(body)?;
    let ids = all["frameworks"].as_array().into_iter().flatten();
    for id in ids.filter_map(|framework| framework["id"].as_str()) {
        let call = serde_json::json!({
            "type": "TEARDOWN",
            "teardown": { "framework_id": { "value": id } },
        });
        post(address, "/api/v1", &call)?;
    }
    Ok(())
}
