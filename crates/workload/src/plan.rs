//! What an apply would do, in words that the core, which tries it, and whoever shows it share. It decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_spec::{Kind, Name, Spec};
use mezz_state::time::Wall;

use crate::call::Change;
use crate::event::AgentInfo;
use crate::key::ObjectKey;

/// What an apply would do.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Plan {
    /// What was given, in the order of being applied; then what else something would be started or ended of.
    pub objects: Vec<Planned>,
}

/// What would become of one object.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Planned {
    pub key: ObjectKey,
    pub kind: Kind,
    pub name: Name,
    pub generation: u64,
    /// None when it was not given, and is touched all the same.
    pub change: Option<Change>,
    /// Spec and labels that are there now.
    pub old: Option<(Arc<Spec>, BTreeMap<String, String>)>,
    pub new: (Arc<Spec>, BTreeMap<String, String>),
    /// What happens at once.
    pub now: Placing,
    /// Instances of a service that are started once those before them serve.
    pub follow: u64,
    pub fires: Fires,
    /// The first run of a cron, or of a job that somebody has to start; or why it cannot be tried.
    pub first_run: Option<Result<Placing, String>>,
}

/// Where instances go, and what finds no place.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Placing {
    /// Places that were found.
    pub count: u64,
    /// The first ten thousand of them.
    pub places: Vec<Place>,
    /// Instances that are ended at once.
    pub ends: Vec<Place>,
    /// Instances that find no place.
    pub waiting: u64,
    /// Why they find none.
    pub reasons: Vec<String>,
}

impl Placing {
    /// Whether it is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.ends.is_empty() && self.waiting == 0 && self.reasons.is_empty()
    }
}

/// One instance and where it is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// Ordinal of a service's instance, index of a job's.
    pub number: u32,
    pub agent: AgentInfo,
    pub ports: Vec<u16>,
}

/// When a cron fires next.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Fires {
    /// It is none.
    NoCron,
    Disabled,
    /// The next times; none when it does not fire again.
    At(Vec<Wall>),
}
