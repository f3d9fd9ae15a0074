//! Chronos's v1 API over jobs and crons: a job of Chronos is a job, with a cron beside it when it has a schedule, and with
//! `after` when it has parents. Only jobs that were made here are shown here.

mod errors;
mod graph;
mod job;
mod jobs;
mod kept;
mod names;
mod paths;
mod schedule;
mod shown;
mod stats;
mod template;

pub use job::{converted, unknown_members};
pub use paths::openapi;
use serde_json::json;

use crate::answer::Answer;
use crate::outcome::Outcome;
use crate::paths::know;
use crate::request::Request;
use crate::world::World;

/// Answers a request to Chronos.
pub fn handle(request: &Request, world: &World<'_>) -> Outcome {
    route(request, world).unwrap_or_else(Outcome::Answer)
}

fn route(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    let parts = paths::versioned(&request.parts());
    if !know(paths::PATHS, &parts) {
        return Err(errors::no_path(request));
    }
    let parts = match parts.as_slice() {
        ["v1", "scheduler", rest @ ..] => rest,
        rest => return outside(request, world, rest),
    };
    match parts {
        ["iso8601"] => jobs::put(request, world, jobs::Sort::Scheduled),
        ["dependency"] => jobs::put(request, world, jobs::Sort::Dependent),
        ["jobs"] => jobs::list(request, world),
        ["jobs", "search"] => jobs::search(request, world),
        ["jobs", "summary"] => graph::summary(request, world),
        ["job", "stat", name] => stats::of_job(request, world, name),
        ["job", "success", name] => jobs::mark(request, world, name),
        ["job", name] => jobs::one(request, world, name),
        ["job", name, "task", _, "progress"] => stats::progress(request, world, name),
        ["task", "kill", name] => jobs::kill(request, world, name),
        ["graph", "csv"] => graph::csv(request, world),
        ["graph", "dot"] => graph::dot(request, world),
        ["stats", which] => stats::all(request, world, which),
        ["leader"] => leader(request, world),
        _ => Err(errors::no_path(request)),
    }
}

fn outside(request: &Request, world: &World<'_>, parts: &[&str]) -> Result<Outcome, Answer> {
    match parts {
        ["ping"] => {
            allow(request, &["GET"])?;
            Ok(Answer::text("text/plain; charset=utf-8", "pong\n").into())
        }
        ["metrics"] => stats::metrics(request, world),
        ["leader"] | ["v1", "leader"] => leader(request, world),
        _ => Err(errors::no_path(request)),
    }
}

fn leader(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    allow(request, &["GET"])?;
    Ok(Answer::json(json!({ "leader": world.cluster.leader })).into())
}

/// Refuses other methods.
fn allow(request: &Request, methods: &[&'static str]) -> Result<(), Answer> {
    let is_allowed = methods.contains(&request.method.as_str())
        || request.method == "HEAD" && methods.contains(&"GET");
    if is_allowed {
        return Ok(());
    }
    Err(errors::no_method(request, methods))
}
