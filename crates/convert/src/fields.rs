//! The fields of a foreign object, taken one by one: what nobody took is told as dropped.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::notes::Notes;

/// Fields of one object.
pub(crate) struct Fields<'a> {
    members: Option<&'a Map<String, Value>>,
    path: String,
    taken: BTreeSet<&'a str>,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(value: &'a Value, path: impl Into<String>) -> Self {
        Self {
            members: value.as_object(),
            path: path.into(),
            taken: BTreeSet::new(),
        }
    }

    /// The pointer of a field.
    pub(crate) fn path(&self, key: &str) -> String {
        format!(
            "{}/{}",
            self.path,
            key.replace('~', "~0").replace('/', "~1")
        )
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<&'a Value> {
        let (key, value) = self.members?.get_key_value(key)?;
        self.taken.insert(key);
        (!value.is_null()).then_some(value)
    }

    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        self.take(key).map(text_of)
    }

    pub(crate) fn list(&mut self, key: &str) -> &'a [Value] {
        self.take(key)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    pub(crate) fn number(&mut self, key: &str) -> Option<u64> {
        let value = self.take(key)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    /// The fields of a member; none when it is not there.
    pub(crate) fn inner(&mut self, key: &str) -> Option<Fields<'a>> {
        let path = self.path(key);
        self.take(key).map(|value| Fields::of(value, path))
    }

    /// The fields of a member, or of each entry of one that is a list.
    pub(crate) fn inners(&mut self, key: &str) -> Vec<Fields<'a>> {
        let path = self.path(key);
        match self.take(key) {
            Some(Value::Array(all)) => (0..)
                .zip(all)
                .map(|(index, one): (usize, _)| Fields::of(one, format!("{path}/{index}")))
                .collect(),
            Some(one) => vec![Fields::of(one, path)],
            None => Vec::new(),
        }
    }

    /// The pointer of all of them.
    pub(crate) fn path_of_all(&self) -> &str {
        &self.path
    }

    /// Fields that mean nothing here, whatever they are.
    pub(crate) fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.take(key);
        }
    }

    /// Fields whose absence is told with a reason.
    pub(crate) fn refuse(&mut self, keys: &[&str], why: &str, notes: &mut Notes) {
        for key in keys {
            if self.take(key).is_some() {
                notes.drop(self.path(key), why);
            }
        }
    }

    /// Tells what nobody took.
    pub(crate) fn finish(self, notes: &mut Notes) {
        for (key, value) in self.members.into_iter().flatten() {
            if !self.taken.contains(key.as_str()) && !value.is_null() {
                notes.drop(self.path(key), "it has no meaning on the other side");
            }
        }
    }
}

/// A scalar as a text.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
