//! `mezz rollout`: how the rollouts of a service go, and the verbs that steer them under the names that others use.

use jiff::Timestamp;
use mezz_spec::{Kind, Name};
use serde_json::{Value, json};

use super::{act, progress, steer};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::client::objects::{self, path, split};
use crate::exit::Exit;
use crate::object_args::{
    HeldArgs, HistoryArgs, RolloutAct, RolloutArgs, ServiceName, WatchedService,
};
use crate::output::object_columns::ROLLOUTS;
use crate::output::{show, talk};

/// Does what is asked about a rollout.
pub(in super::super) fn rollout(master: &str, args: &RolloutArgs) -> Result<Exit, ClientError> {
    match &args.act {
        RolloutAct::Status(args) => status(master, args),
        RolloutAct::History(args) => history(master, args),
        RolloutAct::Pause(args) => {
            let done = format!("paused{}", args.lasts.words());
            let body = args.lasts.body()?;
            act::hold(master, &held(&args.of)?, ("pause", &body), &done)
        }
        RolloutAct::Resume(of) => act::hold(master, &held(of)?, ("resume", &json!({})), "resumed"),
        RolloutAct::Abort(of) => steer::abort(master, of),
        RolloutAct::Undo(args) => act::rollback(master, args),
        RolloutAct::Restart(args) => act::restart(master, args),
    }
}

/// The name of a service, whether its kind is said or not.
pub(super) fn service(given: &str) -> Result<Name, ClientError> {
    let (kind, name) = split(given);
    match kind {
        None | Some(Kind::Service) => objects::name(name),
        Some(kind) => {
            let message = format!("only services are rolled out, and '{given}' is a {kind}");
            Err(ClientError::Usage(message))
        }
    }
}

fn held(of: &ServiceName) -> Result<HeldArgs, ClientError> {
    Ok(HeldArgs {
        name: format!("service{}", service(&of.service)?),
    })
}

fn status(master: &str, args: &WatchedService) -> Result<Exit, ClientError> {
    let deadline = args.patience.deadline()?;
    let name = service(&args.of.service)?;
    let mut api = Api::new(master)?;
    let object = api.value(&path(Kind::Service, &name))?;
    let active = object.pointer("/status/rollout").and_then(Value::as_str);
    let id = match active {
        Some(id) => Some(id.to_owned()),
        None => newest(&mut api, &name)?,
    };
    let Some(id) = id else {
        talk::note(&format!("service {name} has had no rollout"));
        return Ok(Exit::Ok);
    };
    if args.no_wait || active.is_none() {
        let rollout = api.value(&format!("/v1/rollouts/{}", percent_encoded(&id)))?;
        show::write(&(progress::words(&rollout) + "\n"))?;
        let went_well = rollout.get("state").and_then(Value::as_str);
        let went_well = matches!(went_well, Some("succeeded" | "superseded")) || active.is_some();
        return Ok(if went_well { Exit::Ok } else { Exit::Refused });
    }
    let end = progress::one(&mut api, &id, deadline)?;
    if end.is_none() {
        talk::error("it took longer than --timeout says");
    }
    Ok(end.unwrap_or(Exit::Failed))
}

/// The rollouts of a service, newest first.
pub(super) fn of_service(api: &mut Api, name: &Name) -> Result<Vec<Value>, ClientError> {
    let query = percent_encoded(name.as_str());
    let mut list = api.list(&format!("/v1/rollouts?service={query}"))?;
    let at = |one: &Value| {
        one.get("started_at")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    list.sort_by_key(|one| std::cmp::Reverse(at(one)));
    Ok(list)
}

fn newest(api: &mut Api, name: &Name) -> Result<Option<String>, ClientError> {
    let list = of_service(api, name)?;
    let id = list.first().and_then(|one| one.get("id")?.as_str());
    Ok(id.map(str::to_owned))
}

fn history(master: &str, args: &HistoryArgs) -> Result<Exit, ClientError> {
    let name = service(&args.of.service)?;
    let mut api = Api::new(master)?;
    api.get(&path(Kind::Service, &name))?;
    let list = serde_json::to_vec(&of_service(&mut api, &name)?)?;
    show::list(&ROLLOUTS, &list, args.output.output, Timestamp::now())?;
    Ok(Exit::Ok)
}
