//! An app as it is answered: as it was given, or, where no app was given or the service was changed by other means, as its
//! service reads.

use mezz_spec::placement::{Key, Operator, Placement};
use mezz_spec::quantity::{Share, Span};
use mezz_spec::service::{KillOrder, Replicas, Service, Strategy, Unreachable, Wait};
use mezz_spec::template::{Check, Command, Container, PortRef, Scheme};
use mezz_spec::{Name, Spec};
use mezz_workload::records::{ObjectRecord, Status};
use serde_json::{Map, Value, json};

use super::{APP, ports};
use crate::secrets;
use crate::world::as_service;

/// How many instances a service wants.
pub(crate) fn instances_of(record: &ObjectRecord) -> u32 {
    match (
        as_service(record).map(|service| &service.replicas),
        &record.status,
    ) {
        (Some(Replicas::Count(count)), _) => *count,
        (_, Status::Service(status)) => status.wanted,
        _ => 0,
    }
}

/// The app of a service, without what its instances make of it.
pub(crate) fn shown(name: &Name, spec: &Spec) -> Option<Value> {
    let Spec::Service(service) = spec else {
        return None;
    };
    Some(given(name, service).unwrap_or_else(|| made(service)))
}

/// The app as it was given, when the service is still what was made of it.
fn given(name: &Name, service: &Service) -> Option<Value> {
    let mut app: Value = serde_json::from_str(service.annotations.get(APP)?).ok()?;
    if let Replicas::Count(count) = service.replicas {
        app["instances"] = count.into();
    }
    let object = super::object_of(name, &app).ok()?;
    let Spec::Service(mut again) = object.spec else {
        return None;
    };
    again.annotations.clone_from(&service.annotations);
    (*again == *service).then_some(app)
}

/// An app that would make such a service, as far as Marathon can say it.
fn made(service: &Service) -> Value {
    let mut app = Map::new();
    if let Some(container) = service.template.containers.first() {
        of_container(container, &mut app);
    }
    if let Replicas::Count(count) = service.replicas {
        app.insert("instances".into(), count.into());
    }
    let placement = constraints(&service.placement);
    if !placement.is_empty() {
        app.insert("constraints".into(), placement.into());
    }
    if let Strategy::Rolling(rolling) = &service.update.strategy {
        app.insert(
            "upgradeStrategy".into(),
            json!({
                "minimumHealthCapacity": 1.0 - part(rolling.max_unavailable, service),
                "maximumOverCapacity": part(rolling.max_surge, service),
            }),
        );
    }
    app.insert("backoffSeconds".into(), seconds(service.restart.initial));
    app.insert("backoffFactor".into(), decimal(service.restart.factor.0));
    app.insert("maxLaunchDelaySeconds".into(), seconds(service.restart.max));
    app.insert(
        "unreachableStrategy".into(),
        unreachable(&service.unreachable),
    );
    let order = match service.kill_order {
        KillOrder::YoungestFirst => "YOUNGEST_FIRST",
        KillOrder::OldestFirst => "OLDEST_FIRST",
    };
    app.insert("killSelection".into(), order.into());
    app.insert(
        "taskKillGracePeriodSeconds".into(),
        seconds(service.template.kill.grace),
    );
    let texts = [("user", &service.template.user), ("role", &service.role)];
    for (key, text) in texts {
        if let Some(text) = text {
            app.insert(key.into(), text.as_str().into());
        }
    }
    if !service.after.is_empty() {
        let after: Vec<Value> = service
            .after
            .iter()
            .map(|name| name.as_str().into())
            .collect();
        app.insert("dependencies".into(), after.into());
    }
    Value::Object(app)
}

fn decimal(thousandths: u64) -> Value {
    (thousandths as f64 / 1_000.0).into()
}

fn seconds(span: Span) -> Value {
    if span.0.is_multiple_of(1_000) {
        (span.0 / 1_000).into()
    } else {
        decimal(span.0)
    }
}

fn part(share: Share, service: &Service) -> f64 {
    let part = match (share, &service.replicas) {
        (Share::Percent(percent), _) => f64::from(percent) / 100.0,
        (Share::Count(count), Replicas::Count(all)) if *all > 0 => {
            f64::from(count) / f64::from(*all)
        }
        (Share::Count(count), _) => f64::from(count.min(1)),
    };
    part.clamp(0.0, 1.0)
}

