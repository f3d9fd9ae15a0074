//! What a job of Chronos runs.

use std::collections::BTreeMap;

use mezz_spec::placement::{Key, Operator, Placement, Rule};
use mezz_spec::quantity::{Span, Thousandths};
use mezz_spec::template::{Artifact, Command, Container, EnvValue, Resources, Template};
use serde_json::Value;

use super::job::Written;
use crate::reading::{Members, mebibytes, thousandths};

const CPUS: f64 = 0.1;
const MEM: f64 = 128.0;
const DISK: f64 = 256.0;

pub(super) fn read(members: &Members<'_>, written: &Written) -> Template {
    let resources = resources(members);
    let container = Container {
        command: command(members),
        env: environment(members, written, &resources),
        artifacts: artifacts(members, written),
        resources,
        ..Container::default()
    };
    image(members);
    let user = members.text("runAsUser").filter(|user| !user.is_empty());
    for key in ["executor", "executorFlags", "taskInfoData"] {
        if members.text(key).is_some_and(|text| !text.is_empty()) {
            members.tell(key, "executors of jobs are not built yet; leave it out");
        }
    }
    Template {
        containers: vec![container],
        user: user.map(str::to_owned),
        ..Template::default()
    }
}

/// Nothing, when there is no image in it, as Chronos takes it.
fn image(members: &Members<'_>) {
    let Some(container) = members.object("container") else {
        return;
    };
    if container
        .text("image")
        .is_some_and(|image| !image.is_empty())
    {
        container.tell("image", "images are not built yet; leave the container out");
    }
    for (key, what) in [
        ("volumes", "volumes of jobs are"),
        ("parameters", "images are"),
        ("networkInfos", "container networks are"),
        ("networkName", "container networks are"),
    ] {
        container.not_built(key, what);
    }
    container.pass(&["type", "network", "forcePullImage"]);
    container.finish();
}

fn command(members: &Members<'_>) -> Option<Command> {
    let is_shell = members.flag("shell").unwrap_or(true);
    let text = members.text("command").unwrap_or_default();
    let arguments = members.texts("arguments").unwrap_or_default();
    if text.trim().is_empty() {
        members.tell("command", "a job needs a command");
        return None;
    }
    if is_shell {
        if !arguments.is_empty() {
            members.tell(
                "arguments",
                "a shell takes none; put them into the command, or write \"shell\": false",
            );
        }
        return Some(Command::Shell(text.to_owned()));
    }
    let words = std::iter::once(text.to_owned()).chain(arguments);
    Some(Command::Words(words.collect()))
}

fn resources(members: &Members<'_>) -> Resources {
    let amount = |key: &'static str, default: f64| {
        members
            .number(key)
            .filter(|number| *number > 0.0)
            .unwrap_or(default)
    };
    Resources {
        cpus: Thousandths(thousandths(amount("cpus", CPUS))),
        mem: mebibytes(amount("mem", MEM)),
        disk: mebibytes(amount("disk", DISK)),
        gpus: 0,
        limits: None,
    }
}

/// What Chronos tells a job of itself goes before what the job says.
fn environment(
    members: &Members<'_>,
    written: &Written,
    resources: &Resources,
) -> BTreeMap<String, EnvValue> {
    let mut env = BTreeMap::new();
    for variable in members.objects("environmentVariables").unwrap_or_default() {
        let value = match variable.value("value") {
            Some(Value::String(text)) => Some(text.clone()),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
            _ => None,
        };
        match (variable.text("name"), value) {
            (Some(name), Some(value)) => {
                env.insert(name.to_owned(), EnvValue::Text(value));
            }
            (None, _) => variable.tell("name", "it is missing"),
            (_, None) => variable.tell("value", "a text is wanted"),
        }
        variable.finish();
    }
    let decimal = |thousandths: u64| {
        let number = thousandths as f64 / 1_000.0;
        format!("{number:?}")
    };
    let owner = members.text("owner").unwrap_or_default();
    for (name, value) in [
        ("CHRONOS_JOB_NAME", written.name.clone()),
        ("CHRONOS_JOB_OWNER", owner.to_owned()),
        ("CHRONOS_RESOURCE_CPU", decimal(resources.cpus.0)),
        (
            "CHRONOS_RESOURCE_MEM",
            decimal(resources.mem.mebibytes_thousandths()),
        ),
        (
            "CHRONOS_RESOURCE_DISK",
            decimal(resources.disk.mebibytes_thousandths()),
        ),
    ] {
        env.insert(name.to_owned(), EnvValue::Text(value));
    }
    env
}

