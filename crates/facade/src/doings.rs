//! Runs and instances by the object that they belong to, found in one pass over all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_workload::key::ObjectKey;
use mezz_workload::records::{InstanceRecord, RunRecord};

use crate::world::World;

/// What objects do and have done.
#[derive(Clone, Debug, Default)]
pub struct Doings<'w> {
    runs: BTreeMap<ObjectKey, Vec<&'w Arc<RunRecord>>>,
    instances: BTreeMap<ObjectKey, Vec<&'w Arc<InstanceRecord>>>,
}

impl<'w> Doings<'w> {
    /// Of all objects.
    pub fn of_all(world: &World<'w>) -> Self {
        let mut all = Self::default();
        for (_, run) in world.work.runs.iter() {
            all.runs.entry(run.object).or_default().push(run);
        }
        for (_, instance) in world.work.instances.iter() {
            let ours = all.instances.entry(instance.object).or_default();
            ours.push(instance);
        }
        for runs in all.runs.values_mut() {
            runs.sort_by_key(|run| (run.created_at, run.key));
        }
        all
    }

    /// Of one object.
    pub fn of_one(world: &World<'w>, object: ObjectKey) -> Self {
        Self {
            runs: BTreeMap::from([(object, world.runs(object))]),
            instances: BTreeMap::from([(object, world.instances(object))]),
        }
    }

    /// The runs of an object, oldest first.
    pub fn runs(&self, object: ObjectKey) -> &[&'w Arc<RunRecord>] {
        self.runs
            .get(&object)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The instances of an object.
    pub fn instances(&self, object: ObjectKey) -> &[&'w Arc<InstanceRecord>] {
        let instances = self.instances.get(&object);
        instances.map(Vec::as_slice).unwrap_or_default()
    }
}
