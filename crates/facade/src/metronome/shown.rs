//! A job as it is answered. Members at their defaults that strict clients do not know are left out.

use mezz_spec::job::Job;
use mezz_spec::placement::Operator;
use mezz_spec::template::{Command, Container};
use mezz_workload::records::ObjectRecord;
use serde_json::{Map, Value, json};

use super::run_spec::LAUNCH_DELAY;
use super::{ids, job};
use crate::reading::decimal;
use crate::world::as_job;

/// A job without what is embedded; none when it has no id here.
pub(super) fn shown(record: &ObjectRecord) -> Option<Map<String, Value>> {
    let id = ids::id_of(&record.name)?;
    let spec = as_job(record)?;
    let members = job::given(&record.name, spec).unwrap_or_else(|| made(record, spec));
    let mut all = Map::new();
    all.insert("id".into(), id.into());
    let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    all.extend(
        members
            .into_iter()
            .filter(|(key, value)| key != "dependencies" || !is_empty(value)),
    );
    all.entry("labels").or_insert_with(|| json!({}));
    if let Some(Value::Object(run)) = all.get_mut("run") {
        complete(run);
    }
    Some(all)
}

/// Fills in defaults.
fn complete(run: &mut Map<String, Value>) {
    run.retain(|_, value| !value.is_null());
    for (key, value) in [
        ("cpus", json!(1)),
        ("mem", json!(128)),
        ("disk", json!(0)),
        ("env", json!({})),
        ("placement", json!({ "constraints": [] })),
        ("artifacts", json!([])),
        ("maxLaunchDelay", LAUNCH_DELAY.into()),
        ("volumes", json!([])),
        ("restart", json!({ "policy": "NEVER" })),
    ] {
        run.entry(key).or_insert(value);
    }
    for (key, default) in [
        ("gpus", json!(0)),
        ("secrets", json!({})),
        ("networks", json!([])),
    ] {
        if run.get(key) == Some(&default) {
            run.remove(key);
        }
    }
}

/// A job that would make such a spec, as far as Metronome can say it.
fn made(record: &ObjectRecord, job: &Job) -> Map<String, Value> {
    let mut run = Map::new();
    let mut secrets = Map::new();
    if let Some(container) = job.template.containers.first() {
        of_container(container, &mut run, &mut secrets);
    }
    if !secrets.is_empty() {
        run.insert("secrets".into(), secrets.into());
    }
    if let Some(user) = &job.template.user {
        run.insert("user".into(), user.as_str().into());
    }
    if let Some(delay) = job.launch_deadline {
        run.insert("maxLaunchDelay".into(), decimal(delay.0));
    }
    if job.retries > 0 {
        let mut restart = json!({ "policy": "ON_FAILURE" });
        if let Some(span) = job.retry_for {
            restart["activeDeadlineSeconds"] = decimal(span.0);
        }
        run.insert("restart".into(), restart);
    }
    let constraints = constraints(job);
    if !constraints.is_empty() {
        run.insert("placement".into(), json!({ "constraints": constraints }));
    }
    let mut members = Map::new();
    let labels = &record.labels;
    members.insert("labels".into(), json!(labels));
    members.insert("run".into(), run.into());
    if let Some(after) = &job.after {
        let ids: Vec<Value> = after
            .jobs
            .iter()
            .filter_map(ids::id_of)
            .map(|id| json!({ "id": id }))
            .collect();
        members.insert("dependencies".into(), ids.into());
    }
    members
}

fn of_container(
    container: &Container,
    run: &mut Map<String, Value>,
    secrets: &mut Map<String, Value>,
) {
    match &container.command {
        Some(Command::Shell(text)) => run.insert("cmd".into(), text.as_str().into()),
        Some(Command::Words(words)) => run.insert("args".into(), words.clone().into()),
        None => None,
    };
    let resources = &container.resources;
    run.insert("cpus".into(), decimal(resources.cpus.0));
    run.insert("mem".into(), decimal(resources.mem.mebibytes_thousandths()));
    run.insert(
        "disk".into(),
        decimal(resources.disk.mebibytes_thousandths()),
    );
    if resources.gpus > 0 {
        run.insert("gpus".into(), resources.gpus.into());
    }
    let env = crate::secrets::environment(container, secrets);
    run.insert("env".into(), env.into());
    let artifacts: Vec<Value> = container
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
    run.insert("artifacts".into(), artifacts.into());
}

fn constraints(job: &Job) -> Vec<Value> {
    let mut list = Vec::new();
    for rule in &job.placement.require {
        let operator = match rule.op {
            Operator::In => "IS",
            Operator::Matches => "LIKE",
            Operator::NotMatches => "UNLIKE",
            _ => continue,
        };
        if let [value] = rule.values.as_slice() {
            let attribute = String::from(rule.key.clone());
            list.push(json!({ "attribute": attribute, "operator": operator, "value": value }));
        }
    }
    list
}
