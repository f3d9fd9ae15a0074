//! `mezz run NAME`: a run of a job, a dag or a cron.

use std::collections::BTreeMap;

use mezz_spec::{Kind, Name};
use serde_json::{Value, json};

use super::act::first_of;
use super::progress::Stay;
use super::wait;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::objects::{self, path, split};
use crate::exit::Exit;
use crate::object_args::Waiting;
use crate::output::show;
use crate::run_args::RunArgs;

/// Begins a run and waits for its end.
pub(in super::super) fn run(
    master: &str,
    args: &RunArgs,
    given: &str,
) -> Result<Exit, ClientError> {
    let mut parameters = BTreeMap::new();
    for pair in &args.param {
        let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            let message = format!("--param '{pair}' is not of the form KEY=VALUE");
            return Err(ClientError::Usage(message));
        };
        if parameters.insert(key, value).is_some() {
            let message = format!("--param gives '{key}' twice");
            return Err(ClientError::Usage(message));
        }
    }
    let mut api = Api::new(master)?;
    let (kind, name) = split(given);
    let name = objects::name(name)?;
    let kind = match kind {
        Some(kind) => kind,
        None => first_of(&mut api, &[Kind::Job, Kind::Dag, Kind::Cron], &name)?,
    };
    let body = json!({ "parameters": parameters, "id": args.id });
    let waiting = Waiting {
        wait: !args.detach,
        no_wait: args.detach,
    };
    begin(&mut api, kind, &name, &body, waiting)
}

/// Begins a run and waits for its end, unless nobody wants to.
pub(super) fn begin(
    api: &mut Api,
    kind: Kind,
    name: &Name,
    body: &Value,
    waiting: Waiting,
) -> Result<Exit, ClientError> {
    let answer = api.post_json(&format!("{}:run", path(kind, name)), body)?;
    let text = |key: &str| answer.get(key).and_then(Value::as_str);
    let id = text("run").unwrap_or_default();
    // Of a cron that runs a job of another name, the run is the job's.
    let name = text("name").unwrap_or(name.as_str());
    show::write(&format!("{id}\n"))?;
    if !Stay::of(waiting).is_wanted() {
        return Ok(Exit::Ok);
    }
    let end = wait::for_run(api, &format!("{name}/{id}"), None)?;
    Ok(end.unwrap_or(Exit::Failed))
}
