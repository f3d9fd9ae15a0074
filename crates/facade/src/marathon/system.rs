//! What Marathon says of itself: ping, leader, info, plugins, metrics.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::events::EventFilter;
use super::paths::PATHS;
use super::{allow, nothing_here};
use crate::answer::Answer;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::World;

/// The version whose API this is; clients compare it.
pub(super) const VERSION: &str = "1.11.0";

/// Below `/v2`.
pub(super) fn v2(request: &Request, world: &World<'_>, parts: &[&str]) -> Result<Outcome, Answer> {
    match parts {
        ["leader"] if request.method == "DELETE" => abdicate(request, world),
        ["leader"] => {
            allow(request, &["GET", "DELETE"])?;
            Ok(Answer::json(json!({ "leader": world.cluster.leader })).into())
        }
        ["info"] => {
            allow(request, &["GET"])?;
            Ok(Answer::json(info(world)).into())
        }
        ["plugins"] => {
            allow(request, &["GET"])?;
            Ok(Answer::json(json!({ "plugins": [] })).into())
        }
        ["events"] => {
            allow(request, &["GET"])?;
            if !request.accepts("text/event-stream") {
                let message = "events are a stream: ask for them with Accept: text/event-stream";
                return Err(Answer::message(405, message));
            }
            let types = request.parameters("event_type").map(str::to_owned);
            Ok(Outcome::Events(EventFilter::new(types)))
        }
        ["pods", rest @ ..] => pods(request, rest),
        ["eventSubscriptions", ..] => Err(Answer::message(
            404,
            "callbacks are not offered: read GET /v2/events instead",
        )),
        ["artifacts", ..] => Err(Answer::message(
            404,
            "artifacts are not stored here: name them in fetch by a URI that agents can reach",
        )),
        ["schemas", ..] => Err(Answer::message(
            404,
            "schemas are not served, as in Marathon since 1.7",
        )),
        _ => Err(nothing_here(request)),
    }
}

/// Gives up leading. Where nothing outlives this master there is nobody to take over.
fn abdicate(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    for place in ["backup", "restore"] {
        if request.parameter(place).is_some() {
            let message = format!("{place} is not built: copy the files of the master's registry");
            return Err(Answer::message(501, message));
        }
    }
    if !world.cluster.is_durable {
        let message = "this master keeps its state in memory only, so that abdication would end all apps; start it with a work_dir";
        return Err(Answer::message(409, message));
    }
    let answer = Answer::json(json!({ "message": "Leadership abdicated" }));
    Ok(Outcome::StepDown(answer))
}

/// There are no pods, which can be listed; none can be made.
fn pods(request: &Request, parts: &[&str]) -> Result<Outcome, Answer> {
    let is_read = matches!(request.method.as_str(), "GET" | "HEAD");
    match parts {
        [] | ["::status"] if is_read => Ok(Answer::json(json!([])).into()),
        [_, ..] if is_read => {
            let path = parts.join("/");
            let id = path.split("::").next().unwrap_or_default();
            let id = id.trim_matches('/');
            Err(Answer::message(404, format!("Pod '/{id}' does not exist")))
        }
        _ => {
            let message = "pods are not built yet: use apps, which have one container each";
            Err(Answer::message(405, message).header("allow", "GET"))
        }
    }
}

/// Above `/v2`.
pub(super) fn outside(
    request: &Request,
    world: &World<'_>,
    parts: &[&str],
) -> Result<Outcome, Answer> {
    if let ["logging", ..] = parts {
        let message = "levels of loggers are set by POST /logging/toggle of the master";
        return Err(Answer::message(501, message));
    }
    allow(request, &["GET"])?;
    match parts {
        [] => Ok(Answer::empty(302).header("location", "/").into()),
        ["help"] => Ok(help().into()),
        ["config"] => Ok(Answer::json(info(world)["marathon_config"].clone()).into()),
        ["ping"] => Ok(ping(request).into()),
        ["metrics"] => Ok(Answer::json(metrics(world)).into()),
        ["metrics", "prometheus"] => {
            Ok(Answer::text("text/plain; version=0.0.4", prometheus(world)).into())
        }
        _ => Err(nothing_here(request)),
    }
}

/// What there is, one path to a line.
fn help() -> Answer {
    let mut lines = String::new();
    for path in PATHS.iter().filter(|path| !path.operations.is_empty()) {
        let methods: Vec<&str> = path.operations.iter().map(|one| one.method).collect();
        let template = path.template.replace("{+", "{");
        writeln!(lines, "{} {template}", methods.join(" "))
            .expect("a string takes all that is written");
    }
    Answer::text("text/plain", lines)
}

/// In quotes for who asks for JSON: one deployment tool insists on them.
fn ping(request: &Request) -> Answer {
    let wants = |media_type| request.accepts(media_type);
    if wants("application/json") {
        return Answer::json("pong".into());
    }
    match &request.accept {
        Some(_) if !wants("text/plain") && !wants("text/*") && !wants("*/*") => Answer::empty(204),
        _ => Answer::text("text/plain", "pong"),
    }
}

/// Strict clients know only these keys.
fn info(world: &World<'_>) -> Value {
    let (host, port) = world
        .cluster
        .leader
        .rsplit_once(':')
        .unwrap_or((&world.cluster.leader, "0"));
    let port: u16 = port.parse().unwrap_or(0);
    json!({
        "name": "marathon",
        "version": VERSION,
        "buildref": format!("mezzanine-{}", world.cluster.version),
        "elected": true,
        "leader": world.cluster.leader,
        "frameworkId": world.cluster.framework_id,
        "marathon_config": {
            "hostname": host,
            "framework_name": "mezz",
            "checkpoint": true,
            "ha": false,
            "master": world.cluster.leader,
            "mesos_leader_ui_url": format!("http://{}/", world.cluster.leader),
            "features": [],
            "executor": "//cmd",
            "local_port_min": super::SERVICE_PORTS.start(),
            "local_port_max": super::SERVICE_PORTS.end(),
            "webui_url": Value::Null,
        },
        "zookeeper_config": {},
        "http_config": { "http_port": port, "https_port": 0 },
    })
}

fn counts(world: &World<'_>) -> [(&'static str, usize); 4] {
    let services = || world.of_kind(mezz_spec::Kind::Service);
    let mut keys: Vec<_> = services().map(|service| service.key).collect();
    keys.sort_unstable();
    let instances = world
        .work
        .instances
        .iter()
        .filter(|(_, instance)| keys.binary_search(&instance.object).is_ok());
    [
        ("apps", keys.len()),
        ("groups", world.of_kind(mezz_spec::Kind::Group).count()),
        ("deployments", world.active_rollouts().count()),
        ("instances", instances.count()),
    ]
}

fn metrics(world: &World<'_>) -> Value {
    let gauges: serde_json::Map<String, Value> = counts(world)
        .into_iter()
        .map(|(name, count)| {
            (
                format!("marathon.{name}.active.gauge"),
                json!({ "value": count }),
            )
        })
        .collect();
    json!({ "version": "4.0.0", "gauges": gauges, "counters": {}, "histograms": {}, "meters": {}, "timers": {} })
}

fn prometheus(world: &World<'_>) -> String {
    let lines = counts(world).into_iter().flat_map(|(name, count)| {
        [
            format!("# TYPE marathon_{name}_active gauge"),
            format!("marathon_{name}_active {count}"),
            String::new(),
        ]
    });
    lines.collect::<Vec<_>>().join("\n")
}
