//! What Metronome says of itself, and what waits in it.

use mezz_spec::Kind;
use mezz_workload::records::RunState;
use serde_json::{Value, json};

use super::{allow, errors, ids};
use crate::answer::Answer;
use crate::doings::Doings;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::World;

/// The version whose API this is.
pub(super) const VERSION: &str = "0.6.62";
/// Of the Marathon that it is built on.
const LIBRARY: &str = "1.11.0";

/// All that is not about one job.
pub(super) fn handle(
    request: &Request,
    world: &World<'_>,
    parts: &[&str],
) -> Result<Outcome, Answer> {
    let answer = match parts {
        ["ping"] => Answer::text("text/plain; charset=utf-8", "pong"),
        ["info"] => Answer::json(json!({
            "version": VERSION,
            "libVersion": LIBRARY,
            "buildref": format!("mezzanine-{}", world.cluster.version),
        })),
        ["leader"] => Answer::json(json!({ "leader": world.cluster.leader })),
        ["v1", "metrics"] => Answer::json(metrics(world)),
        ["v1", "queue"] => Answer::json(queue(world).into()),
        _ => return Err(errors::no_route(request)),
    };
    allow(request, &["GET"])?;
    Ok(answer.into())
}

/// Runs of which nothing has started.
fn queue(world: &World<'_>) -> Vec<Value> {
    let doings = Doings::of_all(world);
    let mut queue = Vec::new();
    for record in world.of_kind(Kind::Job) {
        let runs: Vec<Value> = doings
            .runs(record.key)
            .iter()
            .filter(|run| run.state == RunState::Pending)
            .map(|run| json!({ "runId": &*run.id }))
            .collect();
        if let (Some(id), false) = (ids::id_of(&record.name), runs.is_empty()) {
            queue.push(json!({ "jobId": id, "runs": runs }));
        }
    }
    queue
}

fn metrics(world: &World<'_>) -> Value {
    let mut active = 0_u64;
    let mut waiting = 0_u64;
    for (_, run) in world.work.runs.iter() {
        match run.state {
            RunState::Pending => waiting += 1,
            RunState::Running => active += 1,
            _ => {}
        }
    }
    let gauge = |count: u64| json!({ "value": count });
    json!({
        "version": "4.0.0",
        "gauges": {
            "metronome.jobs.active.gauge": gauge(world.of_kind(Kind::Job).count() as u64),
            "metronome.runs.active.gauge": gauge(active),
            "metronome.runs.waiting.gauge": gauge(waiting),
        },
        "counters": {},
        "histograms": {},
        "meters": {},
        "timers": {},
    })
}
