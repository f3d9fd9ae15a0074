//! The body of `POST /v1/tasks`: what a user wants to run. Pure; errors name the key.

use mezz_core::native::NativeTask;
use mezz_proto::v1;
use serde_json::{Map, Value};

use mezz_spec::nearest::nearest;

const KEYS: &[&str] = &[
    "name",
    "id",
    "role",
    "priority",
    "cpus",
    "mem",
    "disk",
    "gpus",
    "ports",
    "command",
    "env",
    "user",
    "labels",
    "uris",
    "kill_grace_period_secs",
];
/// Ports that one task may have.
const MAX_PORTS: u32 = 1000;
const URI_KEYS: &[&str] = &["value", "executable", "extract", "output_file"];

/// Seconds as nanoseconds.
pub(super) fn nanoseconds(key: &str, seconds: f64) -> Result<i64, String> {
    if !(0.0..=1e9).contains(&seconds) {
        return Err(format!("{key}: {seconds} is not between 0 and 1000000000"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    Ok((seconds * 1e9) as i64)
}

/// Reads the body of `POST /v1/tasks`; errors name the key.
pub(super) fn parse(body: &[u8]) -> Result<NativeTask, String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let Value::Object(map) = value else {
        return Err("the body is not a JSON object".into());
    };
    check_keys(&map, KEYS)?;
    let command = command(&map)?;
    let id = word(&map, "id")?;
    let name = word(&map, "name")?
        .or_else(|| id.clone())
        .unwrap_or_else(|| stem(&command));
    let mut resources = Vec::new();
    for (key, default, least) in [
        ("cpus", 0.1, 0.001),
        ("mem", 32.0, 0.001),
        ("disk", 0.0, 0.0),
        ("gpus", 0.0, 0.0),
    ] {
        let value = number(&map, key)?.unwrap_or(default);
        let most = if key == "gpus" { 1e3 } else { 1e9 };
        if !(least..=most).contains(&value) {
            return Err(format!("{key}: {value} is not between {least} and {most}"));
        }
        if key == "gpus" && value.fract() != 0.0 {
            return Err(format!("{key}: {value} is not a whole number"));
        }
        // Quantities have three decimals: less than half a thousandth is nothing.
        if value >= 0.0005 {
            resources.push(scalar(key, value));
        }
    }
    let grace = number(&map, "kill_grace_period_secs")?;
    let grace = grace
        .map(|seconds| nanoseconds("kill_grace_period_secs", seconds))
        .transpose()?;
    Ok(NativeTask {
        name,
        id,
        role: text(&map, "role")?.unwrap_or_else(|| "*".into()),
        priority: priority(&map)?,
        resources,
        port_count: port_count(&map)?,
        command,
        container: None,
        labels: labels(&map)?,
        kill_policy: grace.map(|nanoseconds| v1::KillPolicy {
            grace_period: Some(v1::DurationInfo { nanoseconds }),
        }),
    })
}

fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..v1::Resource::default()
    }
}

fn priority(map: &Map<String, Value>) -> Result<i32, String> {
    match map.get("priority") {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value
            .as_f64()
            .filter(|number| number.fract() == 0.0)
            .filter(|number| (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(number))
            .map(|number| {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a whole number within bounds"
                )]
                let number = number as i32;
                number
            })
            .ok_or_else(|| {
                let (least, most) = (i32::MIN, i32::MAX);
                format!("priority: {value} is not a whole number from {least} to {most}")
            }),
    }
}

fn port_count(map: &Map<String, Value>) -> Result<u32, String> {
    match map.get("ports") {
        None | Some(Value::Null) => Ok(0),
        // A whole number is one however it is written: 2 and 2.0 are the same in JSON.
        Some(value) => value
            .as_f64()
            .filter(|count| count.fract() == 0.0 && (0.0..=f64::from(MAX_PORTS)).contains(count))
            .map(|count| {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a whole number within bounds"
                )]
                let count = count as u32;
                count
            })
            .ok_or_else(|| format!("ports: {value} is not a count from 0 to {MAX_PORTS}")),
    }
}

