//! Events, calls and specs as tests write them.

use std::collections::BTreeMap;

use mezz_proto::v1::TaskState;
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_workload::call::{ApplyMode, Call, Conflict};
use mezz_workload::event::{AgentInfo, Event, Status};
use serde_json::{Value, json};

pub(crate) fn info(id: &str) -> AgentInfo {
    AgentInfo {
        id: id.into(),
        hostname: format!("{id}.example").as_str().into(),
        ip: "10.0.0.1".into(),
        region: None,
        zone: None,
    }
}

pub(crate) fn status(id: &str, state: TaskState, exit_status: Option<i32>, message: &str) -> Event {
    Event::Status {
        instance: id.into(),
        status: Status {
            state,
            at: None,
            reason: None,
            message: message.into(),
            healthy: None,
            check: None,
            findings: None,
            exit_status,
            addresses: Vec::new(),
        },
    }
}

pub(crate) fn object(kind: Kind, name: &str, spec: Value) -> Object {
    Object {
        name: Name::new(name).unwrap(),
        labels: BTreeMap::new(),
        spec: Spec::from_json(kind, spec).unwrap(),
        generation: None,
    }
}

pub(crate) fn apply(objects: Vec<Object>) -> Call {
    Call::Apply {
        objects,
        mode: ApplyMode::Commit,
        conflict: Conflict::Supersede,
    }
}

pub(crate) fn run(name: &str, parameters: &[(&str, &str)], id: Option<&str>) -> Call {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Call::Run {
        name: Name::new(name).unwrap(),
        parameters: parameters.iter().map(pair).collect(),
        id: id.map(str::to_owned),
        arguments: None,
    }
}

/// A job's spec with more fields.
pub(crate) fn job(more: Value) -> Value {
    let mut spec = json!({ "template": { "containers": [{ "command": "work" }] } });
    merge(&mut spec, more);
    spec
}

fn merge(into: &mut Value, more: Value) {
    let (Value::Object(into), Value::Object(more)) = (into, more) else {
        panic!("both are objects");
    };
    into.extend(more);
}
