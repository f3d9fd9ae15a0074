//! How long runs took.

use std::fmt::Write as _;

use mezz_state::time::{MILLISECOND_NS, SECOND_NS, Wall};
use mezz_workload::records::{RunRecord, RunState};
use serde_json::{Map, Value, json};

use super::shown::{all as jobs, find};
use super::{allow, errors};
use crate::answer::Answer;
use crate::doings::Doings;
use crate::instant::day_and_time;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::{World, job_status};

/// Times in milliseconds, ascending.
struct Times(Vec<u64>);

impl Times {
    fn of<'r>(runs: impl Iterator<Item = &'r RunRecord>) -> Self {
        let mut times: Vec<u64> = runs
            .filter(|run| run.state == RunState::Succeeded)
            .filter_map(|run| Some(run.ended_at?.0.saturating_sub(run.created_at.0)))
            .map(|span| span / MILLISECOND_NS)
            .collect();
        times.sort_unstable();
        Self(times)
    }

    /// The value at a share of all, between neighbours in proportion.
    fn quantile(&self, share: f64) -> f64 {
        let times = &self.0;
        let (Some(first), Some(last)) = (times.first(), times.last()) else {
            return 0.0;
        };
        let place = share * (times.len() as f64 + 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place within a list"
        )]
        let index = place.floor() as usize;
        if index < 1 {
            return *first as f64;
        }
        if index >= times.len() {
            return *last as f64;
        }
        let (lower, upper) = (times[index - 1] as f64, times[index] as f64);
        lower + (place - place.floor()) * (upper - lower)
    }

    fn histogram(&self) -> Map<String, Value> {
        let mut all: Map<String, Value> = [
            ("75thPercentile", 0.75),
            ("95thPercentile", 0.95),
            ("98thPercentile", 0.98),
            ("99thPercentile", 0.99),
            ("median", 0.5),
            ("mean", 0.5),
        ]
        .into_iter()
        .map(|(name, share)| (name.to_owned(), self.quantile(share).into()))
        .collect();
        all.insert("count".into(), self.0.len().into());
        all
    }
}

/// `/job/stat/NAME`.
pub(super) fn of_job(request: &Request, world: &World<'_>, name: &str) -> Result<Outcome, Answer> {
    allow(request, &["GET"])?;
    let kept = find(world, name)?;
    let runs = world.runs(kept.record.key);
    let times = Times::of(runs.iter().map(|run| &***run));
    let instances = world.instances(kept.record.key);
    let mut tasks: Vec<(Wall, Value)> = Vec::new();
    for run in &runs {
        for end in &run.ends {
            let start = end.started_at.unwrap_or(run.created_at);
            let status = match end.exit_status {
                Some(0) => "Success",
                _ => "Fail",
            };
            let told = json!({
                "taskId": end.instance,
                "jobName": kept.name,
                "slaveId": &*end.agent,
                "startTime": day_and_time(start),
                "endTime": day_and_time(end.at),
                "duration": duration(end.at.0.saturating_sub(start.0)),
                "status": status,
            });
            tasks.push((start, told));
        }
    }
    for instance in instances {
        let start = instance.started_at.unwrap_or(instance.created_at);
        let told = json!({
            "taskId": &*instance.id,
            "jobName": kept.name,
            "slaveId": &*instance.agent.id,
            "startTime": day_and_time(start),
            "endTime": "N/A",
            "status": "Running",
        });
        tasks.push((start, told));
    }
    tasks.sort_by_key(|(start, _)| std::cmp::Reverse(*start));
    let tasks: Vec<Value> = tasks.into_iter().map(|(_, task)| task).collect();
    let answer = json!({ "histogram": times.histogram(), "taskStatHistory": tasks });
    Ok(Answer::json(answer).into())
}

fn duration(span: u64) -> String {
    let seconds = span / SECOND_NS;
    let mut text = String::new();
    for (count, unit) in [
        (seconds / 86_400, 'd'),
        (seconds / 3_600 % 24, 'h'),
        (seconds / 60 % 60, 'm'),
    ] {
        if count > 0 {
            write!(text, "{count}{unit}").expect("a string takes all");
        }
    }
    write!(text, "{}s", seconds % 60).expect("a string takes all");
    text
}

/// `/stats/WHICH`: the slowest first.
fn slowest_first(world: &World<'_>, which: &str) -> Vec<Value> {
    let doings = Doings::of_all(world);
    let mut found: Vec<(f64, Value)> = jobs(world)
        .iter()
        .filter_map(|kept| {
            let runs = doings.runs(kept.record.key);
            let histogram = Times::of(runs.iter().map(|run| &***run)).histogram();
            let time = histogram.get(which)?.as_f64()? / 1_000.0;
            Some((time, json!({ "jobNameLabel": kept.name, "time": time })))
        })
        .collect();
    found.sort_by(|one, other| other.0.total_cmp(&one.0));
    found.into_iter().map(|(_, value)| value).collect()
}

pub(super) fn all(request: &Request, world: &World<'_>, which: &str) -> Result<Outcome, Answer> {
    allow(request, &["GET"])?;
    Ok(Answer::json(slowest_first(world, which).into()).into())
}

/// What tasks report of the elements that they have processed.
pub(super) fn progress(
    request: &Request,
    world: &World<'_>,
    name: &str,
) -> Result<Outcome, Answer> {
    allow(request, &["POST"])?;
    let kept = find(world, name)?;
    if !kept.flag("dataProcessingJobType") {
        return Err(errors::bad(format!(
            "JobSchedule '{name}' is not enabled to track data"
        )));
    }
    Err(errors::bad("counting processed elements is not built yet"))
}

/// Counters of all jobs.
pub(super) fn metrics(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    allow(request, &["GET"])?;
    let doings = Doings::of_all(world);
    let mut counters = Map::new();
    let mut histograms = Map::new();
    for kept in jobs(world) {
        let status = job_status(kept.record);
        let name = &kept.name;
        counters.insert(
            format!("jobs.run.success.{name}"),
            json!({ "count": status.succeeded }),
        );
        counters.insert(
            format!("jobs.run.failure.{name}"),
            json!({ "count": status.failed }),
        );
        let runs = doings.runs(kept.record.key);
        let times = Times::of(runs.iter().map(|run| &***run));
        let histogram = json!({
            "count": times.0.len(),
            "max": times.0.last().copied().unwrap_or_default(),
            "min": times.0.first().copied().unwrap_or_default(),
            "p50": times.quantile(0.5),
            "p75": times.quantile(0.75),
            "p95": times.quantile(0.95),
            "p98": times.quantile(0.98),
            "p99": times.quantile(0.99),
        });
        histograms.insert(format!("jobs.run.time.{name}"), histogram);
    }
    let answer = json!({
        "version": "3.0.0",
        "gauges": {},
        "counters": counters,
        "histograms": histograms,
        "meters": {},
        "timers": {},
    });
    Ok(Answer::json(answer).into())
}
