//! Checks a tree against a schema and tells all faults at once, each with what to do about it.
//!
//! It knows the words of JSON Schema that the types produce, no others. Formats of texts ([`format`]) are read by the
//! same functions that decode them, so that what passes here can be decoded.

mod format;
mod union;
mod words;

use serde_json::{Map, Value};

use crate::fault::{Fault, MAX_FAULTS, below};
use crate::nearest::nearest_field;
use crate::object::Kind;
use crate::schema::{branches, resolved, schema, takes_null};

pub(crate) use words::{shape, variant};

/// Faults of an object against its kind's schema.
pub fn check(kind: Kind, value: &Value) -> Vec<Fault> {
    check_against(schema(kind), value)
}

/// Faults of a tree against a schema with its definitions.
pub fn check_against(root: &Value, value: &Value) -> Vec<Fault> {
    let checker = Checker { root };
    let mut findings = Vec::new();
    checker.value(root, value, "", &mut findings);
    findings.truncate(MAX_FAULTS);
    findings.into_iter().map(|finding| finding.fault).collect()
}

/// A fault, and whether the value is not even of the right type: such a branch of a union was not meant.
struct Finding {
    fault: Fault,
    is_type: bool,
}

impl Finding {
    fn wrong(fault: Fault) -> Self {
        Self {
            fault,
            is_type: false,
        }
    }
}

struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn value(&self, schema: &Value, value: &Value, path: &str, out: &mut Vec<Finding>) {
        if out.len() > MAX_FAULTS {
            return;
        }
        let schema = resolved(self.root, schema);
        if let Some(branches) = branches(self.root, schema) {
            if !(value.is_null() && takes_null(schema)) {
                self.union(schema, &branches, value, path, out);
            }
            return;
        }
        if let Some(allowed) = words::allowed(schema) {
            words::check(&allowed, value, path, out);
            return;
        }
        if !words::is_of_type(schema, value) {
            let message = format!(
                "must be {}, not {}",
                shape(self.root, schema),
                words::actual(value)
            );
            let fault = Fault::new(path, message).hint(words::cure(self.root, &[schema], value));
            out.push(Finding {
                fault,
                is_type: true,
            });
            return;
        }
        match value {
            Value::Object(members) => self.members(schema, members, path, out),
            Value::Array(items) => self.items(schema, items, path, out),
            Value::String(text) => format::text(schema, text, path, out),
            Value::Number(number) => format::number(schema, number, path, out),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn members(
        &self,
        schema: &Value,
        members: &Map<String, Value>,
        path: &str,
        out: &mut Vec<Finding>,
    ) {
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (key, value) in members {
            if let Some(inner) = known.and_then(|known| known.get(key)) {
                self.value(inner, value, &below(path, key), out);
            } else if others == Some(&Value::Bool(false)) {
                out.push(Finding::wrong(unknown(known, key, path)));
            } else if let Some(inner) = others.filter(|inner| inner.is_object()) {
                self.value(inner, value, &below(path, key), out);
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(key) {
                let fault = Fault::new(path, format!("the field '{key}' is missing"));
                let inner = known.and_then(|known| known.get(key));
                let hint = inner.map(|inner| self.meaning(key, inner));
                out.push(Finding::wrong(Fault { hint, ..fault }));
            }
        }
    }

    /// What a field is for.
    fn meaning(&self, key: &str, schema: &Value) -> String {
        let target = resolved(self.root, schema);
        let text = schema
            .get("description")
            .or_else(|| target.get("description"));
        let shape = shape(self.root, target);
        match text.and_then(Value::as_str) {
            Some(text) => format!(
                "{key} is {shape}: {}",
                text.lines().next().unwrap_or_default()
            ),
            None => format!("{key} is {shape}"),
        }
    }

    fn items(&self, schema: &Value, items: &[Value], path: &str, out: &mut Vec<Finding>) {
        let Some(inner) = schema.get("items") else {
            return;
        };
        for (index, item) in items.iter().enumerate() {
            self.value(inner, item, &below(path, index), out);
        }
    }
}

fn unknown(known: Option<&Map<String, Value>>, key: &str, path: &str) -> Fault {
    let known: Vec<&str> = known
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    let fault = Fault::new(below(path, key), format!("'{key}' is not a field here"));
    match nearest_field(key, &known) {
        Some(near) => fault.hint(format!("did you mean '{near}'?")),
        None if known.len() <= 16 => fault.hint(format!("the fields are {}", known.join(", "))),
        None => fault.hint("remove it"),
    }
}
