//! Placement: operators with their values, expressions that can be compiled, numbers that can hold.

use regex_syntax::ParserBuilder;

use super::Faults;
use crate::fault::below;
use crate::placement::{Key, Operator, Placement, Selector, Spread};

const MAX_RULES: usize = 100;
const MAX_VALUES: usize = 1_000;
/// Bytes of a regular expression: what fits is cheap to compile and to match.
const MAX_PATTERN_BYTES: usize = 1_000;

pub(super) fn check(placement: &Placement, path: &str, out: &mut Faults) {
    let lists = [
        ("require", placement.require.len()),
        ("prefer", placement.prefer.len()),
        ("spread", placement.spread.len()),
        ("near", placement.near.len()),
        ("away", placement.away.len()),
        ("same", placement.same.len()),
    ];
    for (word, count) in lists {
        if count > MAX_RULES {
            let message = format!("{count} rules; {MAX_RULES} are allowed");
            out.tell(below(path, word), message, "join some, or label the agents");
        }
    }
    for (index, rule) in placement.require.iter().enumerate() {
        let path = format!("{path}/require/{index}");
        test(&rule.key, rule.op, &rule.values, &path, out);
    }
    for (index, wish) in placement.prefer.iter().enumerate() {
        let path = format!("{path}/prefer/{index}");
        test(&wish.key, wish.op, &wish.values, &path, out);
        if wish.weight == 0 || !(-100..=100).contains(&wish.weight) {
            let message = format!(
                "a weight is from -100 to 100 and not 0, not {}",
                wish.weight
            );
            out.tell(below(&path, "weight"), message, "write 1, or leave it out");
        }
    }
    for (index, spread) in placement.spread.iter().enumerate() {
        self::spread(spread, &format!("{path}/spread/{index}"), out);
    }
    for (word, list) in [("near", &placement.near), ("away", &placement.away)] {
        for (index, selector) in list.iter().enumerate() {
            self::selector(selector, &format!("{path}/{word}/{index}/labels"), out);
        }
    }
    for (index, key) in placement.same.iter().enumerate() {
        let path = format!("{path}/same/{index}");
        self::key(key, &path, out);
        if placement.same[..index].contains(key) {
            out.tell(path, "the key stands twice", "keep it once");
        }
    }
}

fn key(key: &Key, path: &str, out: &mut Faults) {
    if let Key::Attribute(name) = key
        && (name.is_empty() || name.contains(['\0', ';', ':']))
    {
        let message = format!("'{name}' is no name of an attribute");
        out.tell(
            path,
            message,
            "write hostname, agent, region, zone, or an attribute's name",
        );
    }
}

fn test(key: &Key, op: Operator, values: &[String], path: &str, out: &mut Faults) {
    self::key(key, &below(path, "key"), out);
    let at = below(path, "values");
    match op {
        Operator::Exists | Operator::Absent => {
            if !values.is_empty() {
                out.tell(at, "exists and absent take no values", "leave them out");
            }
            return;
        }
        _ if values.is_empty() => {
            out.tell(
                path,
                "the field 'values' is missing",
                "write what the key is held against",
            );
            return;
        }
        _ if values.len() > MAX_VALUES => {
            let message = format!("{} values; {MAX_VALUES} are allowed", values.len());
            out.tell(&at, message, "use a regular expression");
            return;
        }
        _ => {}
    }
    if matches!(op, Operator::AtLeast | Operator::AtMost) && values.len() > 1 {
        out.tell(&at, "at_least and at_most take one value", "keep one");
    }
    for (index, value) in values.iter().enumerate() {
        let at = below(&at, index);
        match op {
            Operator::Matches | Operator::NotMatches => pattern(value, &at, out),
            Operator::AtLeast | Operator::AtMost if !is_number(value) => {
                out.tell(
                    at,
                    format!("'{value}' is no number"),
                    "write a number such as 4",
                );
            }
            _ => {}
        }
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn pattern(text: &str, path: &str, out: &mut Faults) {
    if text.len() > MAX_PATTERN_BYTES {
        let message = format!("a regular expression has at most {MAX_PATTERN_BYTES} bytes");
        out.tell(path, message, "shorten it, or label the agents");
        return;
    }
    let parsed = ParserBuilder::new().nest_limit(50).build().parse(text);
    if let Err(error) = parsed {
        let fault = match &error {
            regex_syntax::Error::Parse(error) => error.kind().to_string(),
            regex_syntax::Error::Translate(error) => error.kind().to_string(),
            _ => "it cannot be read".into(),
        };
        let message = format!("'{text}' is no regular expression: {fault}");
        out.tell(path, message, "mend it, or use in with plain values");
    }
}

fn spread(spread: &Spread, path: &str, out: &mut Faults) {
    self::key(&spread.key, &below(path, "key"), out);
    if spread.max_per.is_none() && spread.max_skew.is_none() {
        out.tell(
            path,
            "a spread needs max_per or max_skew",
            "write max_per: 1, or max_skew: 1",
        );
    }
    for (word, number) in [
        ("max_per", spread.max_per),
        ("max_skew", spread.max_skew),
        ("expected", spread.expected),
    ] {
        if number == Some(0) {
            out.tell(
                below(path, word),
                "0 would allow nothing",
                "write 1 or more",
            );
        }
    }
    if spread.expected.is_some() && spread.max_skew.is_none() {
        let message = "expected counts only with max_skew";
        out.tell(
            below(path, "expected"),
            message,
            "write max_skew, or leave it out",
        );
    }
}

fn selector(selector: &Selector, path: &str, out: &mut Faults) {
    if selector.labels.is_empty() {
        out.tell(
            path,
            "a selector without labels would mean everything",
            "write a label",
        );
    }
}
