//! Instances of services in the store: one key for each, written before its launch leaves.

use bytes::Bytes;
use mezz_proto::v1;
use prost::Message;

use crate::effect::{Effect, Effects};
use crate::instances::rules;
use crate::key::InstanceKey;
use crate::records::InstanceRecord;
use crate::workloads::Workloads;

fn instance_key(id: &str) -> String {
    format!("work/instance/{id}")
}

impl Workloads {
    pub(crate) fn write_instance(&self, key: InstanceKey, effects: &mut Effects) {
        if let Some(record) = self.instance(key) {
            effects.put(instance_key(&record.id), &**record);
        }
    }

    pub(crate) fn unwrite_instance(record: &InstanceRecord, effects: &mut Effects) {
        effects.delete(instance_key(&record.id));
    }

    /// Takes an instance over from the store: it is held to be there until its agent says otherwise.
    pub(crate) fn restore_instance(&mut self, mut record: InstanceRecord, effects: &mut Effects) {
        record.confirmed = false;
        // Even if its object could not be read, its key must not come to mean another.
        self.next_object = self.next_object.max(record.object.0 + 1);
        let task = &record.expected;
        if let Some(task) = expected_task(task) {
            effects.push(Effect::Expect {
                task: Box::new(task),
                group: rules::group(record.object),
            });
        }
        self.insert_instance(record, effects);
    }
}

fn expected_task(bytes: &Bytes) -> Option<v1::TaskInfo> {
    v1::TaskInfo::decode(bytes.clone()).ok()
}
