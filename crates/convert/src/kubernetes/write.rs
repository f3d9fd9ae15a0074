//! Our objects as manifests.

mod container;

use mezz_spec::{Object, Spec};
use serde_json::{Value, json};

use container::container;

use crate::Export;
use crate::fields::{Fields, text_of};
use crate::notes::Notes;

pub(crate) fn write(objects: &[Object]) -> Export {
    let mut notes = Notes::default();
    let mut documents = Vec::new();
    for object in objects {
        let kind = object.spec.kind();
        notes.about(format!("{kind} {}", object.name));
        let value = object.to_sparse();
        let spec = Fields::of(&value["spec"], "/spec");
        match &object.spec {
            Spec::Service(_) => documents.extend(service(object, spec, &mut notes)),
            Spec::Job(_) => {
                let spec = job(object, spec, &mut notes);
                documents.push(manifest("batch/v1", "Job", object, json!({ "spec": spec })));
            }
            Spec::Cron(_) => documents.extend(cron(object, spec, &mut notes)),
            Spec::Config(config) => {
                documents.push(manifest(
                    "v1",
                    "ConfigMap",
                    object,
                    json!({ "data": config.data }),
                ));
            }
            Spec::Secret(_) => notes.drop("", "values of secrets are not written into files"),
            Spec::Group(_) => {
                notes.drop("", "a namespace holds no defaults: groups are not written");
            }
            Spec::Dag(_) => notes.drop("", "Kubernetes has nothing like a dag"),
        }
    }
    Export {
        documents,
        dropped: notes.dropped,
    }
}

fn manifest(version: &str, kind: &str, object: &Object, rest: Value) -> Value {
    let mut metadata = json!({ "name": object.name.last() });
    if let Some(parent) = object.name.parent() {
        metadata["namespace"] = parent.components().collect::<Vec<_>>().join("-").into();
    }
    if !object.labels.is_empty() {
        metadata["labels"] = json!(object.labels);
    }
    let mut manifest = json!({ "apiVersion": version, "kind": kind, "metadata": metadata });
    if let (Some(all), Value::Object(rest)) = (manifest.as_object_mut(), rest) {
        all.extend(rest);
    }
    manifest
}

/// What a selector finds the instances by.
fn app_label(object: &Object) -> Value {
    json!({ "app.kubernetes.io/name": object.name.last() })
}

fn seconds(text: &str) -> u64 {
    let span = mezz_spec::quantity::Span::parse(text).unwrap_or_default();
    span.0.div_ceil(1_000)
}

fn put_seconds(fields: &mut Fields<'_>, key: &str, target: &mut Value, theirs: &str) {
    if let Some(text) = fields.text(key) {
        target[theirs] = seconds(&text).into();
    }
}

fn service(object: &Object, mut spec: Fields<'_>, notes: &mut Notes) -> Vec<Value> {
    let mut theirs = json!({ "selector": { "matchLabels": app_label(object) } });
    let mut kind = "Deployment";
    match spec.take("replicas") {
        None => theirs["replicas"] = 1.into(),
        Some(Value::String(_)) => kind = "DaemonSet",
        Some(Value::Object(scale)) => {
            notes.drop(
                "/spec/replicas",
                "write a HorizontalPodAutoscaler beside it: the least number is written",
            );
            theirs["replicas"] = scale.get("min").cloned().unwrap_or_default();
        }
        Some(count) => theirs["replicas"] = count.clone(),
    }
    if let Some(mut update) = spec.inner("update") {
        put_seconds(
            &mut update,
            "deadline",
            &mut theirs,
            "progressDeadlineSeconds",
        );
        put_seconds(&mut update, "ready_for", &mut theirs, "minReadySeconds");
        let key = if kind == "DaemonSet" {
            "updateStrategy"
        } else {
            "strategy"
        };
        if let Some(strategy) = update.take("strategy") {
            theirs[key] = strategy_of(strategy, notes);
        }
        update.finish(notes);
    }
    let template = template(object, &mut spec, notes);
    let ports = service_ports(object);
    theirs["template"] = template;
    spec.finish(notes);
    let mut documents = vec![manifest("apps/v1", kind, object, json!({ "spec": theirs }))];
    if !ports.is_empty() {
        let spec = json!({ "selector": app_label(object), "ports": ports });
        documents.push(manifest("v1", "Service", object, json!({ "spec": spec })));
    }
    documents
}

/// The ports that our service listens on for the cluster.
fn service_ports(object: &Object) -> Vec<Value> {
    let Spec::Service(service) = &object.spec else {
        return Vec::new();
    };
    let ports = service
        .template
        .containers
        .iter()
        .flat_map(|container| &container.ports);
    let told = ports.filter_map(|port| {
        let number = port.service_port?;
        Some(json!({ "name": port.name, "port": number, "targetPort": port.name }))
    });
    told.collect()
}

