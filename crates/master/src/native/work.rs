//! Reading users' objects and what became of them: what a GET is about, and how it is read from a view.

use http::StatusCode;
use mezz_http::Response;
use mezz_proto::v1::TaskInfo;
use mezz_spec::{Kind, Name};
use mezz_workload::records::{InstanceRecord, ObjectRecord, Records, RolloutRecord, RunRecord};
use prost::Message as _;
use serde_json::Value;

use super::given::Given;
use super::object_json;
use super::objects::no_object;
use super::owners::Owners;
use super::problems::{not_found, problem};
use crate::view::View;
use crate::work_facts::{phase_word, rollout_word, run_word};

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
    /// Whether everything is frozen.
    Freeze,
}

/// What a query selects.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Only of objects at or below this name.
    under: Option<Name>,
    labels: Vec<(String, Option<String>)>,
    owners: Owners,
    states: Vec<String>,
    phases: Vec<String>,
    causes: Vec<String>,
    roles: Vec<String>,
    agents: Vec<String>,
    conditions: Vec<(String, bool)>,
}

impl Wanted {
    pub(super) fn new(given: &Given) -> Result<Self, Response> {
        let under = given
            .text("under")
            .map(|text| super::objects::name_of(&[text]))
            .transpose()?;
        let labels = given.all("label").map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (pair.to_owned(), None),
        });
        let texts = |key: &str| given.all(key).map(str::to_owned).collect();
        Ok(Self {
            under,
            labels: labels.collect(),
            owners: Owners::new(given),
            states: texts("state"),
            phases: texts("phase"),
            causes: texts("cause"),
            roles: texts("role"),
            agents: texts("agent"),
            conditions: given.all("condition").map(condition).collect(),
        })
    }

    fn has_rollout(&self, view: &View, rollout: &RolloutRecord) -> bool {
        let object = view.records.work.objects.get(rollout.object.index());
        any(&self.states, rollout_word(rollout.state))
            && object.is_some_and(|object| {
                self.has(object)
                    && self.has_role(&view.records.work, object)
                    && self.owners.has_service(&object.name)
            })
    }

    fn has_run(&self, view: &View, run: &RunRecord) -> bool {
        any(&self.states, run_word(run.state))
            && any(&self.causes, object_json::cause_word(&run.cause))
            && self.has_key(view, run.object)
            && self.owners.has_run(&view.records.work, run)
            && (self.roles.is_empty() || {
                let work = &view.records.work;
                let object = work.objects.get(run.object.index());
                object.is_some_and(|object| self.has_role(work, object))
            })
    }

    fn has_role(&self, work: &Records, object: &ObjectRecord) -> bool {
        self.roles.is_empty() || any(&self.roles, &work.role_of(object))
    }

    /// Whether an object of a list of objects is wanted.
    fn has_object(&self, work: &Records, object: &ObjectRecord) -> bool {
        let holds = |(name, is_true): &(String, bool)| {
            let mut known = object.conditions.iter();
            // What was never said of an object is not true of it.
            known.any(|one| *one.kind == **name && one.is_true) == *is_true
        };
        self.has(object) && self.has_role(work, object) && self.conditions.iter().all(holds)
    }

    fn instances(&self, view: &View) -> Value {
        let work = &view.records.work;
        let owners = self.owners.seen(view);
        let wanted = work.instances.iter().filter(|(_, record)| {
            any(&self.states, record.state.as_str_name())
                && any(&self.phases, phase_word(record.phase))
                && (self.agents.is_empty()
                    || any(&self.agents, &record.agent.id)
                    || any(&self.agents, &record.agent.hostname))
                && self.has_key(view, record.object)
                && owners
                    .as_ref()
                    .is_none_or(|owners| owners.has_instance(work, record))
                && (self.roles.is_empty() || any(&self.roles, &role_of(record)))
        });
        wanted
            .map(|(_, record)| object_json::instance(record, work))
            .collect()
    }

    fn has_name(&self, name: &Name) -> bool {
        self.under
            .as_ref()
            .is_none_or(|under| name.is_within(under))
    }

    fn has(&self, object: &ObjectRecord) -> bool {
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
                .filter(|object| wanted.has_object(work, object))
                .map(|object| object_json::object(object, work))
                .collect(),
            Self::Object { kind, name } => {
                let found = object_json::find(view, *kind, name);
                let found = found.ok_or_else(|| no_object(*kind, name.as_str()))?;
                object_json::object(found, work)
            }
            Self::Rollouts(wanted) => (work.rollouts.iter())
                .filter(|(_, rollout)| wanted.has_rollout(view, rollout))
                .map(|(_, rollout)| object_json::rollout(rollout, work))
                .collect(),
            Self::Rollout(id) => (work.rollouts.iter())
                .find(|(_, rollout)| *rollout.id == **id)
                .map(|(_, rollout)| object_json::rollout(rollout, work))
                .ok_or_else(|| missing("rollout", id))?,
            Self::Runs(wanted) => (work.runs.iter())
                .filter(|(_, run)| wanted.has_run(view, run))
                .map(|(_, run)| object_json::run(run, work))
                .collect(),
            Self::Run(id) => object_json::run(run_of(view, id)?, work),
            Self::Instances(wanted) => wanted.instances(view),
            Self::Instance(id) => (work.instances.iter())
                .find(|(_, instance)| *instance.id == **id)
                .map(|(_, instance)| object_json::instance(instance, work))
                .ok_or_else(|| missing("instance", id))?,
            Self::Freeze => object_json::freeze(work),
            Self::Endpoints(name) => {
                let found = object_json::find(view, Kind::Service, name);
                let found = found.ok_or_else(|| no_object(Kind::Service, name.as_str()))?;
                object_json::endpoints(found, work)
            }
        })
    }
}

