//! Texts and numbers: formats and ranges.

use serde_json::{Number, Value};

use super::Finding;
use crate::fault::Fault;
use crate::name::Name;
use crate::quantity::{Share, Size, Span};

/// What a text with a format is called.
pub(super) fn shape(schema: &Value) -> &'static str {
    match schema.get("format").and_then(Value::as_str) {
        Some("name") => "a name such as /team/app",
        Some("span") => "a span of time such as 30s",
        Some("size") => "a size such as 128MiB",
        Some("share") => "a share such as 25%",
        _ => "a text",
    }
}

pub(super) fn text(schema: &Value, text: &str, path: &str, out: &mut Vec<Finding>) {
    let read = match schema.get("format").and_then(Value::as_str) {
        Some("name") => Name::new(text).err().map(|error| error.to_string()),
        Some("span") => Span::parse(text).err().map(|error| error.to_string()),
        Some("size") => Size::parse(text).err().map(|error| error.to_string()),
        Some("share") => Share::parse(text).err().map(|error| error.to_string()),
        _ => None,
    };
    if let Some(told) = read {
        let fault = match told.split_once("; ") {
            Some((message, hint)) => Fault::new(path, message).hint(hint),
            None => Fault::new(path, told).hint(format!("write {}", shape(schema))),
        };
        out.push(Finding::wrong(fault));
    }
}

pub(super) fn number(schema: &Value, number: &Number, path: &str, out: &mut Vec<Finding>) {
    let (least, most) = bounds(schema);
    let value = Value::Number(number.clone());
    let below = least.as_ref().is_some_and(|least| is_less(&value, least));
    let above = most.as_ref().is_some_and(|most| is_less(most, &value));
    let limit = match (&least, &most) {
        (Some(least), _) if below => format!("at least {least}"),
        (_, Some(most)) if above => format!("at most {most}"),
        _ => return,
    };
    let fault = Fault::new(
        path,
        format!("{number} is out of range; it must be {limit}"),
    );
    let hint = match (least, most) {
        (Some(least), Some(most)) => format!("write a number from {least} to {most}"),
        _ => format!("write a number of {limit}"),
    };
    out.push(Finding::wrong(fault.hint(hint)));
}

/// The stated bounds, or those of the format.
fn bounds(schema: &Value) -> (Option<Value>, Option<Value>) {
    let format = schema.get("format").and_then(Value::as_str);
    let by_format: (Option<Value>, Option<Value>) = match format {
        Some("uint8") => (Some(0.into()), Some(u8::MAX.into())),
        Some("uint16") => (Some(0.into()), Some(u16::MAX.into())),
        Some("uint32") => (Some(0.into()), Some(u32::MAX.into())),
        Some("uint64") => (Some(0.into()), None),
        Some("int32") => (Some(i32::MIN.into()), Some(i32::MAX.into())),
        _ => (None, None),
    };
    let stated = |key: &str| schema.get(key).cloned();
    (
        stated("minimum").or(by_format.0),
        stated("maximum").or(by_format.1),
    )
}

fn is_less(one: &Value, other: &Value) -> bool {
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one < other,
        _ => one.as_f64() < other.as_f64(),
    }
}

fn whole(value: &Value) -> Option<i128> {
    let signed = value.as_i64().map(i128::from);
    signed.or_else(|| value.as_u64().map(i128::from))
}
