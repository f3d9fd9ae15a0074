//! Groups, deployments, queue and events of Marathon as clients see them, over a view of our making.
#![allow(clippy::unwrap_used)]

mod views;

use std::sync::Arc;

use mezz_facade::marathon::events::{Attendance, EventFilter, Feed};
use mezz_facade::world::Cluster;
use mezz_facade::{Outcome, World};
use mezz_spec::{Kind, Name, Spec};
use mezz_state::time::Wall;
use mezz_workload::call::{Call, Reply};
use mezz_workload::fact::Fact;
use mezz_workload::key::{ObjectKey, RolloutKey};
use mezz_workload::placing::{Lack, NoPlace, NoPlaces};
use mezz_workload::records::{
    Former, ObjectRecord, Records, RolloutRecord, RolloutState, ServiceStatus, Status,
};
use serde_json::{Value, json};
use views::{NOW, answer, applied, ask, request, with};

const FIRST: &str = "1970-01-01T00:00:01.000Z";
const SECOND: &str = "1970-01-01T00:00:01.500Z";

/// A group of two apps, of which one was changed since.
fn group() -> Records {
    let body = json!({ "id": "/g", "apps": [
        { "id": "db", "cmd": "one", "dependencies": [] },
        { "id": "web", "cmd": "x", "dependencies": ["db"] },
    ] });
    let (objects, _) = applied(ask(
        &Records::default(),
        &request("POST", "/v2/groups", body),
    ));
    let mut work = with(objects);
    let changed = json!({ "cmd": "two" });
    let (objects, _) = applied(ask(&work, &request("PUT", "/v2/apps/g/db", changed)));
    change(&mut work, "/g/db", |record| {
        record.former = vec![Former {
            generation: 1,
            changed_at: record.changed_at,
            spec: record.spec.clone(),
        }];
        record.generation = 2;
        record.changed_at = Wall(1_500_000_000);
        record.spec = Arc::new(objects[0].spec.clone());
    });
    work
}

fn key(work: &Records, path: &str) -> ObjectKey {
    work.index[&(Kind::Service, Name::new(path).unwrap())]
}

fn change(work: &mut Records, path: &str, by: impl FnOnce(&mut ObjectRecord)) {
    let key = key(work, path);
    let mut record = (**work.objects.get(key.index()).unwrap()).clone();
    by(&mut record);
    work.objects.insert(key.index(), record);
}

fn get(work: &Records, path: &str) -> (u16, Value) {
    answer(ask(work, &request("GET", path, Value::Null)))
}

#[test]
fn a_group_is_shown_as_it_was_and_goes_back_to_it() {
    let work = group();
    let (_, versions) = get(&work, "/v2/groups/g/versions");
    assert_eq!(versions, json!([SECOND, FIRST]));
    let (_, then) = get(&work, &format!("/v2/groups/g/versions/{FIRST}"));
    assert_eq!(then["apps"][0]["cmd"], "one");
    assert_eq!(then["apps"][1]["dependencies"], json!(["/g/db"]));
    let (status, _) = get(&work, "/v2/groups/g/versions/2020-01-01T00:00:00.000Z");
    assert_eq!(status, 404);
    // In a body, as Marathon has it, and in the path without one, as a client sends it.
    for back in [
        request("PUT", "/v2/groups/g", json!({ "version": FIRST })),
        request(
            "PUT",
            &format!("/v2/groups/g/versions/{FIRST}"),
            Value::Null,
        ),
    ] {
        let (objects, _) = applied(ask(&work, &back));
        let db = objects
            .iter()
            .find(|object| object.name.as_str() == "/g/db");
        let Some(Spec::Service(db)) = db.map(|object| &object.spec) else {
            panic!("the app is among them");
        };
        assert!(db.annotations["marathon/app"].contains("one"));
    }
}

#[test]
fn a_group_shows_only_what_is_embedded() {
    let work = group();
    let (_, whole) = get(&work, "/v2/groups/g");
    assert_eq!(whole["apps"].as_array().unwrap().len(), 2);
    let (_, bare) = get(&work, "/v2/groups/g?embed=group.groups");
    assert!(bare.get("apps").is_none() && bare.get("groups").is_some());
}

