//! Apply: all objects of a call change, or none. First everything is checked against what would be, then it is done.

use std::collections::BTreeSet;
use std::sync::Arc;

use mezz_spec::{Kind, Name, Object, Spec};

use crate::call::{Applied, ApplyMode, Change, Conflict, Refusal, Reply};
use crate::effect::Effects;
use crate::fact::Fact;
use crate::key::ObjectKey;
use crate::naming;
use crate::objects::staged::Staged;
use crate::objects::stored::SPEC_BYTES;
use crate::objects::{dependencies, stored};
use crate::records::{ObjectRecord, Status};
use crate::restore::KNOWN_KEY;
use crate::workloads::Workloads;
use crate::{cron, dag, job, service};

/// What would become of one object.
struct Planned {
    object: Object,
    existing: Option<ObjectKey>,
    change: Change,
    generation: u64,
}

impl Workloads {
    pub(crate) fn apply(
        &mut self,
        objects: Vec<Object>,
        mode: ApplyMode,
        conflict: Conflict,
        effects: &mut Effects,
    ) -> Result<Reply, Refusal> {
        self.check_objects(&objects, &[])?;
        let planned = self.plan(objects)?;
        self.check_rollouts_in_the_way(&planned, conflict)?;
        if mode == ApplyMode::DryRun {
            let answers = planned.iter().map(|one| answer(one, None)).collect();
            return Ok(Reply::Applied(answers));
        }
        Ok(Reply::Applied(self.commit(planned, effects)))
    }

    /// What is applied and the services that are deleted with it: all or nothing.
    pub(crate) fn replace(
        &mut self,
        objects: Vec<Object>,
        ends: &[Name],
        conflict: Conflict,
        effects: &mut Effects,
    ) -> Result<Reply, Refusal> {
        self.check_objects(&objects, ends)?;
        let ending = self.ending(&objects, ends)?;
        let planned = self.plan(objects)?;
        self.check_rollouts_in_the_way(&planned, conflict)?;
        if conflict == Conflict::Reject {
            self.refuse_rollouts(&ending)?;
        }
        // First those that go: what they leave is for those that come.
        let mut answers: Vec<Applied> = ending
            .into_iter()
            .filter_map(|key| self.delete_one(key, effects))
            .collect();
        answers.extend(self.commit(planned, effects));
        Ok(Reply::Applied(answers))
    }

