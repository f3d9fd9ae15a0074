//! The values that a daemon's flags ended up with, and how they are read.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Daemon, value};

#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) explicit: bool,
}

/// The values of a daemon's flags, each checked for its kind.
#[derive(Clone, Debug)]
pub(crate) struct Flags {
    pub(super) values: BTreeMap<&'static str, Value>,
}

impl Flags {
    /// The value of a flag, when it has one.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.text.as_str())
    }

    /// The value of a flag that was given by somebody, not by default.
    pub(crate) fn explicit(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .filter(|value| value.explicit)
            .map(|value| value.text.as_str())
    }

    /// A switch; one without a value is off.
    pub(crate) fn switch(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// A duration, when it has a value.
    pub(crate) fn duration(&self, name: &str) -> Option<Duration> {
        self.text(name).and_then(|text| value::duration(text).ok())
    }

    /// A whole number, when it has a value that fits `T`.
    pub(crate) fn number<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        self.text(name)
            .and_then(|text| text.parse::<u64>().ok())
            .and_then(|number| T::try_from(number).ok())
    }

    /// A size in bytes, when it has a value.
    pub(crate) fn bytes(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(|text| value::bytes(text).ok())
    }

    /// A decimal number, when it has a value.
    pub(crate) fn decimal(&self, name: &str) -> Option<f64> {
        self.text(name).and_then(|text| value::decimal(text).ok())
    }

    /// Parses the value of a flag into something with a text form of its own.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// What of these flags another daemon knows, with that daemon's own defaults where nobody gave a value.
    pub(crate) fn as_seen_by(&self, daemon: Daemon) -> Self {
        let mut values = BTreeMap::new();
        for spec in daemon.table() {
            let given = self
                .values
                .get(spec.name)
                .filter(|value| value.explicit)
                .cloned();
            let default = || {
                spec.default.map(|text| Value {
                    text: text.to_owned(),
                    explicit: false,
                })
            };
            if let Some(value) = given.or_else(default) {
                values.insert(spec.name, value);
            }
        }
        Self { values }
    }

    /// Every flag in effect, by name, as `/flags` shows it.
    pub(crate) fn effective(&self) -> Vec<(String, String)> {
        // A daemon that runs was asked for neither; Mesos lists both.
        let asked = ["help", "version"].map(|name| (name.to_owned(), "false".to_owned()));
        self.values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.text.clone()))
            .chain(asked)
            .collect()
    }
}