#[test]
fn a_group_without_an_app_ends_it_in_the_same_change() {
    let work = group();
    let put = request(
        "PUT",
        "/v2/groups/g",
        json!({ "apps": [{ "id": "db", "cmd": "two" }] }),
    );
    let Outcome::Call(Call::Replace { objects, ends, .. }, _) = ask(&work, &put) else {
        panic!("a change of a group is one call");
    };
    assert_eq!(ends, [Name::new("/g/web").unwrap()]);
    assert!(
        objects
            .iter()
            .all(|object| object.name.as_str() != "/g/web")
    );
}

#[test]
fn the_queue_says_what_agents_lack_in_marathons_order() {
    let mut work = group();
    change(&mut work, "/g/web", |record| {
        record.status = Status::Service(ServiceStatus {
            wanted: 2,
            ..ServiceStatus::default()
        });
    });
    let asked = request("GET", "/v2/queue?embed=lastUnusedOffers", Value::Null);
    let Outcome::NoPlaces(services, then) = ask(&work, &asked) else {
        panic!("the ledger is asked");
    };
    assert_eq!(services, [Name::new("/g/web").unwrap()]);
    let places = NoPlaces {
        agents: 8,
        counts: vec![(Lack::Rule, 5), (Lack::Mem, 3)],
        examples: vec![NoPlace {
            agent: "S1".into(),
            hostname: "h1".into(),
            lack: Lack::Mem,
            reason: "1 agent lacks mem:64".into(),
        }],
    };
    let cluster = Cluster::default();
    let world = World {
        work: &work,
        now: NOW,
        cluster: &cluster,
    };
    let (_, queue) = answer(then(vec![places], &world));
    let item = &queue["queue"][0];
    assert_eq!(item["count"], 2);
    assert_eq!(item["processedOffersSummary"]["unusedOffersCount"], 8);
    let rejects = item["processedOffersSummary"]["rejectSummaryLastOffers"]
        .as_array()
        .unwrap();
    let told = |reason: &str| {
        let found = rejects.iter().find(|one| one["reason"] == reason).unwrap();
        (found["declined"].clone(), found["processed"].clone())
    };
    assert_eq!(told("UnfulfilledConstraint"), (json!(5), json!(8)));
    assert_eq!(told("InsufficientMemory"), (json!(3), json!(3)));
    assert_eq!(
        item["lastUnusedOffers"][0]["reason"],
        json!(["InsufficientMemory"])
    );
}

fn roll(work: &mut Records, number: u32, path: &str, state: RolloutState) -> RolloutKey {
    let record = RolloutRecord {
        key: RolloutKey(number),
        id: format!("r{number}").into(),
        object: key(work, path),
        number: 1,
        from: None,
        to: 1,
        state,
        step: 0,
        pause: None,
        moved_at: None,
        started_at: Wall(1_000_000_000),
        progressed_at: Wall(1_000_000_000),
        ended_at: None,
        new_ready: 0,
        old_left: 0,
        wanted: 1,
        failures: 0,
        message: Box::default(),
    };
    work.rollouts.insert(RolloutKey(number).index(), record);
    RolloutKey(number)
}

#[test]
fn what_one_request_began_is_one_deployment_announced_and_ended_once() {
    let mut work = group();
    let cluster = Cluster::default();
    let kinds = |feed: &mut Feed, work: &Records, fact: &Fact| -> Vec<&'static str> {
        let world = World {
            work,
            now: NOW,
            cluster: &cluster,
        };
        let events = feed.of_fact(fact, &world, NOW);
        events.into_iter().map(|(kind, _)| kind).collect()
    };
    let world = World {
        work: &work,
        now: NOW,
        cluster: &cluster,
    };
    let mut feed = Feed::new(EventFilter::default(), &world);
    let db = roll(&mut work, 0, "/g/db", RolloutState::Rolling);
    let web = roll(&mut work, 1, "/g/web", RolloutState::Rolling);
    let (_, deployments) = get(&work, "/v2/deployments");
    assert_eq!(deployments.as_array().unwrap().len(), 1);
    assert_eq!(deployments[0]["affectedApps"], json!(["/g/db", "/g/web"]));
    let started = |rollout| Fact::RolloutStarted { rollout };
    let ended = |rollout| Fact::RolloutEnded { rollout };
    assert_eq!(kinds(&mut feed, &work, &started(db)), ["deployment_info"]);
    assert!(kinds(&mut feed, &work, &started(web)).is_empty());
    roll(&mut work, 0, "/g/db", RolloutState::Succeeded);
    assert!(kinds(&mut feed, &work, &ended(db)).is_empty());
    roll(&mut work, 1, "/g/web", RolloutState::Succeeded);
    assert_eq!(
        kinds(&mut feed, &work, &ended(web)),
        [
            "deployment_step_success",
            "deployment_success",
            "group_change_success"
        ]
    );
}

