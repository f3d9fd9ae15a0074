//! Taking over from the store: what it held becomes the state again. What cannot be read is left alone, and named.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::effect::Effects;
use crate::key::ObjectKey;
use crate::objects::stored::StoredObject;
use crate::records::{Former, InstanceRecord, PREFIX};
use crate::stored;
use crate::workloads::{Stage, Workloads};
use crate::writing::StoredStatus;
use crate::{cron, dag, job, service};

/// The values below each first part of the keys: the rest of the key, and the value.
pub(crate) type Sections = BTreeMap<String, Vec<(String, Bytes)>>;

/// The section that says that there has been an object, even if there is none any more.
const KNOWN: &str = "known";
/// Its only key.
pub(crate) const KNOWN_KEY: &str = "work/known";

impl Workloads {
    pub(crate) fn restore(&mut self, pairs: Vec<(String, Bytes)>, effects: &mut Effects) {
        let sections = sections(pairs);
        self.restore_frozen(&sections, effects);
        self.next_object = u32::from(sections.contains_key(KNOWN));
        let mut by_uid = BTreeMap::new();
        for (_, object) in self.read::<StoredObject>(&sections, "object") {
            self.restore_object(object, &mut by_uid);
        }
        for (_, object) in self.read::<StoredObject>(&sections, "deleted") {
            self.restore_object(object, &mut by_uid);
        }
        self.restore_former(&sections, &by_uid);
        for (uid, stored) in self.read::<StoredStatus>(&sections, "status") {
            if let Some(object) = by_uid.get(&*uid).and_then(|key| self.object_mut(*key)) {
                object.conditions = stored.conditions;
                object.status = stored.status;
            }
        }
        service::restore(self, &sections, &by_uid);
        for (_, record) in self.read::<InstanceRecord>(&sections, "instance") {
            self.restore_instance(record, effects);
        }
        service::adopt_instances(self, effects);
        job::restore(self, &sections, &by_uid, effects);
        dag::restore(self, &sections, &by_uid, effects);
        cron::restore(self, &sections, &by_uid, effects);
        self.count_all_active();
        self.restore_slots();
        // Ids of instances follow from this number: those of an earlier master must not come again.
        self.launches = self.wall().0;
        self.stage = Stage::Reconciling;
        service::wake_all(self);
        cron::wake_all(self, effects);
    }

    fn restore_object(&mut self, object: StoredObject, by_uid: &mut BTreeMap<String, ObjectKey>) {
        let record = object.into_record();
        let key = record.key;
        by_uid.insert(record.uid.to_string(), key);
        self.next_object = self.next_object.max(key.0 + 1);
        if record.deleted_at.is_none() {
            let place = (record.spec.kind(), record.name.clone());
            std::sync::Arc::make_mut(&mut self.records.index).insert(place, key);
        }
        self.records.objects.insert(key.index(), record);
    }

    fn restore_former(&mut self, sections: &Sections, by_uid: &BTreeMap<String, ObjectKey>) {
        for (place, former) in self.read::<Former>(sections, "former") {
            let uid = place.split('/').next().unwrap_or_default();
            if let Some(object) = by_uid.get(uid).and_then(|key| self.object_mut(*key)) {
                object.former.push(former);
            }
        }
    }

    /// Slots that the restored records use are not given out again.
    fn restore_slots(&mut self) {
        self.free_rollouts = slots(&self.records.rollouts);
        self.free_runs = slots(&self.records.runs);
        self.free_instances = slots(&self.records.instances);
    }

    /// The readable values of a section in the order of their keys.
    pub(crate) fn read<T: DeserializeOwned>(
        &mut self,
        sections: &Sections,
        section: &str,
    ) -> Vec<(String, T)> {
        let mut values = Vec::new();
        for (rest, bytes) in sections.get(section).into_iter().flatten() {
            match stored::decode(bytes) {
                Ok(value) => values.push((rest.clone(), value)),
                Err(error) => {
                    let key = format!("{PREFIX}{section}/{rest}");
                    self.unreadable.insert(key, error.to_string());
                }
            }
        }
        values
    }
}

fn sections(pairs: Vec<(String, Bytes)>) -> Sections {
    let mut sections = Sections::new();
    for (key, value) in pairs {
        let Some(key) = key.strip_prefix(PREFIX) else {
            continue;
        };
        let (section, rest) = key.split_once('/').unwrap_or((key, ""));
        sections
            .entry(section.to_owned())
            .or_default()
            .push((rest.to_owned(), value));
    }
    sections
}

/// Slots other than those that these records use.
pub(crate) fn slots<T>(pages: &mezz_state::pages::Pages<T>) -> mezz_state::pages::Slots {
    mezz_state::pages::Slots::around(
        pages
            .iter()
            .map(|(slot, _)| u32::try_from(slot).expect("keys of records have 32 bits")),
    )
}
