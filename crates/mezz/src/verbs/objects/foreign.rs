//! What stands in a file, ours or another system's: whose it is, and its objects in our form with what was dropped.
//! Compose and Kubernetes are the converter's; what is written for the APIs that we answer is read as these read it.

use std::collections::BTreeMap;
use std::path::Path;

use mezz_convert::{Dropped, Options};
use mezz_spec::read::documents;
use mezz_spec::{Fault, Name, Object};
use serde_json::Value;

use super::files::Source;
use super::requests::{self, Inside};

/// Whose documents these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Native,
    Compose,
    Kubernetes,
    MarathonApp,
    MarathonGroup,
    Chronos,
    Metronome,
}

impl Origin {
    /// In words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Native => "objects of our own",
            Self::Compose => "a Compose file",
            Self::Kubernetes => "manifests of Kubernetes",
            Self::MarathonApp => "apps of Marathon",
            Self::MarathonGroup => "a group of Marathon",
            Self::Chronos => "jobs of Chronos",
            Self::Metronome => "jobs of Metronome",
        }
    }
}

/// Objects, and what of the source is not in them.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) origin: Origin,
    pub(crate) objects: Vec<Object>,
    pub(crate) dropped: Vec<Dropped>,
}

/// Whose a text is; ours when it cannot be read.
pub(crate) fn origin(source: &Source) -> Origin {
    documents(&source.text, source.format).map_or(Origin::Native, |documents| {
        let values: Vec<&Value> = documents.iter().map(|document| &document.value).collect();
        origin_of(&values)
    })
}

fn origin_of(values: &[&Value]) -> Origin {
    match mezz_convert::source_of(values) {
        mezz_convert::Source::Compose => return Origin::Compose,
        mezz_convert::Source::Kubernetes => return Origin::Kubernetes,
        mezz_convert::Source::Native => {}
    }
    let first = match values.first() {
        Some(Value::Array(items)) => items.first(),
        first => first.copied(),
    };
    let Some(first) = first.filter(|first| first.get("kind").is_none()) else {
        return Origin::Native;
    };
    let has = |key: &str| first.get(key).is_some();
    let has_any = |keys: &[&str]| keys.iter().any(|key| has(key));
    if has("id") && has_any(&["apps", "groups"]) {
        Origin::MarathonGroup
    } else if has("id") && has("run") {
        Origin::Metronome
    } else if has("id")
        && has_any(&[
            "cmd",
            "args",
            "container",
            "instances",
            "cpus",
            "mem",
            "fetch",
        ])
    {
        Origin::MarathonApp
    } else if has("name") && has_any(&["schedule", "parents"]) {
        Origin::Chronos
    } else {
        Origin::Native
    }
}

/// Reads a text of any origin; other systems' objects come below `under`.
pub(crate) fn read(source: &Source, under: Option<&Name>) -> Result<Read, Vec<Fault>> {
    let documents = documents(&source.text, source.format)?;
    let values: Vec<&Value> = documents.iter().map(|document| &document.value).collect();
    let origin = origin_of(&values);
    let (objects, dropped) = match origin {
        Origin::Native if under.is_some() => {
            let message = "objects of our own say themselves where they lie: leave --under out";
            return Err(vec![Fault::new("/name", message)]);
        }
        Origin::Native => (source.objects()?, Vec::new()),
        Origin::Compose | Origin::Kubernetes => {
            let options = Options {
                folder: under.cloned(),
                variables: variables(Path::new(&source.path)),
            };
            let (_, converted) = mezz_convert::read(&source.text, source.format, &options)?;
            (converted.objects, converted.dropped)
        }
        Origin::MarathonApp | Origin::MarathonGroup | Origin::Chronos | Origin::Metronome => {
            let mut all = (Vec::new(), Vec::new());
            for value in values.into_iter().flat_map(each) {
                let mut value = value.clone();
                let is_marathon = matches!(origin, Origin::MarathonApp | Origin::MarathonGroup);
                if let Some(under) = under.filter(|_| is_marathon) {
                    requests::relocate(&mut value, under, Inside::Nothing);
                }
                let (mut objects, dropped) = requests::objects(origin, value)?;
                if let Some(under) = under.filter(|_| !is_marathon) {
                    for object in &mut objects {
                        requests::move_below(object, under).map_err(|fault| vec![fault])?;
                    }
                }
                all.0.extend(objects);
                all.1.extend(dropped);
            }
            all
        }
    };
    Ok(Read {
        origin,
        objects,
        dropped,
    })
}

fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        value => vec![value],
    }
}

/// What variables of a Compose file stand for: those of this process, and of `.env` beside the file.
fn variables(path: &Path) -> BTreeMap<String, String> {
    let beside = path.with_file_name(".env");
    let text = std::fs::read_to_string(beside).unwrap_or_default();
    let lines = text.lines().map(str::trim);
    let of_file = lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| {
            let value = value.trim().trim_matches(['"', '\'']);
            (key.trim().to_owned(), value.to_owned())
        });
    of_file.chain(std::env::vars()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_known_by_its_members() {
        for (value, expected) in [
            (json!({ "kind": "service", "name": "/a" }), Origin::Native),
            (json!({ "services": { "web": {} } }), Origin::Compose),
            (
                json!({ "apiVersion": "v1", "kind": "Pod" }),
                Origin::Kubernetes,
            ),
            (json!({ "id": "/a", "cmd": "true" }), Origin::MarathonApp),
            (
                json!([{ "id": "/a", "container": {} }]),
                Origin::MarathonApp,
            ),
            (json!({ "id": "/", "apps": [] }), Origin::MarathonGroup),
            (json!({ "id": "a.b", "run": {} }), Origin::Metronome),
            (
                json!({ "name": "a", "schedule": "R//PT1H", "command": "true" }),
                Origin::Chronos,
            ),
            (json!({ "name": "a", "parents": ["b"] }), Origin::Chronos),
        ] {
            assert_eq!(origin_of(&[&value]), expected, "{value}");
        }
    }
}
