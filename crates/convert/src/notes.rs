//! What a conversion has to say beside its result.

use mezz_spec::{Fault, Kind, Name, Object, Spec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Something that has no meaning on the other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Of which object, in the words of its source.
    pub object: String,
    /// A JSON pointer into it.
    pub path: String,
    pub why: String,
}

/// Gathers what is dropped and what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    object: String,
    pub(crate) dropped: Vec<Dropped>,
    pub(crate) faults: Vec<Fault>,
}

impl Notes {
    /// What follows is about this object.
    pub(crate) fn about(&mut self, object: impl Into<String>) {
        self.object = object.into();
    }

    pub(crate) fn drop(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.dropped.push(Dropped {
            object: self.object.clone(),
            path: path.into(),
            why: why.into(),
        });
    }

    pub(crate) fn wrong(&mut self, path: impl Into<String>, message: impl Into<String>) {
        let fault = Fault::new(path, message);
        self.faults.push(Fault {
            object: Some(self.object.clone()),
            ..fault
        });
    }

    /// A name of ours from one of theirs.
    pub(crate) fn name(
        &mut self,
        folder: Option<&Name>,
        parts: &[&str],
        path: &str,
    ) -> Option<Name> {
        let mut text = folder.map_or(String::new(), |folder| folder.as_str().to_owned());
        for part in parts {
            let plain = part.to_lowercase().replace(['_', ' '], "-");
            if plain != *part {
                self.drop(path, format!("names are of lower-case letters, digits, '-' and '.': '{part}' becomes '{plain}'"));
            }
            text.push('/');
            text.push_str(&plain);
        }
        match Name::new(&text) {
            Ok(name) => Some(name),
            Err(error) => {
                self.wrong(path, error.to_string());
                None
            }
        }
    }

    /// An object of ours from a spec of the right shape.
    pub(crate) fn object(
        &mut self,
        kind: Kind,
        name: Name,
        labels: Map<String, Value>,
        spec: Value,
    ) -> Option<Object> {
        let value =
            json!({ "kind": kind.word(), "name": name.as_str(), "labels": labels, "spec": spec });
        let faults = mezz_spec::check(kind, &value);
        if !faults.is_empty() {
            for fault in faults {
                self.wrong(fault.path, fault.message);
            }
            return None;
        }
        let mut value = value;
        let labels = serde_json::from_value(value["labels"].take());
        let spec = Spec::from_json(kind, value["spec"].take());
        match (labels, spec) {
            (Ok(labels), Ok(spec)) => Some(Object {
                name,
                labels,
                spec,
                generation: None,
            }),
            (Err(error), _) | (_, Err(error)) => {
                self.wrong("", error.to_string());
                None
            }
        }
    }
}
