//! Types and enumerations: whether a value is one, and how they are called.

use serde_json::Value;

use super::Finding;
use crate::fault::Fault;
use crate::nearest::nearest;
use crate::schema::{branches, resolved};

/// The words that an enumeration allows; none when the schema is none.
pub(super) fn allowed(schema: &Value) -> Option<Vec<&str>> {
    if let Some(word) = schema.get("const") {
        return Some(word.as_str().into_iter().collect());
    }
    let words = schema.get("enum")?.as_array()?;
    Some(words.iter().filter_map(Value::as_str).collect())
}

pub(super) fn check(allowed: &[&str], value: &Value, path: &str, out: &mut Vec<Finding>) {
    let Some(word) = value.as_str() else {
        let message = format!("must be {}, not {}", one_of(allowed), actual(value));
        out.push(Finding {
            fault: Fault::new(path, message),
            is_type: true,
        });
        return;
    };
    if !allowed.contains(&word) {
        out.push(Finding::wrong(unknown_word(word, allowed, path)));
    }
}

pub(super) fn unknown_word(word: &str, allowed: &[&str], path: &str) -> Fault {
    let shown: String = word.chars().take(60).collect();
    let fault = Fault::new(path, format!("'{shown}' is not {}", one_of(allowed)));
    match nearest(word, allowed.iter().copied()) {
        Some(near) => fault.hint(format!("did you mean '{near}'?")),
        None => fault.hint(format!("write {}", one_of(allowed))),
    }
}

/// `a, b or c`.
pub(crate) fn one_of<T: AsRef<str>>(words: &[T]) -> String {
    match words {
        [] => "nothing".into(),
        [one] => one.as_ref().to_owned(),
        [front @ .., last] => {
            let front: Vec<&str> = front.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", front.join(", "), last.as_ref())
        }
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn is_of_type(schema: &Value, value: &Value) -> bool {
    let types = types(schema);
    let fits = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    types.is_empty() || types.into_iter().any(fits)
}

/// What a value is, in words.
pub(super) fn actual(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(value) => format!("the truth value {value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.len() <= 40 => format!("the text '{text}'"),
        Value::String(_) => "a text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a group of fields".into(),
    }
}

/// What a schema asks for, in words.
pub(crate) fn shape(root: &Value, schema: &Value) -> String {
    one_of(&shapes(root, schema))
}

/// The same, each possibility for itself.
pub(crate) fn shapes(root: &Value, schema: &Value) -> Vec<String> {
    let schema = resolved(root, schema);
    if let Some(branches) = branches(root, schema) {
        return branches
            .iter()
            .flat_map(|branch| shapes(root, branch))
            .collect();
    }
    if let Some(words) = allowed(schema) {
        return words.into_iter().map(str::to_owned).collect();
    }
    let names = types(schema);
    let named = names
        .iter()
        .filter(|name| **name != "null")
        .map(|name| match *name {
            "boolean" => "true or false".to_owned(),
            "number" => "a number".to_owned(),
            "integer" => "a whole number".to_owned(),
            "array" => match schema.get("items").map(|inner| resolved(root, inner)) {
                Some(inner) if types(inner) == ["string"] => "a list of texts".to_owned(),
                _ => "a list".to_owned(),
            },
            "object" => object_shape(schema),
            _ => super::format::shape(schema).to_owned(),
        });
    named.collect()
}

fn object_shape(schema: &Value) -> String {
    match variant(schema) {
        Some((key, _)) => format!("{{{key}: …}}"),
        None if schema.get("properties").is_none() => "a group of names and values".into(),
        None => "a group of fields".into(),
    }
}

/// The key and the content of one branch of an enumeration with contents.
pub(crate) fn variant(schema: &Value) -> Option<(&str, &Value)> {
    let properties = schema.get("properties")?.as_object()?;
    let required = schema.get("required")?.as_array()?;
    let (key, inner) = properties.iter().next()?;
    (properties.len() == 1 && required.len() == 1 && required[0] == key.as_str())
        .then_some((key.as_str(), inner))
}

/// What to do about a value of the wrong type.
pub(super) fn cure(root: &Value, wanted: &[&Value], value: &Value) -> String {
    let all: Vec<&str> = wanted.iter().flat_map(|schema| types(schema)).collect();
    let wants = |name: &str| all.contains(&name);
    match value {
        Value::Bool(_) | Value::Number(_) if wants("string") => format!("quote it: \"{value}\""),
        Value::Number(number) if wants("integer") => {
            let whole = number.as_f64().unwrap_or_default().round();
            format!("write {whole}")
        }
        Value::String(text) if wants("boolean") => match text.to_lowercase().as_str() {
            "yes" | "y" | "on" | "true" => "write true, without quotes".into(),
            "no" | "n" | "off" | "false" => "write false, without quotes".into(),
            _ => "write true or false".into(),
        },
        Value::String(text) if wants("integer") || wants("number") => match text.parse::<f64>() {
            Ok(_) => format!("write {text}, without quotes"),
            Err(_) => "write a number".into(),
        },
        Value::Null => "give it a value, or leave the field out".into(),
        _ if wants("array") => "put it into a list".into(),
        _ => {
            let shapes: Vec<String> = wanted.iter().flat_map(|one| shapes(root, one)).collect();
            format!("write {}", one_of(&shapes))
        }
    }
}
