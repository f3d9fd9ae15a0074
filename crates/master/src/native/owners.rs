//! Whose a task or an instance is: selectors by service, job and run.

use std::collections::BTreeSet;

use mezz_spec::Name;
use mezz_workload::key::{ObjectKey, RunKey};
use mezz_workload::records::{Cause, InstanceRecord, Owner, Records, RunRecord};
use mezz_workload::{attempt_head, instance_head};

use super::given::Given;
use crate::view::View;

/// What a query says of owners. Values of one selector are alternatives; different selectors all have to hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners {
    services: Vec<Name>,
    jobs: Vec<Name>,
    /// Ids, some with the name of their object.
    runs: Vec<(Option<Name>, String)>,
}

/// The same for one view.
#[derive(Clone, Debug)]
pub(super) struct OwnersSeen<'q> {
    owners: &'q Owners,
    runs: BTreeSet<RunKey>,
    /// How the ids of their tasks begin.
    instance_heads: Vec<String>,
    attempt_heads: BTreeSet<String>,
}

impl Owners {
    pub(super) fn new(given: &Given) -> Self {
        let names = |key: &str| {
            let names = given.all(key).filter_map(|text| Name::new(text).ok());
            names.collect()
        };
        let run = |text: &str| match text.rsplit_once('/') {
            Some((name, id)) => (Name::new(name).ok(), id.to_owned()),
            None => (None, text.to_owned()),
        };
        Self {
            services: names("service"),
            jobs: names("job"),
            runs: given.all("run").map(run).collect(),
        }
    }

    fn is_any(&self) -> bool {
        self.services.is_empty() && self.jobs.is_empty() && self.runs.is_empty()
    }

    /// As it is in a view; none when everything is wanted.
    pub(super) fn seen<'q>(&'q self, view: &View) -> Option<OwnersSeen<'q>> {
        if self.is_any() {
            return None;
        }
        let work = &view.records.work;
        let wants_runs = self.services.is_empty();
        let runs = work.runs.iter().map(|(_, run)| run);
        let runs: Vec<&RunRecord> = runs
            .filter(|run| wants_runs && self.has_run(work, run))
            .map(|run| &**run)
            .collect();
        let head = |run: &&RunRecord| Some(attempt_head(name_of(work, run.object)?, &run.id));
        let services = self.services.iter();
        let wants_services = self.jobs.is_empty() && self.runs.is_empty();
        Some(OwnersSeen {
            owners: self,
            attempt_heads: runs.iter().filter_map(head).collect(),
            runs: runs.iter().map(|run| run.key).collect(),
            instance_heads: services
                .filter(|_| wants_services)
                .map(instance_head)
                .collect(),
        })
    }

    /// Whether a run is wanted by its object, by the cron or dag that it was begun for, and by its id.
    pub(super) fn has_run(&self, work: &Records, run: &RunRecord) -> bool {
        let of_job = self.jobs.is_empty() || {
            let objects = causes(work, run);
            let names: Vec<&Name> = objects
                .iter()
                .filter_map(|key| name_of(work, *key))
                .collect();
            self.jobs.iter().any(|wanted| names.contains(&wanted))
        };
        let of_id = |(name, id): &(Option<Name>, String)| {
            *run.id == **id
                && name
                    .as_ref()
                    .is_none_or(|name| name_of(work, run.object) == Some(name))
        };
        of_job && (self.runs.is_empty() || self.runs.iter().any(of_id))
    }

    /// Whether a service is wanted.
    pub(super) fn has_service(&self, name: &Name) -> bool {
        self.services.is_empty() || self.services.contains(name)
    }
}

impl OwnersSeen<'_> {
    /// Whether a task of the built-in framework is wanted.
    pub(super) fn has_task(&self, id: &str) -> bool {
        if self.instance_heads.iter().any(|head| id.starts_with(head)) {
            return true;
        }
        let mut parts = id.rsplitn(3, '.');
        let (attempt, index, head) = (parts.next(), parts.next(), parts.next());
        let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<u32>().is_ok());
        is_number(attempt)
            && is_number(index)
            && head.is_some_and(|head| self.attempt_heads.contains(head))
    }

    /// Whether an instance is wanted.
    pub(super) fn has_instance(&self, work: &Records, record: &InstanceRecord) -> bool {
        match record.owner {
            Owner::Service { .. } => {
                !self.instance_heads.is_empty()
                    && name_of(work, record.object)
                        .is_some_and(|name| self.owners.services.contains(name))
            }
            Owner::Run { run, .. } => self.runs.contains(&run),
        }
    }
}

fn name_of(work: &Records, key: ObjectKey) -> Option<&Name> {
    work.objects.get(key.index()).map(|object| &object.name)
}

/// The object of a run, and the cron or dag that it was begun for.
fn causes(work: &Records, run: &RunRecord) -> Vec<ObjectKey> {
    let mut objects = vec![run.object];
    let mut cause = &run.cause;
    loop {
        match cause {
            Cause::Cron { object, .. } | Cause::Fired { object, .. } => {
                objects.push(*object);
                return objects;
            }
            Cause::Node { run: above, .. } => match work.runs.get(above.index()) {
                Some(above) => {
                    objects.push(above.object);
                    cause = &above.cause;
                }
                None => return objects,
            },
            Cause::Applied | Cause::User | Cause::After => return objects,
        }
    }
}
