//! The envelope that all kinds share.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cron::Cron;
use crate::dag::Dag;
use crate::fault::Fault;
use crate::group::Group;
use crate::job::Job;
use crate::material::{Config, Secret};
use crate::name::Name;
use crate::rules;
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

impl Object {
    /// From a tree as users write it: kind, name, labels, generation and spec. All faults are told.
    pub fn from_value(value: Value) -> Result<Self, Vec<Fault>> {
        rules::object_from(value)
    }

    /// As users write it, without what is at its default and needs no telling.
    pub fn to_value(&self) -> Value {
        let mut members = Map::new();
        members.insert("kind".into(), self.spec.kind().word().into());
        members.insert("name".into(), self.name.as_str().into());
        if !self.labels.is_empty() {
            let labels = self
                .labels
                .iter()
                .map(|(key, value)| (key.clone(), value.clone().into()));
            members.insert("labels".into(), Value::Object(labels.collect()));
        }
        if let Some(generation) = self.generation {
            members.insert("generation".into(), generation.into());
        }
        members.insert("spec".into(), self.spec.to_json());
        Value::Object(members)
    }

    /// From a tree that its kind's schema has passed.
    pub(crate) fn decode(kind: Kind, value: Value) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        struct Envelope {
            name: Name,
            #[serde(default)]
            labels: BTreeMap<String, String>,
            #[serde(default)]
            generation: Option<u64>,
            #[serde(default)]
            spec: Value,
        }
        let told = |path: &str, error: serde_json::Error| Fault::new(path, error.to_string());
        let envelope: Envelope = serde_json::from_value(value).map_err(|error| told("", error))?;
        let spec = match envelope.spec {
            Value::Null => Value::Object(Map::new()),
            spec => spec,
        };
        let spec = Spec::from_json(kind, spec).map_err(|error| told("/spec", error))?;
        Ok(Self {
            name: envelope.name,
            labels: envelope.labels,
            spec,
            generation: envelope.generation,
        })
    }
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
    pub fn to_json(&self) -> Value {
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
    pub fn from_json(kind: Kind, value: Value) -> Result<Self, serde_json::Error> {
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
