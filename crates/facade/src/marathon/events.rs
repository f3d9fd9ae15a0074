//! Marathon's event stream, made of facts. What a fact does not tell is read from the view that it is told with, or is
//! known from an earlier one.

mod deployments;
mod instances;

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_spec::{Kind, Name};
use mezz_state::time::Wall;
use mezz_workload::fact::Fact;
use mezz_workload::key::ObjectKey;
use mezz_workload::records::{InstanceRecord, ObjectRecord};
use serde_json::{Value, json};

use self::deployments::Announced;
use super::app::shown;
use super::{deployments as plans, info};
use crate::instant::zulu;
use crate::world::World;

/// Which types a reader wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter(Vec<String>);

impl EventFilter {
    /// These types; all of them when none is named.
    pub fn new(types: impl Iterator<Item = String>) -> Self {
        Self(types.collect())
    }

    /// Whether a reader gets events of a type.
    pub fn wants(&self, kind: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|wanted| wanted == kind)
    }
}

/// What one reader has been told.
#[derive(Debug, Default)]
pub struct Feed {
    filter: EventFilter,
    /// Instances as they were told last, by their task ids.
    instances: BTreeMap<Arc<str>, Arc<InstanceRecord>>,
    deployments: BTreeMap<String, Announced>,
    /// Deleted apps whose instances have yet to end, with their deployments.
    endings: BTreeMap<ObjectKey, (Name, String)>,
}

/// An event: its type is a member, too.
pub type Event = (&'static str, Value);

/// A reader who came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attendance {
    Came { client: String },
    Went { client: String },
}

impl Feed {
    /// A reader that begins now.
    pub fn new(filter: EventFilter, world: &World<'_>) -> Self {
        let instances = world
            .work
            .instances
            .iter()
            .map(|(_, instance)| (instance.id.clone(), instance.clone()))
            .collect();
        let endings = world.work.objects.iter().filter_map(|(_, record)| {
            let id = plans::id_of_moment(record.deleted_at?);
            Some((record.key, (record.name.clone(), id)))
        });
        Self {
            filter,
            instances,
            endings: endings.collect(),
            deployments: deployments::in_progress(world),
        }
    }

    /// That a reader came or went: the first thing that one learns is that itself did.
    pub fn of_attendance(&self, attendance: &Attendance, at: Wall) -> Vec<Event> {
        let (kind, client) = match attendance {
            Attendance::Came { client } => ("event_stream_attached", client),
            Attendance::Went { client } => ("event_stream_detached", client),
        };
        self.wanted(vec![(kind, json!({ "remoteAddress": client }))], at)
    }

    /// What a fact about users' objects is for the reader.
    pub fn of_fact(&mut self, fact: &Fact, world: &World<'_>, at: Wall) -> Vec<Event> {
        let events = match fact {
            Fact::ObjectApplied { kind, name, by, .. } if *kind == Kind::Service => {
                applied(world, name, by.as_deref())
            }
            Fact::ObjectDeleted { kind, name } if *kind == Kind::Service => {
                self.deleted(world, name, at)
            }
            Fact::RolloutStarted { rollout } => self.rollout_started(*rollout, world),
            Fact::RolloutStepped { rollout } => self.rollout_stepped(*rollout, world),
            Fact::RolloutEnded { rollout } => self.rollout_ended(*rollout, world),
            Fact::InstanceChanged { instance, id, .. } => {
                self.instance_changed(*instance, id, world)
            }
            Fact::InstanceEnded { object, .. } => {
                self.forget_instances(world);
                self.end_of_app(*object, world)
            }
            _ => Vec::new(),
        };
        self.wanted(events, at)
    }

    /// Only what the reader wants, with type and time.
    fn wanted(&self, events: Vec<Event>, at: Wall) -> Vec<Event> {
        let mut wanted = events;
        wanted.retain(|(kind, _)| self.filter.wants(kind));
        for (kind, event) in &mut wanted {
            event["eventType"] = (*kind).into();
            event["timestamp"] = zulu(at).into();
        }
        wanted
    }
}

/// An app that is new or changed, and what became of its health checks.
fn applied(world: &World<'_>, name: &Name, by: Option<&str>) -> Vec<Event> {
    let uri = format!("/v2/apps{name}");
    let Some(record) = world.object(Kind::Service, name) else {
        let definition = json!({ "id": name.as_str() });
        return vec![("api_post_event", post(&uri, &definition, by))];
    };
    let definition = info::plain(record).unwrap_or_default();
    let mut events = vec![("api_post_event", post(&uri, &definition, by))];
    let before = record.former.last();
    let old = before.map_or_else(Vec::new, |former| {
        health_checks(&shown(name, &former.spec).unwrap_or_default())
    });
    let new = health_checks(&definition);
    let version = zulu(record.changed_at);
    let change =
        |check: &Value| json!({ "appId": name.as_str(), "healthCheck": check, "version": version });
    for gone in old.iter().filter(|check| !new.contains(check)) {
        events.push(("remove_health_check_event", change(gone)));
    }
    for fresh in new.iter().filter(|check| !old.contains(check)) {
        events.push(("add_health_check_event", change(fresh)));
    }
    events
}

/// What nobody asked for, such as the end of a rollout that failed, comes from an address that is nobody's.
fn post(uri: &str, definition: &Value, by: Option<&str>) -> Value {
    let client = by.unwrap_or("0.0.0.0");
    json!({ "clientIp": client, "uri": uri, "appDefinition": definition })
}

fn health_checks(app: &Value) -> Vec<Value> {
    app["healthChecks"].as_array().cloned().unwrap_or_default()
}

/// A health check of an app, as it was given.
fn health_check(record: &ObjectRecord, index: usize) -> Value {
    let app = shown(&record.name, &record.spec).unwrap_or_default();
    let all = health_checks(&app);
    all.into_iter().nth(index).unwrap_or_default()
}
