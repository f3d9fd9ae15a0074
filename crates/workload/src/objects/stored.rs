//! Objects in the store: one key for each, one for each earlier generation, and one for each that still has to end.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_spec::{Kind, Name, Spec};
use mezz_state::time::Wall;
use serde::{Deserialize, Serialize};

use crate::effect::Effects;
use crate::key::ObjectKey;
use crate::records::{Former, ObjectRecord, Status};
use crate::workloads::Workloads;
use crate::writing::status_key;

/// So many earlier generations are kept.
pub(crate) const FORMER_LIMIT: usize = 50;
/// The largest spec, as JSON: what a store takes in one value, with some room.
pub(crate) const SPEC_BYTES: usize = 480 * 1024;

/// An object as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredObject {
    key: ObjectKey,
    name: Name,
    uid: Box<str>,
    generation: u64,
    labels: BTreeMap<String, String>,
    spec: Arc<Spec>,
    created_at: Wall,
    changed_at: Wall,
    deleted_at: Option<Wall>,
}

impl StoredObject {
    pub(crate) fn into_record(self) -> ObjectRecord {
        ObjectRecord {
            key: self.key,
            name: self.name,
            uid: self.uid,
            generation: self.generation,
            labels: self.labels,
            spec: self.spec,
            created_at: self.created_at,
            changed_at: self.changed_at,
            former: Vec::new(),
            conditions: Vec::new(),
            status: Status::Nothing,
            deleted_at: self.deleted_at,
        }
    }
}

fn object_key(kind: Kind, name: &Name) -> String {
    format!("work/object/{kind}{name}")
}

fn deleted_key(uid: &str) -> String {
    format!("work/deleted/{uid}")
}

fn former_key(uid: &str, generation: u64) -> String {
    format!("work/former/{uid}/{generation:020}")
}

impl Workloads {
    /// Writes an object itself, without how it stands.
    pub(crate) fn write_object(&self, key: ObjectKey, effects: &mut Effects) {
        let Some(object) = self.object_at(key) else {
            return;
        };
        let stored = StoredObject {
            key,
            name: object.name.clone(),
            uid: object.uid.clone(),
            generation: object.generation,
            labels: object.labels.clone(),
            spec: Arc::clone(&object.spec),
            created_at: object.created_at,
            changed_at: object.changed_at,
            deleted_at: object.deleted_at,
        };
        let place = if object.deleted_at.is_some() {
            deleted_key(&object.uid)
        } else {
            object_key(object.spec.kind(), &object.name)
        };
        effects.put(place, &stored);
    }

    /// Puts the present spec among the earlier ones, and forgets the oldest when there are too many.
    pub(crate) fn keep_former(&mut self, key: ObjectKey, effects: &mut Effects) {
        let Some(object) = self.object_mut(key) else {
            return;
        };
        let former = Former {
            generation: object.generation,
            changed_at: object.changed_at,
            spec: Arc::clone(&object.spec),
        };
        effects.put(former_key(&object.uid, former.generation), &former);
        object.former.push(former);
        if object.former.len() > FORMER_LIMIT {
            let oldest = object.former.remove(0);
            effects.delete(former_key(&object.uid, oldest.generation));
        }
    }

    /// Takes an object out of the store's living, and, unless nothing of it is left to end, puts it among its dead.
    pub(crate) fn write_deletion(&self, key: ObjectKey, effects: &mut Effects) {
        let Some(object) = self.object_at(key) else {
            return;
        };
        effects.delete(object_key(object.spec.kind(), &object.name));
        for former in &object.former {
            effects.delete(former_key(&object.uid, former.generation));
        }
        self.write_object(key, effects);
    }

    /// Takes what is left of a deleted object out of the store and the records.
    pub(crate) fn forget_object(&mut self, key: ObjectKey, effects: &mut Effects) {
        let Some(object) = self.records.objects.remove(key.index()) else {
            return;
        };
        effects.delete(deleted_key(&object.uid));
        effects.delete(status_key(&object.uid));
    }
}
