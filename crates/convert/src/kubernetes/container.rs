//! One container of a pod of Kubernetes as ours.

use mezz_spec::Kind;
use serde_json::{Map, Value, json};

use super::pod::{Volumes, files_of};
use super::probes::{check, patience, span};
use super::{Context, Meta};
use crate::fields::{Fields, text_of};
use crate::text::{cpus, size};

pub(super) fn container(
    mut fields: Fields<'_>,
    volumes: &Volumes,
    meta: &Meta,
    context: &mut Context<'_>,
) -> Value {
    let mut ours = json!({ "name": fields.text("name").unwrap_or_else(|| "main".into()) });
    if let Some(image) = fields.text("image") {
        ours["image"] = image.into();
    }
    let mut words: Vec<Value> = fields
        .list("command")
        .iter()
        .map(|word| text_of(word).into())
        .collect();
    words.extend(
        fields
            .list("args")
            .iter()
            .map(|word| Value::from(text_of(word))),
    );
    if !words.is_empty() {
        ours["command"] = words.into();
    }
    let env = env(&mut fields, meta, context);
    if !env.is_empty() {
        ours["env"] = Value::Object(env);
    }
    resources(&mut fields, &mut ours, context);
    ports(&mut fields, &mut ours, context);
    checks(&mut fields, &mut ours, context);
    let files = mounts(&mut fields, volumes, context);
    if !files.is_empty() {
        ours["files"] = files.into();
    }
    if let Some(mut cycle) = fields.inner("lifecycle") {
        if let Some(mut stop) = cycle.inner("preStop") {
            if let Some(mut exec) = stop.inner("exec") {
                let words: Vec<Value> = exec
                    .list("command")
                    .iter()
                    .map(|word| text_of(word).into())
                    .collect();
                exec.finish(&mut context.notes);
                ours["pre_stop"] = json!({ "command": words, "timeout": "30s" });
            }
            if let Some(mut get) = stop.inner("httpGet") {
                let scheme = get.text("scheme").unwrap_or_else(|| "http".into());
                ours["pre_stop"] = json!({
                    "http": {
                        "port": get.take("port").cloned().unwrap_or_default(),
                        "path": get.text("path").unwrap_or_else(|| "/".into()),
                        "scheme": scheme.to_lowercase(),
                    },
                    "timeout": "30s",
                });
                get.finish(&mut context.notes);
            }
            stop.finish(&mut context.notes);
        }
        cycle.finish(&mut context.notes);
    }
    let why = "isolation of containers is not built yet";
    fields.refuse(&["securityContext"], why, &mut context.notes);
    fields.refuse(
        &["workingDir"],
        "a command begins in its sandbox: write cd into it",
        &mut context.notes,
    );
    fields.ignore(&[
        "imagePullPolicy",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "stdin",
        "tty",
    ]);
    fields.finish(&mut context.notes);
    ours
}

fn env(fields: &mut Fields<'_>, meta: &Meta, context: &mut Context<'_>) -> Map<String, Value> {
    let mut env = Map::new();
    let path = fields.path("envFrom");
    for (index, item) in fields.list("envFrom").iter().enumerate() {
        let path = format!("{path}/{index}");
        let prefix = item.get("prefix").map(text_of).unwrap_or_default();
        for (key, kind) in [("configMapRef", Kind::Config), ("secretRef", Kind::Secret)] {
            let theirs = item
                .get(key)
                .and_then(|source| source.get("name"))
                .map(text_of);
            let ours =
                theirs.and_then(|name| context.notes.name(meta.folder.as_ref(), &[&name], &path));
            if let Some(name) = ours {
                for (place, from) in files_of(kind, &name, &[], &path, context) {
                    env.insert(format!("{prefix}{place}"), from);
                }
            }
        }
    }
    let path = fields.path("env");
    for (index, item) in fields.list("env").iter().enumerate() {
        let mut entry = Fields::of(item, format!("{path}/{index}"));
        let name = entry.text("name").unwrap_or_default();
        let value = match entry.inner("valueFrom") {
            None => Some(entry.text("value").unwrap_or_default().into()),
            Some(source) => reference(source, meta, context),
        };
        entry.finish(&mut context.notes);
        if let Some(value) = value {
            env.insert(name, value);
        }
    }
    env
}

fn reference(mut source: Fields<'_>, meta: &Meta, context: &mut Context<'_>) -> Option<Value> {
    let mut found = None;
    for (key, kind) in [
        ("configMapKeyRef", Kind::Config),
        ("secretKeyRef", Kind::Secret),
    ] {
        if let Some(mut inner) = source.inner(key) {
            let path = inner.path("name");
            let theirs = inner.text("name").unwrap_or_default();
            let ours = context.notes.name(meta.folder.as_ref(), &[&theirs], &path);
            let entry = inner.text("key").unwrap_or_default();
            inner.ignore(&["optional"]);
            inner.finish(&mut context.notes);
            found =
                ours.map(|name| json!({ kind.word(): { "name": name.as_str(), "key": entry } }));
        }
    }
    let why = "facts about an instance are in its environment under names of ours";
    source.refuse(&["fieldRef", "resourceFieldRef"], why, &mut context.notes);
    source.finish(&mut context.notes);
    found
}