fn strategy_of(strategy: &Value, notes: &mut Notes) -> Value {
    if strategy == "recreate" {
        return json!({ "type": "Recreate" });
    }
    let Some(rolling) = strategy.get("rolling") else {
        let path = "/spec/update/strategy";
        notes.drop(path, "Kubernetes rolls or recreates: it rolls");
        return json!({ "type": "RollingUpdate" });
    };
    let share = |key: &str, default: Value| rolling.get(key).cloned().unwrap_or(default);
    json!({ "type": "RollingUpdate", "rollingUpdate": {
        "maxSurge": share("max_surge", json!("25%")),
        "maxUnavailable": share("max_unavailable", json!(0)),
    }})
}

fn template(object: &Object, spec: &mut Fields<'_>, notes: &mut Notes) -> Value {
    let mut pod = json!({});
    if let Some(mut template) = spec.inner("template") {
        if let Some(mut kill) = template.inner("kill") {
            put_seconds(
                &mut kill,
                "grace",
                &mut pod,
                "terminationGracePeriodSeconds",
            );
            kill.finish(notes);
        }
        if pod.get("terminationGracePeriodSeconds").is_none() {
            pod["terminationGracePeriodSeconds"] = 3.into();
        }
        let path = template.path("containers");
        let mut containers = Vec::new();
        for (index, container) in template.list("containers").iter().enumerate() {
            containers.push(self::container(
                Fields::of(container, format!("{path}/{index}")),
                notes,
            ));
        }
        pod["containers"] = containers.into();
        template.finish(notes);
    }
    let mut labels = app_label(object);
    for (key, value) in &object.labels {
        labels[key] = value.as_str().into();
    }
    json!({ "metadata": { "labels": labels }, "spec": pod })
}

fn job(object: &Object, mut spec: Fields<'_>, notes: &mut Notes) -> Value {
    let mut theirs = json!({
        "completions": spec.number("completions").unwrap_or(1),
        "parallelism": spec.number("parallelism").unwrap_or(1),
        "completionMode": "Indexed",
        "backoffLimitPerIndex": spec.number("retries").unwrap_or(0),
    });
    put_seconds(&mut spec, "deadline", &mut theirs, "activeDeadlineSeconds");
    if let Some(mut history) = spec.inner("history") {
        put_seconds(&mut history, "age", &mut theirs, "ttlSecondsAfterFinished");
        history.ignore(&["succeeded", "failed"]);
        history.finish(notes);
    }
    theirs["template"] = template(object, &mut spec, notes);
    theirs["template"]["spec"]["restartPolicy"] = "Never".into();
    spec.ignore(&["start"]);
    spec.finish(notes);
    theirs
}

fn cron(object: &Object, mut spec: Fields<'_>, notes: &mut Notes) -> Vec<Value> {
    let mut theirs = json!({
        "timeZone": spec.text("time_zone").unwrap_or_else(|| "Etc/UTC".into()),
        "suspend": spec.take("enabled") == Some(&Value::Bool(false)),
    });
    theirs["concurrencyPolicy"] = match spec.text("overlap").as_deref() {
        Some("forbid") => "Forbid".into(),
        Some("replace") => "Replace".into(),
        Some("queue") => {
            notes.drop(
                "/spec/overlap",
                "Kubernetes cannot let a run wait: it is skipped",
            );
            "Forbid".into()
        }
        _ => "Allow".into(),
    };
    let deadline = spec.text("starting_deadline");
    theirs["startingDeadlineSeconds"] = seconds(&deadline.unwrap_or_else(|| "15m".into())).into();
    let Some(mut run) = spec.inner("run") else {
        return Vec::new();
    };
    let Some(inner) = run.inner("job") else {
        notes.drop("/spec/run", "a CronJob has its job within: write it there");
        return Vec::new();
    };
    theirs["jobTemplate"] = json!({ "spec": job(object, inner, notes) });
    let schedules: Vec<String> = spec.list("schedules").iter().map(text_of).collect();
    spec.finish(notes);
    let mut documents = Vec::new();
    for (index, schedule) in schedules.iter().enumerate() {
        let count = schedule.split_whitespace().count();
        if count != 5 && !schedule.starts_with('@') {
            notes.drop(
                format!("/spec/schedules/{index}"),
                "a CronJob has five fields",
            );
            continue;
        }
        theirs["schedule"] = schedule.as_str().into();
        let mut one = manifest("batch/v1", "CronJob", object, json!({ "spec": theirs }));
        if schedules.len() > 1 {
            one["metadata"]["name"] = format!("{}-{}", object.name.last(), index + 1).into();
        }
        documents.push(one);
    }
    documents
}
