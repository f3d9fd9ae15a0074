//! Turns what other systems' users have written into our objects and back: Compose files and Kubernetes manifests.
//!
//! Whatever has no meaning here is told: a conversion is its result and the list of what was dropped, each with the
//! reason. Nothing is left out in silence, which [`fields::Fields`] sees to. This crate reads no file and no environment.

mod compose;
mod fields;
mod kubernetes;
mod notes;
mod text;

use std::collections::BTreeMap;

use mezz_spec::read::documents;
use mezz_spec::{Fault, Format, Name, Object};
use serde_json::Value;

pub use notes::Dropped;

/// Where a text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Our own objects.
    Native,
    Compose,
    Kubernetes,
}

/// What a conversion is told beside the text.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The group that everything comes below.
    pub folder: Option<Name>,
    /// What variables such as `${TAG}` of a Compose file stand for.
    pub variables: BTreeMap<String, String>,
}

/// Objects, and what of the source is not in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversion {
    pub objects: Vec<Object>,
    pub dropped: Vec<Dropped>,
}

/// Documents of another system, and what of ours is not in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Export {
    pub documents: Vec<Value>,
    pub dropped: Vec<Dropped>,
}

/// Whose documents these are.
pub fn source_of(values: &[&Value]) -> Source {
    let has = |value: &Value, key: &str| value.get(key).is_some();
    if values.iter().any(|value| has(value, "apiVersion")) {
        return Source::Kubernetes;
    }
    let is_compose =
        |value: &&Value| !has(value, "kind") && value.get("services").is_some_and(Value::is_object);
    if values.len() == 1 && values.iter().any(is_compose) {
        return Source::Compose;
    }
    Source::Native
}

/// Reads a text of any source. Our own objects are checked in full; those of others have the shape of ours, and are
/// checked in full when they are applied, so that what is not built yet can still be converted.
pub fn read(
    text: &str,
    format: Format,
    options: &Options,
) -> Result<(Source, Conversion), Vec<Fault>> {
    let documents = documents(text, format)?;
    let values: Vec<&Value> = documents.iter().map(|document| &document.value).collect();
    let source = source_of(&values);
    let conversion = match source {
        Source::Native => Conversion {
            objects: mezz_spec::read(text, format)?,
            dropped: Vec::new(),
        },
        Source::Compose => compose::read(values[0], options)?,
        Source::Kubernetes => kubernetes::read(&values, options)?,
    };
    Ok((source, conversion))
}

/// Our objects as a Compose file.
pub fn to_compose(objects: &[Object]) -> Export {
    compose::write(objects)
}

/// Our objects as manifests of Kubernetes.
pub fn to_kubernetes(objects: &[Object]) -> Export {
    kubernetes::write(objects)
}
