//! `mezz status WHAT`: how one object or run stands, with what belongs to it.

use std::fmt::Write as _;

use jiff::Timestamp;
use mezz_spec::{Kind, Name};
use serde_json::Value;

use super::{progress, rollout, wait};
use crate::args::{Format, Output};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::client::objects::{path, split};
use crate::client::runs::{self, Named, Run};
use crate::exit::Exit;
use crate::output::columns::plain;
use crate::output::object_columns::{INSTANCES, ROLLOUTS, RUNS};
use crate::output::table::printable;
use crate::output::{show, yaml};

/// So many of each list are shown.
const SHOWN: usize = 10;

/// Tells how an object or a run stands.
pub(in super::super) fn standing(
    master: &str,
    given: &str,
    output: &Output,
) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    let (kind, bare) = split(given);
    let found = match (kind, Name::new(bare)) {
        (Some(kind), _) => match runs::named(&mut api, kind, bare, true)? {
            Named::Object(kind, name) => {
                let object = api.value(&path(kind, &name))?;
                Some((kind, name, object))
            }
            Named::Run(run) => return of_run(&mut api, &run, output),
        },
        (None, Ok(name)) => first(&mut api, &name)?,
        (None, Err(_)) => None,
    };
    if let Some((kind, name, object)) = found {
        return of_object(&mut api, kind, &name, &object, output);
    }
    let run = runs::find(&mut api, given).map_err(|error| match error {
        ClientError::NotFound { .. } => ClientError::NotFound {
            what: format!("no service, job, cron, dag or run is called '{given}'"),
            hint: "`mezz get all` and `mezz runs` list them; `mezz why` knows tasks, agents and frameworks too".to_owned(),
        },
        error => error,
    })?;
    of_run(&mut api, &run, output)
}

