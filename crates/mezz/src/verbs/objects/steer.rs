//! The verbs that steer what goes on: `stop` a run, `abort` a rollout, `reset-backoff`.

use mezz_spec::Kind;
use serde_json::json;

use super::act::first_of;
use super::wait;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::client::objects::{self, path, split};
use crate::client::runs;
use crate::exit::Exit;
use crate::object_args::{MarkArgs, ResetArgs, ServiceName, StopArgs};
use crate::output::{show, talk};

/// Ends runs; goes on after one that cannot be ended, and ends with the first failure's exit code.
pub(in super::super) fn stop(master: &str, args: &StopArgs) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    let mut exit = Exit::Ok;
    for given in &args.runs {
        if let Err(error) = stop_one(&mut api, given, args.wait) {
            let code = talk::client_error(&error);
            if exit == Exit::Ok {
                exit = code;
            }
        }
    }
    Ok(exit)
}

fn stop_one(api: &mut Api, given: &str, wait: bool) -> Result<(), ClientError> {
    let run = runs::find(api, given)?;
    let target = format!(
        "{}:stop:{}",
        path(run.kind, &run.name),
        percent_encoded(&run.id)
    );
    api.post_json(&target, &json!({}))?;
    show::write(&format!("{}\n", run.full()))?;
    if wait {
        wait::for_run(api, &run.full(), None)?;
    }
    Ok(())
}

/// Takes a run, or a node of it, as succeeded.
pub(in super::super) fn mark_succeeded(master: &str, args: &MarkArgs) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    let run = runs::find(&mut api, &args.run)?;
    let target = path(run.kind, &run.name);
    let target = format!("{target}:mark-succeeded:{}", percent_encoded(&run.id));
    api.post_json(&target, &json!({ "node": args.node }))?;
    let what = match &args.node {
        Some(node) => format!("node {node} of run {}", run.full()),
        None => format!("run {}", run.full()),
    };
    show::write(&format!("{what} is taken as succeeded\n"))?;
    Ok(Exit::Ok)
}

/// Ends a rollout where it is.
pub(in super::super) fn abort(master: &str, args: &ServiceName) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    let name = super::rollout::service(&args.service)?;
    api.post_json(&format!("{}:abort", path(Kind::Service, &name)), &json!({}))?;
    show::write(&format!("service {name}: rollout aborted\n"))?;
    talk::hint("`mezz rollback` goes back, the next `mezz apply` goes on");
    Ok(Exit::Ok)
}

/// Forgets failures, so that nothing waits because of them.
pub(in super::super) fn reset(master: &str, args: &ResetArgs) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    let (kind, name) = split(&args.name);
    let name = objects::name(name)?;
    let kind = match kind {
        Some(kind) => kind,
        None => first_of(&mut api, &[Kind::Service, Kind::Job], &name)?,
    };
    api.post_json(&format!("{}:reset-backoff", path(kind, &name)), &json!({}))?;
    show::write(&format!("{kind} {name}: failures forgotten\n"))?;
    Ok(Exit::Ok)
}
