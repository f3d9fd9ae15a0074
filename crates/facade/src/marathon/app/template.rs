//! What an instance of an app runs: command, environment, files, resources.

use std::collections::BTreeMap;

use mezz_spec::Name;
use mezz_spec::quantity::{Size, Span, Thousandths};
use mezz_spec::template::{
    Artifact, Command, Container, Entry, EnvValue, Kill, Limit, Limits, MaterialFile, MaterialRef,
    Resources, Template, Unlimited,
};
use serde_json::Value;

use crate::reading::{Members, thousandths, whole};

/// Marathon tells an app's labels in its environment, unless they are very long.
const LONGEST: usize = 512;
const LABEL: &str = "MARATHON_APP_LABEL_";

pub(super) fn template(members: &Members<'_>, container: Container) -> Template {
    let grace = members.number("taskKillGracePeriodSeconds");
    Template {
        containers: vec![container],
        user: members.text("user").map(str::to_owned),
        kill: Kill {
            grace: grace.map_or(Kill::default().grace, seconds),
            ..Kill::default()
        },
    }
}

pub(super) fn seconds(number: f64) -> Span {
    Span(thousandths(number))
}

/// All of the container but ports and checks.
pub(super) fn container(
    members: &Members<'_>,
    name: &Name,
    labels: &BTreeMap<String, String>,
) -> Container {
    let resources = resources(members);
    let secrets = crate::secrets::sources(members);
    let mut env = told_of_the_app(name, &resources, labels);
    env.extend(environment(members, &secrets));
    Container {
        command: command(members),
        env,
        files: volumes(members, &secrets),
        artifacts: artifacts(members),
        resources,
        ..Container::default()
    }
}

fn command(members: &Members<'_>) -> Option<Command> {
    let shell = members.text("cmd").filter(|text| !text.is_empty());
    let words = members.texts("args").filter(|words| !words.is_empty());
    match (shell, words) {
        (Some(_), Some(_)) => {
            members.tell("args", "an app has cmd or args, not both; leave one out");
            None
        }
        (Some(shell), None) => Some(Command::Shell(shell.to_owned())),
        (None, Some(words)) => Some(Command::Words(words)),
        (None, None) => {
            members.tell("cmd", "an app needs cmd or args");
            None
        }
    }
}

fn megabytes(number: f64) -> Size {
    let kibibytes = u128::from(thousandths(number)) * 1_024 / 1_000;
    Size(u64::try_from(kibibytes).unwrap_or(u64::MAX))
}

fn resources(members: &Members<'_>) -> Resources {
    let gpus = members.whole("gpus", 1_000).unwrap_or(0);
    Resources {
        cpus: Thousandths(thousandths(members.number("cpus").unwrap_or(1.0))),
        mem: megabytes(members.number("mem").unwrap_or(128.0)),
        disk: megabytes(members.number("disk").unwrap_or(0.0)),
        gpus: u32::try_from(gpus).unwrap_or(u32::MAX),
        limits: limits(members),
    }
}

fn limits(members: &Members<'_>) -> Option<Limits> {
    let limits = members.object("resourceLimits")?;
    let read = Limits {
        cpus: limit(&limits, "cpus", |number| Thousandths(thousandths(number))),
        mem: limit(&limits, "mem", megabytes),
    };
    limits.finish();
    Some(read)
}

fn limit<T>(
    members: &Members<'_>,
    key: &'static str,
    amount: impl Fn(f64) -> T,
) -> Option<Limit<T>> {
    match members.value(key)? {
        Value::String(text) if text == "unlimited" => Some(Limit::Unlimited(Unlimited::Unlimited)),
        Value::Number(_) => members
            .number(key)
            .map(|number| Limit::Amount(amount(number))),
        _ => {
            members.tell(key, "a number or \"unlimited\" is wanted");
            None
        }
    }
}

/// The variables by which Marathon tells an app of itself.
fn told_of_the_app(
    name: &Name,
    resources: &Resources,
    labels: &BTreeMap<String, String>,
) -> BTreeMap<String, EnvValue> {
    let decimal = |thousandths: u64| {
        let number = thousandths as f64 / 1_000.0;
        format!("{number:?}")
    };
    let mut told = vec![
        ("MARATHON_APP_ID".to_owned(), name.to_string()),
        (
            "MARATHON_APP_RESOURCE_CPUS".to_owned(),
            decimal(resources.cpus.0),
        ),
        (
            "MARATHON_APP_RESOURCE_MEM".to_owned(),
            decimal(resources.mem.mebibytes_thousandths()),
        ),
        (
            "MARATHON_APP_RESOURCE_DISK".to_owned(),
            decimal(resources.disk.mebibytes_thousandths()),
        ),
        (
            "MARATHON_APP_RESOURCE_GPUS".to_owned(),
            resources.gpus.to_string(),
        ),
    ];
    let mut names = Vec::new();
    for (key, value) in labels {
        if value.len() < LONGEST && key.len() < LONGEST - LABEL.len() && !key.is_empty() {
            let variable = variable(key);
            told.push((format!("{LABEL}{variable}"), value.clone()));
            names.push(variable);
        }
    }
    told.push(("MARATHON_APP_LABELS".to_owned(), names.join(" ")));
    told.into_iter()
        .map(|(name, value)| (name, EnvValue::Text(value)))
        .collect()
}

