//! The shape of JSON: keys and types, without values.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// A difference between the shape of an expected and of an actual document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShapeDifference {
    /// The place, as `/a/b/*/c`; `*` stands for the elements of an array.
    pub at: String,
    /// What differs.
    pub kind: ShapeKind,
}

/// The kinds of difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShapeKind {
    /// Every expected object has the key, an actual one has not.
    MissingKey,
    /// No expected object has the key, an actual one has.
    ExtraKey,
    /// The types differ.
    Type {
        /// The types that were expected.
        expected: String,
        /// The type that came.
        actual: &'static str,
    },
    /// The expected array has elements, the actual one has none, so they could not be compared.
    EmptyArray,
}

impl fmt::Display for ShapeDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ShapeKind::MissingKey => write!(f, "{}: missing", self.at),
            ShapeKind::ExtraKey => write!(f, "{}: not expected", self.at),
            ShapeKind::Type { expected, actual } => {
                write!(f, "{}: {actual} instead of {expected}", self.at)
            }
            ShapeKind::EmptyArray => {
                write!(f, "{}: empty, so its elements were not compared", self.at)
            }
        }
    }
}

/// Every difference between two documents, in the order of their places, each once.
pub fn differences(expected: &Value, actual: &Value) -> Vec<ShapeDifference> {
    let mut found = Vec::new();
    compare(&[expected], actual, "", &mut found);
    found.sort();
    found.dedup();
    found
}

/// Compares `actual` with the examples that were seen at the same place.
fn compare(examples: &[&Value], actual: &Value, at: &str, found: &mut Vec<ShapeDifference>) {
    let alike: Vec<&Value> = examples
        .iter()
        .copied()
        .filter(|example| kind(example) == kind(actual))
        .collect();
    if alike.is_empty() {
        let mut kinds: Vec<&str> = examples.iter().map(|example| kind(example)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let kind = ShapeKind::Type {
            expected: kinds.join(" or "),
            actual: kind(actual),
        };
        found.push(ShapeDifference {
            at: at.to_owned(),
            kind,
        });
        return;
    }
    match actual {
        Value::Object(actual) => compare_objects(&alike, actual, at, found),
        Value::Array(actual) => {
            let elements: Vec<&Value> = alike
                .iter()
                .filter_map(|example| example.as_array())
                .flatten()
                .collect();
            if elements.is_empty() {
                return;
            }
            // An array that was empty in one example may be empty.
            let never_empty = alike
                .iter()
                .all(|example| example.as_array().is_some_and(|a| !a.is_empty()));
            if actual.is_empty() && never_empty {
                found.push(ShapeDifference {
                    at: at.to_owned(),
                    kind: ShapeKind::EmptyArray,
                });
            }
            for element in actual {
                compare(&elements, element, &format!("{at}/*"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn compare_objects(
    examples: &[&Value],
    actual: &serde_json::Map<String, Value>,
    at: &str,
    found: &mut Vec<ShapeDifference>,
) {
    let mut keys: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (key, value) in examples
        .iter()
        .filter_map(|example| example.as_object())
        .flatten()
    {
        keys.entry(key).or_default().push(value);
    }
    for (key, values) in &keys {
        let in_every_example = values.len() == examples.len();
        if in_every_example && !actual.contains_key(*key) {
            found.push(ShapeDifference {
                at: format!("{at}/{key}"),
                kind: ShapeKind::MissingKey,
            });
        }
    }
    for (key, value) in actual {
        let below = format!("{at}/{key}");
        match keys.get(key.as_str()) {
            Some(examples) => compare(examples, value, &below, found),
            None => found.push(ShapeDifference {
                at: below,
                kind: ShapeKind::ExtraKey,
            }),
        }
    }
}

/// The type of a value; Mesos prints doubles always with a fraction, so they are told from integers.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "double",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(expected: Value, actual: Value) -> Vec<String> {
        differences(&expected, &actual)
            .into_iter()
            .map(|difference| difference.to_string())
            .collect()
    }

    #[test]
    fn values_do_not_matter_but_keys_and_types_do() {
        assert!(
            found(
                json!({"a": 1, "b": ["x"]}),
                json!({"a": 9, "b": ["y", "z"]})
            )
            .is_empty()
        );
        let expected = [
            "/a: double instead of integer",
            "/b: missing",
            "/c: not expected",
        ];
        assert_eq!(
            found(json!({"a": 1, "b": 1}), json!({"a": 1.0, "c": 1})),
            expected
        );
    }

    #[test]
    fn an_element_may_be_like_any_of_the_expected_elements() {
        let expected =
            json!([{"type": "S", "scalar": {"value": 1.0}}, {"type": "R", "ranges": {}}]);
        assert!(found(expected.clone(), json!([{"type": "R", "ranges": {}}])).is_empty());
        assert_eq!(
            found(expected.clone(), json!([{"ranges": {}}])),
            ["/*/type: missing"]
        );
        assert_eq!(
            found(expected, json!([])),
            [": empty, so its elements were not compared"]
        );
    }
}
