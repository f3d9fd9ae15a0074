//! JSON values as YAML, so that every list can be read as both. Pure.

use serde_json::Value;

/// The value as a block-style YAML document.
pub(crate) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(map, 0, &mut text),
        Value::Array(list) if !list.is_empty() => sequence(list, 0, &mut text),
        scalar => {
            text.push_str(&inline(scalar));
            text.push('\n');
        }
    }
    text
}

fn mapping(map: &serde_json::Map<String, Value>, depth: usize, text: &mut String) {
    for (index, (key, value)) in map.iter().enumerate() {
        // The first key of a mapping in a list stands behind the dash.
        if index > 0 || !text.ends_with("- ") {
            text.push_str(&"  ".repeat(depth));
        }
        text.push_str(&quoted(key));
        text.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                mapping(inner, depth + 1, text);
            }
            Value::Array(inner) if !inner.is_empty() => {
                text.push('\n');
                sequence(inner, depth + 1, text);
            }
            scalar => {
                text.push(' ');
                text.push_str(&inline(scalar));
                text.push('\n');
            }
        }
    }
}

fn sequence(list: &[Value], depth: usize, text: &mut String) {
    for (index, value) in list.iter().enumerate() {
        if index > 0 || !text.ends_with("- ") {
            text.push_str(&"  ".repeat(depth));
        }
        text.push_str("- ");
        match value {
            Value::Object(inner) if !inner.is_empty() => mapping(inner, depth + 1, text),
            Value::Array(inner) if !inner.is_empty() => sequence(inner, depth + 1, text),
            scalar => {
                text.push_str(&inline(scalar));
                text.push('\n');
            }
        }
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// Plain only where no YAML reader, old or new, can take it for anything but a text.
fn quoted(text: &str) -> String {
    let starts_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let all_plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c));
    let word = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
        .contains(&text.to_ascii_lowercase().as_str());
    if starts_plain && all_plain && !word {
        text.to_owned()
    } else {
        Value::String(text.to_owned()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_yaml_reader_gets_back_what_was_written() {
        let value = json!([
            {"id": "a.b", "n": 1.5, "none": null, "list": [], "map": {}, "nested": {"no": "yes", "lines": "a\nb: c"}},
            [["x", "12"], {"k": ["-", "#"]}],
            "0x1f",
        ]);
        let text = yaml(&value);
        let back: Value = serde_saphyr::from_str(&text).expect("YAML");
        assert_eq!(back, value, "{text}");
    }
}
