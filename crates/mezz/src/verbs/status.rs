//! `mezz status`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{freeze, objects};
use crate::args::{Format, StandingArgs};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::exit::Exit;
use crate::output::columns::plain;
use crate::output::{show, yaml};

/// Tells in a few lines how the cluster is.
pub(crate) fn status(master: &str, args: &StandingArgs) -> Result<Exit, ClientError> {
    if let Some(what) = &args.what {
        return objects::standing(master, what, &args.output);
    }
    let mut api = Api::new(master)?;
    let version: Value = serde_json::from_slice(&api.get("/v1/version")?)?;
    let agents = api.list("/v1/agents")?;
    let frameworks = api.list("/v1/frameworks")?;
    let tasks = api.list("/v1/tasks")?;
    let offers = api.list("/v1/offers")?;
    let frozen = freeze::standing(&mut api)?;
    let status = json!({
        "master": { "address": api.address(), "mezz_version": version["mezz_version"], "version": version["version"] },
        "agents": by_state(&agents),
        "frameworks": by_state(&frameworks),
        "tasks": by_state(&tasks),
        "freeze": frozen,
        "offers": offers.len(),
        "resources": {
            "total": sum(&agents, "total"),
            "used": sum(&agents, "used"),
            "offered": sum(&agents, "offered"),
        },
    });
    let text = match args.output.output {
        Format::Json => format!("{status}\n"),
        Format::Yaml => yaml::yaml(&status),
        Format::Name => format!("{}\n", api.address()),
        Format::Table | Format::Wide => words(&status),
    };
    show::write(&text)?;
    Ok(Exit::Ok)
}

fn by_state(list: &[Value]) -> Value {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for one in list {
        let state = one
            .get("state")
            .and_then(Value::as_str)
            .unwrap_or("unknown");
        *counts.entry(state.to_owned()).or_default() += 1;
    }
    json!(counts)
}

fn sum(agents: &[Value], part: &str) -> Value {
    let mut sums = serde_json::Map::new();
    for name in ["cpus", "mem", "disk", "gpus"] {
        let total: f64 = agents
            .iter()
            .filter_map(|agent| agent["resources"][part][name].as_f64())
            // Not `sum`: that of nothing is a negative zero.
            .fold(0.0, |total, part| total + part);
        sums.insert(name.to_owned(), json!(total));
    }
    Value::Object(sums)
}

fn words(status: &Value) -> String {
    let mut rows = vec![(
        "master",
        format!(
            "mezz {} at {}",
            plain(&status["master"]["mezz_version"]),
            plain(&status["master"]["address"])
        ),
    )];
    if let Some(frozen) = freeze::words(&status["freeze"]) {
        rows.push(("frozen", frozen));
    }
    for name in ["agents", "frameworks", "tasks"] {
        rows.push((name, counts(&status[name])));
    }
    rows.push(("offers", plain(&status["offers"])));
    for (name, unit) in [
        ("cpus", ""),
        ("mem", " MiB"),
        ("disk", " MiB"),
        ("gpus", ""),
    ] {
        let of = |part: &str| plain(&status["resources"][part][name]);
        let (used, offered, total) = (of("used"), of("offered"), of("total"));
        rows.push((
            name,
            format!("{used} used, {offered} offered, of {total}{unit}"),
        ));
    }
    rows.iter().fold(String::new(), |text, (name, value)| {
        text + &format!("{name:<12}{value}\n")
    })
}

fn counts(states: &Value) -> String {
    let counts: Vec<String> = states
        .as_object()
        .into_iter()
        .flatten()
        .map(|(state, count)| {
            let state = state.strip_prefix("TASK_").unwrap_or(state);
            format!("{count} {}", state.to_lowercase())
        })
        .collect();
    if counts.is_empty() {
        "none".to_owned()
    } else {
        counts.join(", ")
    }
}
