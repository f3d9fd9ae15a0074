//! What of a Compose service is about its container.

use mezz_spec::Name;
use serde_json::{Value, json};

use crate::fields::{Fields, text_of};
use crate::notes::Notes;
use crate::text::{compose_size, cpus, span, words};

pub(super) fn command(fields: &mut Fields<'_>) -> Option<Value> {
    let list = |value: &Value| match value {
        Value::Array(items) => items.iter().map(text_of).collect(),
        other => words(&text_of(other)),
    };
    let mut all: Vec<String> = fields.take("entrypoint").map(list).unwrap_or_default();
    all.extend(fields.take("command").map(list).unwrap_or_default());
    (!all.is_empty()).then(|| all.into())
}

pub(super) fn files(
    fields: &mut Fields<'_>,
    folder: Option<&Name>,
    notes: &mut Notes,
) -> Vec<Value> {
    let mut files = Vec::new();
    for (key, word) in [("configs", "config"), ("secrets", "secret")] {
        let path = fields.path(key);
        for (index, item) in fields.list(key).iter().enumerate() {
            let path = format!("{path}/{index}");
            let (source, target) = if item.is_object() {
                let mut inner = Fields::of(item, &path);
                let pair = (
                    inner.text("source").unwrap_or_default(),
                    inner.text("target"),
                );
                inner.finish(notes);
                pair
            } else {
                (text_of(item), None)
            };
            let Some(name) = notes.name(folder, &[&source], &path) else {
                continue;
            };
            let place = target.unwrap_or_else(|| match word {
                "secret" => format!("/run/secrets/{source}"),
                _ => source.clone(),
            });
            let inside = place.trim_start_matches('/');
            if inside != place {
                notes.drop(
                    &path,
                    format!("files come into the sandbox: {place} becomes {inside}"),
                );
            }
            files.push(json!({ "path": inside, "from": { word: { "name": name.as_str(), "key": "content" } } }));
        }
    }
    files
}

pub(super) fn resources(
    fields: &mut Fields<'_>,
    deploy: &mut Fields<'_>,
    notes: &mut Notes,
) -> Value {
    let mut ours = json!({});
    let mut limits = json!({});
    let put =
        |target: &mut Value, key: &str, text: Option<String>, path: String, notes: &mut Notes| {
            let Some(text) = text else { return };
            let read = match key {
                "cpus" => cpus(&text).map(Value::from),
                _ => compose_size(&text).map(Value::from),
            };
            match read {
                Some(value) => target[key] = value,
                None => notes.wrong(path, format!("'{text}' is no amount")),
            }
        };
    let (cpus_text, cpus_path) = (fields.text("cpus"), fields.path("cpus"));
    put(&mut limits, "cpus", cpus_text, cpus_path, notes);
    let (mem_text, mem_path) = (fields.text("mem_limit"), fields.path("mem_limit"));
    put(&mut limits, "mem", mem_text, mem_path, notes);
    let (mem_text, mem_path) = (
        fields.text("mem_reservation"),
        fields.path("mem_reservation"),
    );
    put(&mut ours, "mem", mem_text, mem_path, notes);
    if let Some(mut all) = deploy.inner("resources") {
        for (key, target) in [("limits", &mut limits), ("reservations", &mut ours)] {
            if let Some(mut inner) = all.inner(key) {
                let (text, path) = (inner.text("cpus"), inner.path("cpus"));
                put(target, "cpus", text, path, notes);
                let (text, path) = (inner.text("memory"), inner.path("memory"));
                put(target, "mem", text, path, notes);
                inner.finish(notes);
            }
        }
        all.finish(notes);
    }
    // What is only bounded is asked for in full: a place has to be found for it.
    for key in ["cpus", "mem"] {
        if ours.get(key).is_none()
            && let Some(limit) = limits.get(key)
        {
            ours[key] = limit.clone();
        }
    }
    if limits.as_object().is_some_and(|all| !all.is_empty()) {
        ours["limits"] = limits;
    }
    ours
}

pub(super) fn healthcheck(fields: &mut Fields<'_>, notes: &mut Notes) -> Option<Value> {
    let mut check = fields.inner("healthcheck")?;
    let is_off = check.take("disable") == Some(&Value::Bool(true));
    let command = match check.take("test") {
        Some(Value::Array(items)) => {
            let all: Vec<String> = items.iter().map(text_of).collect();
            match all.first().map(String::as_str) {
                Some("CMD") => Some(Value::from(all[1..].to_vec())),
                Some("CMD-SHELL") => Some(all[1..].join(" ").into()),
                _ => None,
            }
        }
        Some(text) => Some(text_of(text).into()),
        None => None,
    };
    let mut ours = json!({ "interval": "30s", "timeout": "30s", "grace": "0s" });
    for (theirs, key) in [
        ("interval", "interval"),
        ("timeout", "timeout"),
        ("start_period", "grace"),
    ] {
        if let Some(text) = check.text(theirs) {
            match span(&text) {
                Some(span) => ours[key] = span.into(),
                None => notes.wrong(check.path(theirs), format!("'{text}' is no span of time")),
            }
        }
    }
    if let Some(retries) = check.number("retries") {
        ours["failures"] = retries.into();
    }
    check.refuse(&["start_interval"], "a check has one interval", notes);
    check.finish(notes);
    if is_off {
        return None;
    }
    ours["command"] = command?;
    Some(ours)
}

pub(super) fn logging(fields: &mut Fields<'_>, notes: &mut Notes) -> Option<Value> {
    let mut logging = fields.inner("logging")?;
    let mut size = None;
    if let Some(mut options) = logging.inner("options") {
        size = options
            .text("max-size")
            .and_then(|text| compose_size(&text));
        options.finish(notes);
    }
    logging.refuse(&["driver"], "output is kept in the sandbox", notes);
    logging.finish(notes);
    size.map(Value::from)
}