/// The name of the program, when the user gave no name.
fn stem(command: &v1::CommandInfo) -> String {
    let first = command
        .arguments
        .first()
        .or(command.value.as_ref())
        .map_or("task", String::as_str);
    let word = first.split_whitespace().next().unwrap_or("task");
    let base = word.rsplit('/').next().unwrap_or(word);
    let kept: String = base
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .take(64)
        .collect();
    let kept = kept.trim_matches('.');
    if kept.is_empty() {
        "task".into()
    } else {
        kept.into()
    }
}

fn command(map: &Map<String, Value>) -> Result<v1::CommandInfo, String> {
    let mut command = match map.get("command") {
        Some(Value::String(text)) if !text.is_empty() => v1::CommandInfo {
            shell: Some(true),
            value: Some(without_nul("command", text)?),
            ..v1::CommandInfo::default()
        },
        Some(Value::Array(items)) if !items.is_empty() => {
            let arguments: Option<Vec<String>> = items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect();
            let arguments = arguments.ok_or("command: every argument has to be a string")?;
            for argument in &arguments {
                without_nul("command", argument)?;
            }
            v1::CommandInfo {
                shell: Some(false),
                value: arguments.first().cloned(),
                arguments,
                ..v1::CommandInfo::default()
            }
        }
        None | Some(Value::Null) => return Err("command: it is missing".into()),
        Some(_) => {
            return Err(
                "command: it has to be shell text or a list of arguments, and not empty".into(),
            );
        }
    };
    command.user = some_text(map, "user")?;
    command.uris = uris(map)?;
    command.environment = environment(map)?;
    Ok(command)
}

fn environment(map: &Map<String, Value>) -> Result<Option<v1::Environment>, String> {
    let mut variables = Vec::new();
    for (name, value) in strings(map, "env")? {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!("env: '{name}' cannot be the name of a variable"));
        }
        variables.push(v1::environment::Variable {
            value: Some(without_nul(&format!("env.{name}"), &value)?),
            name,
            ..v1::environment::Variable::default()
        });
    }
    Ok((!variables.is_empty()).then_some(v1::Environment { variables }))
}

fn labels(map: &Map<String, Value>) -> Result<Option<v1::Labels>, String> {
    let labels: Vec<v1::Label> = strings(map, "labels")?
        .into_iter()
        .map(|(key, value)| v1::Label {
            key,
            value: Some(value),
        })
        .collect();
    Ok((!labels.is_empty()).then_some(v1::Labels { labels }))
}

fn uris(map: &Map<String, Value>) -> Result<Vec<v1::command_info::Uri>, String> {
    let items = match map.get("uris") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err("uris: it has to be a list".into()),
    };
    items
        .iter()
        .map(|item| match item {
            Value::String(value) if value.is_empty() => Err("uris: an entry is empty".into()),
            Value::String(value) => Ok(v1::command_info::Uri {
                value: without_nul("uris", value)?,
                ..v1::command_info::Uri::default()
            }),
            Value::Object(map) => {
                check_keys(map, URI_KEYS).map_err(|error| format!("uris: {error}"))?;
                Ok(v1::command_info::Uri {
                    value: some_text(map, "value")?.ok_or("uris: an entry lacks 'value'")?,
                    executable: flag(map, "executable")?,
                    extract: flag(map, "extract")?,
                    output_file: some_text(map, "output_file")?,
                    ..v1::command_info::Uri::default()
                })
            }
            _ => Err("uris: every entry has to be a string or an object".into()),
        })
        .collect()
}

fn text(map: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("{key}: {other} is not a string")),
    }
}

