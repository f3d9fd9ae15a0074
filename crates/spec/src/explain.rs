//! Explains a field by its path, from the schemas.

use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::check::{shape, variant};
use crate::nearest::nearest;
use crate::object::Kind;
use crate::schema::{branches, resolved, schema};

/// Why a path explains nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExplainError {
    #[error("'{word}' is no kind; the kinds are {kinds}")]
    Kind { word: String, kinds: String },
    #[error("{path} has no field '{word}'; {hint}")]
    Field {
        path: String,
        word: String,
        hint: String,
    },
}

/// What a field is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    pub path: String,
    /// What may be written, in words.
    pub shape: String,
    pub description: String,
    /// What holds without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    pub required: bool,
    /// The fields below it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Explanation>,
}

/// Explains `service.spec.update.deadline` and the like. Lists and maps are passed through: `template.containers.ports`.
pub fn explain(path: &str) -> Result<Explanation, ExplainError> {
    let words = path
        .split(['.', '/'])
        .filter(|word| !word.is_empty() && *word != "[]");
    let mut words = words.map(|word| word.trim_end_matches("[]"));
    let first = words.next().unwrap_or_default();
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.word() == first || kind.plural() == first);
    let kind = kind.ok_or_else(|| ExplainError::Kind {
        word: first.to_owned(),
        kinds: Kind::ALL.map(Kind::word).join(", "),
    })?;
    let root = schema(kind);
    let mut place = Place {
        path: kind.word().to_owned(),
        schema: root,
        is_required: false,
    };
    for word in words {
        place = place.step(root, word)?;
    }
    Ok(place.told(root, Depth::WithFields))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Alone,
    WithFields,
}

struct Place<'a> {
    path: String,
    /// As the field has it, with its own description and default beside a reference.
    schema: &'a Value,
    is_required: bool,
}

impl<'a> Place<'a> {
    fn step(&self, root: &'a Value, word: &str) -> Result<Self, ExplainError> {
        let objects = objects_in(root, self.schema);
        let path = format!("{}.{word}", self.path);
        for object in &objects {
            if let Some(schema) = object.get("properties").and_then(|all| all.get(word)) {
                let is_required = is_required(object, word);
                return Ok(Self {
                    path,
                    schema,
                    is_required,
                });
            }
        }
        let values = objects
            .iter()
            .find_map(|object| object.get("additionalProperties"));
        if let Some(schema) = values.filter(|schema| schema.is_object()) {
            let of_value = Self {
                path: self.path.clone(),
                schema,
                is_required: false,
            };
            // A field of the values, with their keys left out; else the word is a key.
            let below = objects_in(root, schema).into_iter();
            let mut fields = below.filter_map(|object| object.get("properties"));
            if fields.any(|fields| fields.get(word).is_some()) {
                return of_value.step(root, word);
            }
            return Ok(Self { path, ..of_value });
        }
        let known: Vec<&str> = objects.iter().flat_map(|object| names(object)).collect();
        let hint = match nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None if known.is_empty() => "it has no fields".into(),
            None => format!("its fields are {}", known.join(", ")),
        };
        Err(ExplainError::Field {
            path: self.path.clone(),
            word: word.to_owned(),
            hint,
        })
    }

    fn told(&self, root: &'a Value, depth: Depth) -> Explanation {
        let target = resolved(root, self.schema);
        let text = |schema: &Value| {
            schema
                .get("description")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let own = text(self.schema);
        let of_type = text(target).filter(|text| own.as_ref() != Some(text));
        let description: Vec<String> = own.into_iter().chain(of_type).collect();
        let fields = match depth {
            Depth::Alone => Vec::new(),
            Depth::WithFields => self.fields(root),
        };
        Explanation {
            path: self.path.clone(),
            shape: shape(root, target),
            description: description.join("\n").replace(",\nkept", ", kept"),
            default: self.schema.get("default").cloned(),
            required: self.is_required,
            fields,
        }
    }

    fn fields(&self, root: &'a Value) -> Vec<Explanation> {
        let mut fields = Vec::new();
        for object in objects_in(root, self.schema) {
            for word in names(object) {
                let schema = &object["properties"][word];
                let place = Place {
                    path: format!("{}.{word}", self.path),
                    schema,
                    is_required: is_required(object, word) && variant(object).is_none(),
                };
                fields.push(place.told(root, Depth::Alone));
            }
        }
        fields
    }
}

fn is_required(object: &Value, word: &str) -> bool {
    let required = object.get("required").and_then(Value::as_array);
    required.is_some_and(|all| all.iter().any(|other| other == word))
}

fn names(object: &Value) -> impl Iterator<Item = &str> {
    let properties = object.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flat_map(Map::keys)
        .map(String::as_str)
}

/// The objects that a value of this schema may be, or may be a list of.
fn objects_in<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let schema = resolved(root, schema);
    if let Some(branches) = branches(root, schema) {
        return branches
            .into_iter()
            .flat_map(|branch| objects_in(root, branch))
            .collect();
    }
    if let Some(items) = schema.get("items") {
        return objects_in(root, items);
    }
    let is_object =
        schema.get("properties").is_some() || schema.get("additionalProperties").is_some();
    is_object.then_some(schema).into_iter().collect()
}
