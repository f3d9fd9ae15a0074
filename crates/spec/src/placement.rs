//! Where instances may and should go.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where instances may and should go. All requirements hold at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Only agents that pass all of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<Rule>,
    /// Rather agents that pass these, by weight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefer: Vec<Preference>,
    /// How instances are spread over the values of a key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<Spread>,
    /// On agents where instances of objects with these labels run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<Selector>,
    /// On agents where no instances of objects with these labels run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<Selector>,
    /// All instances where this key has one value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same: Vec<Key>,
    /// Whether instances fill agents up or are spread over them.
    #[serde(default)]
    pub packing: Packing,
}

/// What is looked at: `hostname`, `agent`, `region`, `zone`, or the name of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Key {
    Hostname,
    Agent,
    Region,
    Zone,
    Attribute(String),
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        match text.as_str() {
            "hostname" | "@hostname" => Self::Hostname,
            "agent" => Self::Agent,
            "region" | "@region" => Self::Region,
            "zone" | "@zone" => Self::Zone,
            _ => Self::Attribute(text),
        }
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        match key {
            Key::Hostname => "hostname".into(),
            Key::Agent => "agent".into(),
            Key::Region => "region".into(),
            Key::Zone => "zone".into(),
            Key::Attribute(name) => name,
        }
    }
}

/// A test of one key of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub key: Key,
    pub op: Operator,
    /// What the key is held against; none for `exists` and `absent`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How a key is held against values. A missing key passes only `not_in`, `not_matches` and `absent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    In,
    NotIn,
    /// The whole value matches one of the regular expressions.
    Matches,
    NotMatches,
    Exists,
    Absent,
    /// A number at least as large.
    AtLeast,
    /// A number at most as large.
    AtMost,
}

/// A wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    pub key: Key,
    pub op: Operator,
    /// What the key is held against; none for `exists` and `absent`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// From -100 to 100; below zero it is avoided.
    #[serde(default = "one")]
    pub weight: i32,
}

fn one() -> i32 {
    1
}

/// How instances are spread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    pub key: Key,
    /// At most so many for each value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per: Option<u32>,
    /// The fullest value has at most so many more than the emptiest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_skew: Option<u32>,
    /// How many values there will be; until they are seen, each missing one counts as empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u32>,
}

/// Objects by their labels: each of these has this value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    pub labels: BTreeMap<String, String>,
}

/// Fill agents up, or use many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// As the role is set; `binpack` unless it says otherwise.
    #[default]
    Inherit,
    Binpack,
    Spread,
}
