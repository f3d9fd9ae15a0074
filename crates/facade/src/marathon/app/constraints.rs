//! Constraints of an app as rules of placement.

use mezz_spec::placement::{Key, Operator, Placement, Rule, Spread};
use serde_json::Value;

use crate::reading::Members;

const WANTED: &str =
    "a constraint is a list of two or three texts, or {fieldName, operator, value}";
const OPERATORS: &str = "UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER and IS";

pub(super) fn read(members: &Members<'_>) -> Placement {
    let mut placement = Placement::default();
    let Some(list) = members.list("constraints") else {
        return placement;
    };
    for (index, constraint) in list.iter().enumerate() {
        if let Err(message) = add(constraint, &mut placement) {
            members.tell(&format!("constraints/{index}"), message);
        }
    }
    placement
}

fn add(constraint: &Value, placement: &mut Placement) -> Result<(), String> {
    let Some(words) = words(constraint) else {
        return Err(WANTED.into());
    };
    let (field, operator, value) = match words.as_slice() {
        [field, operator] => (field, operator, None),
        [field, operator, value] => (field, operator, Some(value.as_str())),
        _ => return Err(WANTED.into()),
    };
    let key = Key::from(field.clone());
    let rule = |op, value: &str| Rule {
        key: key.clone(),
        op,
        values: vec![value.to_owned()],
    };
    let needed = || value.ok_or_else(|| format!("{operator} needs a value"));
    let spread = |max_per, max_skew, expected| Spread {
        key: key.clone(),
        max_per,
        max_skew,
        expected,
    };
    match operator.as_str() {
        "UNIQUE" if value.is_none() => placement.spread.push(spread(Some(1), None, None)),
        "UNIQUE" => return Err("UNIQUE takes no value".into()),
        "MAX_PER" => placement
            .spread
            .push(spread(Some(count(needed()?)?), None, None)),
        "GROUP_BY" => {
            let expected = value.map(count).transpose()?;
            placement.spread.push(spread(None, Some(1), expected));
        }
        "CLUSTER" => match value {
            Some(value) => placement.require.push(rule(Operator::In, value)),
            None => placement.same.push(key.clone()),
        },
        "IS" => placement.require.push(rule(Operator::In, needed()?)),
        "LIKE" => placement.require.push(rule(Operator::Matches, needed()?)),
        "UNLIKE" => placement
            .require
            .push(rule(Operator::NotMatches, needed()?)),
        other => return Err(format!("'{other}' is none of {OPERATORS}")),
    }
    Ok(())
}

/// A list, or an object as in the placement of pods.
fn words(constraint: &Value) -> Option<Vec<String>> {
    match constraint {
        Value::Array(words) => words.iter().map(word).collect(),
        Value::Object(members) => {
            let known = ["fieldName", "operator", "value"];
            if members.keys().any(|key| !known.contains(&key.as_str())) {
                return None;
            }
            let mut words = vec![
                word(members.get("fieldName")?)?,
                word(members.get("operator")?)?,
            ];
            if let Some(value) = members.get("value") {
                words.push(word(value)?);
            }
            Some(words)
        }
        _ => None,
    }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn count(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("'{text}' is no number from 1 on"))
}
