//! The summary of resources that the unversioned endpoints show.

use crate::resource::{Resource, Value};
use crate::resources::Resources;
use crate::scalar::Scalar;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// One value of a summary: a number, or the text of ranges or a set.
#[derive(Debug, Clone, PartialEq)]
pub enum SummaryValue {
    /// A number.
    Number(f64),
    /// `[31000-32000]` or `{a, b}`.
    Text(String),
}

impl Resources {
    /// The summary by name: `cpus`, `gpus`, `mem` and `disk` always; revocable ones under `<name>_revocable`.
    pub fn summary(&self) -> impl Iterator<Item = (String, SummaryValue)> + use<> {
        let mut sums: BTreeMap<String, Value> = ["cpus", "gpus", "mem", "disk"]
            .into_iter()
            .map(|name| (name.to_owned(), Value::Scalar(Scalar::ZERO)))
            .collect();
        for resource in self {
            match sums.entry(summary_name(resource)) {
                Entry::Vacant(slot) => {
                    slot.insert(resource.value().clone());
                }
                Entry::Occupied(mut slot) => match (slot.get(), resource.value()) {
                    (Value::Scalar(_), Value::Scalar(_))
                    | (Value::Ranges(_), Value::Ranges(_))
                    | (Value::Set(_), Value::Set(_)) => slot.get_mut().add(resource.value()),
                    // One name with two kinds of value: the later kind is the one shown.
                    _ => {
                        slot.insert(resource.value().clone());
                    }
                },
            }
        }
        sums.into_iter().map(|(name, value)| {
            let value = match value {
                Value::Scalar(scalar) => SummaryValue::Number(scalar.to_f64()),
                text => SummaryValue::Text(text.to_string()),
            };
            (name, value)
        })
    }
}

fn summary_name(resource: &Resource) -> String {
    let suffix = if resource.is_revocable() {
        "_revocable"
    } else {
        ""
    };
    format!("{}{suffix}", resource.name())
}