/// What is no letter or digit becomes one underscore, however much it is.
fn variable(text: &str) -> String {
    let mut variable = String::new();
    let mut was_plain = true;
    for c in text.chars() {
        let is_plain = c.is_ascii_alphanumeric() || c == '_';
        if is_plain {
            variable.push(c.to_ascii_uppercase());
        } else if was_plain {
            variable.push('_');
        }
        was_plain = is_plain;
    }
    variable
}

fn secret(
    members: &Members<'_>,
    key: &str,
    secrets: &BTreeMap<String, Name>,
) -> Option<MaterialRef> {
    let Some(name) = secrets.get(key) else {
        let message = format!("there is no secret '{key}' under secrets");
        members.tell("secrets", message);
        return None;
    };
    Some(MaterialRef::Secret(Entry {
        name: name.clone(),
        key: None,
    }))
}

fn environment(
    members: &Members<'_>,
    secrets: &BTreeMap<String, Name>,
) -> BTreeMap<String, EnvValue> {
    let mut env = BTreeMap::new();
    let Some(Value::Object(map)) = members.value("env") else {
        if members.value("env").is_some() {
            members.tell("env", "an object is wanted");
        }
        return env;
    };
    for (name, value) in map {
        let read = match value {
            Value::String(text) => Some(EnvValue::Text(text.clone())),
            Value::Number(_) | Value::Bool(_) => Some(EnvValue::Text(value.to_string())),
            Value::Object(from) if from.len() == 1 => from
                .get("secret")
                .and_then(Value::as_str)
                .and_then(|key| secret(members, key, secrets))
                .map(EnvValue::From),
            _ => None,
        };
        match read {
            Some(read) => {
                env.insert(name.clone(), read);
            }
            None => members.tell(
                "env",
                format!("{name}: a text or {{\"secret\": …}} is wanted"),
            ),
        }
    }
    env
}

/// The container of an app: without an image it is a sandbox like any other.
fn volumes(members: &Members<'_>, secrets: &BTreeMap<String, Name>) -> Vec<MaterialFile> {
    let Some(container) = members.object("container") else {
        return Vec::new();
    };
    match container.text("type") {
        None | Some("MESOS") => {}
        Some(other) => container.tell(
            "type",
            format!("{other} containers are not built yet; write \"MESOS\" without an image"),
        ),
    }
    container.not_built("docker", "images are");
    container.not_built("appc", "images are");
    container.not_built("portMappings", "container networks are");
    container.not_built("linuxInfo", "seccomp profiles of apps are");
    let mut files = Vec::new();
    for volume in container.objects("volumes").unwrap_or_default() {
        let path = volume.text("containerPath");
        match (volume.text("secret"), path) {
            (Some(key), Some(path)) => {
                files.extend(secret(members, key, secrets).map(|from| MaterialFile {
                    path: path.to_owned(),
                    from,
                }));
                volume.finish();
            }
            (Some(_), None) => volume.tell("containerPath", "it is missing"),
            (None, _) => {
                let what = ["persistent", "external", "hostPath"]
                    .into_iter()
                    .find(|key| volume.value(key).is_some())
                    .unwrap_or("containerPath");
                volume.tell(what, "volumes are not built yet, those of secrets excepted");
            }
        }
    }
    container.finish();
    files
}

fn artifacts(members: &Members<'_>) -> Vec<Artifact> {
    let mut artifacts = Vec::new();
    for fetch in members.objects("fetch").unwrap_or_default() {
        let Some(uri) = fetch.text("uri") else {
            fetch.tell("uri", "it is missing");
            continue;
        };
        artifacts.push(Artifact {
            uri: uri.to_owned(),
            extract: fetch.flag("extract").unwrap_or(true),
            executable: fetch.flag("executable").unwrap_or(false),
            cache: fetch.flag("cache").unwrap_or(false),
            path: fetch.text("destPath").map(str::to_owned),
        });
        fetch.pass(&["outputFile"]);
        fetch.finish();
    }
    artifacts
}

/// A port number.
pub(super) fn port_number(value: &Value) -> Option<u16> {
    whole(value).and_then(|number| u16::try_from(number).ok())
}
