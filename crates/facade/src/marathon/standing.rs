//! What has become of apps, gathered once for an answer that shows many of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_workload::key::ObjectKey;
use mezz_workload::records::InstanceRecord;

use super::deployments;
use crate::world::World;

/// Instances and deployments, by app.
#[derive(Debug, Default)]
pub(super) struct Standing<'w> {
    instances: BTreeMap<ObjectKey, Vec<&'w Arc<InstanceRecord>>>,
    deployments: BTreeMap<ObjectKey, String>,
}

impl<'w> Standing<'w> {
    /// Of all apps.
    pub(super) fn of_all(world: &World<'w>) -> Self {
        Self::of(world, |_| true)
    }

    /// Of one.
    pub(super) fn of_one(world: &World<'w>, object: ObjectKey) -> Self {
        Self::of(world, |own| own == object)
    }

    fn of(world: &World<'w>, wanted: impl Fn(ObjectKey) -> bool) -> Self {
        let mut standing = Self::default();
        for (_, instance) in world.work.instances.iter() {
            if wanted(instance.object) {
                let own = standing.instances.entry(instance.object).or_default();
                own.push(instance);
            }
        }
        for own in standing.instances.values_mut() {
            own.sort_by_key(|instance| (instance.created_at, instance.key));
        }
        for rollout in world.active_rollouts() {
            if wanted(rollout.object) {
                let id = deployments::id_of(rollout);
                standing.deployments.insert(rollout.object, id);
            }
        }
        standing
    }

    /// The instances of an app, oldest first.
    pub(super) fn instances(&self, object: ObjectKey) -> &[&'w Arc<InstanceRecord>] {
        self.instances.get(&object).map_or(&[], Vec::as_slice)
    }

    /// The deployment that an app is in.
    pub(super) fn deployment(&self, object: ObjectKey) -> Option<&str> {
        self.deployments.get(&object).map(String::as_str)
    }
}
