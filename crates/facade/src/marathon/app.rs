//! Marathon's apps as our services: an app as it was given is kept beside the spec that was made of it, so that it is
//! answered as it was given for as long as nobody has changed the service otherwise.

mod checks;
mod constraints;
mod policies;
mod ports;
mod shown;
mod template;
mod written;

pub(crate) use policies::resolve;
pub(crate) use shown::{instances_of, shown};
pub(crate) use written::{ServicePorts, Written};

use std::collections::BTreeMap;

use mezz_spec::service::{OnMaterialChange, Replicas, Service, Strategy, Update};
use mezz_spec::{Name, Object, Spec};
use mezz_workload::records::ObjectRecord;
use serde_json::{Map, Value};

use crate::reading::{Fault, Faults, Members};

/// Where the app as it was given is kept.
pub(crate) const APP: &str = "marathon/app";

/// Members that Marathon answers and clients send back.
const ANSWERED: [&str; 14] = [
    "id",
    "version",
    "versionInfo",
    "tasks",
    "tasksStaged",
    "tasksRunning",
    "tasksHealthy",
    "tasksUnhealthy",
    "tasksStats",
    "deployments",
    "lastTaskFailure",
    "readinessCheckResults",
    "pods",
    "taskStats",
];

/// Makes a service of an app that has been cleaned. All faults are told.
pub(crate) fn object_of(name: &Name, app: &Value) -> Result<Object, Vec<Fault>> {
    let faults = Faults::dropping();
    let object = read(name, app, &faults);
    if !faults.is_empty() {
        return Err(faults.into_list());
    }
    let object = object.ok_or_else(Vec::new)?;
    let told = crate::reading::faults_of(&object);
    if told.is_empty() {
        return Ok(object);
    }
    Err(told.iter().map(of_spec).collect())
}

/// The members of an app that Marathon drops, for those who want to tell of them. Of an app that cannot be read: none.
pub fn unknown_members(app: &Value) -> Vec<Fault> {
    let faults = Faults::default();
    let Ok(app) = written::clean(app.clone()) else {
        return Vec::new();
    };
    let name = Name::new("/app").expect("it is a name");
    read(&name, &Value::Object(app), &faults);
    faults.into_unknown()
}

/// A fault of the spec that was made, with the path of our own object: it names what is wrong, if not where.
fn of_spec(fault: &mezz_spec::Fault) -> Fault {
    let message = match &fault.hint {
        Some(hint) => format!("{}; {hint}", fault.message),
        None => fault.message.clone(),
    };
    let path = fault
        .path
        .strip_prefix("/spec/template/containers/0")
        .or_else(|| fault.path.strip_prefix("/spec"))
        .unwrap_or(&fault.path);
    Fault {
        path: path.to_owned(),
        message,
    }
}

fn read(name: &Name, app: &Value, faults: &Faults) -> Option<Object> {
    let members = Members::new(app, "", faults)?;
    members.pass(&ANSWERED);
    let labels = members.pairs("labels").unwrap_or_default();
    let ports = ports::read(&members);
    let mut container = template::container(&members, name, &labels);
    container.checks = checks::read(&members, &ports);
    container.ports = ports;
    let template = template::template(&members, container);
    let service = Service {
        replicas: Replicas::Count(
            members
                .whole("instances", u64::from(u32::MAX))
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(1),
        ),
        template,
        placement: constraints::read(&members),
        update: Update {
            strategy: Strategy::Rolling(policies::rolling(&members)),
            ..policies::update()
        },
        restart: policies::backoff(&members),
        unreachable: policies::unreachable(&members),
        kill_order: policies::kill_order(&members),
        on_material_change: OnMaterialChange::Keep,
        priority: 0,
        role: members.text("role").map(str::to_owned),
        after: policies::dependencies(&members, name),
        disruption: None,
        annotations: BTreeMap::from([(APP.to_owned(), app.to_string())]),
    };
    unsupported(&members);
    members.finish();
    Some(Object {
        name: name.clone(),
        labels,
        spec: Spec::Service(Box::new(service)),
        generation: None,
    })
}

/// What has no counterpart yet is refused, rather than dropped.
fn unsupported(members: &Members<'_>) {
    members.not_built("residency", "persistent volumes are");
    members.not_built("ipAddress", "container networks are");
    members.not_built("tty", "terminals of tasks are");
    members.not_built("storeUrls", "stores of artifacts are");
    members.not_built("taskRateLimit", "rate limits of tasks are");
    if let Some(executor) = members.text("executor")
        && !matches!(executor, "" | "//cmd")
    {
        members.tell("executor", "executors of apps are not built; leave it out");
    }
    if let Some(roles) = members.texts("acceptedResourceRoles") {
        let own = members.text("role").unwrap_or("*");
        if roles.iter().any(|role| role != "*" && role != own) {
            let message = "the role of an app's resources is its own or '*'; leave it out";
            members.tell("acceptedResourceRoles", message);
        }
    }
    // Apps run as command tasks, whose executor is the agent: it takes no resources of its own.
    members.pass(&["executorResources"]);
    if let Some(networks) = members.objects("networks") {
        for network in &networks {
            if network.text("mode").is_none_or(|mode| mode != "host") {
                network.tell(
                    "mode",
                    "container networks are not built yet; write \"host\"",
                );
            }
            network.pass(&["name", "labels"]);
            network.finish();
        }
    }
}

/// What an app calls its readiness checks, in order.
pub(crate) fn check_names(record: &ObjectRecord) -> Vec<String> {
    let app = shown(&record.name, &record.spec).unwrap_or_default();
    let checks = app["readinessChecks"].as_array();
    let name = |check: &Value| {
        check["name"]
            .as_str()
            .unwrap_or("readinessCheck")
            .to_owned()
    };
    checks.into_iter().flatten().map(name).collect()
}

/// A member of a map that is sure to be an object.
pub(crate) fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was just made one")
}
