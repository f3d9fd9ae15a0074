//! Documents that are bodies of requests to APIs of other systems: they are handed to what answers these APIs here, for a
//! cluster without any objects, and become what it would have applied.

use mezz_convert::Dropped;
use mezz_core::time::Wall;
use mezz_facade::world::Cluster;
use mezz_facade::{Answer, Body, Outcome, Request, World};
use mezz_spec::cron::Target;
use mezz_spec::{Fault, Name, Object, Spec};
use mezz_workload::call::Call;
use mezz_workload::records::Records;
use serde_json::{Value, json};

use super::foreign::Origin;

/// Members of one document that may be dropped, at most.
const DROPPED: usize = 100;

/// The objects of one document, and what was left out of it since it is not built.
pub(super) fn objects(
    origin: Origin,
    mut document: Value,
) -> Result<(Vec<Object>, Vec<Dropped>), Vec<Fault>> {
    let mut dropped = Vec::new();
    for fault in unknown_members(origin, &document) {
        leave_out(&mut document, fault.path, fault.message, &mut dropped);
    }
    loop {
        let faults = match read(origin, &document) {
            Ok(objects) => {
                let objects = objects.into_iter();
                let objects = objects.map(|object| plain(object, &document)).collect();
                return Ok((objects, dropped));
            }
            Err(faults) => faults,
        };
        let before = dropped.len();
        for fault in faults.iter().filter(|fault| is_unbuilt(&fault.message)) {
            let (path, why) = (fault.path.clone(), fault.message.clone());
            leave_out(&mut document, path, why, &mut dropped);
        }
        if dropped.len() == before || dropped.len() > DROPPED {
            return Err(faults);
        }
    }
}

fn leave_out(document: &mut Value, path: String, why: String, dropped: &mut Vec<Dropped>) {
    if let Some(object) = remove(document, &path) {
        dropped.push(Dropped { object, path, why });
    }
}

