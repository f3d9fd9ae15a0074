//! `mezz top`: what tasks use of processors and memory, measured between two looks.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stdout};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::args::Format;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::debug_args::{TopArgs, TopOrder};
use crate::exit::Exit;
use crate::flags::value;
use crate::output::columns;
use crate::output::show::{self, Reader};
use crate::output::terminal;

/// The first look of a watch, and the only one of others, is over no longer than this.
const FIRST: Duration = Duration::from_secs(1);

/// A task's processor time at a moment of its agent's clock, both in microseconds.
type Sample = (u64, u64);

/// Shows what tasks use.
pub(crate) fn top(master: &str, args: &TopArgs) -> Result<Exit, ClientError> {
    let interval = value::duration(&args.interval);
    let interval = interval.map_err(|error| ClientError::Usage(format!("--interval: {error}")))?;
    if interval < Duration::from_millis(100) {
        return Err(ClientError::Usage(
            "--interval: it is 100ms at least".to_owned(),
        ));
    }
    let format = args.output.output;
    let table = matches!(format, Format::Table | Format::Wide);
    let once = args.once || !table || !stdout().is_terminal();
    let mut api = Api::new(master)?;
    let mut before = samples(&api.list("/v1/usage")?);
    let mut pause = interval.min(FIRST);
    loop {
        thread::sleep(pause);
        pause = interval;
        let answer = api.list("/v1/usage")?;
        let mut rows: Vec<Value> = answer.iter().map(|task| row(task, &before)).collect();
        sort(&mut rows, args.sort);
        before = samples(&answer);
        let rows = Value::from(rows).to_string();
        let clear = if once { "" } else { terminal::clear() };
        if show::write(clear)? == Reader::Gone
            || show::list(&columns::USAGE, rows.as_bytes(), format, Timestamp::now())?
                == Reader::Gone
            || once
        {
            return Ok(Exit::Ok);
        }
    }
}

fn key(task: &Value) -> String {
    format!("{}/{}", task["framework_id"], task["id"])
}

fn sample(task: &Value) -> Option<Sample> {
    Some((task["cpu_us"].as_u64()?, task["at_us"].as_u64()?))
}

fn samples(tasks: &[Value]) -> BTreeMap<String, Sample> {
    let of_one = |task: &Value| Some((key(task), sample(task)?));
    tasks.iter().filter_map(of_one).collect()
}

/// What is shown of a task; null where its agent does not say, or has said only once.
fn row(task: &Value, before: &BTreeMap<String, Sample>) -> Value {
    let cpus = before.get(&key(task)).and_then(|(cpu, at)| {
        let (now_cpu, now_at) = sample(task)?;
        let elapsed = now_at.checked_sub(*at).filter(|elapsed| *elapsed > 0)?;
        let used = now_cpu.checked_sub(*cpu)?;
        let rate = used as f64 / elapsed as f64;
        Some((rate * 1000.0).round() / 1000.0)
    });
    let mem = task["rss_bytes"].as_u64().map(|bytes| {
        let mib = bytes as f64 / 1_048_576.0;
        (mib * 10.0).round() / 10.0
    });
    json!({
        "id": task["id"],
        "framework_id": task["framework_id"],
        "agent_id": task["agent_id"],
        "hostname": task["hostname"],
        "used": { "cpus": cpus, "mem": mem },
        "resources": task["resources"],
    })
}

fn sort(rows: &mut [Value], order: TopOrder) {
    let path = match order {
        TopOrder::Cpu => "/used/cpus",
        TopOrder::Mem => "/used/mem",
    };
    let figure = |row: &Value| row.pointer(path).and_then(Value::as_f64).unwrap_or(-1.0);
    rows.sort_by(|one, other| {
        let by_use = figure(other).total_cmp(&figure(one));
        by_use.then_with(|| one["id"].as_str().cmp(&other["id"].as_str()))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, cpu_us: u64, at_us: u64) -> Value {
        json!({"id": id, "framework_id": "f", "cpu_us": cpu_us, "at_us": at_us, "rss_bytes": 3_145_728})
    }

    #[test]
    fn the_use_of_processors_is_what_was_used_between_two_looks() {
        let before = samples(&[task("a", 1_000_000, 5_000_000)]);
        let shown = row(&task("a", 1_500_000, 7_000_000), &before);
        assert_eq!(shown["used"], json!({"cpus": 0.25, "mem": 3.0}));
        // It was not there before, or its agent has started again.
        assert!(row(&task("b", 1, 9), &before)["used"]["cpus"].is_null());
        assert!(row(&task("a", 1, 1), &before)["used"]["cpus"].is_null());
    }
}
