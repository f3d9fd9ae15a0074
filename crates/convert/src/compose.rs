//! Compose files.

mod container;
mod ports;
mod service;
mod write;

use mezz_spec::{Fault, Kind, Name, Object};
use serde_json::{Map, Value, json};

use crate::fields::{Fields, text_of};
use crate::notes::Notes;
use crate::text::interpolate;
use crate::{Conversion, Options};

pub(crate) use write::write;

/// Our objects from one Compose file.
pub(crate) fn read(file: &Value, options: &Options) -> Result<Conversion, Vec<Fault>> {
    let mut notes = Notes::default();
    notes.about("compose file");
    let mut file = file.clone();
    let mut missing = Vec::new();
    replace(&mut file, options, &mut missing);
    missing.sort();
    missing.dedup();
    for name in missing {
        notes.drop(
            "",
            format!("the variable {name} has no value here and is taken as empty"),
        );
    }
    let mut fields = Fields::of(&file, "");
    fields.ignore(&["version"]);
    let project = fields.text("name");
    let folder = match (&options.folder, &project) {
        (Some(folder), _) => Some(folder.clone()),
        (None, Some(project)) => notes.name(None, &[project], "/name"),
        (None, None) => None,
    };
    let why = "volumes are not built yet";
    fields.refuse(&["volumes"], why, &mut notes);
    let why = "containers use the network of their host until container networks are built";
    fields.refuse(&["networks"], why, &mut notes);
    fields.refuse(&["include"], "other files are not read", &mut notes);
    let mut objects = Vec::new();
    for (key, kind) in [("configs", Kind::Config), ("secrets", Kind::Secret)] {
        let Some(Value::Object(all)) = fields.take(key) else {
            continue;
        };
        for (name, source) in all {
            notes.about(format!("{} {name}", kind.word()));
            objects.extend(material(kind, name, source, folder.as_ref(), &mut notes));
        }
    }
    if let Some(Value::Object(services)) = fields.take("services") {
        for (name, service) in services {
            notes.about(format!("service {name}"));
            let object = service::read(name, service, folder.as_ref(), &mut notes);
            objects.extend(object);
        }
    }
    notes.about("compose file");
    let extensions: Vec<&str> = file
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .map(String::as_str)
        .collect();
    // Extensions are only there for anchors.
    let extensions: Vec<&str> = extensions
        .into_iter()
        .filter(|key| key.starts_with("x-"))
        .collect();
    fields.ignore(&extensions);
    fields.finish(&mut notes);
    if notes.faults.is_empty() {
        Ok(Conversion {
            objects,
            dropped: notes.dropped,
        })
    } else {
        Err(notes.faults)
    }
}

fn replace(value: &mut Value, options: &Options, missing: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains('$') => {
            *text = interpolate(text, &options.variables, missing);
        }
        Value::Array(items) => {
            for item in items {
                replace(item, options, missing);
            }
        }
        Value::Object(members) => {
            for member in members.values_mut() {
                replace(member, options, missing);
            }
        }
        _ => {}
    }
}

/// A config or a secret whose text is in the file.
fn material(
    kind: Kind,
    name: &str,
    source: &Value,
    folder: Option<&Name>,
    notes: &mut Notes,
) -> Option<Object> {
    let mut fields = Fields::of(source, format!("/{}s/{name}", kind.word()));
    fields.refuse(
        &["file"],
        "files are not read: write the text as content",
        notes,
    );
    fields.refuse(
        &["environment"],
        "the environment is not read: write the text as content",
        notes,
    );
    fields.refuse(
        &["external", "name"],
        "what is kept elsewhere is not looked up",
        notes,
    );
    let content = fields.text("content");
    let path = fields.path("content");
    fields.finish(notes);
    let content = content?;
    let ours = notes.name(folder, &[name], &path)?;
    notes.object(
        kind,
        ours,
        Map::new(),
        json!({ "data": { "content": content } }),
    )
}

/// A mapping, or a list of `KEY=value`.
fn pairs(value: &Value, path: &str, notes: &mut Notes) -> Map<String, Value> {
    let mut pairs = Map::new();
    let mut put = |key: &str, value: Option<String>| match value {
        Some(value) => {
            pairs.insert(key.to_owned(), value.into());
        }
        None => notes.drop(
            format!("{path}/{key}"),
            "its value would come from the caller's environment",
        ),
    };
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                put(key, (!value.is_null()).then(|| text_of(value)));
            }
        }
        Value::Array(items) => {
            for item in items {
                let text = text_of(item);
                match text.split_once('=') {
                    Some((key, value)) => put(key, Some(value.to_owned())),
                    None => put(&text, None),
                }
            }
        }
        _ => {}
    }
    pairs
}