pub(super) fn first(
    api: &mut Api,
    name: &Name,
) -> Result<Option<(Kind, Name, Value)>, ClientError> {
    for kind in Kind::ALL {
        match api.value(&path(kind, name)) {
            Ok(object) => return Ok(Some((kind, name.clone(), object))),
            Err(error) if error.exit() == Exit::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The answer itself, unless a person reads it.
fn raw(value: &Value, name: &str, format: Format) -> Option<String> {
    match format {
        Format::Json => Some(format!("{value}\n")),
        Format::Yaml => Some(yaml::yaml(value)),
        Format::Name => Some(format!("{name}\n")),
        Format::Table | Format::Wide => None,
    }
}

fn of_object(
    api: &mut Api,
    kind: Kind,
    name: &Name,
    object: &Value,
    output: &Output,
) -> Result<Exit, ClientError> {
    if let Some(text) = raw(object, &format!("{kind}{name}"), output.output) {
        show::write(&text)?;
        return Ok(Exit::Ok);
    }
    show::write(&head(api, kind, name, object)?)?;
    let encoded = percent_encoded(name.as_str());
    let format = output.output;
    match kind {
        Kind::Service => {
            let mut live = api.list(&format!("/v1/instances?service={encoded}"))?;
            live.sort_by_key(|one| one.get("ordinal").and_then(Value::as_u64));
            table("INSTANCES", &INSTANCES, live, format)?;
            let rollouts = rollout::of_service(api, name)?;
            table("ROLLOUTS", &ROLLOUTS, rollouts, format)?;
        }
        Kind::Job | Kind::Dag | Kind::Cron => {
            let mut list = api.list(&format!("/v1/runs?job={encoded}"))?;
            newest_first(&mut list);
            table("RUNS", &RUNS, list, format)?;
        }
        Kind::Group | Kind::Secret | Kind::Config => {}
    }
    Ok(Exit::Ok)
}

/// What is told before the lists.
fn head(api: &mut Api, kind: Kind, name: &Name, object: &Value) -> Result<String, ClientError> {
    let mut text = format!("{kind} {name}\n");
    row(&mut text, "generation", &at(object, "/generation"));
    row(&mut text, "labels", &at(object, "/labels"));
    match kind {
        Kind::Service => {
            let keys = ["ready", "wanted", "running", "healthy", "unhealthy"];
            counts(&mut text, "instances", object, &keys);
            if let Some(last) = rollout::of_service(api, name)?.first() {
                row(&mut text, "rollout", &progress::words(last));
            }
        }
        Kind::Job | Kind::Dag => {
            counts(
                &mut text,
                "runs",
                object,
                &["active", "succeeded", "failed"],
            );
        }
        Kind::Cron => {
            for (title, pointer) in [
                ("schedules", "/spec/schedules"),
                ("time zone", "/spec/time_zone"),
                ("next at", "/status/next_at"),
                ("last run", "/status/last_run"),
                ("missed", "/status/missed"),
            ] {
                row(&mut text, title, &at(object, pointer));
            }
        }
        Kind::Group | Kind::Secret | Kind::Config => {}
    }
    reasons(api, &format!("{kind}{name}"), &mut text)?;
    Ok(text)
}

fn of_run(api: &mut Api, run: &Run, output: &Output) -> Result<Exit, ClientError> {
    let value = api.value(&run.target())?;
    if let Some(text) = raw(&value, &run.full(), output.output) {
        show::write(&text)?;
        return Ok(Exit::Ok);
    }
    let mut text = format!("run {} of {}\n", run.full(), run.kind);
    row(&mut text, "state", &wait::words(&value));
    row(&mut text, "cause", &at(&value, "/cause/by"));
    row(&mut text, "parameters", &at(&value, "/parameters"));
    row(&mut text, "begun", &at(&value, "/created_at"));
    row(&mut text, "ended", &at(&value, "/ended_at"));
    let nodes = value.get("nodes").and_then(Value::as_object);
    for (node, state) in nodes.into_iter().flatten() {
        let state = state.get("state").map(plain).unwrap_or_default();
        row(&mut text, &format!("node {node}"), &state);
    }
    reasons(api, &run.full(), &mut text)?;
    let ends = value.get("ends").and_then(Value::as_array);
    let ends = ends.map_or(&[][..], Vec::as_slice);
    if !ends.is_empty() {
        text.push_str("\nLAST ENDS\n");
    }
    for end in ends.iter().rev().take(SHOWN) {
        let part = |key| end.get(key).map(plain).unwrap_or_default();
        let status = part("exit_status");
        let status = if status.is_empty() {
            String::new()
        } else {
            format!(" with status {status}")
        };
        let (instance, at, state) = (part("instance"), part("at"), part("state"));
        let line = format!("{at}  {instance}  {state}{status}");
        let _ = writeln!(text, "{}", printable(&line));
    }
    show::write(&text)?;
    let live = api.list(&format!(
        "/v1/instances?run={}",
        percent_encoded(&run.full())
    ))?;
    table("INSTANCES", &INSTANCES, live, output.output)?;
    Ok(Exit::Ok)
}

fn at(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map(plain).unwrap_or_default()
}

fn row(text: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        let _ = writeln!(text, "{name:<12}{}", printable(value));
    }
}

fn counts(text: &mut String, name: &str, object: &Value, keys: &[&str]) {
    let parts: Vec<String> = keys
        .iter()
        .map(|key| format!("{} {key}", at(object, &format!("/status/{key}"))))
        .collect();
    row(text, name, &parts.join(", "));
}

fn reasons(api: &mut Api, id: &str, text: &mut String) -> Result<(), ClientError> {
    let answer = match api.value(&format!("/v1/why/{}", percent_encoded(id))) {
        Err(error) if error.exit() == Exit::NotFound => return Ok(()),
        answer => answer?,
    };
    let reasons = answer.get("reasons").and_then(Value::as_array);
    for (index, reason) in reasons.into_iter().flatten().enumerate() {
        let name = if index == 0 { "why" } else { "" };
        let _ = writeln!(text, "{name:<12}{}", printable(&plain(reason)));
    }
    Ok(())
}

fn newest_first(list: &mut [Value]) {
    let at = |one: &Value| {
        one.get("created_at")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    list.sort_by_key(|one| std::cmp::Reverse(at(one)));
}

fn table(
    title: &str,
    listing: &crate::output::columns::Listing,
    list: Vec<Value>,
    format: Format,
) -> Result<(), ClientError> {
    if list.is_empty() {
        return Ok(());
    }
    let more = list.len().saturating_sub(SHOWN);
    let list: Vec<Value> = list.into_iter().take(SHOWN).collect();
    show::write(&format!("\n{title}\n"))?;
    show::list(
        listing,
        &serde_json::to_vec(&list)?,
        format,
        Timestamp::now(),
    )?;
    if more > 0 {
        show::write(&format!("and {more} more\n"))?;
    }
    Ok(())
}
