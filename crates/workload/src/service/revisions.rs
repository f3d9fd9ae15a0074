//! Revisions: which change of a spec needs new instances, and which revision instances of a spec belong to.

use std::sync::Arc;

use mezz_spec::service::Service as ServiceSpec;
use mezz_spec::template::Container;
use mezz_spec::{Name, Spec};

use crate::key::ObjectKey;
use crate::objects::inheritance::Inherited;
use crate::service::backoff::Failures;
use crate::service::state::{Durable, Revision, Service};
use crate::workloads::Workloads;

impl Revision {
    /// The spec as a service's.
    pub(crate) fn service(&self) -> &ServiceSpec {
        as_service(&self.spec)
    }

    pub(crate) fn container(&self) -> Option<&Container> {
        self.service().template.containers.first()
    }

    /// Whether instances made of this would be the same.
    fn makes_the_same(
        &self,
        spec: &ServiceSpec,
        inherited: &Inherited,
        materials: Option<u64>,
        name: &Name,
    ) -> bool {
        let own = self.service();
        let others = self.materials.zip(materials);
        others.is_none_or(|(own, other)| own == other)
            && own.template == spec.template
            && own.placement == spec.placement
            && self.inherited.env == inherited.env
            && self.inherited.role_of(own.role.as_deref(), name)
                == inherited.role_of(spec.role.as_deref(), name)
    }
}

/// The spec of what is known to be a service.
pub(crate) fn as_service(spec: &Spec) -> &ServiceSpec {
    match spec {
        Spec::Service(service) => service,
        _ => unreachable!("the index of services holds services only"),
    }
}

impl Durable {
    /// The revision that makes the instances of this spec; a new one when there is none.
    pub(crate) fn revision_for(
        &mut self,
        generation: u64,
        spec: &Arc<Spec>,
        inherited: &Inherited,
        materials: Option<u64>,
        name: &Name,
    ) -> u32 {
        let is_same = |revision: &Revision| {
            revision.makes_the_same(as_service(spec), inherited, materials, name)
        };
        let target = self.revisions.get(&self.target);
        if target.is_some_and(is_same) {
            return self.target;
        }
        let known = self
            .revisions
            .iter()
            .rev()
            .find(|(_, known)| is_same(known));
        if let Some((number, _)) = known {
            return *number;
        }
        self.add_revision(generation, Arc::clone(spec), inherited.clone(), materials)
    }

    pub(crate) fn add_revision(
        &mut self,
        generation: u64,
        spec: Arc<Spec>,
        inherited: Inherited,
        materials: Option<u64>,
    ) -> u32 {
        self.last_revision += 1;
        let revision = Revision {
            generation,
            spec,
            inherited,
            materials,
            failures: Failures::default(),
        };
        self.revisions.insert(self.last_revision, revision);
        self.last_revision
    }
}

impl Service {
    /// Forgets revisions that nothing is made of any more.
    pub(crate) fn forget_revisions(&mut self) {
        let Self {
            durable,
            tallies,
            vacant_of,
            stated,
            ..
        } = self;
        let target = durable.target;
        let stable = durable.stable.as_ref().map(|stable| stable.revision);
        tallies.retain(|_, tally| tally.present > 0);
        durable.revisions.retain(|number, _| {
            *number == target || Some(*number) == stable || tallies.contains_key(number)
        });
        vacant_of.retain(|number, _| durable.revisions.contains_key(number));
        stated.retain(|number, stated| stated.count > 0 || durable.revisions.contains_key(number));
    }

    /// The revision of which old instances are started again while a rollout holds some back.
    pub(crate) fn old_revision(&self) -> Option<u32> {
        let target = self.durable.target;
        let stable = self.durable.stable.as_ref().map(|stable| stable.revision);
        stable
            .filter(|revision| *revision != target && self.durable.revisions.contains_key(revision))
            .or_else(|| {
                let staying = |revision: &u32| {
                    self.tallies
                        .get(revision)
                        .map_or(0, |tally| tally.staying())
                };
                self.durable
                    .revisions
                    .keys()
                    .copied()
                    .filter(|revision| *revision != target)
                    .max_by_key(|revision| (staying(revision), *revision))
            })
    }
}

impl Workloads {
    pub(crate) fn service(&self, key: ObjectKey) -> Option<&Service> {
        self.services.states.get(&key)
    }

    pub(crate) fn service_mut(&mut self, key: ObjectKey) -> Option<&mut Service> {
        self.services.states.get_mut(&key)
    }

    /// The spec that holds for a service now.
    pub(crate) fn service_spec(&self, key: ObjectKey) -> Option<Arc<Spec>> {
        self.object_at(key).map(|object| Arc::clone(&object.spec))
    }
}
