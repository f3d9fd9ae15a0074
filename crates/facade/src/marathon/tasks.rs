//! Instances as tasks: listed, told as text, ended.

use std::fmt::Write as _;

use mezz_proto::v1::TaskState;
use mezz_spec::{Kind, Name};
use mezz_workload::call::{Call, Reply};
use mezz_workload::event::CheckFound;
use mezz_workload::records::{HealthVerdict, InstanceRecord, ObjectRecord, Owner};
use serde_json::{Value, json};

use super::info::version_of;
use super::standing::Standing;
use super::{allow, deployments, errors, nothing_here};
use crate::answer::Answer;
use crate::instant::zulu;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::{World, as_service};

/// The app that a task id belongs to: names hold no underscore, so the way back is exact.
pub(super) fn app_of(task_id: &str) -> Option<Name> {
    let (flat, _) = task_id.rsplit_once(".instance-")?;
    Name::new(&flat.replace('_', "/")).ok()
}

fn service_ports(record: &ObjectRecord) -> Vec<u16> {
    let ports = as_service(record)
        .into_iter()
        .flat_map(|service| &service.template.containers)
        .flat_map(|container| &container.ports);
    ports.map(|port| port.service_port.unwrap_or(0)).collect()
}

/// The addresses of an instance: its agent's, as long as it has told none of its own.
pub(super) fn addresses(instance: &InstanceRecord) -> Vec<Value> {
    let own = instance.addresses.iter().map(|address| &**address);
    let agent = instance
        .addresses
        .is_empty()
        .then_some(&*instance.agent.ip)
        .into_iter();
    own.chain(agent)
        .map(|address| {
            let protocol = if address.contains(':') {
                "IPv6"
            } else {
                "IPv4"
            };
            json!({ "ipAddress": address, "protocol": protocol })
        })
        .collect()
}

/// A task.
pub(super) fn task(world: &World<'_>, record: &ObjectRecord, instance: &InstanceRecord) -> Value {
    let generation = match instance.owner {
        Owner::Service { generation, .. } => generation,
        Owner::Run { .. } => record.generation,
    };
    let mut task = json!({
        "id": &*instance.id,
        "appId": record.name.as_str(),
        "host": &*instance.agent.hostname,
        "ports": instance.ports,
        "servicePorts": service_ports(record),
        "ipAddresses": addresses(instance),
        "slaveId": &*instance.agent.id,
        "state": instance.state.as_str_name(),
        "stagedAt": zulu(instance.created_at),
        "version": zulu(version_of(record, generation)),
        "localVolumes": [],
    });
    if let Some(at) = instance.started_at {
        task["startedAt"] = zulu(at).into();
    }
    let results = health_results(instance, world);
    if !results.is_empty() {
        task["healthCheckResults"] = results.into();
    }
    // What readiness checks found is shown with the app, for as long as it is deployed.
    if let Some(found) = reported(record).and_then(|index| instance.found(index)) {
        task["checkResult"] = match found {
            CheckFound::Http(status) => json!({ "http": { "statusCode": status } }),
            CheckFound::Tcp(succeeded) => json!({ "tcp": { "succeeded": succeeded } }),
            CheckFound::Command(exit) => json!({ "command": { "exitCode": exit } }),
        };
    }
    for (key, place) in [
        ("region", &instance.agent.region),
        ("zone", &instance.agent.zone),
    ] {
        if let Some(place) = place {
            task[key] = (**place).into();
        }
    }
    task
}

/// Which check of the app is the one whose result is only shown, when it has one: it comes after the readiness checks.
fn reported(record: &ObjectRecord) -> Option<usize> {
    let service = as_service(record)?;
    let mut containers = service.template.containers.iter();
    let container = containers.find(|container| container.checks.report.is_some())?;
    Some(container.checks.ready().len())
}

/// One result for each health check, as soon as one of them has spoken. Those that have not are not alive: clients such as
/// marathon-lb look whether all are.
fn health_results(instance: &InstanceRecord, world: &World<'_>) -> Vec<Value> {
    let many = instance.findings.as_ref().map(|found| &found.health);
    if let Some(many) = many.filter(|many| !many.is_empty()) {
        return many.iter().map(|told| health(instance, *told)).collect();
    }
    let told = instance.healthy.map(|alive| HealthVerdict {
        alive,
        failures: u32::from(!alive),
        changed_at: instance.health_changed_at.unwrap_or(world.now),
    });
    told.map(|told| health(instance, Some(told)))
        .into_iter()
        .collect()
}