fn resources(fields: &mut Fields<'_>, ours: &mut Value, context: &mut Context<'_>) {
    let Some(mut theirs) = fields.inner("resources") else {
        return;
    };
    let mut read = |mut inner: Fields<'_>| {
        let mut amounts = json!({});
        for (key, word) in [
            ("cpu", "cpus"),
            ("memory", "mem"),
            ("ephemeral-storage", "disk"),
            ("nvidia.com/gpu", "gpus"),
        ] {
            let Some(text) = inner.text(key) else {
                continue;
            };
            let amount = match word {
                "cpus" => cpus(&text).map(Value::from),
                "gpus" => text.parse::<u32>().ok().map(Value::from),
                _ => size(&text).map(Value::from),
            };
            match amount {
                Some(amount) => amounts[word] = amount,
                None => context
                    .notes
                    .wrong(inner.path(key), format!("'{text}' is no amount")),
            }
        }
        inner.finish(&mut context.notes);
        amounts
    };
    let mut requests = theirs
        .inner("requests")
        .map_or_else(|| json!({}), &mut read);
    let mut limits = theirs.inner("limits").map_or_else(|| json!({}), &mut read);
    for key in ["cpus", "mem", "disk", "gpus"] {
        if requests.get(key).is_none()
            && let Some(limit) = limits.get(key)
        {
            requests[key] = limit.clone();
        }
    }
    if let Some(limits) = limits.as_object_mut() {
        limits.remove("disk");
        limits.remove("gpus");
        if !limits.is_empty() {
            requests["limits"] = Value::Object(limits.clone());
        }
    }
    theirs.finish(&mut context.notes);
    ours["resources"] = requests;
}

fn ports(fields: &mut Fields<'_>, ours: &mut Value, context: &mut Context<'_>) {
    let path = fields.path("ports");
    let mut ports = Vec::new();
    for (index, item) in fields.list("ports").iter().enumerate() {
        let mut port = Fields::of(item, format!("{path}/{index}"));
        let number = port.number("containerPort").unwrap_or_default();
        let name = port
            .text("name")
            .unwrap_or_else(|| format!("port-{number}"));
        let protocol = port
            .text("protocol")
            .unwrap_or_else(|| "TCP".into())
            .to_lowercase();
        let mut one = json!({ "name": name, "container_port": number, "protocol": protocol });
        if let Some(host) = port.number("hostPort") {
            one["host_port"] = host.into();
        }
        port.refuse(
            &["hostIP"],
            "a port is taken on all addresses of its host",
            &mut context.notes,
        );
        port.finish(&mut context.notes);
        ports.push(one);
    }
    if !ports.is_empty() {
        ours["ports"] = ports.into();
    }
}

fn checks(fields: &mut Fields<'_>, ours: &mut Value, context: &mut Context<'_>) {
    let notes = &mut context.notes;
    let patience = fields
        .inner("startupProbe")
        .map(|probe| patience(probe, notes));
    let mut checks = json!({});
    for (key, word) in [("livenessProbe", "health"), ("readinessProbe", "ready")] {
        if let Some(mut check) = fields.inner(key).and_then(|probe| check(probe, notes)) {
            if let Some(seconds) = patience {
                check["grace"] = span(seconds);
            }
            checks[word] = check;
        }
    }
    if checks.as_object().is_some_and(|checks| !checks.is_empty()) {
        ours["checks"] = checks;
    }
}

fn mounts(fields: &mut Fields<'_>, volumes: &Volumes, context: &mut Context<'_>) -> Vec<Value> {
    let path = fields.path("volumeMounts");
    let mut files = Vec::new();
    for (index, item) in fields.list("volumeMounts").iter().enumerate() {
        let path = format!("{path}/{index}");
        let mut mount = Fields::of(item, &path);
        let name = mount.text("name").unwrap_or_default();
        let place = mount.text("mountPath").unwrap_or_default();
        let only = mount.text("subPath");
        mount.ignore(&["readOnly"]);
        mount.finish(&mut context.notes);
        let inside = place.trim_matches('/');
        let all = volumes.get(&name).map_or(&[][..], Vec::as_slice);
        if !all.is_empty() {
            context.notes.drop(
                &path,
                format!("files come into the sandbox: {place} becomes {inside}"),
            );
        }
        for (file, from) in all {
            match &only {
                Some(only) if only == file => files.push(json!({ "path": inside, "from": from })),
                Some(_) => {}
                None => files.push(json!({ "path": format!("{inside}/{file}"), "from": from })),
            }
        }
    }
    files
}
