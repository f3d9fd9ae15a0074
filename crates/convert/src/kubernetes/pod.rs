//! Pod templates: containers, volumes of configs and secrets, placement.

use std::collections::BTreeMap;

use mezz_spec::{Kind, Name};
use serde_json::{Map, Value, json};

use super::probes::{check, patience, span};
use super::{Context, Meta};
use crate::fields::{Fields, text_of};
use crate::text::{cpus, size};

/// Fills template and placement of a spec; the labels of the pods.
pub(super) fn read(
    mut template: Fields<'_>,
    spec: &mut Value,
    meta: &Meta,
    context: &mut Context<'_>,
) -> Map<String, Value> {
    let mut labels = Map::new();
    if let Some(mut inner) = template.inner("metadata") {
        labels = inner
            .take("labels")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        inner.ignore(&["creationTimestamp", "name"]);
        inner.finish(&mut context.notes);
    }
    if let Some(mut pod) = template.inner("spec") {
        let volumes = volumes(&mut pod, meta, context);
        let path = pod.path("containers");
        let mut containers = Vec::new();
        for (index, item) in pod.list("containers").iter().enumerate() {
            let fields = Fields::of(item, format!("{path}/{index}"));
            containers.push(container(fields, &volumes, meta, context));
        }
        spec["template"]["containers"] = containers.into();
        let grace = pod.number("terminationGracePeriodSeconds").unwrap_or(30);
        spec["template"]["kill"] = json!({ "grace": span(grace) });
        placement(&mut pod, spec, context);
        let why = "containers that run before others are not built yet";
        pod.refuse(
            &["initContainers", "ephemeralContainers"],
            why,
            &mut context.notes,
        );
        let why = "isolation of containers is not built yet";
        pod.refuse(
            &[
                "securityContext",
                "runtimeClassName",
                "hostPID",
                "hostIPC",
                "shareProcessNamespace",
            ],
            why,
            &mut context.notes,
        );
        let why = "there are no accounts of services here";
        pod.refuse(
            &[
                "serviceAccount",
                "serviceAccountName",
                "automountServiceAccountToken",
            ],
            why,
            &mut context.notes,
        );
        let why = "containers use the network of their host until container networks are built";
        pod.refuse(
            &[
                "dnsPolicy",
                "dnsConfig",
                "hostname",
                "subdomain",
                "hostAliases",
            ],
            why,
            &mut context.notes,
        );
        pod.ignore(&[
            "restartPolicy",
            "schedulerName",
            "hostNetwork",
            "enableServiceLinks",
        ]);
        pod.finish(&mut context.notes);
    }
    template.finish(&mut context.notes);
    labels
}

/// Files of a volume, relative to where it is mounted, with where they come from.
type Volumes = BTreeMap<String, Vec<(String, Value)>>;

fn volumes(pod: &mut Fields<'_>, meta: &Meta, context: &mut Context<'_>) -> Volumes {
    let mut volumes = Volumes::new();
    let path = pod.path("volumes");
    for (index, item) in pod.list("volumes").iter().enumerate() {
        let mut volume = Fields::of(item, format!("{path}/{index}"));
        let name = volume.text("name").unwrap_or_default();
        let mut files = None;
        for (key, field, kind) in [
            ("configMap", "name", Kind::Config),
            ("secret", "secretName", Kind::Secret),
        ] {
            if let Some(mut source) = volume.inner(key) {
                let theirs = source.text(field).unwrap_or_default();
                let picked = source.list("items");
                source.ignore(&["optional", "defaultMode"]);
                source.finish(&mut context.notes);
                let ours = context.notes.name(meta.folder.as_ref(), &[&theirs], &path);
                files = ours.map(|ours| files_of(kind, &ours, picked, &path, context));
            }
        }
        if files.is_none() {
            context
                .notes
                .drop(format!("{path}/{index}"), "volumes are not built yet");
            let keys: Vec<&str> = item
                .as_object()
                .into_iter()
                .flat_map(Map::keys)
                .map(String::as_str)
                .collect();
            volume.ignore(&keys);
        }
        volume.finish(&mut context.notes);
        volumes.insert(name, files.unwrap_or_default());
    }
    volumes
}

fn files_of(
    kind: Kind,
    name: &Name,
    picked: &[Value],
    path: &str,
    context: &mut Context<'_>,
) -> Vec<(String, Value)> {
    let from = |key: &str| json!({ kind.word(): { "name": name.as_str(), "key": key } });
    if !picked.is_empty() {
        let pair = |item: &Value| {
            let key = item.get("key").map(text_of).unwrap_or_default();
            let place = item.get("path").map_or_else(|| key.clone(), text_of);
            (place, from(&key))
        };
        return picked.iter().map(pair).collect();
    }
    if let Some(keys) = context.keys.get(&(kind, name.clone())) {
        return keys.iter().map(|key| (key.clone(), from(key))).collect();
    }
    let why =
        format!("{name} is not among the manifests: its keys are not known; list them as items");
    context.notes.drop(path, why);
    Vec::new()
}

