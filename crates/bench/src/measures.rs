//! The measurements, each with its floor taken in the same minutes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mezz_bench::shapes::framework_info;

use crate::client::{Encoding, subscribe};
use crate::cluster::{Cluster, Programs};
use crate::framework::{Run, drive};

/// One line of the report: what, the value, and what it is held against.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) value: String,
    pub(crate) against: String,
}

pub(crate) fn line(
    what: impl Into<String>,
    value: impl Into<String>,
    against: impl Into<String>,
) -> Line {
    Line {
        what: what.into(),
        value: value.into(),
        against: against.into(),
    }
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) fn percentile(values: &mut [Duration], part: f64) -> f64 {
    values.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let index = ((values.len() as f64 - 1.0).max(0.0) * part).round() as usize;
    values
        .get(index)
        .map_or(f64::NAN, |value| value.as_secs_f64() * 1e3)
}

/// Launches per second of `xargs -P2` with the same program: the floor.
pub(crate) fn xargs_rate(program: &Path, tasks: usize) -> Result<f64> {
    let started = Instant::now();
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("seq {tasks} | xargs -P2 -n1 {}", program.display()))
        .stdout(Stdio::null())
        .status()
        .context("running xargs")?;
    ensure!(status.success(), "xargs failed");
    Ok(tasks as f64 / started.elapsed().as_secs_f64())
}

/// End-to-end launches: through the v1 API until the end is acknowledged, beside `xargs -P2`.
pub(crate) fn launches(
    programs: &Programs,
    dir: &Path,
    rounds: usize,
    tasks: usize,
    only: &str,
) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (name, encoding, outstanding, batch) in [
        (
            "protobuf, 512 outstanding, up to 100 an ACCEPT",
            Encoding::Protobuf,
            512,
            100,
        ),
        (
            "protobuf, 64 outstanding, up to 100 an ACCEPT",
            Encoding::Protobuf,
            64,
            100,
        ),
        (
            "protobuf, 512 outstanding, one an ACCEPT",
            Encoding::Protobuf,
            512,
            1,
        ),
        (
            "JSON, 512 outstanding, up to 100 an ACCEPT",
            Encoding::Json,
            512,
            100,
        ),
    ] {
        if !name.contains(only) {
            continue;
        }
        let (mut rates, mut floors, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut costs: [Vec<f64>; 4] = Default::default();
        for round in 0..rounds {
            let cluster = Cluster::start(
                &programs.mezz,
                &dir.join(format!("launch-{batch}-{outstanding}-{encoding:?}-{round}")),
            )?;
            let floor = xargs_rate(&programs.no_op, tasks.min(5_000))?;
            let run = Run {
                master: cluster.address.clone(),
                encoding,
                tasks,
                outstanding,
                batch,
                program: programs.no_op.display().to_string(),
                checkpoint: true,
                cpus: 0.01,
                until_running: false,
                arguments: Vec::new(),
                container: None,
            };
            let (before, own) = (cluster.cpu(), own_cpu());
            let outcome = drive(run)?;
            ensure!(
                outcome.failed == 0,
                "{} of {tasks} tasks failed",
                outcome.failed
            );
            let used = cluster.cpu().since(before);
            let rate = outcome.finished as f64 / outcome.wall.as_secs_f64();
            rates.push(rate);
            floors.push(floor);
            ratios.push(rate / floor);
            let per_task = |span: Duration| span.as_secs_f64() * 1e6 / tasks as f64;
            for (cost, span) in costs.iter_mut().zip([
                own_cpu().saturating_sub(own),
                used.master,
                used.agent,
                used.warden,
            ]) {
                cost.push(per_task(span));
            }
        }
        lines.push(line(
            format!("launches/s, {name}"),
            format!("{:.0}", median(&mut rates)),
            format!(
                "xargs -P2 {:.0}/s; ratio {:.2}",
                median(&mut floors),
                median(&mut ratios)
            ),
        ));
        lines.push(line(
            "  CPU µs per task: client, master, agent, warden",
            costs
                .iter_mut()
                .map(|cost| format!("{:.0}", median(cost)))
                .collect::<Vec<_>>()
                .join(", "),
            "goal: master 60, agent + warden 200",
        ));
    }
    Ok(lines)
}

fn own_cpu() -> Duration {
    let mut sum = 0;
    if let Ok(tasks) = std::fs::read_dir("/proc/self/task") {
        for task in tasks.flatten() {
            let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            sum += stat
                .split(' ')
                .next()
                .and_then(|ns| ns.parse::<u64>().ok())
                .unwrap_or(0);
        }
    }
    Duration::from_nanos(sum)
}

