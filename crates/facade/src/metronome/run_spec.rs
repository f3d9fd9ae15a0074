//! What a job of Metronome runs: the member `run`.

use std::collections::{BTreeMap, BTreeSet};

use mezz_spec::Name;
use mezz_spec::job::Job;
use mezz_spec::placement::{Key, Operator, Placement, Rule};
use mezz_spec::quantity::Thousandths;
use mezz_spec::template::{
    Artifact, Command, Container, Entry, EnvValue, Kill, MaterialFile, MaterialRef, Resources,
    Template,
};
use serde_json::Value;

use crate::reading::{Members, mebibytes, seconds, thousandths};

/// Seconds until a job has to be running.
pub(super) const LAUNCH_DELAY: u64 = 3_600;
const LEAST_CPUS: f64 = 0.01;
const LEAST_MEM: f64 = 32.0;
/// Longer times are mistakes.
const LONGEST: u64 = 1_000_000_000;

/// All of a job that its run says.
pub(super) fn read(run: &Members<'_>) -> Job {
    let secrets = crate::secrets::sources(run);
    let mut used = BTreeSet::new();
    let container = Container {
        command: command(run),
        env: environment(run, &secrets, &mut used),
        files: volumes(run, &secrets, &mut used),
        artifacts: artifacts(run),
        resources: resources(run),
        ..Container::default()
    };
    for key in secrets.keys().filter(|key| !used.contains(*key)) {
        let message = format!(
            "The following secrets are defined, but not referenced: {key}. Please remove them from the secrets field."
        );
        run.tell("secrets", message);
    }
    run.not_built("docker", "images are");
    run.not_built("ucr", "images are");
    networks(run);
    let mut kill = Kill::default();
    if let Some(grace) = run.number("taskKillGracePeriodSeconds") {
        kill.grace = seconds(grace);
    }
    let template = Template {
        containers: vec![container],
        user: run.text("user").map(str::to_owned),
        kill,
    };
    let mut job = Job {
        placement: placement(run),
        launch_deadline: Some(launch_deadline(run)),
        ..Job::of(template)
    };
    restart(run, &mut job);
    run.finish();
    job
}

fn launch_deadline(run: &Members<'_>) -> mezz_spec::quantity::Span {
    let delay = run.whole("maxLaunchDelay", LONGEST);
    if delay == Some(0) {
        run.tell("maxLaunchDelay", "it is at least 1");
    }
    mezz_spec::quantity::Span::seconds(delay.unwrap_or(LAUNCH_DELAY).max(1))
}

fn restart(run: &Members<'_>, job: &mut Job) {
    let Some(restart) = run.object("restart") else {
        return;
    };
    let is_retried = restart
        .word("policy", &[("NEVER", false), ("ON_FAILURE", true)])
        .unwrap_or(false);
    let deadline = restart.whole("activeDeadlineSeconds", LONGEST);
    if is_retried {
        job.retries = u32::MAX;
        job.retry_for = deadline
            .filter(|seconds| *seconds > 0)
            .map(mezz_spec::quantity::Span::seconds);
    }
    restart.finish();
}

fn command(run: &Members<'_>) -> Option<Command> {
    let shell = run.text("cmd").filter(|text| !text.is_empty());
    let words = run.texts("args").filter(|words| !words.is_empty());
    match (shell, words) {
        (Some(_), Some(_)) => {
            run.tell("args", "a job has cmd or args, not both; leave one out");
            None
        }
        (Some(shell), None) => Some(Command::Shell(shell.to_owned())),
        (None, Some(words)) => Some(Command::Words(words)),
        (None, None) => {
            if run.value("docker").is_none() && run.value("ucr").is_none() {
                run.tell("cmd", "Cmd, Docker or UCR image must be specified");
            }
            None
        }
    }
}

fn resources(run: &Members<'_>) -> Resources {
    let at_least = |key: &'static str, least: f64, default: f64| {
        let number = run.number(key).unwrap_or(default);
        if number < least {
            run.tell(key, format!("it is at least {least}, not {number}"));
        }
        number
    };
    let gpus = run.whole("gpus", 1_000).unwrap_or(0);
    Resources {
        cpus: Thousandths(thousandths(at_least("cpus", LEAST_CPUS, 1.0))),
        mem: mebibytes(at_least("mem", LEAST_MEM, 128.0)),
        disk: mebibytes(at_least("disk", 0.0, 0.0)),
        gpus: u32::try_from(gpus).unwrap_or(u32::MAX),
        limits: None,
    }
}