    fn ending(&self, objects: &[Object], ends: &[Name]) -> Result<Vec<ObjectKey>, Refusal> {
        let applied = |name: &Name| {
            objects
                .iter()
                .find(|object| object.spec.kind() == Kind::Service && object.name == *name)
        };
        let mut keys = Vec::with_capacity(ends.len());
        for name in ends {
            if let Some(object) = applied(name) {
                let message = "it is applied and deleted in one call";
                return Err(invalid(object, "/name", message));
            }
            let key = self.key_or_refusal(Kind::Service, name)?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(keys)
    }

    fn check_objects(&self, objects: &[Object], ends: &[Name]) -> Result<(), Refusal> {
        let mut seen = BTreeSet::new();
        for object in objects {
            if !seen.insert((object.spec.kind(), &object.name)) {
                return Err(invalid(object, "/name", "it is applied twice in one call"));
            }
            check_size(object)?;
            check_role(object)?;
        }
        let staged = Staged::new(self, objects, ends);
        dependencies::check_circles(&staged)?;
        service::check_ports(&staged)?;
        for object in objects {
            match object.spec.kind() {
                Kind::Service => service::check(object, &staged)?,
                Kind::Job => job::check(object, &staged)?,
                Kind::Cron => cron::check(object, &staged)?,
                Kind::Dag => dag::check(object, &staged)?,
                Kind::Group | Kind::Secret | Kind::Config => {}
            }
        }
        Ok(())
    }

    fn plan(&self, objects: Vec<Object>) -> Result<Vec<Planned>, Refusal> {
        let mut planned = Vec::with_capacity(objects.len());
        for object in objects {
            let existing = self.key_of(object.spec.kind(), &object.name);
            let record = existing.and_then(|key| self.object_at(key));
            let present = record.map_or(0, |record| record.generation);
            self.check_generation(&object, present)?;
            let (change, generation) = match record {
                None => (Change::Created, 1),
                Some(old) if *old.spec == object.spec && old.labels == object.labels => {
                    (Change::Unchanged, present)
                }
                Some(_) => (Change::Updated, present + 1),
            };
            planned.push(Planned {
                object,
                existing,
                change,
                generation,
            });
        }
        planned.sort_by_key(|one| {
            let kind = one.object.spec.kind();
            Kind::ALL.iter().position(|other| *other == kind)
        });
        Ok(planned)
    }

    #[expect(clippy::unused_self, reason = "a rule of the store of objects")]
    fn check_generation(&self, object: &Object, present: u64) -> Result<(), Refusal> {
        match object.generation {
            Some(expected) if expected != present => Err(Refusal::Conflict {
                message: format!(
                    "{} {} has generation {present}, and the change was made for generation {expected}; read it anew and repeat the change",
                    object.spec.kind(),
                    object.name
                ),
                rollouts: Vec::new(),
            }),
            _ => Ok(()),
        }
    }

    fn check_rollouts_in_the_way(
        &self,
        planned: &[Planned],
        conflict: Conflict,
    ) -> Result<(), Refusal> {
        if conflict == Conflict::Supersede {
            return Ok(());
        }
        let changed: Vec<(Kind, &Name)> = planned
            .iter()
            .filter(|one| one.change != Change::Unchanged)
            .map(|one| (one.object.spec.kind(), &one.object.name))
            .collect();
        let touched = self.of_kind(Kind::Service).filter(|(name, _)| {
            changed.iter().any(|(kind, other)| match kind {
                Kind::Service => name == other,
                Kind::Group => name.is_within(other),
                _ => false,
            })
        });
        let keys: Vec<ObjectKey> = touched.map(|(_, key)| key).collect();
        self.refuse_rollouts(&keys)
    }

    fn commit(&mut self, planned: Vec<Planned>, effects: &mut Effects) -> Vec<Applied> {
        let mut keys = Vec::with_capacity(planned.len());
        for one in &planned {
            keys.push(self.write_planned(one, effects));
        }
        let mut answers = Vec::with_capacity(planned.len());
        let mut groups = Vec::new();
        for (one, key) in planned.iter().zip(keys) {
            let rollout = match one.change {
                Change::Unchanged | Change::Deleted => None,
                Change::Created | Change::Updated => self.tell_controller(key, one.change, effects),
            };
            if one.object.spec.kind() == Kind::Group && one.change != Change::Unchanged {
                groups.push(one.object.name.clone());
            }
            answers.push(answer(one, rollout));
        }
        for group in groups {
            self.reinherit(&group, effects);
        }
        answers
    }

    fn write_planned(&mut self, one: &Planned, effects: &mut Effects) -> ObjectKey {
        let key = match (one.existing, one.change) {
            (Some(key), Change::Unchanged) => return key,
            (Some(key), _) => {
                self.keep_former(key, effects);
                self.change_record(key, one);
                key
            }
            (None, _) => {
                if self.next_object == 0 {
                    effects.put(KNOWN_KEY.into(), &true);
                }
                self.insert_record(one)
            }
        };
        self.write_object(key, effects);
        effects.fact(Fact::ObjectApplied {
            object: key,
            kind: one.object.spec.kind(),
            name: one.object.name.clone(),
            generation: one.generation,
            is_new: one.change == Change::Created,
            by: self.caller.clone(),
        });
        key
    }

    fn change_record(&mut self, key: ObjectKey, one: &Planned) {
        let at = self.wall();
        if let Some(record) = self.object_mut(key) {
            record.generation = one.generation;
            record.labels.clone_from(&one.object.labels);
            record.spec = Arc::new(one.object.spec.clone());
            record.changed_at = at;
        }
    }

    fn insert_record(&mut self, one: &Planned) -> ObjectKey {
        let at = self.wall();
        let key = ObjectKey(self.next_object);
        self.next_object += 1;
        let name = one.object.name.clone();
        let record = ObjectRecord {
            key,
            uid: naming::object_uid(&name, key.0, at).into(),
            name: name.clone(),
            generation: one.generation,
            labels: one.object.labels.clone(),
            spec: Arc::new(one.object.spec.clone()),
            created_at: at,
            changed_at: at,
            former: Vec::new(),
            conditions: Vec::new(),
            status: Status::Nothing,
            deleted_at: None,
        };
        self.records.objects.insert(key.index(), record);
        Arc::make_mut(&mut self.records.index).insert((one.object.spec.kind(), name), key);
        key
    }

    /// The id of the rollout that the change began.
    fn tell_controller(
        &mut self,
        key: ObjectKey,
        change: Change,
        effects: &mut Effects,
    ) -> Option<String> {
        match self.object_at(key)?.spec.kind() {
            Kind::Service => return service::on_apply(self, key, effects),
            Kind::Job => job::on_apply(self, key, change, effects),
            Kind::Cron => cron::on_apply(self, key, change, effects),
            Kind::Dag => dag::on_apply(self, key, change, effects),
            Kind::Secret | Kind::Config => {
                service::on_material(self, effects);
                job::on_material(self);
            }
            Kind::Group => {}
        }
        None
    }

    /// What lies below a group looks at what it has from it again.
    fn reinherit(&mut self, group: &Name, effects: &mut Effects) {
        let below: Vec<ObjectKey> = self
            .of_kind(Kind::Service)
            .filter(|(name, _)| name.is_within(group))
            .map(|(_, key)| key)
            .collect();
        for key in below {
            service::on_apply(self, key, effects);
        }
    }
}

fn answer(one: &Planned, rollout: Option<String>) -> Applied {
    Applied {
        kind: one.object.spec.kind(),
        name: one.object.name.clone(),
        generation: one.generation,
        change: one.change,
        rollout,
    }
}

/// A refusal of an object that breaks a rule.
pub(crate) fn invalid(object: &Object, path: &str, message: impl Into<String>) -> Refusal {
    Refusal::Invalid {
        kind: object.spec.kind(),
        name: object.name.to_string(),
        path: path.into(),
        message: message.into(),
    }
}

fn check_size(object: &Object) -> Result<(), Refusal> {
    let bytes = object.spec.to_json().to_string().len();
    if bytes > stored::SPEC_BYTES {
        return Err(invalid(
            object,
            "/spec",
            format!("it has {bytes} bytes as JSON, and at most {SPEC_BYTES} are kept; split it"),
        ));
    }
    Ok(())
}

fn check_role(object: &Object) -> Result<(), Refusal> {
    let own = match &object.spec {
        Spec::Service(spec) => spec.role.as_deref(),
        Spec::Job(spec) => spec.role.as_deref(),
        Spec::Group(spec) => spec.role.as_deref(),
        _ => None,
    };
    let Some(role) = own else {
        return Ok(());
    };
    mezz_resource::role::validate_role(role)
        .map_err(|error| invalid(object, "/spec/role", error.to_string()))
}
