//! Texts into objects: YAML, TOML and JSON, one object or many.
//!
//! Every fault is told at once, each with its place. A text is bounded in size, depth and number of values, aliases
//! included, so that a small one cannot become a large tree.

mod document;
mod json;
mod scalar;
mod toml;
mod yaml;

pub use document::{Document, documents};

use serde_json::Value;

use crate::fault::{Fault, MAX_FAULTS};
use crate::object::Object;
use crate::rules;

/// The longest text.
pub const MAX_TEXT_BYTES: usize = 16 << 20;
/// The deepest nesting.
pub const MAX_DEPTH: usize = 64;
/// The most values in a text, counting what aliases repeat.
pub const MAX_VALUES: usize = 500_000;

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Yaml,
    Toml,
    Json,
}

impl Format {
    /// By the ending of a file's name; YAML, which JSON is too, without a known one.
    pub fn of_path(path: &str) -> Self {
        let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
        match ending.to_ascii_lowercase().as_str() {
            "toml" => Self::Toml,
            "json" | "ndjson" | "jsonl" => Self::Json,
            _ => Self::Yaml,
        }
    }

    /// By a media type; none when it is another's.
    pub fn of_media_type(text: &str) -> Option<Self> {
        let plain = text.split(';').next().unwrap_or_default().trim();
        match plain.to_ascii_lowercase().as_str() {
            "application/json" | "application/x-ndjson" | "text/json" => Some(Self::Json),
            "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => {
                Some(Self::Yaml)
            }
            "application/toml" | "text/toml" | "text/x-toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// Reads all objects of a text, checks each and all together.
pub fn read(text: &str, format: Format) -> Result<Vec<Object>, Vec<Fault>> {
    let documents = documents(text, format)?;
    let mut objects = Vec::with_capacity(documents.len());
    let mut faults = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        match read_one(document) {
            Ok(object) => objects.push(object),
            Err(found) => {
                let title = title(&document.value, index, documents.len());
                faults.extend(found.into_iter().map(|fault| Fault {
                    object: title.clone(),
                    ..fault
                }));
            }
        }
        if faults.len() > MAX_FAULTS {
            faults.truncate(MAX_FAULTS);
            break;
        }
    }
    if faults.is_empty() {
        faults = rules::together(&objects);
    }
    if faults.is_empty() {
        Ok(objects)
    } else {
        Err(faults)
    }
}

fn read_one(document: &Document) -> Result<Object, Vec<Fault>> {
    let result = Object::from_value(document.value.clone());
    let mut faults = document.doubtful_words();
    let found = match result {
        Ok(object) if faults.is_empty() => return Ok(object),
        Ok(_) => Vec::new(),
        Err(found) => found,
    };
    for fault in found {
        if !faults.iter().any(|other| other.path == fault.path) {
            faults.push(document.placed(fault));
        }
    }
    faults.sort_by_key(|fault| fault.at.map_or((u32::MAX, 0), |at| (at.line, at.column)));
    Err(faults)
}

fn title(value: &Value, index: usize, count: usize) -> Option<String> {
    let word = |key: &str| value.get(key).and_then(Value::as_str);
    match (word("kind"), word("name")) {
        (Some(kind), Some(name)) => Some(format!("{kind} {name}")),
        _ if count > 1 => Some(format!("document {}", index + 1)),
        _ => None,
    }
}