/// `NAME` or `NAME=true|false`, as the check of the query left it.
fn condition(given: &str) -> (String, bool) {
    match given.split_once('=') {
        Some((name, value)) => (name.to_owned(), value == "true"),
        None => (given.to_owned(), true),
    }
}

/// Whether no value is given, or this one among others.
fn any(values: &[String], own: &str) -> bool {
    values.is_empty() || values.iter().any(|value| value == own)
}

/// The role whose share an instance uses, as its task has it.
fn role_of(record: &InstanceRecord) -> String {
    let task = TaskInfo::decode(&*record.expected).unwrap_or_default();
    let allocation = task
        .resources
        .into_iter()
        .find_map(|one| one.allocation_info);
    let role = allocation.and_then(|allocation| allocation.role.clone());
    role.unwrap_or_else(|| "*".to_owned())
}

/// The run that is meant by an id alone, as NAME/ID or as KIND/NAME/ID: ids are made for each object alone.
pub(super) fn run_of<'v>(view: &'v View, given: &str) -> Result<&'v RunRecord, Response> {
    let work = &view.records.work;
    let mut found = work.run_called(given);
    let run = found.next().ok_or_else(|| missing("run", given))?;
    let others: Vec<&RunRecord> = found.collect();
    if others.is_empty() {
        return Ok(run);
    }
    let full = |run: &RunRecord| {
        let object = work.objects.get(run.object.index())?;
        Some(format!("{}{}/{}", object.spec.kind(), object.name, run.id))
    };
    let all = std::iter::once(run).chain(others).filter_map(full);
    let all: Vec<String> = all.collect();
    Err(problem(
        StatusCode::CONFLICT,
        &format!("several objects have a run '{}'", run.id),
        Some(&format!("name one as KIND/NAME/ID: {}", all.join(", "))),
    ))
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
    if run_of(view, id).is_ok() {
        return Some("run");
    }
    let is_rollout = work.rollouts.iter().any(|(_, one)| *one.id == *id);
    is_rollout.then_some("rollout")
}
