//! Deletion: an object leaves the index at once; what runs of it is ended first, then the rest of it goes.

use std::sync::Arc;

use mezz_spec::{Kind, Name};

use crate::call::{Applied, Change, Conflict, Refusal, Reply};
use crate::effect::Effects;
use crate::fact::Fact;
use crate::key::ObjectKey;
use crate::workloads::Workloads;
use crate::{cron, dag, job, service};

impl Workloads {
    pub(crate) fn delete(
        &mut self,
        kind: Kind,
        name: &Name,
        generation: Option<u64>,
        conflict: Conflict,
        effects: &mut Effects,
    ) -> Result<Reply, Refusal> {
        let own = self.key_of(kind, name);
        self.check_deleted_generation(kind, name, own, generation)?;
        let doomed = self.doomed(kind, name, own);
        if doomed.is_empty() {
            return Err(Refusal::NotFound {
                kind: kind.word(),
                name: name.to_string(),
            });
        }
        if conflict == Conflict::Reject {
            self.refuse_rollouts(&doomed)?;
        }
        let answers = doomed
            .into_iter()
            .filter_map(|key| self.delete_one(key, effects))
            .collect();
        Ok(Reply::Applied(answers))
    }

    fn check_deleted_generation(
        &self,
        kind: Kind,
        name: &Name,
        own: Option<ObjectKey>,
        generation: Option<u64>,
    ) -> Result<(), Refusal> {
        let present = own
            .and_then(|key| self.object_at(key))
            .map(|object| object.generation);
        match (generation, present) {
            (Some(expected), Some(present)) if expected != present => Err(Refusal::Conflict {
                message: format!(
                    "{kind} {name} has generation {present}, and its deletion was asked for generation {expected}; look at it again"
                ),
                rollouts: Vec::new(),
            }),
            _ => Ok(()),
        }
    }

    /// The object, and of a group all that is below; crons and dags before the jobs that they start.
    fn doomed(&self, kind: Kind, name: &Name, own: Option<ObjectKey>) -> Vec<ObjectKey> {
        if kind != Kind::Group {
            return own.into_iter().collect();
        }
        Kind::ALL
            .iter()
            .rev()
            .flat_map(|kind| self.of_kind(*kind))
            .filter(|(found, _)| found.is_within(name))
            .map(|(_, key)| key)
            .collect()
    }

    pub(crate) fn delete_one(&mut self, key: ObjectKey, effects: &mut Effects) -> Option<Applied> {
        let at = self.wall();
        let object = self.object_mut(key)?;
        object.deleted_at = Some(at);
        let (kind, name, generation) = (object.spec.kind(), object.name.clone(), object.generation);
        Arc::make_mut(&mut self.records.index).remove(&(kind, name.clone()));
        self.write_deletion(key, effects);
        effects.fact(Fact::ObjectDeleted {
            kind,
            name: name.clone(),
        });
        match kind {
            Kind::Service => service::on_delete(self, key, effects),
            Kind::Job => job::on_delete(self, key, effects),
            Kind::Cron => cron::on_delete(self, key, effects),
            Kind::Dag => dag::on_delete(self, key, effects),
            Kind::Group | Kind::Secret | Kind::Config => self.forget_object(key, effects),
        }
        Some(Applied {
            kind,
            name,
            generation,
            change: Change::Deleted,
            rollout: None,
        })
    }
}