#[test]
fn a_deployment_is_taken_back_as_a_whole() {
    let mut work = group();
    roll(&mut work, 0, "/g/db", RolloutState::Rolling);
    roll(&mut work, 1, "/g/web", RolloutState::Rolling);
    let mut of_db = (**work.rollouts.get(0).unwrap()).clone();
    of_db.from = Some(1);
    work.rollouts.insert(0, of_db);
    let (_, deployments) = get(&work, "/v2/deployments");
    let id = deployments[0]["id"].as_str().unwrap();
    let cancel = request("DELETE", &format!("/v2/deployments/{id}"), Value::Null);
    let Outcome::Call(Call::Replace { objects, ends, .. }, then) = ask(&work, &cancel) else {
        panic!("it is one call");
    };
    assert_eq!(ends, [Name::new("/g/web").unwrap()]);
    assert_eq!(objects[0].name.as_str(), "/g/db");
    let cluster = Cluster::default();
    let world = World {
        work: &work,
        now: NOW,
        cluster: &cluster,
    };
    let (status, body) = answer(then(&Reply::Applied(Vec::new()), &world));
    assert_eq!(status, 200);
    assert!(body["deploymentId"].is_string());
}

#[test]
fn a_reader_is_told_of_others_and_gets_only_what_it_wants() {
    let work = Records::default();
    let cluster = Cluster::default();
    let world = World {
        work: &work,
        now: NOW,
        cluster: &cluster,
    };
    let came = Attendance::Came {
        client: "10.0.0.1".into(),
    };
    let all = Feed::new(EventFilter::default(), &world);
    let events = all.of_attendance(&came, NOW);
    assert_eq!(events[0].0, "event_stream_attached");
    assert_eq!(events[0].1["remoteAddress"], "10.0.0.1");
    let wanted = ["deployment_info".to_owned()];
    let some = Feed::new(EventFilter::new(wanted.into_iter()), &world);
    assert!(some.of_attendance(&came, NOW).is_empty());
}

#[test]
fn what_is_not_there_answers_with_its_name() {
    let none = Records::default();
    for (method, path, status) in [
        ("GET", "/v2/pods", 200),
        ("GET", "/v2/pods/::status", 200),
        ("GET", "/v2/pods/a::status", 404),
        ("POST", "/v2/pods", 405),
        ("GET", "/v2/eventSubscriptions", 404),
        ("GET", "/v2/plugins", 200),
        ("POST", "/logging", 501),
        ("GET", "/help", 200),
        ("GET", "/v2/nothing", 404),
        ("POST", "/v2/info", 405),
        ("DELETE", "/v2/leader", 409),
    ] {
        let (told, _) = answer(ask(&none, &request(method, path, Value::Null)));
        assert_eq!(told, status, "{method} {path}");
    }
}

#[test]
fn constraints_come_as_lists_and_as_objects() {
    let app = json!({ "id": "/a", "cmd": "x", "constraints": [
        ["hostname", "UNIQUE"],
        { "fieldName": "rack", "operator": "MAX_PER", "value": "2" },
    ] });
    let (objects, _) = applied(ask(&Records::default(), &request("POST", "/v2/apps", app)));
    let Spec::Service(service) = &objects[0].spec else {
        panic!("an app is a service");
    };
    let most: Vec<_> = service
        .placement
        .spread
        .iter()
        .map(|one| one.max_per)
        .collect();
    assert_eq!(most, [Some(1), Some(2)]);
}
