//! The verbs that change one object: scale, restart, rollback, pause and resume.

use mezz_spec::{Kind, Name};
use serde_json::{Value, json};

use super::apply::{line, rollouts};
use super::progress::{self, Stay};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::client::objects::{self, path, split};
use crate::client::runs;
use crate::exit::Exit;
use crate::object_args::{HeldArgs, ResumeArgs, RollbackArgs, ScaleArgs, ServiceArgs};
use crate::output::show;
use crate::standstill_args::PauseArgs;

/// Changes the number of instances.
pub(in super::super) fn scale(master: &str, args: &ScaleArgs) -> Result<Exit, ClientError> {
    let replicas = match (args.replicas.as_str(), args.replicas.parse::<u32>()) {
        ("per_node", _) => json!("per_node"),
        (_, Ok(count)) => json!(count),
        (other, Err(_)) => {
            let message = format!("'{other}' is neither a number of instances nor `per_node`");
            return Err(ClientError::Usage(message));
        }
    };
    let body = json!({ "replicas": replicas });
    roll(master, &args.of, "scale", &body)
}

/// Replaces all instances by new ones of the same kind.
pub(in super::super) fn restart(master: &str, args: &ServiceArgs) -> Result<Exit, ClientError> {
    roll(master, args, "restart", &json!({}))
}

/// Goes back to an earlier generation.
pub(in super::super) fn rollback(master: &str, args: &RollbackArgs) -> Result<Exit, ClientError> {
    let body = json!({ "to": args.to });
    roll(master, &args.of, "rollback", &body)
}

fn roll(master: &str, args: &ServiceArgs, verb: &str, body: &Value) -> Result<Exit, ClientError> {
    let service = args.of.service.as_str();
    let (kind, name) = split(service);
    if let Some(kind) = kind.filter(|kind| *kind != Kind::Service) {
        let message = format!("{verb} is for services, and '{service}' is a {kind}");
        return Err(ClientError::Usage(message));
    }
    let name = objects::name(name)?;
    let mut api = Api::new(master)?;
    let target = format!("{}:{verb}", path(Kind::Service, &name));
    let answer = api.post_json(&target, body)?;
    let applied: Vec<Value> = match answer {
        Value::Array(applied) => applied,
        _ => Vec::new(),
    };
    // A restart keeps the generation: nothing of the object is changed.
    let done = |one: &Value| match verb {
        "restart" => line(one).replacen(" updated", " restarts", 1) + "\n",
        _ => line(one) + "\n",
    };
    let lines = applied.iter().map(done);
    show::write(&lines.collect::<String>())?;
    if !Stay::of(args.waiting).is_wanted() {
        return Ok(Exit::Ok);
    }
    progress::follow(&mut api, &rollouts(&applied))
}

/// Holds a rollout or a cron.
pub(in super::super) fn pause(master: &str, args: &PauseArgs) -> Result<Exit, ClientError> {
    let done = format!("paused{}", args.lasts.words());
    hold(master, &args.of, ("pause", &args.lasts.body()?), &done)
}

/// Lets a rollout or a cron go on, or runs again what of a dag's run did not succeed.
pub(in super::super) fn resume(master: &str, args: &ResumeArgs) -> Result<Exit, ClientError> {
    if args.from.is_none() {
        match hold(master, &args.of, ("resume", &json!({})), "resumed") {
            Err(error) if error.exit() == Exit::NotFound => {}
            done => return done,
        }
    }
    let mut api = Api::new(master)?;
    let run = runs::find(&mut api, &args.of.name).map_err(|error| match error {
        ClientError::NotFound { .. } => ClientError::NotFound {
            what: format!("there is no service, cron or run '{}'", args.of.name),
            hint: "`mezz get all` and `mezz runs` list what there is".to_owned(),
        },
        error => error,
    })?;
    let target = path(run.kind, &run.name);
    let target = format!("{target}:resume:{}", percent_encoded(&run.id));
    api.post_json(&target, &json!({ "from": args.from }))?;
    show::write(&format!("run {} resumed\n", run.full()))?;
    Ok(Exit::Ok)
}

pub(super) fn hold(
    master: &str,
    args: &HeldArgs,
    (verb, body): (&str, &Value),
    done: &str,
) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    let (kind, name) = split(&args.name);
    let name = objects::name(name)?;
    let kind = match kind {
        Some(kind) => kind,
        None => first_of(&mut api, &[Kind::Service, Kind::Cron], &name)?,
    };
    api.post_json(&format!("{}:{verb}", path(kind, &name)), body)?;
    show::write(&format!("{kind} {name} {done}\n"))?;
    Ok(Exit::Ok)
}

/// The first of these kinds that has an object of the name.
pub(super) fn first_of(api: &mut Api, kinds: &[Kind], name: &Name) -> Result<Kind, ClientError> {
    for kind in kinds {
        match api.get(&path(*kind, name)) {
            Ok(_) => return Ok(*kind),
            Err(error) if error.exit() == Exit::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
    let hint = match longer(api, kinds, name)?.as_slice() {
        [] => "`mezz get all` lists what there is".to_owned(),
        names => format!("did you mean {}?", names.join(" or ")),
    };
    Err(ClientError::NotFound {
        what: format!("there is no {} '{name}'", words.join(" or ")),
        hint,
    })
}

/// Objects whose names end so.
pub(super) fn longer(
    api: &mut Api,
    kinds: &[Kind],
    name: &Name,
) -> Result<Vec<String>, ClientError> {
    let mut found = Vec::new();
    for kind in kinds {
        let list = api.list(&format!("/v1/{}", kind.plural()))?;
        let names = list.iter().filter_map(|one| one.get("name")?.as_str());
        let names = names.filter(|longer| longer.ends_with(name.as_str()));
        found.extend(names.map(|name| format!("{kind}{name}")).take(3));
    }
    Ok(found)
}
