//! What Marathon says of itself: ping, leader, info, plugins, metrics.

use serde_json::{Value, json};

use super::events::EventFilter;
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
        ["leader"] if request.method == "DELETE" => Err(Answer::message(
            501,
            "abdication by this API is not built: end the leading master's process instead",
        )),
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
        // Clients tell by this whether they may use pods.
        ["pods", ..] if request.method == "HEAD" => Err(Answer::empty(501)),
        ["pods", ..] => Err(Answer::message(
            501,
            "pods are not built yet: use apps of one container",
        )),
        ["eventSubscriptions", ..] => Err(Answer::message(
            404,
            "callbacks are not offered: read GET /v2/events instead",
        )),
        _ => Err(nothing_here(request)),
    }
}

/// Above `/v2`.
pub(super) fn outside(
    request: &Request,
    world: &World<'_>,
    parts: &[&str],
) -> Result<Outcome, Answer> {
    allow(request, &["GET"])?;
    match parts {
        ["ping"] => Ok(ping(request).into()),
        ["metrics"] => Ok(Answer::json(metrics(world)).into()),
        ["metrics", "prometheus"] => {
            Ok(Answer::text("text/plain; version=0.0.4", prometheus(world)).into())
        }
        _ => Err(nothing_here(request)),
    }
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
