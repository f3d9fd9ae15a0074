//! `mezz why`.

use mezz_spec::Kind;
use serde_json::Value;

use crate::args::{Format, WhyArgs};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::client::identify::{one_of, task_id};
use crate::client::objects::{singular, split};
use crate::exit::Exit;
use crate::output::{show, yaml};

/// Says why something is in the state it is in.
pub(crate) fn why(master: &str, args: &WhyArgs) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    let ask = |api: &mut Api, id: &str| api.get(&format!("/v1/why/{}", percent_encoded(id)));
    let given = singular(&args.id);
    let answer = match ask(&mut api, &given) {
        Err(ClientError::Refused(problem)) if problem.status == 404 => {
            let id = meant(&mut api, &given)?;
            ask(&mut api, &id)?
        }
        answer => answer?,
    };
    let text = match args.output.output {
        Format::Json => show::as_lines(&answer),
        format => {
            let value: Value = serde_json::from_slice(&answer)?;
            match format {
                Format::Yaml => yaml::yaml(&value),
                Format::Name => format!(
                    "{}\n",
                    value.get("id").and_then(Value::as_str).unwrap_or(&args.id)
                ),
                _ => words(&value, &args.id),
            }
        }
    };
    show::write(&text)?;
    Ok(Exit::Ok)
}

/// What is meant by less than a whole name: a task by the beginning of its id or its name; failing that a framework or an
/// agent, an object by the last part of its name, or a run by the beginning of its id.
fn meant(api: &mut Api, given: &str) -> Result<String, ClientError> {
    if let (Some(kind), name) = split(given) {
        return object(api, &[kind], name)?.ok_or_else(|| ClientError::NotFound {
            what: format!("there is no {kind} '{name}', and no such run of one"),
            hint: format!("`mezz get {}` and `mezz runs` list them", kind.plural()),
        });
    }
    let unknown = match task_id(api, given) {
        Err(error @ ClientError::NotFound { .. }) => error,
        found => return found,
    };
    if given == "last" {
        return Err(unknown);
    }
    for (target, name) in [("/v1/frameworks", "name"), ("/v1/agents", "hostname")] {
        let list = api.list(target)?;
        match one_of(&list, given, name) {
            Ok(id) => return Ok(id),
            Err(ClientError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let found = match object(api, &Kind::ALL, given)? {
        Some(found) => Some(found),
        None => act(api, given)?,
    };
    found.ok_or_else(|| ClientError::NotFound {
        what: format!("no object, run, rollout, task, framework, role, agent or offer is called '{given}', or begins so"),
        hint: "`mezz get all`, `mezz runs`, `mezz ps --all`, `mezz frameworks`, `mezz roles` and `mezz agents` list what there is"
            .to_owned(),
    })
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// An object of one of these kinds by the last parts of its name.
fn object(api: &mut Api, kinds: &[Kind], given: &str) -> Result<Option<String>, ClientError> {
    let tail = format!("/{}", given.trim_start_matches('/'));
    let mut found = Vec::new();
    for kind in kinds {
        let list = api.list(&format!("/v1/{}", kind.plural()))?;
        let names = list.iter().map(|one| text(one, "name"));
        let names = names.filter(|name| name.ends_with(&tail));
        found.extend(names.map(|name| format!("{kind}{name}")));
    }
    only(found, given)
}

/// A run or a rollout by the beginning of its id.
fn act(api: &mut Api, given: &str) -> Result<Option<String>, ClientError> {
    let runs = api.list("/v1/runs")?;
    let runs = runs.iter().filter(|run| text(run, "id").starts_with(given));
    let full = |run: &Value| {
        format!(
            "{}{}/{}",
            text(run, "kind"),
            text(run, "name"),
            text(run, "id")
        )
    };
    let mut found: Vec<String> = runs.map(full).collect();
    let rollouts = api.list("/v1/rollouts")?;
    let ids = rollouts.iter().map(|rollout| text(rollout, "id"));
    found.extend(ids.filter(|id| id.starts_with(given)).map(str::to_owned));
    only(found, given)
}

fn only(mut found: Vec<String>, given: &str) -> Result<Option<String>, ClientError> {
    if found.len() < 2 {
        return Ok(found.pop());
    }
    found.truncate(10);
    Err(ClientError::Ambiguous {
        given: given.to_owned(),
        is_name: true,
        candidates: found,
    })
}

fn words(value: &Value, given: &str) -> String {
    let text = |key| value.get(key).and_then(Value::as_str);
    let mut words = format!(
        "{} {}\n",
        text("kind").unwrap_or("object"),
        text("id").unwrap_or(given)
    );
    let reasons = value
        .get("reasons")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    for reason in reasons.iter().filter_map(Value::as_str) {
        words.push_str("  ");
        words.push_str(reason);
        words.push('\n');
    }
    if reasons.is_empty() {
        words.push_str("  nothing stands in its way\n");
    }
    words
}
