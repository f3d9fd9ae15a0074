//! `mezz wait`, and waiting for the end of a run.

mod conditions;

use std::time::Instant;

use mezz_spec::{Kind, Name};
use serde_json::Value;

use super::progress::{self, Line, watch};
use super::standing;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::client::identify::task_id;
use crate::client::objects::{path, split};
use crate::client::runs::{self, Named};
use crate::exit::Exit;
use crate::object_args::WaitArgs;
use crate::output::talk;
use conditions::Condition;

/// Waits until something is as wanted.
pub(in super::super) fn wait(master: &str, args: &WaitArgs) -> Result<Exit, ClientError> {
    let deadline = args.patience.deadline()?;
    let condition = args.condition.as_deref().map(Condition::parse).transpose();
    let condition = condition.map_err(ClientError::Usage)?;
    let mut api = Api::new(master)?;
    let end = match meant(&mut api, &args.what)? {
        Some(Named::Run(run)) => of_id(&mut api, &run.full(), condition.as_ref(), deadline)?,
        Some(Named::Object(kind, name)) => match condition {
            Some(condition) => conditions::of_object(&mut api, kind, &name, &condition, deadline)?,
            None => usual(&mut api, kind, &name, deadline)?,
        },
        None => of_id(&mut api, &args.what, condition.as_ref(), deadline)?,
    };
    if end.is_none() {
        talk::error("it took longer than --timeout says");
    }
    Ok(end.unwrap_or(Exit::Failed))
}

/// The object or run of a KIND/NAME, or the object of a name alone; none where only an id can be meant.
fn meant(api: &mut Api, given: &str) -> Result<Option<Named>, ClientError> {
    if let (Some(kind), name) = split(given) {
        return runs::named(api, kind, name, false).map(Some);
    }
    let Ok(name) = Name::new(given) else {
        return Ok(None);
    };
    let found = standing::first(api, &name)?;
    Ok(found.map(|(kind, name, _)| Named::Object(kind, name)))
}

/// What is waited for when nothing is said.
fn usual(
    api: &mut Api,
    kind: Kind,
    name: &Name,
    deadline: Option<Instant>,
) -> Result<Option<Exit>, ClientError> {
    match kind {
        Kind::Service => for_service(api, name, deadline),
        Kind::Job | Kind::Dag | Kind::Cron => for_runs(api, kind, name, deadline),
        Kind::Group | Kind::Secret | Kind::Config => {
            let message = format!("a {kind} has nothing to wait for but `--for gone`");
            Err(ClientError::Usage(message))
        }
    }
}

/// A run, a rollout or a task.
fn of_id(
    api: &mut Api,
    id: &str,
    condition: Option<&Condition>,
    deadline: Option<Instant>,
) -> Result<Option<Exit>, ClientError> {
    match runs::find(api, id) {
        Ok(run) => {
            return match condition {
                None | Some(Condition::Ended) => for_run(api, &run.full(), deadline),
                Some(condition) => conditions::of_run(api, &run, condition, deadline),
            };
        }
        Err(error) if error.exit() == Exit::NotFound => {}
        Err(error) => return Err(error),
    }
    let target = format!("/v1/rollouts/{}", percent_encoded(id));
    match api.get(&target) {
        Ok(_) => {
            return match condition {
                None | Some(Condition::Ended) => progress::one(api, id, deadline),
                Some(_) => Err(ClientError::Usage(
                    "a rollout can only be waited for to end".to_owned(),
                )),
            };
        }
        Err(error) if error.exit() == Exit::NotFound => {}
        Err(error) => return Err(error),
    }
    let id = task_id(api, id).map_err(|error| match error {
        ClientError::NotFound { .. } => ClientError::NotFound {
            what: format!("there is no object, run, rollout or task '{id}'"),
            hint: "`mezz get all`, `mezz runs`, `mezz get rollouts` and `mezz ps` list them"
                .to_owned(),
        },
        error => error,
    })?;
    conditions::of_task(api, &id, condition.unwrap_or(&Condition::Ended), deadline)
}

fn count(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// Waits until a service has all its instances ready, and no rollout.
fn for_service(
    api: &mut Api,
    name: &Name,
    deadline: Option<Instant>,
) -> Result<Option<Exit>, ClientError> {
    let target = path(Kind::Service, name);
    let object = api.value(&target)?;
    if let Some(rollout) = object.pointer("/status/rollout").and_then(Value::as_str) {
        match progress::one(api, rollout, deadline)? {
            Some(Exit::Ok) => {}
            other => return Ok(other),
        }
    }
    let mut line = Line::default();
    let ended = watch(api, &target, deadline, |object| {
        let status = object.get("status").unwrap_or(&Value::Null);
        let (ready, wanted) = (count(status, "ready"), count(status, "wanted"));
        line.show(&format!("service {name}: ready {ready}/{wanted}"));
        let rests = status.get("rollout").is_none_or(Value::is_null);
        (rests && ready == wanted).then_some(Exit::Ok)
    });
    line.end();
    ended
}

/// Waits for all runs of a job, dag or cron that have not ended; the first that failed gives the exit code.
fn for_runs(
    api: &mut Api,
    kind: Kind,
    name: &Name,
    deadline: Option<Instant>,
) -> Result<Option<Exit>, ClientError> {
    api.get(&path(kind, name))?;
    let list = api.list(&format!("/v1/runs?job={}", percent_encoded(name.as_str())))?;
    let active = list
        .iter()
        .filter(|run| run.get("ended_at").is_none_or(Value::is_null));
    let mut exit = Exit::Ok;
    for run in active.filter_map(runs::Run::of) {
        match for_run(api, &run.full(), deadline)? {
            None => return Ok(None),
            Some(end) if exit == Exit::Ok => exit = end,
            Some(_) => {}
        }
    }
    Ok(Some(exit))
}

/// Waits for the end of a run. A run whose last attempt ended with a status gives that.
pub(super) fn for_run(
    api: &mut Api,
    id: &str,
    deadline: Option<Instant>,
) -> Result<Option<Exit>, ClientError> {
    let mut line = Line::default();
    let target = format!("/v1/runs/{}", percent_encoded(id));
    let ended = watch(api, &target, deadline, |run| {
        line.show(&words(run));
        match run.get("state").and_then(Value::as_str) {
            Some("succeeded") => Some(Exit::Ok),
            Some("failed" | "stopped") => Some(status(run)),
            _ => None,
        }
    });
    line.end();
    ended
}

fn status(run: &Value) -> Exit {
    let ends = run.get("ends").and_then(Value::as_array);
    let status = ends
        .into_iter()
        .flatten()
        .rev()
        .filter_map(|end| end.get("exit_status")?.as_u64())
        .find(|status| *status != 0);
    let status = status.and_then(|status| u8::try_from(status).ok());
    status.map_or(Exit::Failed, Exit::Task)
}

/// How a run stands, in a line.
pub(super) fn words(run: &Value) -> String {
    let text = |key| run.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut words = format!("run {}: {}", text("id"), text("state"));
    for key in ["waiting", "running", "succeeded", "failed", "retried"] {
        let number = count(run, key);
        if number > 0 {
            words.extend([", ", &number.to_string(), " ", key]);
        }
    }
    if !text("message").is_empty() {
        words.extend([": ", text("message")]);
    }
    words
}