fn container(
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

fn key_of(label: &str) -> &str {
    match label {
        "kubernetes.io/hostname" => "hostname",
        "topology.kubernetes.io/zone" | "failure-domain.beta.kubernetes.io/zone" => "zone",
        "topology.kubernetes.io/region" | "failure-domain.beta.kubernetes.io/region" => "region",
        other => other,
    }
}

fn placement(pod: &mut Fields<'_>, spec: &mut Value, context: &mut Context<'_>) {
    let mut require = Vec::new();
    if let Some(Value::Object(labels)) = pod.take("nodeSelector") {
        for (key, value) in labels {
            require.push(json!({ "key": key_of(key), "op": "in", "values": [text_of(value)] }));
        }
    }
    if let Some(mut affinity) = pod.inner("affinity") {
        if let Some(mut node) = affinity.inner("nodeAffinity") {
            let path = node.path("requiredDuringSchedulingIgnoredDuringExecution");
            let terms = node.inner("requiredDuringSchedulingIgnoredDuringExecution");
            if let Some(mut terms) = terms {
                let all = terms.list("nodeSelectorTerms");
                if let [term] = all {
                    require.extend(expressions(term, &path, context));
                } else {
                    context.notes.drop(path, "several terms of which one has to hold: requirements here all hold at once");
                }
                terms.finish(&mut context.notes);
            }
            node.finish(&mut context.notes);
        }
        affinity.finish(&mut context.notes);
    }
    let mut spread = Vec::new();
    let path = pod.path("topologySpreadConstraints");
    for (index, item) in pod.list("topologySpreadConstraints").iter().enumerate() {
        let mut rule = Fields::of(item, format!("{path}/{index}"));
        let key = rule.text("topologyKey").unwrap_or_default();
        let skew = rule.number("maxSkew").unwrap_or(1);
        spread.push(json!({ "key": key_of(&key), "max_skew": skew }));
        if rule.text("whenUnsatisfiable").as_deref() == Some("ScheduleAnyway") {
            context.notes.drop(
                rule.path("whenUnsatisfiable"),
                "a spread is a requirement here",
            );
        }
        rule.ignore(&["labelSelector", "matchLabelKeys"]);
        rule.finish(&mut context.notes);
    }
    let mut ours = json!({});
    if !require.is_empty() {
        ours["require"] = require.into();
    }
    if !spread.is_empty() {
        ours["spread"] = spread.into();
    }
    if ours.as_object().is_some_and(|all| !all.is_empty()) {
        spec["placement"] = ours;
    }
    let why = "agents have no taints here: label them and require the label";
    pod.refuse(&["tolerations"], why, &mut context.notes);
    pod.refuse(
        &["priorityClassName", "priority"],
        "write priority: a number",
        &mut context.notes,
    );
    pod.refuse(
        &["nodeName"],
        "require the hostname instead",
        &mut context.notes,
    );
}

fn expressions(term: &Value, path: &str, context: &mut Context<'_>) -> Vec<Value> {
    let mut rules = Vec::new();
    let all = term.get("matchExpressions").and_then(Value::as_array);
    for item in all.into_iter().flatten() {
        let key = item.get("key").map(text_of).unwrap_or_default();
        let values: Vec<String> = item
            .get("values")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(text_of)
            .collect();
        let op = item.get("operator").map(text_of).unwrap_or_default();
        let above = |by: i64| {
            values
                .first()
                .and_then(|text| text.parse::<i64>().ok())
                .map(|number| vec![(number + by).to_string()])
        };
        let (op, values) = match op.as_str() {
            "In" => ("in", Some(values)),
            "NotIn" => ("not_in", Some(values)),
            "Exists" => ("exists", Some(Vec::new())),
            "DoesNotExist" => ("absent", Some(Vec::new())),
            "Gt" => ("at_least", above(1)),
            "Lt" => ("at_most", above(-1)),
            _ => ("", None),
        };
        match values {
            Some(values) => rules.push(json!({ "key": key_of(&key), "op": op, "values": values })),
            None => context.notes.drop(
                path,
                format!("the expression about '{key}' has no meaning here"),
            ),
        }
    }
    if term.get("matchFields").is_some() {
        context
            .notes
            .drop(path, "fields of nodes have no meaning here: use hostname");
    }
    rules
}
