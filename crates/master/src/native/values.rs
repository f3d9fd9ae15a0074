//! Times, quantities and texts as the native API writes them.

use mezz_core::time::Wall;
use mezz_resource::{Resources, SummaryValue, Value as ResourceValue};
use serde_json::{Value, json};

/// Ports of one task shown one by one; longer ranges are cut.
const MAX_PORTS: usize = 1000;

/// A time as RFC 3339 in UTC.
pub(crate) fn rfc3339(wall: Wall) -> Value {
    match jiff::Timestamp::from_nanosecond(i128::from(wall.0)) {
        Ok(timestamp) => Value::from(format!("{timestamp:.6}")),
        Err(_) => Value::Null,
    }
}

/// Scalars of resources as numbers, and ports as ranges.
pub(super) fn resources_json(resources: &Resources) -> Value {
    let mut map = serde_json::Map::new();
    for (name, value) in resources.summary() {
        let value = match value {
            SummaryValue::Number(number) => Value::from(number),
            SummaryValue::Text(text) => Value::from(text),
        };
        map.insert(name, value);
    }
    Value::Object(map)
}

/// The four quantities that every task has.
pub(super) fn scalars(resources: &Resources) -> Value {
    let number = |name| resources.scalar(name).to_f64();
    json!({ "cpus": number("cpus"), "mem": number("mem"), "disk": number("disk"), "gpus": number("gpus") })
}

/// Ports, one by one.
pub(super) fn ports(resources: &Resources) -> Vec<u64> {
    resources
        .iter()
        .filter(|resource| resource.name().as_str() == "ports")
        .filter_map(|resource| match resource.value() {
            ResourceValue::Ranges(ranges) => Some(ranges),
            _ => None,
        })
        .flat_map(|ranges| ranges.iter().flat_map(|range| range.begin..=range.end))
        .take(MAX_PORTS)
        .collect()
}