fn of_container(container: &Container, app: &mut Map<String, Value>) {
    match &container.command {
        Some(Command::Shell(text)) => app.insert("cmd".into(), text.as_str().into()),
        Some(Command::Words(words)) => app.insert("args".into(), words.clone().into()),
        None => None,
    };
    let resources = &container.resources;
    app.insert("cpus".into(), decimal(resources.cpus.0));
    app.insert("mem".into(), decimal(resources.mem.mebibytes_thousandths()));
    app.insert(
        "disk".into(),
        decimal(resources.disk.mebibytes_thousandths()),
    );
    app.insert("gpus".into(), resources.gpus.into());
    environment(container, app);
    let fetch: Vec<Value> = container
        .artifacts
        .iter()
        .map(|artifact| {
            json!({
                "uri": artifact.uri,
                "extract": artifact.extract,
                "executable": artifact.executable,
                "cache": artifact.cache,
            })
        })
        .collect();
    if !fetch.is_empty() {
        app.insert("fetch".into(), fetch.into());
    }
    let definitions: Vec<Value> = container
        .ports
        .iter()
        .map(|port| {
            json!({
                "port": port.service_port.or(port.host_port).unwrap_or(0),
                "name": port.name,
                "protocol": ports::protocol(port.protocol),
                "labels": port.labels,
            })
        })
        .collect();
    app.insert("portDefinitions".into(), definitions.into());
    if container.ports.iter().any(|port| port.host_port.is_some()) {
        app.insert("requirePorts".into(), true.into());
    }
    let checks = &container.checks;
    let shown = checks.health().iter().map(|check| health(check, container));
    let shown: Vec<Value> = shown.collect();
    if !shown.is_empty() {
        app.insert("healthChecks".into(), shown.into());
    }
    let shown: Vec<Value> = checks.ready().iter().filter_map(readiness).collect();
    if !shown.is_empty() {
        app.insert("readinessChecks".into(), shown.into());
    }
}

fn environment(container: &Container, app: &mut Map<String, Value>) {
    let mut secrets = Map::new();
    let env = secrets::environment(container, &mut secrets);
    if !env.is_empty() {
        app.insert("env".into(), Value::Object(env));
    }
    if !secrets.is_empty() {
        app.insert("secrets".into(), Value::Object(secrets));
    }
}

fn health(check: &Check, container: &Container) -> Value {
    let mut shown = json!({
        "intervalSeconds": seconds(check.interval),
        "timeoutSeconds": seconds(check.timeout),
        "delaySeconds": seconds(check.delay),
        "gracePeriodSeconds": seconds(check.grace),
        "maxConsecutiveFailures": check.failures,
    });
    let mut port = |reference: &PortRef| match reference {
        PortRef::Number(number) => shown["port"] = (*number).into(),
        PortRef::Name(name) => {
            let index = container.ports.iter().position(|port| port.name == *name);
            shown["portIndex"] = index.unwrap_or(0).into();
        }
    };
    let protocol = if let Some(http) = &check.http {
        port(&http.port);
        shown["path"] = http.path.as_str().into();
        match http.scheme {
            Scheme::Http => "MESOS_HTTP",
            Scheme::Https => "MESOS_HTTPS",
        }
    } else if let Some(tcp) = &check.tcp {
        port(&tcp.port);
        "MESOS_TCP"
    } else {
        let text = match &check.command {
            Some(Command::Shell(text)) => text.clone(),
            Some(Command::Words(words)) => words.join(" "),
            None => String::new(),
        };
        shown["command"] = json!({ "value": text });
        "COMMAND"
    };
    shown["protocol"] = protocol.into();
    shown
}

/// Marathon knows readiness checks over HTTP and of named ports.
fn readiness(check: &Check) -> Option<Value> {
    let http = check.http.as_ref()?;
    let PortRef::Name(port) = &http.port else {
        return None;
    };
    let protocol = match http.scheme {
        Scheme::Http => "HTTP",
        Scheme::Https => "HTTPS",
    };
    let mut shown = json!({
        "protocol": protocol,
        "path": http.path,
        "portName": port,
        "intervalSeconds": seconds(check.interval),
        "timeoutSeconds": seconds(check.timeout),
    });
    if !http.statuses.is_empty() {
        shown["httpStatusCodesForReady"] = json!(http.statuses);
    }
    Some(shown)
}

fn constraints(placement: &Placement) -> Vec<Value> {
    let field = |key: &Key| match key {
        Key::Region | Key::Zone => format!("@{}", String::from(key.clone())),
        key => String::from(key.clone()),
    };
    let mut list = Vec::new();
    for rule in &placement.require {
        let operator = match (rule.op, rule.values.as_slice()) {
            (Operator::In, [_]) => "IS",
            (Operator::Matches, [_]) => "LIKE",
            (Operator::NotMatches, [_]) => "UNLIKE",
            _ => continue,
        };
        list.push(json!([field(&rule.key), operator, rule.values[0]]));
    }
    for spread in &placement.spread {
        let key = field(&spread.key);
        match (spread.max_per, spread.max_skew, spread.expected) {
            (Some(1), ..) => list.push(json!([key, "UNIQUE"])),
            (Some(most), ..) => list.push(json!([key, "MAX_PER", most.to_string()])),
            (None, Some(_), Some(all)) => list.push(json!([key, "GROUP_BY", all.to_string()])),
            (None, Some(_), None) => list.push(json!([key, "GROUP_BY"])),
            (None, None, _) => {}
        }
    }
    list.extend(
        placement
            .same
            .iter()
            .map(|key| json!([field(key), "CLUSTER"])),
    );
    list
}

fn unreachable(rules: &Unreachable) -> Value {
    match (rules.replace_after, rules.expunge_after) {
        (Wait::Never(_), _) => "disabled".into(),
        (Wait::Span(replace), expunge) => {
            let expunge = match expunge {
                Wait::Span(span) => seconds(span),
                Wait::Never(_) => json!(i32::MAX),
            };
            json!({ "inactiveAfterSeconds": seconds(replace), "expungeAfterSeconds": expunge })
        }
    }
}
