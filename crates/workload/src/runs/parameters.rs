//! Parameters of runs: what may be given, what has to be, and how an instance sees them.

use std::collections::BTreeMap;

use mezz_spec::job::Parameter;

/// Values by name.
pub(crate) type Values = BTreeMap<String, String>;

/// Why parameters are refused: which, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) parameter: String,
    pub(crate) message: String,
}

/// Whether more may be given than is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    Refused,
    /// A dag gives its own to every node.
    Passed,
}

/// What a run gets: what was given, and the defaults of what was not.
pub(crate) fn complete(
    declared: &BTreeMap<String, Parameter>,
    given: &Values,
    extra: Extra,
) -> Result<Values, Fault> {
    let mut values = Values::new();
    for (name, value) in given {
        match declared.get(name) {
            Some(parameter) => check(name, parameter, value)?,
            None if extra == Extra::Refused => return Err(unknown(declared, name)),
            None => {}
        }
        values.insert(name.clone(), value.clone());
    }
    for (name, parameter) in declared {
        if values.contains_key(name) {
            continue;
        }
        let Some(default) = &parameter.default else {
            return Err(Fault {
                parameter: name.clone(),
                message: format!("parameter '{name}' has no default and was not given; give it"),
            });
        };
        values.insert(name.clone(), default.clone());
    }
    Ok(values)
}

fn check(name: &str, parameter: &Parameter, value: &str) -> Result<(), Fault> {
    if parameter.one_of.is_empty() || parameter.one_of.iter().any(|one| one == value) {
        return Ok(());
    }
    Err(Fault {
        parameter: name.to_owned(),
        message: format!(
            "parameter '{name}' is '{value}', but takes only: {}",
            parameter.one_of.join(", ")
        ),
    })
}

fn unknown(declared: &BTreeMap<String, Parameter>, name: &str) -> Fault {
    let known: Vec<&str> = declared.keys().map(String::as_str).collect();
    let message = if known.is_empty() {
        format!(
            "there is no parameter '{name}': none are declared; take it out or declare it in 'parameters'"
        )
    } else {
        format!(
            "there is no parameter '{name}'; there are: {}",
            known.join(", ")
        )
    };
    Fault {
        parameter: name.to_owned(),
        message,
    }
}

/// The environment variable that holds a parameter.
pub(crate) fn variable(name: &str) -> String {
    let legal = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    format!("PARAM_{}", name.chars().map(legal).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> BTreeMap<String, Parameter> {
        let level = Parameter {
            default: Some("low".into()),
            one_of: vec!["low".into(), "high".into()],
            ..Parameter::default()
        };
        BTreeMap::from([
            ("day".to_owned(), Parameter::default()),
            ("level".to_owned(), level),
        ])
    }

    fn given(pairs: &[(&str, &str)]) -> Values {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn what_is_not_given_has_its_default_or_is_asked_for() {
        let values = complete(&declared(), &given(&[("day", "1")]), Extra::Refused).unwrap();
        assert_eq!(values, given(&[("day", "1"), ("level", "low")]));
        let fault = complete(&declared(), &Values::new(), Extra::Refused).unwrap_err();
        assert_eq!(fault.parameter, "day");
    }

    #[test]
    fn a_value_that_is_not_listed_and_a_parameter_that_is_not_declared_are_refused_by_name() {
        let odd = given(&[("day", "1"), ("level", "mid")]);
        let fault = complete(&declared(), &odd, Extra::Refused).unwrap_err();
        assert!(fault.message.contains("low, high"), "{}", fault.message);
        let more = given(&[("day", "1"), ("dya", "2")]);
        let fault = complete(&declared(), &more, Extra::Refused).unwrap_err();
        assert!(fault.message.contains("day, level"), "{}", fault.message);
        assert!(complete(&declared(), &more, Extra::Passed).is_ok());
    }

    #[test]
    fn a_parameter_is_seen_in_capitals() {
        assert_eq!(variable("start-day.utc"), "PARAM_START_DAY_UTC");
    }
}
