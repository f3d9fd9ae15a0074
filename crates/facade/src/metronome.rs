//! Metronome's v1 API over jobs and crons: a job with a schedule is a job and a cron of the same name beside it.

mod errors;
mod history;
mod ids;
mod job;
mod jobs;
mod paths;
mod run_spec;
mod runs;
mod schedule;
mod schedules;
mod shown;
mod system;

pub use job::{converted, unknown_members};
pub use paths::openapi;

use crate::answer::Answer;
use crate::outcome::Outcome;
use crate::paths::know;
use crate::request::Request;
use crate::world::World;

/// Answers a request to Metronome.
pub fn handle(request: &Request, world: &World<'_>) -> Outcome {
    route(request, world).unwrap_or_else(Outcome::Answer)
}

fn route(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    let parts = request.parts();
    if !know(paths::PATHS, &parts) {
        return Err(errors::no_route(request));
    }
    match parts.as_slice() {
        ["v1", "jobs"] => jobs::all(request, world),
        ["v1", "jobs", id] => jobs::one(request, world, id),
        ["v1", "jobs", id, "schedules"] => schedules::all(request, world, id),
        ["v1", "jobs", id, "schedules", schedule] => schedules::one(request, world, id, schedule),
        ["v1", "jobs", id, "runs"] => runs::all(request, world, id),
        ["v1", "jobs", id, "runs", run] => runs::one(request, world, id, run),
        ["v1", "jobs", id, "runs", run, "actions", "stop"] => runs::stop(request, world, id, run),
        ["v0", "scheduled-jobs"] => jobs::create_scheduled(request, world),
        ["v0", "scheduled-jobs", id] => jobs::replace_scheduled(request, world, id),
        rest => system::handle(request, world, rest),
    }
}

/// Refuses other methods, as a route that is not there.
fn allow(request: &Request, methods: &[&str]) -> Result<(), Answer> {
    let is_allowed = methods.contains(&request.method.as_str())
        || request.method == "HEAD" && methods.contains(&"GET");
    if is_allowed {
        Ok(())
    } else {
        Err(errors::no_route(request))
    }
}