/// What the other system would drop without a word.
fn unknown_members(origin: Origin, document: &Value) -> Vec<mezz_facade::reading::Fault> {
    match origin {
        Origin::MarathonApp => mezz_facade::marathon::unknown_members(document),
        Origin::Chronos => mezz_facade::chronos::unknown_members(document.clone()),
        Origin::MarathonGroup => {
            let list = |key| document.get(key).and_then(Value::as_array).into_iter();
            let apps = list("apps").flatten();
            let apps = apps.flat_map(mezz_facade::marathon::unknown_members);
            let groups = list("groups").flatten();
            let below = groups.flat_map(|group| unknown_members(origin, group));
            let own = mezz_facade::marathon::unknown_members_of_group(document);
            own.into_iter().chain(apps).chain(below).collect()
        }
        Origin::Metronome => mezz_facade::metronome::unknown_members(document.clone()),
        _ => Vec::new(),
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

/// What a document means, or what is wrong with it.
fn read(origin: Origin, document: &Value) -> Result<Vec<Object>, Vec<Fault>> {
    let told = |faults: Vec<mezz_facade::reading::Fault>| {
        let fault = |one: mezz_facade::reading::Fault| Fault::new(one.path, one.message);
        faults.into_iter().map(fault).collect()
    };
    match origin {
        Origin::Metronome => mezz_facade::metronome::converted(document.clone()).map_err(told),
        Origin::Chronos => mezz_facade::chronos::converted(document.clone()).map_err(told),
        _ => send(origin, document).map_err(|answer| faults(&answer)),
    }
}

/// Puts a job or cron below a group, with the jobs that it names.
pub(super) fn move_below(object: &mut Object, under: &Name) -> Result<(), Fault> {
    let below = |name: &Name| {
        Name::new(&format!("{under}{name}")).map_err(|error| Fault::new("/name", error.to_string()))
    };
    object.name = below(&object.name)?;
    match &mut object.spec {
        Spec::Job(job) => {
            for name in job.after.iter_mut().flat_map(|after| &mut after.jobs) {
                *name = below(name)?;
            }
        }
        Spec::Cron(cron) => {
            if let Target::JobRef(reference) = &mut cron.run {
                reference.name = below(&reference.name)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// What would be applied, or the refusal.
fn send(origin: Origin, document: &Value) -> Result<Vec<Object>, Answer> {
    let (path, body) = match origin {
        Origin::MarathonApp => ("/v2/apps", json!([document])),
        Origin::MarathonGroup => ("/v2/groups", document.clone()),
        other => {
            let message = format!("{} cannot be read yet", other.words());
            return Err(Answer::message(501, message));
        }
    };
    let request = Request {
        method: "PUT".to_owned(),
        path: path.to_owned(),
        body: body.to_string().into_bytes(),
        ..Request::default()
    };
    let (work, cluster) = (Records::default(), Cluster::default());
    let world = World {
        work: &work,
        now: Wall(0),
        cluster: &cluster,
    };
    match mezz_facade::marathon::handle(&request, &world) {
        Outcome::Call(Call::Apply { objects, .. } | Call::Replace { objects, .. }, _) => {
            Ok(objects)
        }
        Outcome::Answer(answer) => Err(answer),
        other => Err(Answer::message(
            501,
            format!("what it asks for is no apply: {other:?}"),
        )),
    }
}

/// As it would have been written here: of an app without the document, which the API keeps beside it, and without ports
/// of the cluster that were only picked.
fn plain(mut object: Object, document: &Value) -> Object {
    if let Spec::Service(service) = &mut object.spec {
        let kept = |key: &String| !key.starts_with("marathon/");
        service.annotations.retain(|key, _| kept(key));
        let containers = service.template.containers.iter_mut();
        for port in containers.flat_map(|container| &mut container.ports) {
            port.service_port = port.service_port.filter(|port| mentions(document, *port));
        }
    }
    object.generation = None;
    object
}

/// Whether a number stands somewhere in a document.
fn mentions(value: &Value, number: u16) -> bool {
    match value {
        Value::Number(own) => own.as_u64() == Some(u64::from(number)),
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
        let message = body.get("message").map(text).unwrap_or_default();
        faults.push(Fault::new("", message));
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
    fn members_that_nobody_knows_are_left_out_and_told() {
        let app = json!({ "id": "/a", "cmd": "true", "reviewed-by-us": "us" });
        let group = json!({ "id": "/", "groups": [{ "id": "g", "apps": [app.clone()] }] });
        let job = json!({ "name": "a", "command": "true", "schedule": "R//PT1H", "reviewed-by-us": "us" });
        for (origin, document) in [
            (Origin::MarathonApp, app),
            (Origin::MarathonGroup, group),
            (Origin::Chronos, job),
        ] {
            let (_, dropped) = objects(origin, document).expect("objects");
            let told: Vec<&str> = dropped.iter().map(|one| one.path.as_str()).collect();
            assert_eq!(told, ["/reviewed-by-us"], "{origin:?}");
        }
    }

    #[test]
    fn members_of_groups_and_of_schedules_that_nobody_knows_are_left_out_and_told() {
        let app = json!({ "id": "a", "cmd": "true", "reviewed-by-us": "us" });
        let inner = json!({ "id": "g", "apps": [app], "reviewed-by-us": 1 });
        let outer = json!({ "id": "/", "reviewed-by-us": {}, "groups": [inner] });
        let (_, dropped) = objects(Origin::MarathonGroup, outer).expect("objects");
        let told: Vec<&str> = dropped.iter().map(|one| one.object.as_str()).collect();
        assert_eq!(told, ["/", "g", "a"]);
        assert!(dropped.iter().all(|one| one.path == "/reviewed-by-us"));

        let schedule = json!({ "id": "s", "cron": "0 3 * * *", "reviewed-by-us": "us" });
        let job = json!({ "id": "a", "run": { "cmd": "true" }, "schedules": [schedule] });
        let (read, dropped) = objects(Origin::Metronome, job).expect("a job and a cron");
        assert_eq!(read.len(), 2);
        assert_eq!(
            (dropped[0].object.as_str(), dropped[0].path.as_str()),
            ("a", "/schedules/0/reviewed-by-us")
        );
    }

    #[test]
    fn jobs_of_chronos_and_metronome_are_read_and_moved_with_what_they_name() {
        let dependent = json!({ "name": "b", "command": "true", "parents": ["a"], "mailTo": null });
        let (mut read, dropped) = objects(Origin::Chronos, dependent).expect("a job");
        assert_eq!((read.len(), dropped.len()), (1, 0));
        move_below(&mut read[0], &Name::new("/new").expect("a name")).expect("a name");
        let value = read[0].to_sparse();
        assert_eq!(value["name"], "/new/b");
        assert_eq!(value["spec"]["after"]["jobs"], json!(["/new/a"]));
        assert_eq!(value["spec"]["annotations"], Value::Null);

        let hourly = json!({ "name": "a", "command": "true", "schedule": "R//PT1H" });
        let (read, _) = objects(Origin::Chronos, hourly).expect("a job and a cron");
        assert_eq!(read[1].to_sparse()["spec"]["schedules"], json!(["R//PT1H"]));

        let nightly = json!({
            "id": "team.report",
            "run": { "cmd": "true", "docker": { "image": "busybox" } },
            "schedules": [{ "id": "nightly", "cron": "0 3 * * *" }],
        });
        let (read, dropped) = objects(Origin::Metronome, nightly).expect("a job and a cron");
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].name.as_str(), "/team/report");
        assert_eq!(dropped[0].path, "/run/docker");
    }

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
