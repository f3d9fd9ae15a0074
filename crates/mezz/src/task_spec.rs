//! The task that `mezz run` and `mezz dev` ask for: the body of `POST /v1/tasks`, from arguments or from a YAML file.
//! Pure: what it reads is handed to it as text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::flags::value::{self, ValueError};
use crate::run_args::RunArgs;
use mezz_spec::nearest::nearest;

/// What runs: a text for the shell, or a program and its arguments.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum CommandSpec {
    Shell(String),
    Words(Vec<String>),
}

/// A file for the sandbox.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum UriSpec {
    Plain(String),
    Full(FullUri),
}

/// A file for the sandbox, with what to do with it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct FullUri {
    value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    executable: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extract: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_file: Option<String>,
}

/// One task.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct TaskSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cpus: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mem: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) disk: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gpus: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ports: Option<u32>,
    pub(crate) command: CommandSpec,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) uris: Vec<UriSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kill_grace_period_secs: Option<f64>,
}

const KEYS: [&str; 15] = [
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

/// Why a task cannot be asked for.
#[derive(Debug, Error)]
pub(crate) enum TaskSpecError {
    #[error("not YAML: {0}")]
    Syntax(String),
    #[error("the document has no `task:`; it begins with {0}")]
    NoTask(String),
    #[error("unknown key '{key}' {place}{}", nearest.map_or_else(String::new, |near| format!("; did you mean '{near}'?")))]
    UnknownKey {
        key: String,
        place: &'static str,
        nearest: Option<&'static str>,
    },
    #[error("task.{key}: {message}")]
    Field { key: &'static str, message: String },
    #[error("task: {0}")]
    Shape(String),
    #[error("--{flag} '{text}' is not of the form {form}")]
    Pair {
        flag: &'static str,
        text: String,
        form: &'static str,
    },
    #[error("--env {0}: this variable is not set here, so it needs a value: --env {0}=VALUE")]
    Unset(String),
    #[error("--kill-grace-period: {0}")]
    GracePeriod(#[from] ValueError),
    #[error("--{flag} {amount} is not above zero")]
    Amount { flag: &'static str, amount: f64 },
}

impl TaskSpec {
    /// A task that runs these words and asks for the defaults.
    pub(crate) fn of_words(words: Vec<String>) -> Self {
        Self {
            name: None,
            id: None,
            role: None,
            priority: None,
            cpus: None,
            mem: None,
            disk: None,
            gpus: None,
            ports: None,
            command: CommandSpec::Words(words),
            env: BTreeMap::new(),
            user: None,
            labels: BTreeMap::new(),
            uris: Vec::new(),
            kill_grace_period_secs: None,
        }
    }

    /// The task that the arguments of `mezz run` describe; `variable` looks up our own environment.
    pub(crate) fn of_arguments(
        args: &RunArgs,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, TaskSpecError> {
        let command = if args.shell {
            CommandSpec::Shell(args.command.join(" "))
        } else {
            CommandSpec::Words(args.command.clone())
        };
        let env = args.env.iter().map(|text| variable_of(text, &variable));
        let env = env.collect::<Result<_, _>>()?;
        let labels = args
            .label
            .iter()
            .map(|text| pair("label", text, "KEY=VALUE"));
        let labels = labels.collect::<Result<_, _>>()?;
        check_amounts(args)?;
        let grace = args
            .kill_grace_period
            .as_deref()
            .map(value::duration)
            .transpose()?;
        Ok(Self {
            name: args.name.clone(),
            id: args.id.clone(),
            role: args.role.clone(),
            priority: args.priority,
            cpus: args.cpus,
            mem: args.mem,
            disk: args.disk,
            gpus: args.gpus,
            ports: args.ports,
            env,
            user: args.user.clone(),
            labels,
            uris: args.uri.iter().cloned().map(UriSpec::Plain).collect(),
            kill_grace_period_secs: grace.map(|grace| grace.as_secs_f64()),
            ..Self::of_words(Vec::new())
        }
        .running(command))
    }

    fn running(mut self, command: CommandSpec) -> Self {
        self.command = command;
        self
    }

    /// The task of a YAML document with one `task:`.
    pub(crate) fn of_yaml(text: &str) -> Result<Self, TaskSpecError> {
        let document: Value = serde_saphyr::from_str(text)
            .map_err(|error| TaskSpecError::Syntax(error.to_string()))?;
        let Value::Object(mut document) = document else {
            return Err(TaskSpecError::NoTask(kind_of(&document).to_owned()));
        };
        let task = document.remove("task");
        if let Some(key) = document.keys().next() {
            let near = nearest(key, ["task"]);
            return Err(TaskSpecError::UnknownKey {
                key: key.clone(),
                place: "at the top of the document",
                nearest: near,
            });
        }
        let Some(Value::Object(task)) = task else {
            let found = task.as_ref().map_or("nothing", kind_of);
            return Err(TaskSpecError::Shape(format!(
                "must be a mapping with a `command`, and is {found}"
            )));
        };
        for key in task.keys() {
            if !KEYS.contains(&key.as_str()) {
                let near = nearest(key, KEYS);
                return Err(TaskSpecError::UnknownKey {
                    key: key.clone(),
                    place: "in `task`",
                    nearest: near,
                });
            }
        }
        if !task.contains_key("command") {
            return Err(TaskSpecError::Field {
                key: "command",
                message: "missing; it says what runs".to_owned(),
            });
        }
        check_fields(&task)?;
        serde_json::from_value(Value::Object(task))
            .map_err(|error| TaskSpecError::Shape(error.to_string()))
    }

    /// The request body.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and lists always have a JSON form")
    }
}

/// A variable of `--env`; a name alone takes the value that it has here.
fn variable_of(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(String, String), TaskSpecError> {
    if text.contains('=') || text.is_empty() {
        return pair("env", text, "NAME=VALUE");
    }
    let value = variable(text).ok_or_else(|| TaskSpecError::Unset(text.to_owned()))?;
    Ok((text.to_owned(), value))
}

fn pair(
    flag: &'static str,
    text: &str,
    form: &'static str,
) -> Result<(String, String), TaskSpecError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(TaskSpecError::Pair {
            flag,
            text: text.to_owned(),
            form,
        }),
    }
}

fn check_amounts(args: &RunArgs) -> Result<(), TaskSpecError> {
    for (flag, amount, least) in [
        ("cpus", args.cpus, true),
        ("mem", args.mem, true),
        ("disk", args.disk, false),
        ("gpus", args.gpus, false),
    ] {
        let wrong =
            |amount: &f64| !amount.is_finite() || *amount < 0.0 || (least && *amount == 0.0);
        if let Some(amount) = amount.filter(wrong) {
            return Err(TaskSpecError::Amount { flag, amount });
        }
    }
    Ok(())
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a switch",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// Says which field has the wrong kind; an untagged enum could only say that none of its variants fits.
fn check_fields(task: &serde_json::Map<String, Value>) -> Result<(), TaskSpecError> {
    for key in KEYS {
        let Some(value) = task.get(key) else { continue };
        let texts = |values: &[Value]| values.iter().all(Value::is_string);
        let (fits, wanted) = match key {
            "cpus" | "mem" | "disk" | "gpus" | "kill_grace_period_secs" => (
                value.as_f64().is_some_and(|number| number >= 0.0),
                "a number that is not below zero",
            ),
            "priority" => (
                value
                    .as_i64()
                    .is_some_and(|number| i32::try_from(number).is_ok()),
                "a whole number of 32 bits",
            ),
            "ports" => (
                value
                    .as_u64()
                    .is_some_and(|count| u32::try_from(count).is_ok()),
                "a whole number: how many ports",
            ),
            "command" => {
                let words = value
                    .as_array()
                    .is_some_and(|words| !words.is_empty() && texts(words));
                (
                    value.is_string() || words,
                    "a text for the shell, or a list of texts",
                )
            }
            "env" | "labels" => {
                let flat = value
                    .as_object()
                    .is_some_and(|pairs| pairs.values().all(Value::is_string));
                (flat, "a mapping of texts (quote numbers and switches)")
            }
            "uris" => (value.is_array(), "a list of URIs"),
            _ => (value.is_string(), "a text"),
        };
        if !fits {
            return Err(TaskSpecError::Field {
                key,
                message: format!("must be {wanted}, and is {}", kind_of(value)),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        TaskSpec::of_yaml(text).expect_err("a refusal").to_string()
    }

    #[test]
    fn a_task_document_becomes_a_request() {
        let task = TaskSpec::of_yaml(
            "task:\n  name: hello\n  command: echo hi\n  cpus: 0.5\n  env:\n    A: b\n",
        )
        .expect("a task");
        let json = String::from_utf8(task.to_json()).expect("text");
        assert_eq!(
            json,
            r#"{"name":"hello","cpus":0.5,"command":"echo hi","env":{"A":"b"}}"#
        );
    }

    #[test]
    fn a_mistyped_key_of_a_task_names_the_nearest_one() {
        assert_eq!(
            error("task:\n  comand: true\n"),
            "unknown key 'comand' in `task`; did you mean 'command'?"
        );
        assert_eq!(
            error("tsak:\n  command: x\n"),
            "unknown key 'tsak' at the top of the document; did you mean 'task'?"
        );
    }

    #[test]
    fn a_field_of_the_wrong_kind_is_named() {
        assert_eq!(
            error("task:\n  command: x\n  cpus: many\n"),
            "task.cpus: must be a number that is not below zero, and is a text"
        );
        assert_eq!(
            error("task:\n  cpus: 1\n"),
            "task.command: missing; it says what runs"
        );
        assert_eq!(
            error("task:\n  command: x\n  env:\n    A: 1\n"),
            "task.env: must be a mapping of texts (quote numbers and switches), and is a mapping"
        );
    }

    #[test]
    fn a_document_without_a_task_says_so() {
        assert_eq!(
            error("- a\n"),
            "the document has no `task:`; it begins with a list"
        );
        assert_eq!(
            error("task: 7\n"),
            "task: must be a mapping with a `command`, and is a number"
        );
    }
}
