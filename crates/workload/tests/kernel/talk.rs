//! Calls to the controllers, and questions about what they hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_spec::{Kind, Name, Object, Spec};
use mezz_workload::call::{Applied, ApplyMode, Call, Conflict, Refusal, Reply};
use mezz_workload::event::Event;
use mezz_workload::key::RequestKey;
use mezz_workload::records::{
    InstanceRecord, ObjectRecord, RolloutRecord, RunRecord, ServiceStatus, Status,
};
use serde_json::{Value, json};

use super::Kernel;

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn object(kind: Kind, path: &str, spec: Value) -> Object {
    Object {
        name: name(path),
        labels: BTreeMap::new(),
        spec: Spec::from_json(kind, spec).unwrap(),
        generation: None,
    }
}

/// A service that runs `command`, with more members of its spec.
pub fn service(path: &str, command: &str, more: Value) -> Object {
    let mut spec = json!({ "template": { "containers": [ { "command": command } ] } });
    merge(&mut spec, more);
    object(Kind::Service, path, spec)
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(more)) if into.len() == more.len() => {
            for (into, more) in into.iter_mut().zip(more) {
                merge(into, more);
            }
        }
        (into, more) => *into = more,
    }
}

impl Kernel {
    pub fn call(&mut self, call: Call) -> Reply {
        self.next_request += 1;
        let request = self.next_request;
        self.send(Event::Call {
            request: RequestKey(request),
            call: Box::new(call),
            by: None,
        });
        self.settle();
        self.replies.remove(&request).expect("a call is answered")
    }

    pub fn apply(&mut self, object: Object) -> Applied {
        self.apply_all(vec![object]).remove(0)
    }

    pub fn apply_all(&mut self, objects: Vec<Object>) -> Vec<Applied> {
        match self.try_apply(objects) {
            Reply::Applied(applied) => applied,
            other => panic!("{other:?}"),
        }
    }

    pub fn try_apply(&mut self, objects: Vec<Object>) -> Reply {
        self.call(Call::Apply {
            objects,
            mode: ApplyMode::Commit,
            conflict: Conflict::Supersede,
        })
    }

    pub fn delete(&mut self, kind: Kind, path: &str) -> Reply {
        self.call(Call::Delete {
            kind,
            name: name(path),
            generation: None,
            conflict: Conflict::Supersede,
        })
    }

    pub fn refused(&mut self, call: Call) -> Refusal {
        match self.call(call) {
            Reply::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    pub fn object(&self, kind: Kind, path: &str) -> Arc<ObjectRecord> {
        Arc::clone(
            self.workloads
                .object(kind, &name(path))
                .expect("it is there"),
        )
    }

    pub fn service_status(&self, path: &str) -> ServiceStatus {
        match &self.object(Kind::Service, path).status {
            Status::Service(status) => status.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub fn is_true(&self, kind: Kind, path: &str, condition: &str) -> bool {
        self.object(kind, path)
            .conditions
            .iter()
            .any(|one| *one.kind == *condition && one.is_true)
    }

    /// The instances of an object in the order of their keys.
    pub fn instances(&self, path: &str) -> Vec<Arc<InstanceRecord>> {
        let keys: Vec<_> = self
            .workloads
            .records()
            .objects
            .iter()
            .filter(|(_, object)| object.name == name(path))
            .map(|(_, object)| object.key)
            .collect();
        self.workloads
            .records()
            .instances
            .iter()
            .filter(|(_, instance)| keys.contains(&instance.object))
            .map(|(_, instance)| Arc::clone(instance))
            .collect()
    }

    pub fn ids(&self, path: &str) -> Vec<String> {
        self.instances(path)
            .iter()
            .map(|instance| instance.id.to_string())
            .collect()
    }

    /// The rollouts of a service in the order of their numbers.
    pub fn rollouts(&self, path: &str) -> Vec<Arc<RolloutRecord>> {
        let key = self.object(Kind::Service, path).key;
        let mut rollouts: Vec<_> = self
            .workloads
            .records()
            .rollouts
            .iter()
            .filter(|(_, rollout)| rollout.object == key)
            .map(|(_, rollout)| Arc::clone(rollout))
            .collect();
        rollouts.sort_by_key(|rollout| rollout.number);
        rollouts
    }

    pub fn last_rollout(&self, path: &str) -> Arc<RolloutRecord> {
        self.rollouts(path).pop().expect("there was a rollout")
    }

    /// The runs of a job or dag in the order of their keys.
    pub fn runs(&self, kind: Kind, path: &str) -> Vec<Arc<RunRecord>> {
        let key = self.object(kind, path).key;
        self.workloads
            .records()
            .runs
            .iter()
            .filter(|(_, run)| run.object == key)
            .map(|(_, run)| Arc::clone(run))
            .collect()
    }
}
