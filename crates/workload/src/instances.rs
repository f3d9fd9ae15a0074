//! Instances: what was started of services and runs, from the launch to the last status. Shared by all controllers.

pub(crate) mod checks;
pub(crate) mod environment;
pub(crate) mod footing;
pub(crate) mod kills;
pub(crate) mod marathon;
pub(crate) mod ports;
pub(crate) mod rules;
pub(crate) mod statuses;
pub(crate) mod stored;
pub(crate) mod strays;
pub(crate) mod task;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mezz_proto::agent_protocol::InstanceTerms;
use mezz_proto::v1;
use mezz_resource::Resources;
use prost::Message;

use crate::effect::{Effect, Effects, Launch};
use crate::event::Placed;
use crate::fact::Fact;
use crate::key::{InstanceKey, ObjectKey};
use crate::records::{InstanceRecord, Owner, Phase};
use crate::workloads::Workloads;

/// A start that a controller has decided upon.
pub(crate) struct NewInstance {
    pub(crate) object: ObjectKey,
    pub(crate) owner: Owner,
    /// Of a service; 0 otherwise.
    pub(crate) revision: u32,
    /// In the order of the template's ports.
    pub(crate) ports: Vec<u16>,
    /// From [`task::TaskPlan`]; its id is the instance's.
    pub(crate) task: v1::TaskInfo,
    pub(crate) terms: Option<Box<InstanceTerms>>,
    /// Of a blue-green service: of the colour that gets no traffic now.
    pub(crate) parked: bool,
}

impl Workloads {
    /// The instance with this key.
    pub fn instance(&self, key: InstanceKey) -> Option<&Arc<InstanceRecord>> {
        self.records.instances.get(key.index())
    }

    pub(crate) fn instance_mut(&mut self, key: InstanceKey) -> Option<&mut InstanceRecord> {
        self.records.instances.get_mut(key.index())
    }

    /// The instance with this task id.
    pub fn instance_named(&self, id: &str) -> Option<InstanceKey> {
        self.instances_by_id.get(id).copied()
    }

    /// Records an instance and has it launched at the place just given. What makes it durable is written by the caller.
    pub(crate) fn launch(
        &mut self,
        new: NewInstance,
        placed: &Placed,
        effects: &mut Effects,
    ) -> InstanceKey {
        let key = InstanceKey(self.free_instances.take());
        let record = InstanceRecord {
            key,
            id: new.task.task_id.value.as_str().into(),
            object: new.object,
            owner: new.owner,
            agent: placed.agent.clone(),
            phase: Phase::Starting,
            state: v1::TaskState::TaskStaging,
            healthy: None,
            ready: false,
            ports: new.ports,
            addresses: Vec::new(),
            created_at: self.wall(),
            started_at: None,
            message: Box::default(),
            health_changed_at: None,
            passing_since: None,
            unreachable_since: None,
            check: None,
            findings: None,
            parked: new.parked,
            ending: None,
            confirmed: true,
            revision: new.revision,
            expected: expected(&new.task, placed),
        };
        self.launches += 1;
        self.insert_instance(record, effects);
        effects.push(Effect::Launch(Box::new(Launch {
            instance: key,
            task: new.task,
            terms: new.terms,
        })));
        key
    }

    /// Puts a record where it can be found.
    pub(crate) fn insert_instance(&mut self, record: InstanceRecord, effects: &mut Effects) {
        let key = record.key;
        self.instances_by_id.insert(Arc::clone(&record.id), key);
        self.instances_by_agent
            .entry(Arc::clone(&record.agent.id))
            .or_default()
            .insert(key);
        effects.fact(Fact::InstanceChanged {
            instance: key,
            id: Arc::clone(&record.id),
            object: record.object,
        });
        self.records.instances.insert(key.index(), record);
    }

    /// Takes an instance out that has ended or is given up; its store key is the caller's.
    pub(crate) fn remove_instance(
        &mut self,
        key: InstanceKey,
        message: &str,
        effects: &mut Effects,
    ) -> Option<Arc<InstanceRecord>> {
        let record = self.records.instances.remove(key.index())?;
        self.free_instances.give(key.0);
        self.instances_by_id.remove(&record.id);
        if let Some(others) = self.instances_by_agent.get_mut(&record.agent.id) {
            others.remove(&key);
            if others.is_empty() {
                self.instances_by_agent.remove(&record.agent.id);
            }
        }
        self.forget_kill(&record, effects);
        effects.fact(Fact::InstanceEnded {
            id: Arc::clone(&record.id),
            object: record.object,
            message: message.to_owned(),
        });
        Some(record)
    }

    pub(crate) fn tell_change(&self, key: InstanceKey, effects: &mut Effects) {
        if let Some(record) = self.instance(key) {
            effects.fact(Fact::InstanceChanged {
                instance: key,
                id: Arc::clone(&record.id),
                object: record.object,
            });
        }
    }
}

/// What a later master expects on the agent: the task without what only its start needs.
fn expected(task: &v1::TaskInfo, placed: &Placed) -> Bytes {
    let task = v1::TaskInfo {
        name: task.name.clone(),
        task_id: task.task_id.clone(),
        agent_id: v1::AgentId {
            value: placed.agent.id.to_string(),
        },
        resources: placed.resources.clone(),
        labels: task.labels.clone(),
        discovery: task.discovery.clone(),
        ..v1::TaskInfo::default()
    };
    task.encode_to_vec().into()
}

/// Labels as messages carry them.
pub(crate) fn wire_labels(labels: &BTreeMap<String, String>) -> Option<v1::Labels> {
    (!labels.is_empty()).then(|| v1::Labels {
        labels: labels
            .iter()
            .map(|(key, value)| v1::Label {
                key: key.clone(),
                value: Some(value.clone()),
            })
            .collect(),
    })
}

/// What an instance of a template needs, ports aside.
pub(crate) fn request(container: &mezz_spec::template::Container) -> Resources {
    use mezz_resource::{Resource, Scalar};
    let wanted = &container.resources;
    let thousandths = |value: u64| Scalar(i64::try_from(value).unwrap_or(i64::MAX));
    let mut resources = Resources::new();
    resources.push(Resource::scalar("cpus", thousandths(wanted.cpus.0)));
    resources.push(Resource::scalar(
        "mem",
        thousandths(wanted.mem.mebibytes_thousandths()),
    ));
    resources.push(Resource::scalar(
        "disk",
        thousandths(wanted.disk.mebibytes_thousandths()),
    ));
    resources.push(Resource::scalar(
        "gpus",
        Scalar::whole(i64::from(wanted.gpus)),
    ));
    resources
}
