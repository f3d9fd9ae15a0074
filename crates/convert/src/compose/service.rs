//! One service of a Compose file: a service of ours, or a job when it is not restarted.

use mezz_spec::{Kind, Name, Object};
use serde_json::{Map, Value, json};

use super::container::{command, files, healthcheck, logging, resources};
use super::{pairs, ports};
use crate::fields::{Fields, text_of};
use crate::notes::Notes;
use crate::text::span;

pub(super) fn read(
    name: &str,
    service: &Value,
    folder: Option<&Name>,
    notes: &mut Notes,
) -> Option<Object> {
    let root = format!("/services/{name}");
    let ours = notes.name(folder, &[name], &root)?;
    let mut fields = Fields::of(service, root);
    let mut labels = Map::new();
    if let Some(value) = fields.take("labels") {
        labels = pairs(value, &fields.path("labels"), notes);
    }
    let mut deploy = fields
        .inner("deploy")
        .unwrap_or_else(|| Fields::of(&Value::Null, ""));
    if let Some(value) = deploy.take("labels") {
        labels.extend(pairs(value, &deploy.path("labels"), notes));
    }
    let mut spec = json!({});
    let retries = restart(&mut fields, &mut deploy, notes);
    let kind = if retries.is_some() {
        Kind::Job
    } else {
        Kind::Service
    };
    spec["template"] = template(&mut fields, &mut deploy, folder, notes);
    match retries {
        Some(retries) => {
            spec["retries"] = retries.into();
            let why = "a job has no replicas and is not updated in place";
            fields.refuse(&["scale", "depends_on"], why, notes);
            deploy.refuse(&["replicas", "mode", "update_config"], why, notes);
        }
        None => of_services(&mut spec, &mut fields, &mut deploy, folder, notes),
    }
    placement(&mut spec, &mut deploy, notes);
    deploy.finish(notes);
    fields.finish(notes);
    notes.object(kind, ours, labels, spec)
}

/// How often a failure is made up for, when the service is one that ends.
fn restart(fields: &mut Fields<'_>, deploy: &mut Fields<'_>, notes: &mut Notes) -> Option<u64> {
    let mut policy = deploy.inner("restart_policy");
    let by_policy = policy.as_mut().and_then(|policy| {
        policy.ignore(&["delay", "window"]);
        let condition = policy.text("condition")?;
        let attempts = policy.number("max_attempts");
        Some((condition, attempts))
    });
    if let Some(policy) = policy {
        policy.finish(notes);
    }
    let (word, attempts) = match (by_policy, fields.take("restart")) {
        (Some(policy), _) => policy,
        (None, Some(Value::Bool(false))) => ("no".into(), None),
        (None, Some(value)) => {
            let text = text_of(value);
            let (word, count) = text.split_once(':').unwrap_or((&text, ""));
            (word.to_owned(), count.parse().ok())
        }
        (None, None) => return None,
    };
    match word.as_str() {
        "no" | "none" => Some(0),
        "on-failure" => Some(attempts.unwrap_or(u64::from(u32::MAX))),
        _ => None,
    }
}

fn template(
    fields: &mut Fields<'_>,
    deploy: &mut Fields<'_>,
    folder: Option<&Name>,
    notes: &mut Notes,
) -> Value {
    let mut container = json!({});
    if let Some(image) = fields.text("image") {
        container["image"] = image.into();
    }
    fields.refuse(
        &["build"],
        "images are not built here: name one under image",
        notes,
    );
    if let Some(command) = command(fields) {
        container["command"] = command;
    }
    if let Some(value) = fields.take("environment") {
        container["env"] = Value::Object(pairs(value, &fields.path("environment"), notes));
    }
    fields.refuse(
        &["env_file"],
        "files are not read: write the variables under environment",
        notes,
    );
    let mut all = fields.take("ports").map_or(Vec::new(), |value| {
        ports::read(value, &fields.path("ports"), notes)
    });
    if let Some(value) = fields.take("expose") {
        let known: Vec<Value> = all
            .iter()
            .map(|port| port["container_port"].clone())
            .collect();
        let more = ports::read(value, &fields.path("expose"), notes);
        all.extend(
            more.into_iter()
                .filter(|port| !known.contains(&port["container_port"])),
        );
    }
    if !all.is_empty() {
        container["ports"] = all.into();
    }
    let files = files(fields, folder, notes);
    if !files.is_empty() {
        container["files"] = files.into();
    }
    let resources = resources(fields, deploy, notes);
    if resources.as_object().is_some_and(|all| !all.is_empty()) {
        container["resources"] = resources;
    }
    if let Some(check) = healthcheck(fields, notes) {
        container["checks"] = json!({ "health": check });
    }
    if let Some(size) = logging(fields, notes) {
        container["logs"] = json!({ "max_size": size });
    }
    let mut template = json!({ "containers": [container] });
    if let Some(user) = fields.text("user") {
        template["user"] = user.into();
    }
    if let Some(grace) = fields
        .text("stop_grace_period")
        .and_then(|text| span(&text))
    {
        template["kill"] = json!({ "grace": grace });
    }
    not_built(fields, notes);
    template
}

