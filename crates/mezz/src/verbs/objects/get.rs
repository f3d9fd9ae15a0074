//! `mezz get` and `mezz runs`.

use jiff::Timestamp;
use mezz_spec::Kind;
use serde_json::Value;

use super::super::lists::{Watch, show_list, task_state};
use crate::args::Format;
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
pub(in super::super) fn get(args: &GetArgs) -> Result<Exit, ClientError> {
    let (word, name) = match (args.kind.split_once('/'), &args.name) {
        (Some((kind, name)), None) if !kind.is_empty() => (kind, Some(name)),
        (_, name) => (args.kind.as_str(), name.as_deref()),
    };
    if word == "all" {
        return everything(args);
    }
    let (path, listing) = place(word)?;
    if let Some(name) = name {
        return one(args, &path, listing, name);
    }
    let target = selected(&path, args.under.as_deref(), &args.label);
    let target = with_pairs(target, args.selectors.pairs());
    let watch = watch(args.watch);
    let (master, format) = (&args.cluster.master, args.output.output);
    show_list(master, &target, listing, format, watch)
}

/// A target with more of a query.
fn with_pairs(mut target: String, pairs: Vec<(&'static str, String)>) -> String {
    for (key, value) in pairs {
        let joint = if target.contains('?') { '&' } else { '?' };
        // People write states of tasks as they read them.
        let value = match key {
            "state" if target.starts_with("/v1/instances") => task_state(&value),
            _ => value,
        };
        target = format!("{target}{joint}{key}={}", percent_encoded(&value));
    }
    target
}

fn watch(wanted: bool) -> Watch {
    if wanted { Watch::OnChange } else { Watch::Once }
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

fn one(args: &GetArgs, path: &str, listing: &Listing, name: &str) -> Result<Exit, ClientError> {
    let mut api = Api::new(&args.cluster.master)?;
    let name = if std::ptr::eq(listing, &raw const RUNS) {
        // Precise about what is not there, or not one.
        percent_encoded(&runs::find(&mut api, name)?.full())
    } else if listing.key == "name" {
        objects::name(name)?.as_str()[1..].to_owned()
    } else {
        percent_encoded(name)
    };
    let answer = api.get(&format!("{path}/{name}"))?;
    match args.output.output {
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
fn everything(args: &GetArgs) -> Result<Exit, ClientError> {
    if args.name.is_some() || args.watch {
        let message = "`get all` takes neither a name nor --watch";
        return Err(ClientError::Usage(message.to_owned()));
    }
    let mut api = Api::new(&args.cluster.master)?;
    let mut all = Vec::new();
    let mut is_first = true;
    for kind in Kind::ALL {
        let path = format!("/v1/{}", kind.plural());
        let list = api.list(&selected(&path, args.under.as_deref(), &args.label))?;
        if list.is_empty() {
            continue;
        }
        if !matches!(args.output.output, Format::Table | Format::Wide) {
            all.extend(list);
            continue;
        }
        let gap = if is_first { "" } else { "\n" };
        is_first = false;
        show::write(&format!("{gap}{}\n", kind.plural().to_uppercase()))?;
        let answer = serde_json::to_vec(&list)?;
        let listing = object_columns::of_kind(kind);
        show::list(listing, &answer, args.output.output, Timestamp::now())?;
    }
    match args.output.output {
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
pub(in super::super) fn runs(args: &RunsArgs) -> Result<Exit, ClientError> {
    let name = args.name.as_deref().map(|given| objects::split(given).1);
    let name = name.map(objects::name).transpose()?;
    let mut pairs = Vec::new();
    pairs.extend(args.state.iter().map(|state| ("state", state.clone())));
    pairs.extend(args.cause.iter().map(|cause| ("cause", cause.clone())));
    let mut api = Api::new(&args.cluster.master)?;
    let target = match &name {
        // Of an object also the runs that were begun for it; of a group all below it.
        Some(name) if is_object(&mut api, name)? => {
            pairs.push(("job", name.to_string()));
            "/v1/runs".to_owned()
        }
        name => selected("/v1/runs", name.as_ref().map(mezz_spec::Name::as_str), &[]),
    };
    let target = with_pairs(target, pairs);
    let (master, format) = (&args.cluster.master, args.output.output);
    show_list(master, &target, &RUNS, format, watch(args.watch))
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
