//! Marathon's v2 API over services and groups.

mod app;
mod apps;
mod defaults;
mod deployments;
mod errors;
pub mod events;
mod groups;
mod info;
mod paths;
mod queue;
mod readiness;
mod roles;
mod selectors;
mod standing;
mod stats;
mod system;
mod tasks;

use crate::answer::Answer;
use crate::outcome::Outcome;
use crate::paths::know;
use crate::request::Request;
use crate::world::{Cluster, World};
pub use app::unknown_members;
pub use groups::unknown_members_of_group;
pub use paths::openapi;

/// Service ports are picked from here.
pub(crate) const SERVICE_PORTS: std::ops::RangeInclusive<u16> = 10_000..=20_000;

/// Answers a request to Marathon.
pub fn handle(request: &Request, world: &World<'_>) -> Outcome {
    route(request, world).unwrap_or_else(Outcome::Answer)
}

/// What every answer of Marathon says in its headers: not to be kept, and by whom it was made.
pub fn headers(cluster: &Cluster) -> Vec<(&'static str, String)> {
    vec![
        (
            "cache-control",
            "no-cache, no-store, must-revalidate".into(),
        ),
        ("pragma", "no-cache".into()),
        ("expires", "0".into()),
        ("x-marathon-leader", format!("http://{}", cluster.leader)),
    ]
}

fn route(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    let parts = request.parts();
    if !know(paths::PATHS, &parts) {
        return Err(nothing_here(request));
    }
    match parts.as_slice() {
        ["v2", "apps", rest @ ..] => apps::handle(request, world, rest),
        ["v2", "groups", rest @ ..] => groups::handle(request, world, rest),
        ["v2", "deployments", rest @ ..] => deployments::handle(request, world, rest),
        ["v2", "tasks", rest @ ..] => tasks::handle(request, world, rest),
        ["v2", "queue", rest @ ..] => queue::handle(request, world, rest),
        ["v2", rest @ ..] => system::v2(request, world, rest),
        rest => system::outside(request, world, rest),
    }
}

/// Marathon's answer to a path that it does not know.
fn nothing_here(request: &Request) -> Answer {
    Answer::message(404, format!("URI not found: {}", request.path))
}

/// Refuses other methods.
fn allow(request: &Request, methods: &[&'static str]) -> Result<(), Answer> {
    if methods.contains(&request.method.as_str())
        || request.method == "HEAD" && methods.contains(&"GET")
    {
        return Ok(());
    }
    let message = format!(
        "{} takes {}, not {}",
        request.path,
        methods.join(" and "),
        request.method
    );
    Err(Answer::message(405, message).header("allow", methods.join(", ")))
}
