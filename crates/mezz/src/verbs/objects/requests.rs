//! Documents that are bodies of requests to APIs of other systems: they are handed to what answers these APIs here, for a
//! cluster without any objects, and become what it would have applied.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mezz_convert::Dropped;
use mezz_core::time::Wall;
use mezz_facade::world::Cluster;
use mezz_facade::{Answer, Body, Outcome, Request, World, chronos, marathon, metronome};
use mezz_spec::{Fault, Name, Object, Spec};
use mezz_workload::call::Call;
use mezz_workload::key::ObjectKey;
use mezz_workload::records::{ObjectRecord, Records, Status};
use serde_json::{Value, json};

use super::foreign::Origin;

/// Members of one document that may be dropped, at most.
const DROPPED: usize = 100;

/// The objects of documents, and what was left out of them since it is not built. A document may name those before it,
/// and those after it.
pub(super) fn objects(
    origin: Origin,
    documents: Vec<Value>,
) -> Result<(Vec<Object>, Vec<Dropped>), Vec<Fault>> {
    let mut reader = Reader {
        origin,
        known: Records::default(),
        objects: Vec::new(),
        dropped: Vec::new(),
    };
    let mut left = documents;
    while !left.is_empty() {
        let before = left.len();
        let mut refused = Vec::new();
        let mut again = Vec::new();
        for document in left {
            if let Err(faults) = reader.read(document.clone()) {
                refused.extend(faults);
                again.push(document);
            }
        }
        if again.len() == before {
            return Err(refused);
        }
        left = again;
    }
    Ok((reader.objects, reader.dropped))
}

struct Reader {
    origin: Origin,
    /// What came of the documents so far, as a cluster would hold it.
    known: Records,
    objects: Vec<Object>,
    dropped: Vec<Dropped>,
}

impl Reader {
    fn read(&mut self, mut document: Value) -> Result<(), Vec<Fault>> {
        let mut dropped = Vec::new();
        loop {
            let answer = match send(self.origin, &document, &self.known) {
                Ok(objects) => {
                    for object in objects {
                        self.know(&object);
                        self.objects.push(plain(object, &document));
                    }
                    self.dropped.extend(dropped);
                    return Ok(());
                }
                Err(answer) => answer,
            };
            let faults = faults(&answer);
            let before = dropped.len();
            for fault in faults.iter().filter(|fault| is_unbuilt(&fault.message)) {
                if let Some(object) = remove(&mut document, &fault.path) {
                    dropped.push(Dropped {
                        object,
                        path: fault.path.clone(),
                        why: fault.message.clone(),
                    });
                }
            }
            if dropped.len() == before || dropped.len() > DROPPED {
                return Err(faults);
            }
        }
    }

    fn know(&mut self, object: &Object) {
        let number = u32::try_from(self.known.objects.len()).unwrap_or(u32::MAX);
        let key = ObjectKey(number);
        let record = ObjectRecord {
            key,
            name: object.name.clone(),
            uid: Box::default(),
            generation: 1,
            labels: object.labels.clone(),
            spec: Arc::new(object.spec.clone()),
            created_at: Wall(0),
            changed_at: Wall(0),
            former: Vec::new(),
            conditions: Vec::new(),
            status: Status::Nothing,
            deleted_at: None,
        };
        self.known.objects.insert(key.index(), record);
        let index = Arc::make_mut(&mut self.known.index);
        index.insert((object.spec.kind(), object.name.clone()), key);
    }
}

/// Whether a document lies in another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    Nothing,
    Group,
}

/// Puts the apps of a document below a group, with what they name of each other.
pub(super) fn relocate(document: &mut Value, under: &Name, inside: Inside) {
    let place = |text: &str| match (text.strip_prefix('/'), inside) {
        (Some(""), _) => under.to_string(),
        (Some(bare), _) => format!("{under}/{bare}"),
        (None, Inside::Nothing) => format!("{under}/{text}"),
        // What is relative goes by the group around it, which has moved as a whole.
        (None, Inside::Group) => text.to_owned(),
    };
    if let Some(Value::String(id)) = document.get_mut("id") {
        *id = place(id);
    }
    let lists = document.get_mut("dependencies");
    for name in lists.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::String(text) = name
            && text.starts_with('/')
        {
            *text = place(text);
        }
    }
    for list in ["apps", "groups"] {
        let items = document.get_mut(list).and_then(Value::as_array_mut);
        for item in items.into_iter().flatten() {
            relocate(item, under, Inside::Group);
        }
    }
}

/// Whether something is refused only since it is not built: without it, the rest still has its meaning.
fn is_unbuilt(message: &str) -> bool {
    message.contains("not built")
}

