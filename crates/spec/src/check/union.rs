//! Unions: the faults of the branch that was meant.

use serde_json::Value;

use super::words::{actual, allowed, cure, one_of, shapes, unknown_word, variant};
use super::{Checker, Finding};
use crate::fault::{Fault, below};
use crate::nearest::{nearest, nearest_field};
use crate::schema::resolved;

/// What comes of reading a union as an enumeration.
enum Enumeration {
    NotOne,
    /// The faults of the chosen branch have been told.
    Told,
    Wrong(Fault),
}

impl Checker<'_> {
    pub(super) fn union(
        &self,
        schema: &Value,
        branches: &[&Value],
        value: &Value,
        path: &str,
        out: &mut Vec<Finding>,
    ) {
        let mut meant: Option<Vec<Finding>> = None;
        for branch in branches {
            let mut found = Vec::new();
            self.value(branch, value, path, &mut found);
            if found.is_empty() {
                return;
            }
            let is_other = found
                .iter()
                .any(|one| one.is_type && one.fault.path == path);
            let is_far = value.as_str().is_some_and(|word| is_far_word(branch, word));
            let is_closer = meant.as_ref().is_none_or(|best| found.len() < best.len());
            if !is_other && !is_far && is_closer {
                meant = Some(found);
            }
        }
        match self.of_enumeration(branches, value, path, out) {
            Enumeration::NotOne => {}
            Enumeration::Told => return,
            Enumeration::Wrong(fault) => {
                out.push(Finding::wrong(fault));
                return;
            }
        }
        match meant {
            Some(found) => out.extend(found),
            None if branches.len() == 1 => self.value(branches[0], value, path, out),
            None => out.push(self.of_no_type(schema, branches, value, path)),
        }
    }

    /// Words, and keys with a content: the nearest of all branches is told.
    fn of_enumeration(
        &self,
        branches: &[&Value],
        value: &Value,
        path: &str,
        out: &mut Vec<Finding>,
    ) -> Enumeration {
        let variants: Vec<(&str, &Value)> =
            branches.iter().filter_map(|one| variant(one)).collect();
        let words: Vec<&str> = branches
            .iter()
            .filter_map(|one| allowed(one))
            .flatten()
            .collect();
        if variants.len() + words.len() < 2
            || branches.len() != variants.len() + word_branches(branches)
        {
            return Enumeration::NotOne;
        }
        let keys: Vec<&str> = variants.iter().map(|(key, _)| *key).collect();
        match value {
            Value::String(word) if keys.contains(&word.as_str()) => {
                let inner = variants.iter().find(|(key, _)| key == word);
                let inner = inner.map(|(_, schema)| resolved(self.root, schema));
                let takes_none = inner.is_some_and(|schema| {
                    schema.get("properties").is_some() && schema.get("required").is_none()
                });
                let fault = Fault::new(path, format!("'{word}' needs a value"));
                Enumeration::Wrong(if takes_none {
                    fault.hint(format!("write {word}: {{}} to take its defaults"))
                } else {
                    fault.hint(format!("write {word}: … below it"))
                })
            }
            Value::String(word) => {
                let all: Vec<&str> = words.iter().chain(&keys).copied().collect();
                Enumeration::Wrong(unknown_word(word, &all, path))
            }
            Value::Object(members) if members.len() == 1 => {
                let (key, inner) = members.iter().next().expect("it has one");
                if let Some((_, schema)) = variants.iter().find(|(other, _)| other == key) {
                    self.value(schema, inner, &below(path, key), out);
                    return Enumeration::Told;
                }
                let all: Vec<&str> = keys.iter().chain(&words).copied().collect();
                let message = format!("'{key}' is not {}", one_of(&all));
                let fault = Fault::new(below(path, key), message);
                Enumeration::Wrong(match nearest_field(key, &all) {
                    Some(near) if words.contains(&near) => fault.hint(format!("write just {near}")),
                    Some(near) => fault.hint(format!("did you mean '{near}'?")),
                    None => fault.hint(format!("write {}", one_of(&all))),
                })
            }
            Value::Object(members) => {
                let count = members.len();
                let message = format!(
                    "must have exactly one of the fields {}, not {count}",
                    one_of(&keys)
                );
                Enumeration::Wrong(Fault::new(path, message).hint("keep one of them"))
            }
            _ => Enumeration::NotOne,
        }
    }

    fn of_no_type(
        &self,
        schema: &Value,
        branches: &[&Value],
        value: &Value,
        path: &str,
    ) -> Finding {
        let shapes: Vec<String> = branches
            .iter()
            .flat_map(|one| shapes(self.root, one))
            .collect();
        let message = format!("must be {}, not {}", one_of(&shapes), actual(value));
        let about = schema.get("description").and_then(Value::as_str);
        let inner: Vec<&Value> = branches.to_vec();
        let cure = cure(self.root, &inner, value);
        let hint = match about {
            Some(text) if cure.starts_with("write ") => text.to_owned(),
            _ => cure,
        };
        Finding {
            fault: Fault::new(path, message).hint(hint),
            is_type: true,
        }
    }
}

/// Whether a branch is of words, and this is like none of them.
fn is_far_word(branch: &Value, word: &str) -> bool {
    allowed(branch).is_some_and(|words| nearest(word, words).is_none())
}

fn word_branches(branches: &[&Value]) -> usize {
    branches.iter().filter(|one| allowed(one).is_some()).count()
}