fn artifacts(members: &Members<'_>, written: &Written) -> Vec<Artifact> {
    let uris = members.texts("uris").unwrap_or_default();
    let fetch = members.objects("fetch").unwrap_or_default();
    let plain = |uri: String| Artifact {
        uri,
        extract: true,
        executable: false,
        cache: false,
        path: None,
    };
    let mut artifacts = Vec::new();
    for one in fetch {
        match one.text("uri") {
            None => one.tell("uri", "it is missing"),
            Some(uri) => artifacts.push(Artifact {
                extract: one.flag("extract").unwrap_or(true),
                executable: one.flag("executable").unwrap_or(false),
                cache: one.flag("cache").unwrap_or(false),
                path: one
                    .text("output_file")
                    .filter(|path| !path.is_empty())
                    .map(str::to_owned),
                ..plain(uri.to_owned())
            }),
        }
        one.finish();
    }
    // Chronos answers both, and clients send both back.
    let is_copy = artifacts.iter().map(|artifact| &artifact.uri).eq(&uris);
    if !uris.is_empty() && !artifacts.is_empty() && !is_copy {
        let message = format!(
            "Tried to add both uri (deprecated) and fetch parameters on {}",
            written.name
        );
        members.tell("uris", message);
    }
    if artifacts.is_empty() {
        artifacts = uris.into_iter().map(plain).collect();
    }
    artifacts
}

pub(super) fn placement(members: &Members<'_>) -> Placement {
    let mut placement = Placement::default();
    for (index, constraint) in members
        .list("constraints")
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let words: Vec<&str> = constraint
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let rule = match words.as_slice() {
            [key, "EQUALS", value] => Some((key, Operator::In, value)),
            [key, "LIKE", value] => Some((key, Operator::Matches, value)),
            [key, "UNLIKE", value] => Some((key, Operator::NotMatches, value)),
            _ => None,
        };
        match rule {
            Some((key, op, value)) => placement.require.push(Rule {
                key: Key::from((*key).to_owned()),
                op,
                values: vec![(*value).to_owned()],
            }),
            None => members.tell(
                &format!("constraints/{index}"),
                "a constraint is [attribute, EQUALS or LIKE or UNLIKE, value]",
            ),
        }
    }
    placement
}

/// A period such as `PT15M` or `P1D`, months as 30 days.
pub(super) fn period(text: &str) -> Option<Span> {
    let rest = text.strip_prefix('P')?;
    let (dates, times) = rest.split_once('T').unwrap_or((rest, ""));
    let day = 86_400;
    let dates = sum(
        dates,
        &[
            ('Y', 365 * day),
            ('M', 30 * day),
            ('W', 7 * day),
            ('D', day),
        ],
    )?;
    let times = sum(times, &[('H', 3_600), ('M', 60), ('S', 1)])?;
    Some(Span::seconds(dates.checked_add(times)?))
}

fn sum(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u32 = rest[..end].parse().ok()?;
        let unit = rest[end..].chars().next()?;
        let factor = units.iter().find(|(other, _)| *other == unit)?.1;
        total = total.checked_add(u64::from(number).checked_mul(factor)?)?;
        rest = &rest[end + unit.len_utf8()..];
    }
    Some(total)
}
