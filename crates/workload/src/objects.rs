//! The objects that users wrote: found by kind and name or by key.

pub(crate) mod apply;
pub(crate) mod changes;
pub(crate) mod delete;
pub(crate) mod dependencies;
pub(crate) mod inheritance;
pub(crate) mod staged;
pub(crate) mod stored;

use std::sync::Arc;

use mezz_spec::{Kind, Name};

use crate::call::Refusal;
use crate::key::ObjectKey;
use crate::records::{Condition, ObjectRecord};
use crate::workloads::Workloads;

impl Workloads {
    /// The object of this kind and name.
    pub fn object(&self, kind: Kind, name: &Name) -> Option<&Arc<ObjectRecord>> {
        self.object_at(self.key_of(kind, name)?)
    }

    /// The object with this key, even while what is left of it ends.
    pub fn object_at(&self, key: ObjectKey) -> Option<&Arc<ObjectRecord>> {
        self.records.objects.get(key.index())
    }

    pub(crate) fn object_mut(&mut self, key: ObjectKey) -> Option<&mut ObjectRecord> {
        self.records.objects.get_mut(key.index())
    }

    pub(crate) fn key_of(&self, kind: Kind, name: &Name) -> Option<ObjectKey> {
        self.records.index.get(&(kind, name.clone())).copied()
    }

    pub(crate) fn key_or_refusal(&self, kind: Kind, name: &Name) -> Result<ObjectKey, Refusal> {
        self.key_of(kind, name).ok_or_else(|| Refusal::NotFound {
            kind: kind.word(),
            name: name.to_string(),
        })
    }

    /// The objects of a kind in the order of their names.
    pub(crate) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Name, ObjectKey)> {
        self.records
            .index
            .iter()
            .skip_while(move |((found, _), _)| *found < kind)
            .take_while(move |((found, _), _)| *found == kind)
            .map(|((_, name), key)| (name, *key))
    }

    /// Says something of an object; what is true already keeps its time.
    pub(crate) fn set_condition(
        &mut self,
        key: ObjectKey,
        kind: &str,
        is_true: bool,
        reason: &str,
        message: &str,
    ) {
        let since = self.wall();
        let Some(object) = self.object_at(key) else {
            return;
        };
        let found = object.conditions.iter().position(|one| *one.kind == *kind);
        let new = |since| Condition {
            kind: kind.into(),
            is_true,
            reason: reason.into(),
            message: message.into(),
            since,
        };
        let Some(at) = found else {
            let object = self.object_mut(key).expect("it was just seen");
            object.conditions.push(new(since));
            return self.note_object(key);
        };
        let old = &object.conditions[at];
        let since = if old.is_true == is_true {
            old.since
        } else {
            since
        };
        if *old != new(since) {
            let object = self.object_mut(key).expect("it was just seen");
            object.conditions[at] = new(since);
            self.note_object(key);
        }
    }
}
