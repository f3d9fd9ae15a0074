//! What changes from one spec to the next, field by field. Values of secrets are never in it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::below;
use crate::object::{Kind, Spec};

/// What stands for a value of a secret.
const HIDDEN: &str = "(hidden)";

/// One field that changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// A JSON pointer into the spec. Items of lists that have names are found by these, whatever their place.
    pub path: String,
    /// What is there now; none when it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What will be there; none when it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// The changes from one spec to another, in the order of their paths.
pub fn diff(old: &Spec, new: &Spec) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(&old.to_json(), &new.to_json(), "", &mut changes);
    if old.kind() == Kind::Secret || new.kind() == Kind::Secret {
        changes.iter_mut().for_each(hide);
    }
    changes
}

/// A spec as it may be shown: without the values of secrets.
pub fn redacted(spec: &Spec) -> Value {
    let mut value = spec.to_json();
    if let (Kind::Secret, Some(Value::Object(data))) = (spec.kind(), value.get_mut("data")) {
        for entry in data.values_mut().filter(|entry| !entry.is_null()) {
            *entry = HIDDEN.into();
        }
    }
    value
}

fn hide(change: &mut Change) {
    if change.path.starts_with("/data") {
        for value in [&mut change.old, &mut change.new].into_iter().flatten() {
            *value = HIDDEN.into();
        }
    }
}

fn compare(old: &Value, new: &Value, path: &str, changes: &mut Vec<Change>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(before), Value::Object(after)) => {
            let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                member(before.get(key), after.get(key), &below(path, key), changes);
            }
        }
        (Value::Array(before), Value::Array(after)) => match (names(before), names(after)) {
            (Some(old_names), Some(new_names)) => {
                for (name, item) in old_names.iter().zip(before) {
                    let place = new_names.iter().position(|other| other == name);
                    member(
                        Some(item),
                        place.map(|place| &after[place]),
                        &below(path, name),
                        changes,
                    );
                }
                for (name, item) in new_names.iter().zip(after) {
                    if !old_names.contains(name) {
                        member(None, Some(item), &below(path, name), changes);
                    }
                }
            }
            _ => {
                for index in 0..before.len().max(after.len()) {
                    member(
                        before.get(index),
                        after.get(index),
                        &below(path, index),
                        changes,
                    );
                }
            }
        },
        _ => member_changed(Some(old), Some(new), path, changes),
    }
}

fn member(old: Option<&Value>, new: Option<&Value>, path: &str, changes: &mut Vec<Change>) {
    match (old, new) {
        (Some(old), Some(new)) => compare(old, new, path, changes),
        _ => member_changed(old, new, path, changes),
    }
}

fn member_changed(old: Option<&Value>, new: Option<&Value>, path: &str, changes: &mut Vec<Change>) {
    changes.push(Change {
        path: path.to_owned(),
        old: old.cloned(),
        new: new.cloned(),
    });
}

/// The names of a list's items, when all have one and no two the same.
fn names(items: &[Value]) -> Option<Vec<&str>> {
    let names: Option<Vec<&str>> = items
        .iter()
        .map(|item| item.get("name")?.as_str())
        .collect();
    let names = names?;
    let distinct: BTreeSet<&&str> = names.iter().collect();
    (distinct.len() == names.len()).then_some(names)
}
