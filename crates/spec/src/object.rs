//! The envelope that all kinds share.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cron::Cron;
use crate::dag::Dag;
use crate::group::Group;
use crate::job::Job;
use crate::material::{Config, Secret};
use crate::name::Name;
use crate::service::Service;

/// The kinds that users write.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Group,
    Service,
    Job,
    Cron,
    Dag,
    Secret,
    Config,
}

impl Kind {
    /// All, in the order in which they are applied.
    pub const ALL: [Self; 7] = [
        Self::Group,
        Self::Secret,
        Self::Config,
        Self::Service,
        Self::Job,
        Self::Dag,
        Self::Cron,
    ];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Service => "service",
            Self::Job => "job",
            Self::Cron => "cron",
            Self::Dag => "dag",
            Self::Secret => "secret",
            Self::Config => "config",
        }
    }

    /// As a path of the API.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Group => "groups",
            Self::Service => "services",
            Self::Job => "jobs",
            Self::Cron => "crons",
            Self::Dag => "dags",
            Self::Secret => "secrets",
            Self::Config => "configs",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An object as users write it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    pub name: Name,
    pub labels: BTreeMap<String, String>,
    pub spec: Spec,
    /// The generation that the change is based on; refused when there is a newer one.
    pub generation: Option<u64>,
}

/// The spec of an object, by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    Group(Box<Group>),
    Service(Box<Service>),
    Job(Box<Job>),
    Cron(Box<Cron>),
    Dag(Box<Dag>),
    Secret(Box<Secret>),
    Config(Box<Config>),
}

impl Spec {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Group(_) => Kind::Group,
            Self::Service(_) => Kind::Service,
            Self::Job(_) => Kind::Job,
            Self::Cron(_) => Kind::Cron,
            Self::Dag(_) => Kind::Dag,
            Self::Secret(_) => Kind::Secret,
            Self::Config(_) => Kind::Config,
        }
    }

    /// As JSON, defaults left out.
    pub fn to_json(&self) -> serde_json::Value {
        let value = match self {
            Self::Group(spec) => serde_json::to_value(spec),
            Self::Service(spec) => serde_json::to_value(spec),
            Self::Job(spec) => serde_json::to_value(spec),
            Self::Cron(spec) => serde_json::to_value(spec),
            Self::Dag(spec) => serde_json::to_value(spec),
            Self::Secret(spec) => serde_json::to_value(spec),
            Self::Config(spec) => serde_json::to_value(spec),
        };
        value.expect("a spec is plain JSON")
    }

    /// From JSON that has the kind's shape already.
    pub fn from_json(kind: Kind, value: serde_json::Value) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            Kind::Group => Self::Group(serde_json::from_value(value)?),
            Kind::Service => Self::Service(serde_json::from_value(value)?),
            Kind::Job => Self::Job(serde_json::from_value(value)?),
            Kind::Cron => Self::Cron(serde_json::from_value(value)?),
            Kind::Dag => Self::Dag(serde_json::from_value(value)?),
            Kind::Secret => Self::Secret(serde_json::from_value(value)?),
            Kind::Config => Self::Config(serde_json::from_value(value)?),
        })
    }
}

/// A spec in a snapshot or in the store: its kind, and JSON as text, since its own form is made for people.
#[derive(Serialize, Deserialize)]
struct Written {
    kind: Kind,
    json: String,
}

impl Serialize for Spec {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written {
            kind: self.kind(),
            json: self.to_json().to_string(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let written = Written::deserialize(deserializer)?;
        let value = serde_json::from_str(&written.json).map_err(D::Error::custom)?;
        Self::from_json(written.kind, value).map_err(D::Error::custom)
    }
}
