//! Reading users' objects and what became of them: what a GET is about, and how it is read from a view.

use mezz_http::Response;
use mezz_spec::{Kind, Name};
use serde_json::Value;

use super::given::Given;
use super::object_json;
use super::objects::no_object;
use super::problems::not_found;
use crate::view::View;

/// A readable part of users' objects.
#[derive(Clone, Debug)]
pub(super) enum WorkSubject {
    Objects {
        kind: Kind,
        wanted: Wanted,
    },
    Object {
        kind: Kind,
        name: Name,
    },
    Rollouts(Wanted),
    Rollout(String),
    Runs(Wanted),
    Run(String),
    Instances(Wanted),
    Instance(String),
    /// Where a service is reached.
    Endpoints(Name),
}

/// What a query selects.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Only of objects at or below this name.
    under: Option<Name>,
    labels: Vec<(String, Option<String>)>,
}

impl Wanted {
    pub(super) fn new(given: &Given) -> Result<Self, Response> {
        let under = given
            .text("under")
            .map(|text| super::objects::name_of(&[text.trim_matches('/')]))
            .transpose()?;
        let labels = given.all("label").map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (pair.to_owned(), None),
        });
        Ok(Self {
            under,
            labels: labels.collect(),
        })
    }

    fn has_name(&self, name: &Name) -> bool {
        self.under
            .as_ref()
            .is_none_or(|under| name.is_within(under))
    }

    fn has(&self, object: &mezz_workload::records::ObjectRecord) -> bool {
        self.has_name(&object.name)
            && self.labels.iter().all(|(key, value)| {
                object
                    .labels
                    .get(key)
                    .is_some_and(|own| value.as_ref().is_none_or(|value| value == own))
            })
    }

    fn has_key(&self, view: &View, object: mezz_workload::key::ObjectKey) -> bool {
        let object = view.records.work.objects.get(object.index());
        object.is_some_and(|object| self.has(object))
    }
}

impl WorkSubject {
    /// Reads it from a view.
    pub(super) fn read(&self, view: &View) -> Result<Value, Response> {
        let work = &view.records.work;
        Ok(match self {
            Self::Objects { kind, wanted } => object_json::of_kind(view, *kind)
                .filter(|object| wanted.has(object))
                .map(|object| object_json::object(object, work))
                .collect(),
            Self::Object { kind, name } => {
                let found = object_json::find(view, *kind, name);
                let found = found.ok_or_else(|| no_object(*kind, name.as_str()))?;
                object_json::object(found, work)
            }
            Self::Rollouts(wanted) => (work.rollouts.iter())
                .filter(|(_, rollout)| wanted.has_key(view, rollout.object))
                .map(|(_, rollout)| object_json::rollout(rollout, work))
                .collect(),
            Self::Rollout(id) => (work.rollouts.iter())
                .find(|(_, rollout)| *rollout.id == **id)
                .map(|(_, rollout)| object_json::rollout(rollout, work))
                .ok_or_else(|| missing("rollout", id))?,
            Self::Runs(wanted) => (work.runs.iter())
                .filter(|(_, run)| wanted.has_key(view, run.object))
                .map(|(_, run)| object_json::run(run, work))
                .collect(),
            Self::Run(id) => (work.runs.iter())
                .find(|(_, run)| *run.id == **id)
                .map(|(_, run)| object_json::run(run, work))
                .ok_or_else(|| missing("run", id))?,
            Self::Instances(wanted) => (work.instances.iter())
                .filter(|(_, instance)| wanted.has_key(view, instance.object))
                .map(|(_, instance)| object_json::instance(instance, work))
                .collect(),
            Self::Instance(id) => (work.instances.iter())
                .find(|(_, instance)| *instance.id == **id)
                .map(|(_, instance)| object_json::instance(instance, work))
                .ok_or_else(|| missing("instance", id))?,
            Self::Endpoints(name) => {
                let found = object_json::find(view, Kind::Service, name);
                let found = found.ok_or_else(|| no_object(Kind::Service, name.as_str()))?;
                object_json::endpoints(found, work)
            }
        })
    }
}

fn missing(what: &str, id: &str) -> Response {
    not_found(
        &format!("there is no {what} '{id}'"),
        &format!("GET /v1/{what}s lists those that are known"),
    )
}

/// What a text names: the kind of an object as `KIND/NAME` or by its name, or an instance, a run or a rollout by its id.
pub(super) fn kind_of(view: &View, id: &str) -> Option<&'static str> {
    let work = &view.records.work;
    let known = |kind: Kind, name: &str| {
        let name = Name::new(name).ok()?;
        work.index.get(&(kind, name)).map(|_| kind.word())
    };
    let full = id.split_once('/').and_then(|(word, name)| {
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word)?;
        known(kind, name)
    });
    if full.is_some() {
        return full;
    }
    if let Some(word) = Kind::ALL.into_iter().find_map(|kind| known(kind, id)) {
        return Some(word);
    }
    if work.instances.iter().any(|(_, one)| *one.id == *id) {
        return Some("instance");
    }
    if work.runs.iter().any(|(_, one)| *one.id == *id) {
        return Some("run");
    }
    let is_rollout = work.rollouts.iter().any(|(_, one)| *one.id == *id);
    is_rollout.then_some("rollout")
}
