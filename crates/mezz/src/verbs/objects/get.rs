//! `mezz get` and `mezz runs`.

use jiff::Timestamp;
use mezz_spec::Kind;
use serde_json::Value;

use super::super::lists::{show_list, task_state, with_query};
use crate::args::{Format, Pair};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::client::objects::{self, selected};
use crate::client::runs;
use crate::exit::Exit;
use crate::object_args::{GetArgs, RunsArgs};
use crate::output::columns::Listing;
use crate::output::object_columns::{self, INSTANCES, ROLLOUTS, RUNS};
use crate::output::{show, talk, yaml};

/// Lists or shows objects.
pub(in super::super) fn get(master: &str, args: &GetArgs) -> Result<Exit, ClientError> {
    let (word, name) = match (args.kind.split_once('/'), &args.name) {
        (Some((kind, name)), None) if !kind.is_empty() => (kind, Some(name)),
        (_, name) => (args.kind.as_str(), name.as_deref()),
    };
    if word == "all" {
        return everything(master, args);
    }
    let (path, listing) = place(word)?;
    if let Some(name) = name {
        refuse_selectors(args, "one object is named")?;
        return one(master, args, (&path, listing), name);
    }
    let target = with_query(
        of_objects(args, &path),
        in_full(&path, args.selectors.pairs()),
    );
    show_list(master, &target, listing, &args.list)
}

/// Those of a path that what is said of objects selects.
fn of_objects(args: &GetArgs, path: &str) -> String {
    let mut pairs = args.place.pairs();
    let conditions = args.condition.iter();
    pairs.extend(conditions.map(|one| ("condition", one.clone())));
    with_query(selected(path, args.under.as_deref(), &args.label), pairs)
}

/// People write states of tasks as they read them.
fn in_full(path: &str, mut pairs: Vec<Pair>) -> Vec<Pair> {
    let of_tasks = path == "/v1/instances";
    for (key, value) in &mut pairs {
        if of_tasks && *key == "state" {
            *value = task_state(value);
        }
    }
    pairs
}

/// Where a kind of thing is, and how it is shown.
fn place(word: &str) -> Result<(String, &'static Listing), ClientError> {
    Ok(match word {
        "rollout" | "rollouts" => ("/v1/rollouts".to_owned(), &ROLLOUTS),
        "run" | "runs" => ("/v1/runs".to_owned(), &RUNS),
        "instance" | "instances" => ("/v1/instances".to_owned(), &INSTANCES),
        word => {
            let kind = objects::known_kind(word)?;
            let path = format!("/v1/{}", kind.plural());
            (path, object_columns::of_kind(kind))
        }
    })
}

/// What selects from a list says nothing of one object.
fn refuse_selectors(args: &GetArgs, since: &str) -> Result<(), ClientError> {
    let mut given = args.place.pairs();
    given.extend(args.selectors.pairs());
    given.extend(args.label.iter().map(|one| ("label", one.clone())));
    given.extend(args.condition.iter().map(|one| ("condition", one.clone())));
    given.extend(args.under.iter().map(|one| ("under", one.clone())));
    given.extend(args.list.watch.then(|| ("watch", String::new())));
    match given.first() {
        None => Ok(()),
        Some((flag, _)) => Err(ClientError::Usage(format!(
            "--{flag} is for lists, and {since}"
        ))),
    }
}

fn one(
    master: &str,
    args: &GetArgs,
    (path, listing): (&str, &Listing),
    name: &str,
) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    let name = if std::ptr::eq(listing, &raw const RUNS) {
        // Precise about what is not there, or not one.
        percent_encoded(&runs::find(&mut api, name)?.full())
    } else if listing.key == "name" {
        objects::name(name)?.as_str()[1..].to_owned()
    } else {
        percent_encoded(name)
    };
    let answer = api.get(&format!("{path}/{name}"))?;
    match args.list.output.output {
        Format::Json => show::write(&show::as_lines(&answer))?,
        Format::Yaml => show::write(&yaml::yaml(&serde_json::from_slice(&answer)?))?,
        format => {
            let list = [b"[".as_slice(), &answer, b"]"].concat();
            show::list(listing, &list, format, Timestamp::now())?
        }
    };
    Ok(Exit::Ok)
}

/// The objects of all kinds.
fn everything(master: &str, args: &GetArgs) -> Result<Exit, ClientError> {
    let of_instances = args.selectors.pairs();
    if args.name.is_some() || args.list.watch || !of_instances.is_empty() {
        let message = "`get all` takes neither a name nor --watch, nor what selects instances, runs and rollouts";
        return Err(ClientError::Usage(message.to_owned()));
    }
    let mut api = Api::new(master)?;
    let mut all = Vec::new();
    let mut is_first = true;
    for kind in Kind::ALL {
        let path = format!("/v1/{}", kind.plural());
        let list = api.list(&of_objects(args, &path))?;
        if list.is_empty() {
            continue;
        }
        if !matches!(args.list.output.output, Format::Table | Format::Wide) {
            all.extend(list);
            continue;
        }
        let gap = if is_first { "" } else { "\n" };
        is_first = false;
        show::write(&format!("{gap}{}\n", kind.plural().to_uppercase()))?;
        let answer = serde_json::to_vec(&list)?;
        let listing = object_columns::of_kind(kind);
        show::list(listing, &answer, args.list.output.output, Timestamp::now())?;
    }
    match args.list.output.output {
        Format::Json => show::write(&format!("{}\n", Value::Array(all)))?,
        Format::Yaml => show::write(&yaml::yaml(&Value::Array(all)))?,
        Format::Name => show::write(&all.iter().map(full_name).collect::<String>())?,
        Format::Table | Format::Wide => {
            if is_first {
                talk::note(
                    "nothing has been applied; `mezz init service` prints an object to begin with",
                );
            }
            return Ok(Exit::Ok);
        }
    };
    Ok(Exit::Ok)
}

fn full_name(object: &Value) -> String {
    let text = |key| object.get(key).and_then(Value::as_str).unwrap_or_default();
    format!("{}{}\n", text("kind"), text("name"))
}

/// Lists runs.
pub(in super::super) fn runs(master: &str, args: &RunsArgs) -> Result<Exit, ClientError> {
    let name = args.name.as_deref().map(|given| objects::split(given).1);
    let name = name.map(objects::name).transpose()?;
    let mut pairs = args.stands.pairs();
    pairs.extend(args.role.iter().map(|role| ("role", role.clone())));
    let mut api = Api::new(master)?;
    let target = match &name {
        // Of an object also the runs that were begun for it; of a group all below it.
        Some(name) if is_object(&mut api, name)? => {
            pairs.push(("job", name.to_string()));
            "/v1/runs".to_owned()
        }
        name => selected("/v1/runs", name.as_ref().map(mezz_spec::Name::as_str), &[]),
    };
    let target = with_query(target, pairs);
    show_list(master, &target, &RUNS, &args.list)
}

fn is_object(api: &mut Api, name: &mezz_spec::Name) -> Result<bool, ClientError> {
    for kind in [Kind::Job, Kind::Cron, Kind::Dag] {
        match api.get(&objects::path(kind, name)) {
            Ok(_) => return Ok(true),
            Err(error) if error.exit() == Exit::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