/// One task at a time: ACCEPT to TASK_RUNNING, and end to next offer.
pub(crate) fn latency(programs: &Programs, dir: &Path, tasks: usize) -> Result<Vec<Line>> {
    let cluster = Cluster::start(&programs.mezz, &dir.join("latency"))?;
    let run = Run {
        master: cluster.address.clone(),
        encoding: Encoding::Protobuf,
        tasks,
        outstanding: 1,
        batch: 1,
        program: programs.no_op.display().to_string(),
        checkpoint: true,
        cpus: 1000.0,
        until_running: false,
        arguments: Vec::new(),
        container: None,
    };
    let mut outcome = drive(run)?;
    let (running, offers) = (&mut outcome.to_running, &mut outcome.to_offer);
    Ok(vec![
        line(
            "ACCEPT to TASK_RUNNING, p50 / p99 ms",
            format!(
                "{:.2} / {:.2}",
                percentile(running, 0.5),
                percentile(running, 0.99)
            ),
            "goal 2 / 10",
        ),
        line(
            "end of the only task to the next offer, p50 / p99 ms",
            format!(
                "{:.2} / {:.2}",
                percentile(offers, 0.5),
                percentile(offers, 0.99)
            ),
            "goal p99 10",
        ),
    ])
}

/// `mezz run -- true` against a running cluster.
pub(crate) fn command_line(programs: &Programs, dir: &Path, runs: usize) -> Result<Vec<Line>> {
    let cluster = Cluster::start(&programs.mezz, &dir.join("run"))?;
    let mut spans = Vec::new();
    let mut floors = Vec::new();
    for _ in 0..runs {
        let started = Instant::now();
        let status = Command::new(&programs.mezz)
            .args(["run", "--master", &cluster.address, "--"])
            .arg(&programs.no_op)
            .status()?;
        ensure!(status.success(), "mezz run failed: {status}");
        spans.push(started.elapsed());
        let started = Instant::now();
        Command::new(&programs.mezz)
            .args(["--version"])
            .stdout(Stdio::null())
            .status()?;
        floors.push(started.elapsed());
    }
    Ok(vec![line(
        "mezz run -- true, p50 / p90 ms",
        format!(
            "{:.1} / {:.1}",
            percentile(&mut spans, 0.5),
            percentile(&mut spans, 0.9)
        ),
        format!(
            "goal 10; mezz --version alone {:.1}",
            percentile(&mut floors, 0.5)
        ),
    )])
}

/// Memory of agent and warden per running task, and of the master.
pub(crate) fn memory(programs: &Programs, dir: &Path, tasks: usize) -> Result<Vec<Line>> {
    let cluster = Cluster::start(&programs.mezz, &dir.join("memory"))?;
    std::thread::sleep(Duration::from_secs(1));
    let (agent, master) = (cluster.agent_pss_kib(), cluster.master_pss_kib());
    let run = Run {
        master: cluster.address.clone(),
        encoding: Encoding::Protobuf,
        tasks,
        outstanding: tasks,
        batch: 100,
        program: programs.sleep.display().to_string(),
        checkpoint: true,
        cpus: 0.01,
        until_running: true,
        arguments: Vec::new(),
        container: None,
    };
    drive(run)?;
    std::thread::sleep(Duration::from_secs(1));
    let per_task = |after: u64, before: u64| (after.saturating_sub(before)) as f64 / tasks as f64;
    Ok(vec![
        line(
            "agent + warden idle, KiB PSS",
            agent.to_string(),
            "goal 12288",
        ),
        line(
            format!("agent + warden KiB PSS per running task ({tasks} tasks)"),
            format!("{:.1}", per_task(cluster.agent_pss_kib(), agent)),
            "goal 64",
        ),
        line(
            format!("master KiB PSS per running task, {master} KiB idle"),
            format!("{:.1}", per_task(cluster.master_pss_kib(), master)),
            "",
        ),
    ])
}

/// CPU of idle daemons, and with a framework that declines everything at `refuse_seconds: 0`.
pub(crate) fn idle(programs: &Programs, dir: &Path, span: Duration) -> Result<Vec<Line>> {
    let cluster = Cluster::start(&programs.mezz, &dir.join("idle"))?;
    std::thread::sleep(Duration::from_secs(2));
    let percent =
        |used: Duration| format!("{:.3} %", used.as_secs_f64() / span.as_secs_f64() * 100.0);
    let before = cluster.cpu();
    std::thread::sleep(span);
    let quiet = cluster.cpu().since(before);
    let (mut events, mut calls) = subscribe(
        &cluster.address,
        Encoding::Protobuf,
        framework_info("decliner", true),
    )?;
    std::thread::spawn(move || {
        while let Ok(event) = events.next() {
            let offers = event.offers.map(|offers| offers.offers).unwrap_or_default();
            if offers.is_empty() {
                continue;
            }
            calls.queue(mezz_proto::v1::scheduler::call::Type::Decline, |call| {
                call.decline = Some(mezz_proto::v1::scheduler::call::Decline {
                    offer_ids: offers.into_iter().map(|offer| offer.id).collect(),
                    filters: Some(mezz_proto::v1::Filters {
                        refuse_seconds: Some(0.0),
                    }),
                });
            });
            if calls.flush().is_err() {
                return;
            }
        }
    });
    std::thread::sleep(Duration::from_secs(1));
    let before = cluster.cpu();
    std::thread::sleep(span);
    let busy = cluster.cpu().since(before);
    let all = |cpu: crate::cluster::Cpu| cpu.master + cpu.agent + cpu.warden;
    Ok(vec![
        line(
            "idle CPU of master + agent + warden, of one core",
            percent(all(quiet)),
            "goal 0.2 %",
        ),
        line(
            "the same with a framework that declines everything at 0 s",
            percent(all(busy)),
            "goal 0.2 %",
        ),
    ])
}
