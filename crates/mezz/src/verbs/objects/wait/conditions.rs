//! `mezz wait --for`: the conditions of objects, runs and tasks.

use std::time::Instant;

use mezz_spec::nearest::nearest;
use mezz_spec::{Kind, Name};
use serde_json::Value;

use super::{count, for_service};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::follow::End;
use crate::client::http::percent_encoded;
use crate::client::objects::path;
use crate::client::runs::Run;
use crate::exit::Exit;
use crate::verbs::objects::progress::watch;

/// Words that are no names of conditions that the cluster shows.
const WORDS: [&str; 4] = ["ready", "running", "ended", "gone"];

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Ready,
    Running,
    Ended,
    Gone,
    /// One of those that an object's status shows.
    Shown {
        name: String,
        is_true: bool,
    },
}

impl Condition {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Ok(match text.split_once('=') {
            None if text == "ready" => Self::Ready,
            None if text == "running" => Self::Running,
            None if text == "ended" => Self::Ended,
            None if text == "gone" || text == "delete" => Self::Gone,
            None if text.is_empty() => return Err("--for is empty".to_owned()),
            None => Self::Shown {
                name: text.to_owned(),
                is_true: true,
            },
            Some((name, word @ ("true" | "false"))) => Self::Shown {
                name: name.to_owned(),
                is_true: word == "true",
            },
            Some((_, other)) => {
                return Err(format!("--for {text}: '{other}' is neither true nor false"));
            }
        })
    }

    fn unfit(&self, of: &str) -> ClientError {
        let tip = match self {
            Self::Shown { name, .. } => {
                nearest(name, WORDS).map(|near| format!("; did you mean '{near}'?"))
            }
            _ => None,
        };
        let tip = tip.unwrap_or_default();
        ClientError::Usage(format!("{of} cannot be waited for in this way{tip}"))
    }
}

/// Waits for a condition of an object; one that is not there yet may come.
pub(super) fn of_object(
    api: &mut Api,
    kind: Kind,
    name: &Name,
    condition: &Condition,
    deadline: Option<Instant>,
) -> Result<Option<Exit>, ClientError> {
    match condition {
        Condition::Ready if kind == Kind::Service => for_service(api, name, deadline),
        Condition::Gone => gone(api, kind, name, deadline),
        Condition::Running => {
            let key = match kind {
                Kind::Service => "running",
                Kind::Job | Kind::Dag => "active",
                _ => return Err(condition.unfit(&format!("a {kind}"))),
            };
            watch(api, &path(kind, name), deadline, |object| {
                let status = object.get("status").unwrap_or(&Value::Null);
                (count(status, key) > 0).then_some(Exit::Ok)
            })
        }
        Condition::Ended if matches!(kind, Kind::Job | Kind::Dag | Kind::Cron) => {
            super::for_runs(api, kind, name, deadline)
        }
        Condition::Shown {
            name: wanted,
            is_true,
        } => shown(api, kind, name, (wanted, *is_true), deadline),
        Condition::Ready | Condition::Ended => Err(condition.unfit(&format!("a {kind}"))),
    }
}

fn shown(
    api: &mut Api,
    kind: Kind,
    name: &Name,
    (wanted, is_true): (&str, bool),
    deadline: Option<Instant>,
) -> Result<Option<Exit>, ClientError> {
    let conditions = |object: &Value| {
        let list = object
            .pointer("/status/conditions")
            .and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let kind_of = |one: &Value| one.get("kind").and_then(Value::as_str).map(str::to_owned);
    let first = api.value(&path(kind, name))?;
    let known: Vec<String> = conditions(&first).iter().filter_map(kind_of).collect();
    if !known.is_empty() && !known.iter().any(|one| one == wanted) {
        let message = format!(
            "{kind} {name} has no condition '{wanted}'; it has {}",
            known.join(", ")
        );
        return Err(ClientError::Usage(message));
    }
    watch(api, &path(kind, name), deadline, |object| {
        let list = conditions(object);
        let one = list
            .iter()
            .find(|one| kind_of(one).as_deref() == Some(wanted))?;
        let now = one.get("is_true").and_then(Value::as_bool);
        (now == Some(is_true)).then_some(Exit::Ok)
    })
}

/// Waits until there is neither the object nor an instance of it.
fn gone(
    api: &mut Api,
    kind: Kind,
    name: &Name,
    deadline: Option<Instant>,
) -> Result<Option<Exit>, ClientError> {
    let there = watch(api, &path(kind, name), deadline, |_| None::<Exit>);
    match there {
        Err(error) if error.exit() == Exit::NotFound => {}
        Ok(None) => return Ok(None),
        other => return other,
    }
    let encoded = percent_encoded(name.as_str());
    let target = format!("/v1/instances?under={encoded}");
    let own = |one: &Value| one.get("name").and_then(Value::as_str) == Some(name.as_str());
    watch(api, &target, deadline, |list| {
        let list = list.as_array();
        let is_any = list.is_some_and(|list| list.iter().any(own));
        (!is_any).then_some(Exit::Ok)
    })
}

/// Waits for a condition of a run other than its end.
pub(super) fn of_run(
    api: &mut Api,
    run: &Run,
    condition: &Condition,
    deadline: Option<Instant>,
) -> Result<Option<Exit>, ClientError> {
    if *condition != Condition::Running {
        return Err(condition.unfit("a run"));
    }
    watch(api, &run.target(), deadline, |run| {
        let has_started = run.get("started_at").is_some_and(|at| !at.is_null());
        let has_ended = run.get("ended_at").is_some_and(|at| !at.is_null());
        match (has_started, has_ended) {
            (true, _) => Some(Exit::Ok),
            (false, true) => Some(Exit::Failed),
            (false, false) => None,
        }
    })
}

/// Waits for a condition of a task; at its end with the exit code of its command.
pub(super) fn of_task(
    api: &mut Api,
    id: &str,
    condition: &Condition,
    deadline: Option<Instant>,
) -> Result<Option<Exit>, ClientError> {
    let target = format!("/v1/tasks/{}", percent_encoded(id));
    let end = |task: &Value| -> Option<Exit> {
        task.get("finished_at").filter(|at| !at.is_null())?;
        let state = task.get("state").and_then(Value::as_str)?;
        let end = End {
            state: state.to_owned(),
            message: None,
            wait_status: None,
        };
        Some(match end.exit() {
            Exit::NotLaunched => Exit::Failed,
            exit => exit,
        })
    };
    match condition {
        Condition::Running => watch(api, &target, deadline, |task| {
            let is_running = task.get("state").and_then(Value::as_str) == Some("TASK_RUNNING");
            // What has ended does not run any more.
            if is_running {
                Some(Exit::Ok)
            } else {
                end(task).map(|_| Exit::Failed)
            }
        }),
        Condition::Ended => watch(api, &target, deadline, end),
        Condition::Gone => {
            match watch(api, &target, deadline, |task| end(task).map(|_| Exit::Ok)) {
                Err(error) if error.exit() == Exit::NotFound => Ok(Some(Exit::Ok)),
                other => other,
            }
        }
        Condition::Ready | Condition::Shown { .. } => Err(condition.unfit("a task")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_words_or_names_with_a_truth_value() {
        assert_eq!(Condition::parse("gone"), Ok(Condition::Gone));
        let crash = |is_true| Condition::Shown {
            name: "crash_looping".to_owned(),
            is_true,
        };
        assert_eq!(Condition::parse("crash_looping"), Ok(crash(true)));
        assert_eq!(Condition::parse("crash_looping=false"), Ok(crash(false)));
        assert!(Condition::parse("ready=perhaps").is_err());
    }
}