fn not_built(fields: &mut Fields<'_>, notes: &mut Notes) {
    fields.refuse(
        &["volumes", "volumes_from", "tmpfs"],
        "volumes are not built yet",
        notes,
    );
    let why = "containers use the network of their host until container networks are built";
    let keys = [
        "networks",
        "network_mode",
        "hostname",
        "domainname",
        "dns",
        "dns_search",
        "extra_hosts",
        "links",
        "mac_address",
    ];
    fields.refuse(&keys, why, notes);
    let why = "the name says who it is: several instances cannot share another";
    fields.refuse(&["container_name"], why, notes);
    let why = "isolation of containers is not built yet";
    let keys = [
        "privileged",
        "cap_add",
        "cap_drop",
        "security_opt",
        "read_only",
        "ipc",
        "pid",
        "ulimits",
        "sysctls",
        "devices",
        "init",
        "shm_size",
    ];
    fields.refuse(&keys, why, notes);
    let why = "a command begins in its sandbox: write cd into it";
    fields.refuse(&["working_dir"], why, notes);
    fields.ignore(&["pull_policy", "platform", "stdin_open", "tty"]);
}

fn of_services(
    spec: &mut Value,
    fields: &mut Fields<'_>,
    deploy: &mut Fields<'_>,
    folder: Option<&Name>,
    notes: &mut Notes,
) {
    let count = fields.number("scale");
    let count = deploy.number("replicas").or(count);
    spec["replicas"] = match deploy.text("mode").as_deref() {
        Some("global") => "per_node".into(),
        _ => count.unwrap_or(1).into(),
    };
    let after = after(fields, folder, notes);
    if !after.is_empty() {
        spec["after"] = after.into();
    }
    let Some(mut update) = deploy.inner("update_config") else {
        return;
    };
    let parallelism = update.number("parallelism").unwrap_or(1);
    let is_first = update.text("order").as_deref() == Some("start-first");
    let (surge, missing) = match (is_first, parallelism) {
        (_, 0) => (json!("100%"), json!(0)),
        (true, count) => (json!(count), json!(0)),
        (false, count) => (json!(0), json!(count)),
    };
    spec["update"] = json!({
        "strategy": { "rolling": { "max_surge": surge, "max_unavailable": missing } },
        "auto_rollback": update.text("failure_action").as_deref() == Some("rollback"),
    });
    if let Some(monitor) = update.text("monitor").and_then(|text| span(&text)) {
        spec["update"]["ready_for"] = monitor.into();
    }
    update.refuse(
        &["delay", "max_failure_ratio"],
        "a step follows when the one before is ready",
        notes,
    );
    update.finish(notes);
    let why = "a rollback goes like an update";
    deploy.refuse(&["rollback_config", "endpoint_mode"], why, notes);
}

fn after(fields: &mut Fields<'_>, folder: Option<&Name>, notes: &mut Notes) -> Vec<Value> {
    let path = fields.path("depends_on");
    let mut others = Vec::new();
    match fields.take("depends_on") {
        Some(Value::Array(items)) => others.extend(items.iter().map(text_of)),
        Some(Value::Object(members)) => {
            for (name, value) in members {
                let mut inner = Fields::of(value, format!("{path}/{name}"));
                let condition = inner.text("condition");
                inner.ignore(&["required", "restart"]);
                inner.finish(notes);
                if condition.as_deref() == Some("service_completed_successfully") {
                    notes.drop(
                        format!("{path}/{name}"),
                        "a service waits for services only: write a dag for work that ends",
                    );
                } else {
                    others.push(name.clone());
                }
            }
        }
        _ => {}
    }
    let names = others
        .iter()
        .filter_map(|name| notes.name(folder, &[name], &path));
    names.map(|name| name.as_str().into()).collect()
}

fn placement(spec: &mut Value, deploy: &mut Fields<'_>, notes: &mut Notes) {
    let Some(mut theirs) = deploy.inner("placement") else {
        return;
    };
    let mut require = Vec::new();
    let path = theirs.path("constraints");
    for (index, item) in theirs.list("constraints").iter().enumerate() {
        let text = text_of(item);
        let parts = text.split_once("==").map(|(key, value)| (key, "in", value));
        let parts = parts.or_else(|| {
            text.split_once("!=")
                .map(|(key, value)| (key, "not_in", value))
        });
        let read = parts.and_then(|(key, op, value)| {
            let key = key.trim();
            let ours = match key.strip_prefix("node.labels.") {
                Some(label) => label,
                None if key == "node.hostname" => "hostname",
                None => return None,
            };
            Some(json!({ "key": ours, "op": op, "values": [value.trim()] }))
        });
        match read {
            Some(rule) => require.push(rule),
            None => notes.drop(
                format!("{path}/{index}"),
                "only node.hostname and node.labels have a meaning here",
            ),
        }
    }
    let mut ours = json!({});
    if !require.is_empty() {
        ours["require"] = require.into();
    }
    if let Some(most) = theirs.number("max_replicas_per_node") {
        ours["spread"] = json!([{ "key": "hostname", "max_per": most }]);
    }
    theirs.finish(notes);
    if ours.as_object().is_some_and(|all| !all.is_empty()) {
        spec["placement"] = ours;
    }
}
