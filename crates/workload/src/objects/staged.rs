//! The objects as they would be after an apply, so that rules between objects are checked before anything changes.

use std::collections::BTreeMap;

use mezz_spec::{Kind, Name, Object, Spec};

use crate::workloads::Workloads;

/// What is there, with what is applied laid over it.
pub(crate) struct Staged<'a> {
    workloads: &'a Workloads,
    applied: BTreeMap<(Kind, &'a Name), &'a Object>,
    /// Services that there will not be any more.
    ends: &'a [Name],
}

impl<'a> Staged<'a> {
    pub(crate) fn new(workloads: &'a Workloads, applied: &'a [Object], ends: &'a [Name]) -> Self {
        let applied = applied
            .iter()
            .map(|object| ((object.spec.kind(), &object.name), object))
            .collect();
        Self {
            workloads,
            applied,
            ends,
        }
    }

    fn goes(&self, kind: Kind, name: &Name) -> bool {
        kind == Kind::Service && self.ends.contains(name)
    }

    /// The spec that will hold.
    pub(crate) fn spec(&self, kind: Kind, name: &Name) -> Option<&'a Spec> {
        if let Some(object) = self.applied.get(&(kind, name)) {
            return Some(&object.spec);
        }
        if self.goes(kind, name) {
            return None;
        }
        self.workloads
            .object(kind, name)
            .map(|object| &*object.spec)
    }

    /// All that there will be of a kind, by name.
    pub(crate) fn of_kind(&self, kind: Kind) -> BTreeMap<&'a Name, &'a Spec> {
        let mut all: BTreeMap<&'a Name, &'a Spec> = self
            .workloads
            .of_kind(kind)
            .filter(|(name, _)| !self.goes(kind, name))
            .filter_map(|(name, key)| Some((name, &*self.workloads.object_at(key)?.spec)))
            .collect();
        for ((found, name), object) in &self.applied {
            if *found == kind {
                all.insert(name, &object.spec);
            }
        }
        all
    }

    pub(crate) fn applied(&self) -> impl Iterator<Item = &'a Object> {
        self.applied.values().copied()
    }
}
