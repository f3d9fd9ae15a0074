//! `mezz export`: objects as files that can be applied again.

use mezz_spec::Kind;
use serde_json::{Map, Value};

use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::objects::{self, path, selected, split};
use crate::exit::Exit;
use crate::object_args::ExportArgs;
use crate::output::{show, talk, yaml};

/// Prints objects as YAML documents.
pub(in super::super) fn export(master: &str, args: &ExportArgs) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    let under = args.under.as_deref();
    let mut found = Vec::new();
    match args.what.as_deref().map(split) {
        Some((Some(kind), name)) => found.push(api.value(&path(kind, &objects::name(name)?))?),
        Some((None, word)) => {
            let kind = objects::known_kind(word)?;
            found = api.list(&selected(&format!("/v1/{}", kind.plural()), under, &[]))?;
        }
        None => {
            for kind in Kind::ALL {
                let path = format!("/v1/{}", kind.plural());
                found.extend(api.list(&selected(&path, under, &[]))?);
            }
        }
    }
    let all = found.len();
    found.retain(|object| object["kind"] != Kind::Secret.word());
    if found.len() < all {
        talk::note("secrets are left out: nothing gives their values away");
    }
    if found.is_empty() {
        talk::note("there is nothing to export");
    }
    let texts: Vec<String> = found
        .iter()
        .map(|object| yaml::yaml(&written(object)))
        .collect();
    show::write(&texts.join("---\n"))?;
    Ok(Exit::Ok)
}

/// An object as a user would write it: without what the cluster knows of it.
fn written(object: &Value) -> Value {
    let mut members = Map::new();
    for key in ["kind", "name", "labels", "spec"] {
        let value = object.get(key).cloned().unwrap_or_default();
        if value.as_object().is_none_or(|map| !map.is_empty()) {
            members.insert(key.to_owned(), value);
        }
    }
    Value::Object(members)
}