fn secret(
    run: &Members<'_>,
    key: &str,
    secrets: &BTreeMap<String, Name>,
    used: &mut BTreeSet<String>,
) -> Option<MaterialRef> {
    let Some(name) = secrets.get(key) else {
        let message = format!(
            "The following secrets are referenced, but undefined: {key}. Please add them to the secrets field."
        );
        run.tell("secrets", message);
        return None;
    };
    used.insert(key.to_owned());
    Some(MaterialRef::Secret(Entry {
        name: name.clone(),
        key: None,
    }))
}

fn environment(
    run: &Members<'_>,
    secrets: &BTreeMap<String, Name>,
    used: &mut BTreeSet<String>,
) -> BTreeMap<String, EnvValue> {
    let mut env = BTreeMap::new();
    let Some(value) = run.value("env") else {
        return env;
    };
    let Value::Object(map) = value else {
        run.tell("env", "an object is wanted");
        return env;
    };
    for (name, value) in map {
        let from = value.get("secret").and_then(Value::as_str);
        match (value, from) {
            (Value::String(text), _) => {
                env.insert(name.clone(), EnvValue::Text(text.clone()));
            }
            (Value::Object(members), Some(key)) if members.len() == 1 => {
                if let Some(from) = secret(run, key, secrets, used) {
                    env.insert(name.clone(), EnvValue::From(from));
                }
            }
            _ => run.tell(
                &format!("env/{name}"),
                "a text or {\"secret\": …} is wanted",
            ),
        }
    }
    env
}

fn volumes(
    run: &Members<'_>,
    secrets: &BTreeMap<String, Name>,
    used: &mut BTreeSet<String>,
) -> Vec<MaterialFile> {
    let mut files = Vec::new();
    for volume in run.objects("volumes").unwrap_or_default() {
        match (volume.text("containerPath"), volume.text("secret")) {
            (None, _) => volume.tell("containerPath", "it is missing"),
            (Some(path), Some(key)) => {
                files.extend(secret(run, key, secrets, used).map(|from| MaterialFile {
                    path: path.to_owned(),
                    from,
                }));
                volume.finish();
            }
            (Some(_), None) => {
                volume.tell(
                    "hostPath",
                    "volumes of hosts are not built yet; those of secrets are",
                );
            }
        }
    }
    files
}

fn artifacts(run: &Members<'_>) -> Vec<Artifact> {
    let mut artifacts = Vec::new();
    for artifact in run.objects("artifacts").unwrap_or_default() {
        match artifact.text("uri") {
            None => artifact.tell("uri", "it is missing"),
            Some(uri) => artifacts.push(Artifact {
                uri: uri.to_owned(),
                extract: artifact.flag("extract").unwrap_or(true),
                executable: artifact.flag("executable").unwrap_or(false),
                cache: artifact.flag("cache").unwrap_or(false),
                path: None,
            }),
        }
        artifact.finish();
    }
    artifacts
}

fn networks(run: &Members<'_>) {
    for network in run.objects("networks").unwrap_or_default() {
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

fn placement(run: &Members<'_>) -> Placement {
    let mut placement = Placement::default();
    let Some(members) = run.object("placement") else {
        return placement;
    };
    for constraint in members.objects("constraints").unwrap_or_default() {
        let operators = [
            ("IS", Operator::In),
            ("EQ", Operator::In),
            ("LIKE", Operator::Matches),
            ("UNLIKE", Operator::NotMatches),
        ];
        for key in ["attribute", "operator", "value"] {
            if constraint.value(key).is_none() {
                constraint.tell(key, "it is missing");
            }
        }
        let attribute = constraint.text("attribute");
        let op = constraint.word("operator", &operators);
        let value = constraint.text("value");
        if let (Some(attribute), Some(op), Some(value)) = (attribute, op, value) {
            placement.require.push(Rule {
                key: Key::from(attribute.to_owned()),
                op,
                values: vec![value.to_owned()],
            });
        }
        constraint.finish();
    }
    members.finish();
    placement
}