/// The agent tells verdicts only when they change, so that times are those of the last change.
fn health(instance: &InstanceRecord, told: Option<HealthVerdict>) -> Value {
    let id = instance
        .id
        .rsplit_once("._app")
        .map_or(&*instance.id, |(id, _)| id);
    let mut result = json!({
        "alive": told.is_some_and(|told| told.alive),
        "consecutiveFailures": told.map_or(0, |told| told.failures),
        "instanceId": id,
    });
    let Some(told) = told else {
        return result;
    };
    let at = zulu(told.changed_at);
    if told.alive {
        result["firstSuccess"] = at.clone().into();
        result["lastSuccess"] = at.into();
    } else {
        result["lastFailure"] = at.into();
        result["lastFailureCause"] = (*instance.message).into();
    }
    result
}

/// The tasks of services, or of one app, or of those below a group.
fn found<'w>(
    world: &World<'w>,
    wanted: impl Fn(&Name) -> bool,
) -> Vec<(&'w ObjectRecord, &'w InstanceRecord)> {
    let standing = Standing::of_all(world);
    let mut list = Vec::new();
    for record in world.of_kind(Kind::Service) {
        if wanted(&record.name) {
            let instances = standing.instances(record.key);
            list.extend(instances.iter().map(|instance| (record, &***instance)));
        }
    }
    list
}

fn listed(world: &World<'_>, tasks: &[(&ObjectRecord, &InstanceRecord)]) -> Value {
    tasks
        .iter()
        .map(|(record, instance)| task(world, record, instance))
        .collect()
}

/// `/v2/tasks` and `/v2/tasks/delete`.
pub(super) fn handle(
    request: &Request,
    world: &World<'_>,
    parts: &[&str],
) -> Result<Outcome, Answer> {
    match parts {
        [] => {
            allow(request, &["GET"])?;
            let states: Vec<&str> = request
                .parameters("status")
                .chain(request.parameters("status[]"))
                .collect();
            let mut tasks = found(world, |_| true);
            tasks.retain(|(_, instance)| has_state(instance, &states));
            if wants_text(request) {
                return Ok(Answer::text("text/plain", as_text(world, |_| true)).into());
            }
            Ok(Answer::json(json!({ "tasks": listed(world, &tasks) })).into())
        }
        ["delete"] => {
            allow(request, &["POST"])?;
            let body = request.json().map_err(|error| errors::no_json(&error))?;
            let ids = body.as_ref().and_then(|body| body.get("ids")?.as_array());
            let ids: Option<Vec<String>> = ids.and_then(|ids| {
                ids.iter()
                    .map(|id| id.as_str().map(str::to_owned))
                    .collect()
            });
            let Some(ids) = ids else {
                return Err(errors::invalid_at("/ids", "a list of task ids is wanted"));
            };
            if let Some(bad) = ids.iter().find(|id| app_of(id).is_none()) {
                let message = format!(
                    "Invalid task id '{bad}'. A task id looks like app.instance-UUID._app.1"
                );
                return Err(Answer::message(400, message));
            }
            kill(
                request,
                world,
                |instance| ids.iter().any(|id| is_id(instance, id)),
                false,
            )
        }
        _ => Err(nothing_here(request)),
    }
}

/// By the task's id, or by the instance's, which lacks the end.
fn is_id(instance: &InstanceRecord, id: &str) -> bool {
    *instance.id == *id || instance.id.strip_prefix(id) == Some("._app.1")
}

fn has_state(instance: &InstanceRecord, states: &[&str]) -> bool {
    let word = match instance.state {
        TaskState::TaskRunning => "running",
        TaskState::TaskStaging | TaskState::TaskStarting => "staging",
        _ => "",
    };
    states.is_empty() || states.contains(&word)
}

fn wants_text(request: &Request) -> bool {
    request.accepts("text/plain") && !request.accepts("application/json")
}