/// What would be applied, or the refusal.
fn send(origin: Origin, document: &Value, known: &Records) -> Result<Vec<Object>, Answer> {
    type Handle = fn(&Request, &World<'_>) -> Outcome;
    let has_parents = document.get("parents").is_some_and(|parents| {
        let list = parents.as_array();
        list.is_some_and(|list| !list.is_empty())
    });
    let (handle, method, path, body): (Handle, _, _, _) = match origin {
        Origin::MarathonApp => (marathon::handle, "PUT", "/v2/apps", json!([document])),
        Origin::MarathonGroup => (marathon::handle, "PUT", "/v2/groups", document.clone()),
        Origin::Metronome => {
            let path = "/v0/scheduled-jobs";
            (metronome::handle, "POST", path, document.clone())
        }
        Origin::Chronos if has_parents => {
            let path = "/v1/scheduler/dependency";
            (chronos::handle, "POST", path, document.clone())
        }
        Origin::Chronos => {
            let path = "/v1/scheduler/iso8601";
            (chronos::handle, "POST", path, document.clone())
        }
        Origin::Native | Origin::Compose | Origin::Kubernetes => {
            let message = format!("{} are no body of a request", origin.words());
            return Err(Answer::message(400, message));
        }
    };
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        body: body.to_string().into_bytes(),
        ..Request::default()
    };
    let cluster = Cluster::default();
    let world = World {
        work: known,
        now: now(),
        cluster: &cluster,
    };
    match handle(&request, &world) {
        Outcome::Call(Call::Apply { objects, .. }, _) => Ok(objects),
        Outcome::Answer(answer) => Err(answer),
        other => Err(Answer::message(
            501,
            format!("what it asks for is no apply: {other:?}"),
        )),
    }
}

fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanoseconds = since.map_or(0, |since| since.as_nanos());
    Wall(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

/// As it would have been written here: of an app without the document, and without ports that were only picked.
fn plain(mut object: Object, document: &Value) -> Object {
    if let Spec::Service(service) = &mut object.spec {
        let kept = |key: &String| !key.starts_with("marathon/");
        service.annotations.retain(|key, _| kept(key));
        let ports = service.template.containers.iter_mut();
        for port in ports.flat_map(|container| &mut container.ports) {
            let was_picked = |number: &u16| !mentions(document, u64::from(*number));
            if port.service_port.as_ref().is_some_and(was_picked) {
                port.service_port = None;
            }
        }
    }
    object.generation = None;
    object
}

/// Whether a number stands somewhere in a document.
fn mentions(value: &Value, number: u64) -> bool {
    match value {
        Value::Number(own) => own.as_u64() == Some(number),
        Value::Array(items) => items.iter().any(|item| mentions(item, number)),
        Value::Object(members) => members.values().any(|member| mentions(member, number)),
        _ => false,
    }
}

/// All that a refusal says is wrong.
fn faults(answer: &Answer) -> Vec<Fault> {
    let Body::Json(body) = &answer.body else {
        return vec![Fault::new("", format!("status {}", answer.status))];
    };
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let details = body.get("details").and_then(Value::as_array);
    let mut faults = Vec::new();
    for detail in details.into_iter().flatten() {
        let path = detail.get("path").map(text).unwrap_or_default();
        let errors = detail.get("errors").and_then(Value::as_array);
        for error in errors.into_iter().flatten() {
            faults.push(Fault::new(path.clone(), text(error)));
        }
    }
    if faults.is_empty() {
        // Chronos tells all faults in one line.
        let message = body.get("message").map(text).unwrap_or_default();
        let parts = message.split("; ").map(|part| match part.split_once(": ") {
            Some((path, rest)) if path.starts_with('/') => Fault::new(path, rest),
            _ => Fault::new("", part),
        });
        faults.extend(parts);
    }
    faults
}

/// Takes what a path names out of a document, or out of the apps of a group; the id of what it was in.
fn remove(document: &mut Value, path: &str) -> Option<String> {
    let own = |document: &Value| {
        let id = document.get("id").or_else(|| document.get("name"));
        id.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (above, key) = path.rsplit_once('/')?;
    let taken = match document.pointer_mut(above) {
        Some(Value::Object(members)) => members.remove(key).is_some(),
        Some(Value::Array(items)) => {
            let place = key.parse().ok().filter(|place| *place < items.len());
            place.map(|place: usize| items.remove(place)).is_some()
        }
        _ => false,
    };
    if taken {
        return Some(own(document));
    }
    for list in ["apps", "groups"] {
        let items = document.get_mut(list).and_then(Value::as_array_mut);
        for item in items.into_iter().flatten() {
            if let Some(id) = remove(item, path) {
                return Some(id);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_moved_with_what_its_apps_name() {
        let under = Name::new("/new").expect("a name");
        let mut group = json!({ "id": "/shop", "apps": [
            { "id": "web", "dependencies": ["/shop/db", "../cache"] },
            { "id": "/shop/db" },
        ] });
        relocate(&mut group, &under, Inside::Nothing);
        let expected = json!({ "id": "/new/shop", "apps": [
            { "id": "web", "dependencies": ["/new/shop/db", "../cache"] },
            { "id": "/new/shop/db" },
        ] });
        assert_eq!(group, expected);
    }
}