/// A text that the kernel can take, and that says something.
fn some_text(map: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match text(map, key)? {
        None => Ok(None),
        Some(text) if text.is_empty() => Err(format!("{key}: it is empty")),
        Some(text) => without_nul(key, &text).map(Some),
    }
}

fn without_nul(key: &str, text: &str) -> Result<String, String> {
    if text.contains('\0') {
        return Err(format!("{key}: it contains a NUL character"));
    }
    Ok(text.to_owned())
}

/// An id or a name, which becomes part of paths.
fn word(map: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    let Some(text) = text(map, key)? else {
        return Ok(None);
    };
    let fits = text
        .bytes()
        .all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= 200;
    if fits {
        return Ok(Some(text));
    }
    Err(format!(
        "{key}: '{text}' has to begin with a letter or digit, and to hold only letters, digits, '.', '_' and '-', at most 200"
    ))
}

fn flag(map: &Map<String, Value>, key: &str) -> Result<Option<bool>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(format!("{key}: {other} is neither true nor false")),
    }
}

fn number(map: &Map<String, Value>, key: &str) -> Result<Option<f64>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_f64()
            .map(Some)
            .ok_or_else(|| format!("{key}: {value} is not a number")),
    }
}

fn strings(map: &Map<String, Value>, key: &str) -> Result<Vec<(String, String)>, String> {
    let entries = match map.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(entries)) => entries,
        Some(other) => return Err(format!("{key}: {other} is not an object")),
    };
    entries
        .iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name.clone(), text.clone())),
            other => Err(format!("{key}.{name}: {other} is not a string")),
        })
        .collect()
}

/// Refuses keys that are not known; names the nearest known one.
fn check_keys(map: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(match nearest(key, known.iter().copied()) {
            Some(near) => format!("'{key}' is no known key; did you mean '{near}'?"),
            None => format!("'{key}' is no known key; known are {}", known.join(", ")),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let error = parse(br#"{"command": "true", "comand": "x"}"#).unwrap_err();
        assert_eq!(error, "'comand' is no known key; did you mean 'command'?");
        let error = parse(br#"{"command": "true", "uris": [{"exec": true}]}"#).unwrap_err();
        assert!(error.starts_with("uris: 'exec' is no known key"), "{error}");
    }

    #[test]
    fn a_short_body_gets_the_defaults() {
        let task = parse(br#"{"command": "echo hi"}"#).unwrap();
        assert_eq!((task.name.as_str(), task.role.as_str()), ("echo", "*"));
        assert_eq!(task.command.value.as_deref(), Some("echo hi"));
        let names: Vec<&str> = task.resources.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["cpus", "mem"]);
    }

    #[test]
    fn an_argument_list_runs_without_a_shell() {
        let task = parse(br#"{"command": ["/bin/ls", "-l"], "env": {"A": "b"}}"#).unwrap();
        assert_eq!(task.command.shell, Some(false));
        assert_eq!(task.command.arguments, ["/bin/ls", "-l"]);
        assert_eq!(task.name, "ls");
    }

    #[test]
    fn bad_values_name_their_key() {
        for (body, key) in [
            (r#"{"command": "x", "cpus": "many"}"#, "cpus"),
            (r#"{"command": "x", "mem": -1}"#, "mem"),
            (r#"{"command": []}"#, "command"),
            (r"{}", "command"),
            (r#"{"command": "x", "ports": 1.5}"#, "ports"),
            (r#"{"command": "x", "env": {"A": 1}}"#, "env.A"),
            (r#"{"command": "x", "id": "a/b"}"#, "id"),
            (r#"{"command": "x", "gpus": 0.5}"#, "gpus"),
            (r#"{"command": "x", "cpus": 0}"#, "cpus"),
            (r#"{"command": "x\u0000"}"#, "command"),
            (r#"{"command": "x", "user": ""}"#, "user"),
        ] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert!(error.starts_with(&format!("{key}:")), "{body}: {error}");
        }
    }
}
