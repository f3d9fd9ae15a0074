//! Attributes of agents: `rack:abc;zone:west;num:3;r:[1-5];s:{a,b}`, or a JSON array.

use crate::value_text::{ValueText, parse_value};
use mezz_proto::v1;
use serde_json::Value as Json;
use thiserror::Error;

/// Why a text of attributes is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AttributeError {
    /// Not `key:value`.
    #[error("Invalid attribute key:value pair '{0}'")]
    Pair(String),
    /// The part after the colon.
    #[error("Failed to parse attribute {name} text {value} error {error}")]
    Value {
        /// The attribute.
        name: String,
        /// The text at fault.
        value: String,
        /// What is wrong.
        error: String,
    },
    /// The JSON does not have the shape of an attribute.
    #[error("Some JSON attributes were not formatted properly: {0}")]
    Json(String),
}

/// Reads attributes of a flag in either form.
pub fn parse(text: &str) -> Result<Vec<v1::Attribute>, AttributeError> {
    if text.trim_start().starts_with('[') {
        let array: Vec<Json> =
            serde_json::from_str(text).map_err(|error| AttributeError::Json(error.to_string()))?;
        let read = |(index, json)| {
            attribute_from_json(json)
                .map_err(|text| AttributeError::Json(format!("attribute {index}: {text}")))
        };
        return array.iter().enumerate().map(read).collect();
    }
    text.split([';', '\n'])
        .filter(|token| !token.trim().is_empty())
        .map(parse_pair)
        .collect()
}

fn parse_pair(token: &str) -> Result<v1::Attribute, AttributeError> {
    let bad = || AttributeError::Pair(token.trim().to_owned());
    let (name, value) = token.split_once(':').ok_or_else(bad)?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || value.is_empty() {
        return Err(bad());
    }
    let parsed = parse_value(value).map_err(|error| AttributeError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        error: error.to_string(),
    })?;
    let mut attribute = v1::Attribute {
        name: name.to_owned(),
        ..Default::default()
    };
    let kind = match parsed {
        ValueText::Scalar(value) => {
            attribute.scalar = Some(v1::value::Scalar { value });
            v1::value::Type::Scalar
        }
        ValueText::Ranges(ranges) => {
            let range = ranges.iter().map(|r| v1::value::Range {
                begin: r.begin,
                end: r.end,
            });
            attribute.ranges = Some(v1::value::Ranges {
                range: range.collect(),
            });
            v1::value::Type::Ranges
        }
        ValueText::Set(item) => {
            attribute.set = Some(v1::value::Set { item });
            v1::value::Type::Set
        }
        // The words of a text are kept as they stand, with their spaces.
        ValueText::Text(_) => {
            attribute.text = Some(v1::value::Text {
                value: value.to_owned(),
            });
            v1::value::Type::Text
        }
    };
    attribute.r#type = kind as i32;
    Ok(attribute)
}

fn attribute_from_json(json: &Json) -> Result<v1::Attribute, String> {
    let name = json
        .get("name")
        .and_then(Json::as_str)
        .filter(|name| !name.is_empty());
    let name = name.ok_or("'name' must be a non-empty string")?;
    let kind = json
        .get("type")
        .and_then(Json::as_str)
        .ok_or("'type' must be a string")?;
    let kind =
        v1::value::Type::from_str_name(kind).ok_or_else(|| format!("unknown type '{kind}'"))?;
    let mut attribute = v1::Attribute {
        name: name.to_owned(),
        r#type: kind as i32,
        ..Default::default()
    };
    let missing = |field: &str| format!("'{field}' must be set for this type");
    match kind {
        v1::value::Type::Scalar => {
            let value = json.pointer("/scalar/value").and_then(Json::as_f64);
            let value = value.ok_or_else(|| missing("scalar.value"))?;
            attribute.scalar = Some(v1::value::Scalar { value });
        }
        v1::value::Type::Ranges => {
            attribute.ranges = Some(ranges_from_json(
                json.get("ranges").ok_or_else(|| missing("ranges"))?,
            )?);
        }
        v1::value::Type::Set => {
            attribute.set = Some(set_from_json(
                json.get("set").ok_or_else(|| missing("set"))?,
            )?);
        }
        v1::value::Type::Text => {
            let value = json.pointer("/text/value").and_then(Json::as_str);
            let value = value.ok_or_else(|| missing("text.value"))?.to_owned();
            attribute.text = Some(v1::value::Text { value });
        }
    }
    Ok(attribute)
}

pub(crate) fn ranges_from_json(json: &Json) -> Result<v1::value::Ranges, String> {
    let Some(list) = json.get("range") else {
        return Ok(v1::value::Ranges::default());
    };
    let list = list.as_array().ok_or("'ranges.range' must be an array")?;
    let bound = |entry: &Json, key: &str| {
        entry
            .get(key)
            .and_then(Json::as_u64)
            .ok_or_else(|| format!("'{key}' of a range must be a non-negative integer"))
    };
    let range: Result<Vec<_>, String> = list
        .iter()
        .map(|entry| {
            Ok(v1::value::Range {
                begin: bound(entry, "begin")?,
                end: bound(entry, "end")?,
            })
        })
        .collect();
    Ok(v1::value::Ranges { range: range? })
}

pub(crate) fn set_from_json(json: &Json) -> Result<v1::value::Set, String> {
    let Some(list) = json.get("item") else {
        return Ok(v1::value::Set::default());
    };
    let list = list.as_array().ok_or("'set.item' must be an array")?;
    let item: Option<Vec<String>> = list
        .iter()
        .map(|item| item.as_str().map(str::to_owned))
        .collect();
    Ok(v1::value::Set {
        item: item.ok_or("items of a set must be strings")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_every_kind_parse_from_text() {
        let list = parse("rack:abc;zone:west;num:3;r:[1-5];s:{a,b}").unwrap();
        let kinds: Vec<_> = list
            .iter()
            .map(|attribute| attribute.r#type().as_str_name())
            .collect();
        assert_eq!(kinds, ["TEXT", "TEXT", "SCALAR", "RANGES", "SET"]);
        assert_eq!(list[0].text.as_ref().unwrap().value, "abc");
        assert_eq!(list[4].set.as_ref().unwrap().item, ["a", "b"]);
    }

    #[test]
    fn a_value_may_contain_colons() {
        let list = parse("url:http://x:80").unwrap();
        assert_eq!(list[0].text.as_ref().unwrap().value, "http://x:80");
    }

    #[test]
    fn attributes_parse_from_json() {
        let list = parse(r#"[{"name":"rack","type":"TEXT","text":{"value":"a"}}]"#).unwrap();
        assert_eq!(list[0].name, "rack");
        let error = parse(r#"[{"name":"rack","type":"TEXT"}]"#)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("attribute 0: 'text.value' must be set"),
            "{error}"
        );
    }

    #[test]
    fn an_attribute_without_a_value_is_named() {
        let error = parse("rack").unwrap_err();
        assert_eq!(error.to_string(), "Invalid attribute key:value pair 'rack'");
    }
}
