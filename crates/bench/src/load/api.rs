//! Small calls on many connections, sent by `wrk`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use mezz_bench::shapes::framework_info;

use super::Load;
use super::master::Master;
use crate::client::{Encoding, subscribe};
use crate::measures::{Line, line, median};

const SECONDS: u32 = 8;
const ROUNDS: usize = 3;

pub(crate) fn measure(load: &Load) -> Result<Vec<Line>> {
    let dir = load.folder("api")?;
    let master = Master::start(&load.mezz, &dir, &[])?;
    let info = framework_info("caller", true);
    let (_events, calls) = subscribe(&master.address, Encoding::Json, info)?;
    let framework = calls.framework_id();
    let offers: Vec<String> = (0..17)
        .map(|number| format!(r#"{{"value":"{framework}-O{number}"}}"#))
        .collect();
    let body = format!(
        r#"{{"framework_id":{{"value":"{framework}"}},"type":"DECLINE","decline":{{"offer_ids":[{}],"filters":{{"refuse_seconds":5.0}}}}}}"#,
        offers.join(",")
    );
    let script = dir.join("call.lua");
    std::fs::write(
        &script,
        format!(
            "wrk.method = 'POST'\nwrk.path = '/api/v1/scheduler'\nwrk.body = '{body}'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.headers['Mesos-Stream-Id'] = '{}'\n",
            calls.stream_id()
        ),
    )?;
    let (mut rates, mut floors, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    let mut latency = String::new();
    for _ in 0..ROUNDS {
        floors.push(wrk(&master.address, None)?.rate);
        let before = master.cpu();
        let said = wrk(&master.address, Some(&script))?;
        let used = master.cpu().saturating_sub(before);
        costs.push(used.as_secs_f64() * 1e6 / said.requests);
        rates.push(said.rate);
        latency = said.latency;
    }
    Ok(vec![line(
        format!("calls/s of {} B JSON over 64 connections", body.len()),
        format!(
            "{:.0} (CPU of the master {:.1} µs each; p50 and p99 {latency})",
            median(&mut rates),
            median(&mut costs)
        ),
        format!(
            "goal 40,000, stretch 90,000; GET /health of the same master now {:.0}; axum parsing 1 KB 111,000–138,000",
            median(&mut floors)
        ),
    )])
}

struct Said {
    rate: f64,
    requests: f64,
    latency: String,
}

fn wrk(address: &str, script: Option<&Path>) -> Result<Said> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c64", "--latency", &format!("-d{SECONDS}s")]);
    if let Some(script) = script {
        command.arg("-s").arg(script);
    }
    let output = command
        .arg(format!("http://{address}/health"))
        .output()
        .context("running wrk (is it installed?)")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && !text.contains("Non-2xx"),
        "wrk failed: {text}"
    );
    let after = |mark: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(mark))
            .map(str::trim)
            .unwrap_or_default()
            .to_owned()
    };
    let rate: f64 = after("Requests/sec:").parse().context("wrk's rate")?;
    Ok(Said {
        rate,
        requests: rate * f64::from(SECONDS),
        latency: format!("{}, {}", after("50%"), after("99%")),
    })
}