/// For load balancers: one line for each port of an app.
fn as_text(world: &World<'_>, wanted: impl Fn(&Name) -> bool) -> String {
    let standing = Standing::of_all(world);
    let mut text = String::new();
    for record in world.of_kind(Kind::Service).filter(|own| wanted(&own.name)) {
        let flat = record.name.as_str()[1..].replace('/', "_");
        let running: Vec<_> = standing
            .instances(record.key)
            .iter()
            .filter(|instance| instance.state == TaskState::TaskRunning)
            .collect();
        let ports = service_ports(record);
        if ports.is_empty() {
            let hosts = running
                .iter()
                .map(|instance| format!("{}\t", instance.agent.hostname));
            let hosts: String = hosts.collect();
            writeln!(text, "{flat}\t \t{hosts}").expect("a string takes all that is written");
        }
        for (index, port) in ports.iter().enumerate() {
            let ends: String = running
                .iter()
                .filter_map(|instance| {
                    let port = instance.ports.get(index)?;
                    Some(format!("{}:{port}\t", instance.agent.hostname))
                })
                .collect();
            writeln!(text, "{flat}\t{port}\t{ends}").expect("a string takes all that is written");
        }
    }
    text
}

/// `/v2/apps/ID/tasks` and `/v2/apps/ID/tasks/TASK`; `ID/*` is all below a group.
pub(super) fn of_app(
    request: &Request,
    world: &World<'_>,
    id: &[&str],
    task: Option<&str>,
) -> Result<Outcome, Answer> {
    let (id, below) = match id {
        [group @ .., "*"] => (group, true),
        id => (id, false),
    };
    let allowed: &[&str] = if task.is_some() {
        &["DELETE"]
    } else {
        &["GET", "DELETE"]
    };
    allow(request, allowed)?;
    let path = format!("/{}", id.join("/"));
    let name = Name::new(&path).map_err(|_| errors::no_app(&path))?;
    if !below && world.object(Kind::Service, &name).is_none() {
        return Err(errors::no_app(&path));
    }
    let is_wanted = |own: &Name| {
        if below {
            own.is_within(&name)
        } else {
            *own == name
        }
    };
    if request.method == "DELETE" {
        let host = request.parameter("host").filter(|host| *host != "*");
        let picks = |instance: &InstanceRecord| {
            let record = world.object_at(instance.object);
            record.is_some_and(|record| is_wanted(&record.name))
                && task.is_none_or(|task| is_id(instance, task))
                && host.is_none_or(|host| host == &*instance.agent.hostname)
        };
        return kill(request, world, picks, task.is_some());
    }
    if wants_text(request) {
        return Ok(Answer::text("text/plain", as_text(world, is_wanted)).into());
    }
    let tasks = found(world, is_wanted);
    Ok(Answer::json(json!({ "tasks": listed(world, &tasks) })).into())
}

/// Ends tasks. `wipe` would also end their volumes, of which there are none.
fn kill(
    request: &Request,
    world: &World<'_>,
    picks: impl Fn(&InstanceRecord) -> bool,
    single: bool,
) -> Result<Outcome, Answer> {
    let scale = request.flag("scale", false)?;
    let wipe = request.flag("wipe", false)?;
    request.flag("force", false)?;
    if scale && wipe {
        let message = "You cannot use scale and wipe at the same time.";
        return Err(Answer::message(400, message));
    }
    let mut tasks = found(world, |_| true);
    tasks.retain(|(_, instance)| picks(instance));
    let mut shown: Vec<Value> = tasks
        .iter()
        .map(|(record, instance)| task(world, record, instance))
        .collect();
    let object = tasks.first().map(|(record, _)| record.key);
    let Some(object) = object else {
        if single {
            return Err(Answer::message(404, "Task does not exist"));
        }
        return Ok(Answer::json(json!({ "tasks": [] })).into());
    };
    let call = Call::KillInstances {
        ids: tasks
            .iter()
            .map(|(_, instance)| instance.id.to_string())
            .collect(),
        scale_down: scale,
    };
    Ok(Outcome::call(
        call,
        move |reply: &Reply, world: &World<'_>| {
            if let Err(answer) = errors::applied(reply, world) {
                return answer.into();
            }
            if scale {
                let id = deployments::of_object(world, object);
                let id = id.unwrap_or_else(|| deployments::fresh(world, "scale"));
                let at = world
                    .object_at(object)
                    .map_or(world.now, |object| object.changed_at);
                return deployments::answer(200, &id, at).into();
            }
            let body = if single {
                json!({ "task": shown.pop() })
            } else {
                json!({ "tasks": shown })
            };
            Answer::json(body).into()
        },
    ))
}
