//! What a service waits for: services and groups that have to be healthy before its rollout begins.

use mezz_spec::{Kind, Name};

use crate::key::ObjectKey;
use crate::service::revisions::as_service;
use crate::service::state::Service;
use crate::workloads::Workloads;

impl Workloads {
    /// Why the rollout of a service may not begin yet.
    pub(crate) fn closed_gate(&self, key: ObjectKey) -> Option<String> {
        let object = self.object_at(key)?;
        let mut after = self.inherited(&object.name).after;
        after.extend(as_service(&object.spec).after.iter().cloned());
        after
            .iter()
            .find_map(|target| self.closed_by(&object.name, target))
    }

    fn closed_by(&self, own: &Name, target: &Name) -> Option<String> {
        let mut found = self.key_of(Kind::Group, target).is_some();
        for (name, key) in self.of_kind(Kind::Service) {
            if name == own || !name.is_within(target) {
                continue;
            }
            found = true;
            if let Some(why) = self.unhealthy(key) {
                return Some(format!("waiting for {name} to be healthy: {why}"));
            }
        }
        (!found).then(|| format!("waiting for {target}, which does not exist"))
    }

    /// Why those that wait for this service have to go on waiting.
    pub(crate) fn unhealthy(&self, key: ObjectKey) -> Option<String> {
        if self.active_rollout(key).is_some() {
            return Some("its rollout is not over".into());
        }
        let (new, old) = self.service(key)?.sides();
        let (serving, wanted) = (new.serving + old.serving, self.least(key));
        (serving < wanted).then(|| format!("{serving} of {wanted} instances are ready"))
    }

    /// How many instances have to serve for a service to be whole.
    pub(crate) fn least(&self, key: ObjectKey) -> u32 {
        let is_per_node = self.service_spec(key).is_some_and(|spec| {
            matches!(
                as_service(&spec).replicas,
                mezz_spec::service::Replicas::PerNode(_)
            )
        });
        if is_per_node {
            let sides = self.service(key).map(Service::sides);
            sides.map_or(0, |(new, old)| new.staying() + old.staying())
        } else {
            self.wanted(key)
        }
    }
}
