//! A container of ours as Kubernetes writes it.

use mezz_spec::Name;
use serde_json::{Map, Value, json};

use super::seconds;
use crate::fields::{Fields, text_of};
use crate::notes::Notes;

pub(super) fn container(mut fields: Fields<'_>, notes: &mut Notes) -> Value {
    let mut theirs = json!({ "name": fields.text("name").unwrap_or_else(|| "main".into()) });
    match fields.take("image") {
        Some(image) => theirs["image"] = image.clone(),
        None => notes.drop(
            fields.path("image"),
            "a container of Kubernetes needs an image: add one",
        ),
    }
    match fields.take("command") {
        Some(Value::String(text)) => theirs["command"] = json!(["/bin/sh", "-c", text]),
        Some(words) => theirs["command"] = words.clone(),
        None => {}
    }
    let mut env = Vec::new();
    for (name, value) in fields
        .take("env")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        env.push(variable(name, value));
    }
    if !env.is_empty() {
        theirs["env"] = env.into();
    }
    theirs["resources"] = resources(fields.inner("resources"), notes);
    let path = fields.path("ports");
    let mut ports = Vec::new();
    for (index, port) in fields.list("ports").iter().enumerate() {
        let mut port = Fields::of(port, format!("{path}/{index}"));
        let name = port.text("name").unwrap_or_default();
        let host = port.number("host_port");
        let protocol = port
            .text("protocol")
            .unwrap_or_else(|| "tcp".into())
            .to_uppercase();
        port.ignore(&["service_port"]);
        match port.number("container_port").or(host) {
            Some(number) => {
                let mut one =
                    json!({ "name": name, "containerPort": number, "protocol": protocol });
                if let Some(host) = host {
                    one["hostPort"] = host.into();
                }
                ports.push(one);
            }
            None => notes.drop(
                port.path("name"),
                "a port that is picked at the start has no number to write",
            ),
        }
        port.finish(notes);
    }
    if !ports.is_empty() {
        theirs["ports"] = ports.into();
    }
    if let Some(mut checks) = fields.inner("checks") {
        for (word, key) in [("health", "livenessProbe"), ("ready", "readinessProbe")] {
            let mut all = checks.inners(word).into_iter();
            if let Some(check) = all.next() {
                theirs[key] = probe(check, notes);
            }
            for other in all {
                notes.drop(
                    other.path_of_all(),
                    "a container has one probe of each kind",
                );
            }
        }
        checks.finish(notes);
    }
    if let Some(mut stop) = fields.inner("pre_stop") {
        let action = match (stop.inner("http"), stop.take("command")) {
            (Some(http), _) => json!({ "httpGet": http_get(http, notes) }),
            (None, Some(Value::String(text))) => {
                json!({ "exec": { "command": ["/bin/sh", "-c", text] } })
            }
            (None, other) => json!({ "exec": { "command": other.cloned().unwrap_or_default() } }),
        };
        theirs["lifecycle"] = json!({ "preStop": action });
        stop.ignore(&["timeout"]);
        stop.finish(notes);
    }
    fields.finish(notes);
    theirs
}

fn variable(name: &str, value: &Value) -> Value {
    for (word, key) in [("secret", "secretKeyRef"), ("config", "configMapKeyRef")] {
        if let Some(source) = value.get(word) {
            let object = source
                .get("name")
                .and_then(Value::as_str)
                .and_then(|name| Name::new(name).ok());
            let last = object.as_ref().map_or("", Name::last);
            let entry = source.get("key").map(text_of).unwrap_or_default();
            return json!({ "name": name, "valueFrom": { key: { "name": last, "key": entry } } });
        }
    }
    json!({ "name": name, "value": value })
}

fn resources(fields: Option<Fields<'_>>, notes: &mut Notes) -> Value {
    let mut requests = Map::new();
    let mut all = json!({});
    let amounts = |fields: &mut Fields<'_>| {
        let cpus = fields
            .take("cpus")
            .and_then(Value::as_f64)
            .map(|cpus| format!("{}m", (cpus * 1_000.0).round()));
        let mem = fields
            .take("mem")
            .and_then(Value::as_f64)
            .map(|mem| format!("{}Ki", (mem * 1_024.0).round()));
        (cpus, mem)
    };
    let (mut cpus, mut mem) = (None, None);
    if let Some(mut fields) = fields {
        (cpus, mem) = amounts(&mut fields);
        if let Some(mut limits) = fields.inner("limits") {
            let (cpus, mem) = amounts(&mut limits);
            let pairs = [("cpu", cpus), ("memory", mem)].into_iter();
            let limits: Map<String, Value> = pairs
                .filter_map(|(key, text)| Some((key.into(), text?.into())))
                .collect();
            all["limits"] = Value::Object(limits);
        }
        if let Some(gpus) = fields.take("gpus") {
            all["limits"]["nvidia.com/gpu"] = gpus.clone();
        }
        if let Some(disk) = fields.take("disk").and_then(Value::as_f64) {
            requests.insert(
                "ephemeral-storage".into(),
                format!("{}Ki", (disk * 1_024.0).round()).into(),
            );
        }
        fields.finish(notes);
    }
    requests.insert("cpu".into(), cpus.unwrap_or_else(|| "100m".into()).into());
    requests.insert("memory".into(), mem.unwrap_or_else(|| "32Mi".into()).into());
    all["requests"] = Value::Object(requests);
    all
}

fn probe(mut check: Fields<'_>, notes: &mut Notes) -> Value {
    let whole = |fields: &mut Fields<'_>, key: &str, default: &str| {
        seconds(&fields.text(key).unwrap_or_else(|| default.into()))
    };
    let mut probe = json!({
        "periodSeconds": whole(&mut check, "interval", "10s"),
        "timeoutSeconds": whole(&mut check, "timeout", "5s"),
        "initialDelaySeconds": whole(&mut check, "delay", "0s") + whole(&mut check, "grace", "10s"),
        "failureThreshold": check.number("failures").unwrap_or(3),
    });
    if let Some(http) = check.inner("http") {
        probe["httpGet"] = http_get(http, notes);
    }
    if let Some(mut tcp) = check.inner("tcp") {
        probe["tcpSocket"] = json!({ "port": tcp.take("port").cloned().unwrap_or_default() });
    }
    match check.take("command") {
        Some(Value::String(text)) => probe["exec"] = json!({ "command": ["/bin/sh", "-c", text] }),
        Some(words) => probe["exec"] = json!({ "command": words }),
        None => {}
    }
    check.finish(notes);
    probe
}

fn http_get(mut http: Fields<'_>, notes: &mut Notes) -> Value {
    let scheme = http
        .text("scheme")
        .unwrap_or_else(|| "http".into())
        .to_uppercase();
    let get = json!({
        "port": http.take("port").cloned().unwrap_or_default(),
        "path": http.text("path").unwrap_or_else(|| "/".into()),
        "scheme": scheme,
    });
    http.finish(notes);
    get
}
