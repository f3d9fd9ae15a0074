//! Our objects as a Compose file.

use mezz_spec::{Name, Object, Spec};
use serde_json::{Map, Value, json};

use crate::Export;
use crate::fields::{Fields, text_of};
use crate::notes::Notes;

pub(crate) fn write(objects: &[Object]) -> Export {
    let mut notes = Notes::default();
    let mut file = json!({});
    for object in objects {
        let kind = object.spec.kind();
        notes.about(format!("{kind} {}", object.name));
        let value = object.to_sparse();
        let spec = Fields::of(&value["spec"], "/spec");
        let name = service_name(&object.name);
        let written = match &object.spec {
            Spec::Service(_) => service(object, spec, &mut notes),
            Spec::Job(_) => job(object, spec, &mut notes),
            Spec::Config(config) => {
                for (key, text) in &config.data {
                    file["configs"][format!("{name}-{key}")] = json!({ "content": text });
                }
                continue;
            }
            Spec::Secret(_) => {
                notes.drop("", "values of secrets are not written into files");
                continue;
            }
            Spec::Group(_) | Spec::Cron(_) | Spec::Dag(_) => {
                notes.drop("", format!("Compose has nothing like a {kind}"));
                continue;
            }
        };
        file["services"][name] = written;
    }
    Export {
        documents: vec![file],
        dropped: notes.dropped,
    }
}

fn service_name(name: &Name) -> String {
    name.components().collect::<Vec<_>>().join("-")
}

fn service(object: &Object, mut spec: Fields<'_>, notes: &mut Notes) -> Value {
    let mut ours = base(object, &mut spec, notes);
    ours["restart"] = "always".into();
    match spec.take("replicas") {
        None => {}
        Some(Value::String(_)) => ours["deploy"]["mode"] = "global".into(),
        Some(Value::Object(scale)) => {
            notes.drop(
                "/spec/replicas",
                "Compose does not scale by itself: the least number is written",
            );
            ours["deploy"]["replicas"] = scale.get("min").cloned().unwrap_or_default();
        }
        Some(count) => ours["deploy"]["replicas"] = count.clone(),
    }
    let after: Vec<Value> = spec
        .list("after")
        .iter()
        .filter_map(|name| Name::new(name.as_str()?).ok())
        .map(|name| service_name(&name).into())
        .collect();
    if !after.is_empty() {
        ours["depends_on"] = after.into();
    }
    spec.finish(notes);
    ours
}

fn job(object: &Object, mut spec: Fields<'_>, notes: &mut Notes) -> Value {
    let mut ours = base(object, &mut spec, notes);
    ours["restart"] = match spec.number("retries") {
        Some(count) if count > 0 => format!("on-failure:{count}").into(),
        _ => "no".into(),
    };
    spec.ignore(&["start"]);
    spec.finish(notes);
    ours
}

fn base(object: &Object, spec: &mut Fields<'_>, notes: &mut Notes) -> Value {
    let mut ours = json!({});
    if !object.labels.is_empty() {
        ours["labels"] = json!(object.labels);
    }
    let Some(mut template) = spec.inner("template") else {
        return ours;
    };
    if let Some(user) = template.text("user") {
        ours["user"] = user.into();
    }
    if let Some(mut kill) = template.inner("kill") {
        if let Some(grace) = kill.text("grace") {
            ours["stop_grace_period"] = grace.into();
        }
        kill.finish(notes);
    }
    let containers = template.path("containers");
    for (index, container) in template.list("containers").iter().enumerate().take(1) {
        self::container(
            Fields::of(container, format!("{containers}/{index}")),
            &mut ours,
            notes,
        );
    }
    template.finish(notes);
    ours
}

fn container(mut fields: Fields<'_>, ours: &mut Value, notes: &mut Notes) {
    fields.ignore(&["name"]);
    match fields.take("image") {
        Some(image) => ours["image"] = image.clone(),
        None => notes.drop(
            fields.path("image"),
            "a Compose service needs an image: add one",
        ),
    }
    match fields.take("command") {
        Some(Value::String(text)) => {
            ours["command"] = json!(["/bin/sh", "-c", text.replace('$', "$$")]);
        }
        Some(words) => ours["command"] = words.clone(),
        None => {}
    }
    if let Some(Value::Object(env)) = fields.take("env") {
        let mut plain = Map::new();
        for (key, value) in env {
            match value {
                Value::String(text) => {
                    plain.insert(key.clone(), text.replace('$', "$$").into());
                }
                _ => notes.drop(
                    format!("{}/{key}", fields.path("env")),
                    "Compose takes variables from no object",
                ),
            }
        }
        ours["environment"] = Value::Object(plain);
    }
    if let Some(mut resources) = fields.inner("resources") {
        if let Some(cpus) = resources.take("cpus") {
            ours["deploy"]["resources"]["reservations"]["cpus"] = text_of(cpus).into();
        }
        if let Some(mem) = resources.take("mem").and_then(Value::as_f64) {
            ours["mem_reservation"] = format!("{mem}m").into();
        }
        resources.finish(notes);
    }
    let path = fields.path("ports");
    let mut ports = Vec::new();
    for (index, port) in fields.list("ports").iter().enumerate() {
        let mut port = Fields::of(port, format!("{path}/{index}"));
        let name = port.text("name");
        let host = port.number("host_port");
        let target = port.number("container_port").or(host);
        let protocol = port.text("protocol").unwrap_or_else(|| "tcp".into());
        match target {
            Some(target) => {
                let mut long = json!({ "name": name, "target": target, "protocol": protocol });
                if let Some(host) = host {
                    long["published"] = host.to_string().into();
                }
                ports.push(long);
            }
            None => notes.drop(
                port.path("name"),
                "a port that is picked at the start has no number to write",
            ),
        }
        port.finish(notes);
    }
    if !ports.is_empty() {
        ours["ports"] = ports.into();
    }
    if let Some(mut checks) = fields.inner("checks") {
        let mut all = checks.inners("health").into_iter();
        if let Some(health) = all.next() {
            healthcheck(health, ours, notes);
        }
        for other in all {
            notes.drop(other.path_of_all(), "a container has one health check");
        }
        checks.finish(notes);
    }
    fields.finish(notes);
}

fn healthcheck(mut check: Fields<'_>, ours: &mut Value, notes: &mut Notes) {
    let why = "a check of Compose is a command in the container";
    check.refuse(&["http", "tcp", "delay"], why, notes);
    let command = check.take("command");
    let mut theirs =
        json!({ "interval": "10s", "timeout": "5s", "start_period": "10s", "retries": 3 });
    for (key, word) in [
        ("interval", "interval"),
        ("timeout", "timeout"),
        ("grace", "start_period"),
        ("failures", "retries"),
    ] {
        if let Some(value) = check.take(key) {
            theirs[word] = value.clone();
        }
    }
    check.finish(notes);
    match command {
        Some(Value::String(text)) => theirs["test"] = json!(["CMD-SHELL", text]),
        Some(Value::Array(words)) => {
            theirs["test"] = std::iter::once(&json!("CMD"))
                .chain(words)
                .cloned()
                .collect();
        }
        _ => return,
    }
    ours["healthcheck"] = theirs;
}
