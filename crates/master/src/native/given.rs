//! What a query gave, checked against the tables of parameters. Errors name the parameter.

use std::time::Duration;

use mezz_http::Response;
use mezz_http::query::Query;
use mezz_proto::v1::TaskState;

use super::parameters::{Parameter, Shape};
use super::problems::bad_request;
use mezz_spec::nearest::nearest;

/// A query whose names and values are known to be right.
#[derive(Clone, Debug, Default)]
pub(super) struct Given(Vec<(&'static str, String)>);

impl Given {
    /// Checks a query; errors name the parameter.
    pub(super) fn check(query: &Query, tables: &[&[Parameter]]) -> Result<Self, Response> {
        let known = || tables.iter().flat_map(|table| table.iter());
        let mut given: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in query.pairs() {
            let Some(parameter) = known().find(|parameter| parameter.name == name) else {
                let names: Vec<&str> = known().map(|parameter| parameter.name).collect();
                return Err(bad_request(&unknown(name, &names)));
            };
            if !parameter.repeated && given.iter().any(|(before, _)| *before == name) {
                return Err(bad_request(&format!("{name}: it is given twice")));
            }
            check_value(parameter.shape, value)
                .map_err(|error| bad_request(&format!("{name}: '{value}' {error}")))?;
            given.push((parameter.name, value.to_owned()));
        }
        Ok(Self(given))
    }

    /// The value of a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a flag is set.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// A whole number.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// A number of seconds.
    pub(super) fn seconds(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok()
    }

    /// A duration.
    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        duration(self.text(name)?)
    }

    /// The instant that a `since` means.
    pub(super) fn since(&self, name: &str, now: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let text = self.text(name)?;
        let Some(back) = duration(text) else {
            return text.parse().ok();
        };
        let earliest = jiff::Timestamp::MIN;
        Some(now.checked_sub(back).unwrap_or(earliest))
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return format!("'{name}' is no known parameter: this path has none");
    }
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("'{name}' is no known parameter; did you mean '{near}'?"),
        None => format!(
            "'{name}' is no known parameter; known are {}",
            known.join(", ")
        ),
    }
}

fn check_value(shape: Shape, value: &str) -> Result<(), String> {
    let require = |holds: bool, otherwise: &str| {
        if holds {
            Ok(())
        } else {
            Err(otherwise.to_owned())
        }
    };
    match shape {
        Shape::Text => require(!value.is_empty(), "is empty"),
        Shape::Flag => require(
            matches!(value, "true" | "false"),
            "is neither true nor false",
        ),
        Shape::Count { least, most } => {
            let within = value
                .parse::<u64>()
                .is_ok_and(|count| (least..=most).contains(&count));
            let otherwise = format!("is no whole number from {least} to {most}");
            // The standard parser takes a plus sign, which JSON's numbers do not have.
            require(within && !value.starts_with('+'), &otherwise)
        }
        Shape::Seconds => require(
            value
                .parse::<f64>()
                .is_ok_and(|seconds| (0.0..=1e9).contains(&seconds))
                && value.starts_with(|c: char| c.is_ascii_digit()),
            "is no number of seconds from 0 to 1000000000",
        ),
        Shape::TaskState => require(
            TaskState::from_str_name(value).is_some(),
            "is no task state; states are named as in Mesos, like TASK_RUNNING",
        ),
        Shape::Word(words) => require(
            words.contains(&value),
            &format!("is none of {}", words.join(", ")),
        ),
        Shape::Duration => require(
            duration(value).is_some(),
            "is no duration such as 500ms, 30s, 5m or 1h",
        ),
        Shape::Since => require(
            duration(value).is_some() || value.parse::<jiff::Timestamp>().is_ok(),
            "is neither a duration such as 30s or 5m nor a time such as 2026-01-31T12:00:00Z",
        ),
        Shape::Pair => require(
            !value.is_empty() && !value.starts_with('='),
            "is neither KEY nor KEY=VALUE",
        ),
        Shape::Truth(words) => {
            let (word, truth) = value.split_once('=').unwrap_or((value, "true"));
            let holds = words.contains(&word) && matches!(truth, "true" | "false");
            let words = words.join(", ");
            require(
                holds,
                &format!("is none of {words}, alone or with =true or =false"),
            )
        }
        Shape::Name => require(
            mezz_spec::Name::new(value).is_ok(),
            "is no name such as /team/app",
        ),
        Shape::Cursor => require(
            super::rows::read_cursor(value).is_some(),
            "is no cursor that this API gave",
        ),
    }
}

/// A duration of up to six digits and a unit.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=6).contains(&digits) {
        return None;
    }
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number * 60)),
        "h" => Some(Duration::from_secs(number * 3600)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::parameters::{PAGE, TASKS};

    fn detail(text: &str, tables: &[&[Parameter]]) -> String {
        let refused = Given::check(&Query::parse(text), tables).unwrap_err();
        let mezz_http::Body::Full(Some(bytes)) = refused.into_body() else {
            panic!("a problem has a body");
        };
        let problem: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        problem["detail"].as_str().unwrap().to_owned()
    }

    #[test]
    fn an_unknown_or_wrong_parameter_is_named() {
        for (text, expected) in [
            (
                "limt=3",
                "'limt' is no known parameter; did you mean 'limit'?",
            ),
            ("limit=0", "limit: '0' is no whole number from 1 to 100000"),
            ("all=1", "all: '1' is neither true nor false"),
            ("all=true&all=true", "all: it is given twice"),
            ("label==x", "label: '=x' is neither KEY nor KEY=VALUE"),
        ] {
            assert_eq!(detail(text, &[TASKS, PAGE]), expected);
        }
        assert_eq!(
            detail("x=1", &[]),
            "'x' is no known parameter: this path has none"
        );
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Some(Duration::from_hours(2)));
        for wrong in ["", "5", "s", "1234567s", "-1s", "1.5s", "5 m"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
