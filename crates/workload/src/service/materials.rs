//! Changes of configs and secrets: what waited for one may be started, and what is to be restarted is rolled.

use mezz_spec::service::{OnMaterialChange, Service as ServiceSpec};
use mezz_spec::template::{EnvValue, MaterialRef};
use mezz_spec::{Kind, Spec};
use xxhash_rust::xxh3::Xxh3Default;

use crate::effect::Effects;
use crate::key::ObjectKey;
use crate::service::revisions::as_service;
use crate::workloads::Workloads;

/// A config or secret changed.
pub(crate) fn on_material(w: &mut Workloads, effects: &mut Effects) {
    let services: Vec<ObjectKey> = w.of_kind(Kind::Service).map(|(_, key)| key).collect();
    for key in services {
        if has_changed(w, key) {
            super::on_apply(w, key, effects);
        }
    }
    super::wake_all(w);
}

fn has_changed(w: &mut Workloads, key: ObjectKey) -> bool {
    let spec = w.service_spec(key);
    let Some(present) = spec.and_then(|spec| w.materials(as_service(&spec))) else {
        return false;
    };
    let Some(state) = w.service_mut(key) else {
        return false;
    };
    let target = state.durable.target;
    let Some(revision) = state.durable.revisions.get_mut(&target) else {
        return false;
    };
    // Of a revision without, nothing could be started before: it is this one that gets what has come.
    *revision.materials.get_or_insert(present) != present
}

impl Workloads {
    /// What the configs and secrets of a service hold now, if that matters to it and all are there.
    pub(crate) fn materials(&self, spec: &ServiceSpec) -> Option<u64> {
        if spec.on_material_change == OnMaterialChange::Keep {
            return None;
        }
        let container = spec.template.containers.first()?;
        if self.missing_material(container).is_some() {
            return None;
        }
        let of_variables = container.env.values().filter_map(|value| match value {
            EnvValue::From(from) => Some(from),
            EnvValue::Text(_) => None,
        });
        let of_files = container.files.iter().map(|file| &file.from);
        let mut hash = Xxh3Default::new();
        let mut add = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        for from in of_variables.chain(of_files) {
            let (kind, entry) = match from {
                MaterialRef::Config(entry) => (Kind::Config, entry),
                MaterialRef::Secret(entry) => (Kind::Secret, entry),
            };
            add(entry.name.as_str());
            match &*self.object(kind, &entry.name)?.spec {
                Spec::Secret(secret) => add(secret.digest.as_deref().unwrap_or_default()),
                Spec::Config(config) => {
                    let wanted = |key: &&String| entry.key.as_ref().is_none_or(|own| own == *key);
                    for key in config.data.keys().filter(wanted) {
                        add(key);
                        add(&config.data[key]);
                    }
                }
                _ => {}
            }
        }
        Some(hash.digest())
    }
}
