//! `mezz wait`, and waiting for the end of a run.

use std::time::Instant;

use mezz_spec::{Kind, Name};
use serde_json::Value;

use super::progress::{self, Line, watch};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::client::objects::{self, path, split};
use crate::exit::Exit;
use crate::flags::value;
use crate::object_args::WaitArgs;
use crate::output::talk;

/// Waits until a service is as wanted, or until runs have ended.
pub(in super::super) fn wait(args: &WaitArgs) -> Result<Exit, ClientError> {
    let timeout = args.timeout.as_deref().map(value::duration).transpose();
    let timeout = timeout.map_err(|error| ClientError::Usage(format!("--timeout: {error}")))?;
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut api = Api::new(&args.cluster.master)?;
    let end = match split(&args.what) {
        (Some(Kind::Service), name) => for_service(&mut api, &objects::name(name)?, deadline)?,
        (Some(kind @ (Kind::Job | Kind::Dag)), name) => {
            for_runs(&mut api, kind, &objects::name(name)?, deadline)?
        }
        (Some(kind), _) => {
            let message = format!("a {kind} has nothing to wait for");
            return Err(ClientError::Usage(message));
        }
        // The id of a run, alone or behind its object's name.
        (None, id) if is_there(&mut api, &format!("/v1/runs/{}", percent_encoded(id)))? => {
            for_run(&mut api, id, deadline)?
        }
        (None, id) if is_there(&mut api, &format!("/v1/rollouts/{}", percent_encoded(id)))? => {
            progress::one(&mut api, id, deadline)?
        }
        (None, id) => {
            return Err(ClientError::NotFound {
                what: format!("there is no run and no rollout '{id}'"),
                hint:
                    "`mezz runs` and `mezz get rollouts` list them; objects are named as KIND/NAME"
                        .to_owned(),
            });
        }
    };
    if end.is_none() {
        talk::error("it took longer than --timeout says");
    }
    Ok(end.unwrap_or(Exit::Failed))
}

fn is_there(api: &mut Api, target: &str) -> Result<bool, ClientError> {
    match api.get(target) {
        Ok(_) => Ok(true),
        Err(error) if error.exit() == Exit::NotFound => Ok(false),
        Err(error) => Err(error),
    }
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

/// Waits for all runs of a job or dag that have not ended; the first that failed gives the exit code.
fn for_runs(
    api: &mut Api,
    kind: Kind,
    name: &Name,
    deadline: Option<Instant>,
) -> Result<Option<Exit>, ClientError> {
    api.get(&path(kind, name))?;
    let list = api.list(&objects::selected("/v1/runs", Some(name.as_str()), &[]))?;
    let own = list.iter().filter(|run| {
        run.get("name").and_then(Value::as_str) == Some(name.as_str())
            && run.get("ended_at").is_none_or(Value::is_null)
    });
    let mut exit = Exit::Ok;
    for id in own.filter_map(|run| run.get("id")?.as_str()) {
        match for_run(api, &format!("{name}/{id}"), deadline)? {
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

fn words(run: &Value) -> String {
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
