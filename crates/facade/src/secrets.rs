//! Secrets as Marathon and Metronome write them: a table from names of the document's own to sources, and variables that
//! name an entry of it. It knows names only; values never come here.

use std::collections::BTreeMap;

use mezz_spec::Name;
use mezz_spec::template::{Container, EnvValue, MaterialRef};
use serde_json::{Map, Value, json};

use crate::reading::Members;

/// The sources of a document's `secrets`, by its own names for them.
pub(crate) fn sources(members: &Members<'_>) -> BTreeMap<String, Name> {
    let mut found = BTreeMap::new();
    let Some(value) = members.value("secrets") else {
        return found;
    };
    let Value::Object(map) = value else {
        members.tell("secrets", "an object is wanted");
        return found;
    };
    for (key, value) in map {
        let source = value.get("source").and_then(Value::as_str);
        match source.map(Name::new) {
            Some(Ok(name)) => {
                found.insert(key.clone(), name);
            }
            Some(Err(error)) => members.tell("secrets", format!("{key}: {error}")),
            None => members.tell("secrets", format!("{key}: it needs a source")),
        }
    }
    found
}

/// A container's variables; what they take from secrets is added to the table. These systems have no configs, so that
/// variables from those are left out.
pub(crate) fn environment(
    container: &Container,
    secrets: &mut Map<String, Value>,
) -> Map<String, Value> {
    let mut env = Map::new();
    for (name, value) in &container.env {
        match value {
            EnvValue::Text(text) => {
                env.insert(name.clone(), text.as_str().into());
            }
            EnvValue::From(MaterialRef::Secret(entry)) => {
                let key = format!("secret{}", secrets.len());
                secrets.insert(key.clone(), json!({ "source": entry.name.as_str() }));
                env.insert(name.clone(), json!({ "secret": key }));
            }
            EnvValue::From(MaterialRef::Config(_)) => {}
        }
    }
    env
}
