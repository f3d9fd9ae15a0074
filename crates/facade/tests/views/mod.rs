//! Views of our making, and requests to them.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;

use mezz_facade::world::Cluster;
use mezz_facade::{Answer, Body, Outcome, Request, World, marathon};
use mezz_spec::Object;
use mezz_state::time::Wall;
use mezz_workload::call::{Call, Conflict};
use mezz_workload::key::ObjectKey;
use mezz_workload::records::{ObjectRecord, Records, Status};
use serde_json::Value;

pub(crate) const NOW: Wall = Wall(2_000_000_000);

pub(crate) fn request(method: &str, path: &str, body: Value) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    Request {
        method: method.into(),
        path: path.into(),
        query: pairs
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (key.to_owned(), value.to_owned())
            })
            .collect(),
        body: if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        },
        ..Request::default()
    }
}

pub(crate) fn ask(work: &Records, request: &Request) -> Outcome {
    let cluster = Cluster::default();
    let world = World {
        work,
        now: NOW,
        cluster: &cluster,
    };
    marathon::handle(request, &world)
}

pub(crate) fn answer(outcome: Outcome) -> (u16, Value) {
    let Outcome::Answer(Answer { status, body, .. }) = outcome else {
        panic!("{outcome:?} is no answer");
    };
    match body {
        Body::Json(value) => (status, value),
        Body::Text(_, text) => (status, text.into()),
        Body::Nothing => (status, Value::Null),
    }
}

pub(crate) fn applied(outcome: Outcome) -> (Vec<Object>, Conflict) {
    match outcome {
        Outcome::Call(
            Call::Apply {
                objects, conflict, ..
            }
            | Call::Replace {
                objects, conflict, ..
            },
            _,
        ) => (objects, conflict),
        other => panic!("{other:?} is no apply"),
    }
}

pub(crate) fn with(objects: Vec<Object>) -> Records {
    let mut records = Records::default();
    for (number, object) in (0_u32..).zip(objects) {
        let key = ObjectKey(number);
        Arc::make_mut(&mut records.index).insert((object.spec.kind(), object.name.clone()), key);
        let record = ObjectRecord {
            key,
            name: object.name,
            uid: "uid".into(),
            generation: 1,
            labels: object.labels,
            spec: Arc::new(object.spec),
            created_at: Wall(1_000_000_000),
            changed_at: Wall(1_000_000_000),
            former: Vec::new(),
            conditions: Vec::new(),
            status: Status::Nothing,
            deleted_at: None,
        };
        records.objects.insert(key.index(), record);
    }
    records
}

pub(crate) fn post(app: Value) -> Records {
    let outcome = ask(&Records::default(), &request("POST", "/v2/apps", app));
    with(applied(outcome).0)
}
