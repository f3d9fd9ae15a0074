//! Marathon's API as its clients see it, over a view of our making.

mod views;

use mezz_facade::world::Cluster;
use mezz_facade::{Body, Outcome, World};
use mezz_spec::placement::Key;
use mezz_spec::{Kind, Spec};
use mezz_state::time::Wall;
use mezz_workload::call::{Conflict, Refusal, Reply};
use mezz_workload::records::Records;
use serde_json::{Value, json};
use views::{answer, applied, ask, post, request};

#[test]
fn an_app_is_answered_as_it_was_given() {
    let given = json!({
        "id": "/team/web",
        "cmd": "serve",
        "instances": 3,
        "labels": { "HAPROXY_GROUP": "external" },
        "constraints": [["hostname", "UNIQUE"], ["rack", "GROUP_BY", "3"]],
        "healthChecks": [{ "protocol": "HTTP", "path": "/up", "portIndex": 0 }],
        "upgradeStrategy": { "minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.2 },
        "portDefinitions": [{ "port": 0, "name": "http" }],
    });
    let work = post(given.clone());
    let (status, body) = answer(ask(
        &work,
        &request("GET", "/v2/apps//team/web", Value::Null),
    ));
    assert_eq!(status, 200);
    for key in [
        "id",
        "cmd",
        "instances",
        "labels",
        "constraints",
        "upgradeStrategy",
    ] {
        assert_eq!(body["app"][key], given[key], "{key}");
    }
    assert_eq!(body["app"]["portDefinitions"][0]["port"], 10_000);
    // Strict clients fail on members that they do not know.
    for key in [
        "tty",
        "check",
        "executorResources",
        "resourceLimits",
        "tasksStats",
    ] {
        assert!(body["app"].get(key).is_none(), "{key}");
    }
}

#[test]
fn checks_and_ports_are_answered_with_their_defaults() {
    let work = post(json!({
        "id": "/web",
        "cmd": "serve",
        "portDefinitions": [{ "name": "http" }],
        "healthChecks": [{ "path": "/up", "timeoutSeconds": 5 }],
    }));
    let (_, body) = answer(ask(&work, &request("GET", "/v2/apps//web", Value::Null)));
    let checks = json!([{
        "protocol": "HTTP", "path": "/up", "portIndex": 0, "ipProtocol": "IPv4", "gracePeriodSeconds": 300,
        "intervalSeconds": 60, "maxConsecutiveFailures": 3, "timeoutSeconds": 5, "delaySeconds": 15,
    }]);
    assert_eq!(body["app"]["healthChecks"], checks);
    assert_eq!(body["app"]["portDefinitions"][0]["protocol"], "tcp");
}

#[test]
fn an_app_becomes_a_service_with_the_same_meaning() {
    let work = post(json!({
        "id": "web", "args": ["/bin/serve", "-v"], "cpus": 0.5, "mem": 64,
        "constraints": [["@zone", "CLUSTER", "z1"], ["hostname", "MAX_PER", "2"]],
        "healthChecks": [{ "protocol": "MESOS_TCP", "maxConsecutiveFailures": 0 }],
        "dependencies": ["/db"],
    }));
    let key = work.index.values().next().unwrap();
    let record = work.objects.get(key.index()).unwrap();
    let Spec::Service(service) = &*record.spec else {
        panic!("an app is a service");
    };
    let container = &service.template.containers[0];
    assert_eq!(container.resources.cpus.0, 500);
    assert_eq!(container.checks.health()[0].failures, 1);
    assert_eq!(service.placement.require[0].key, Key::Zone);
    assert_eq!(service.placement.spread[0].max_per, Some(2));
    assert_eq!(service.after[0].as_str(), "/db");
}

#[test]
fn a_put_changes_only_what_it_names_and_keeps_service_ports() {
    let work = post(json!({ "id": "/a", "cmd": "x", "mem": 64, "labels": { "k": "v" } }));
    let put = request("PUT", "/v2/apps//a?force=True", json!({ "instances": 2 }));
    let (objects, conflict) = applied(ask(&work, &put));
    assert_eq!(conflict, Conflict::Supersede);
    let before = work.objects.iter().next().unwrap().1;
    let (Spec::Service(old), Spec::Service(new)) = (&*before.spec, &objects[0].spec) else {
        panic!("apps are services");
    };
    assert_eq!(old.template, new.template);
    assert_eq!(objects[0].labels["k"], "v");
}

#[test]
fn members_that_marathon_does_not_know_are_dropped() {
    let none = Records::default();
    let body = json!({ "id": "/a", "cmd": "x", "x-owner": "us", "portDefinitions": [{ "comment": "the web" }] });
    let Outcome::Call(..) = ask(&none, &request("POST", "/v2/apps", body)) else {
        panic!("no call");
    };
}

#[test]
fn what_is_wrong_is_told_with_its_path() {
    let none = Records::default();
    for (body, path) in [
        (json!({ "id": "/a", "cmd": "x", "cpus": "many" }), "/cpus"),
        (
            json!({ "id": "/a", "cmd": "x", "instanses": 2 }),
            "/instanses",
        ),
        (
            json!({ "id": "/a", "cmd": "x", "constraints": [["h", "NEAR"]] }),
            "/constraints/0",
        ),
        (
            json!({ "id": "/a", "cmd": "x", "container": { "type": "DOCKER", "docker": { "image": "i" } } }),
            "/container/type",
        ),
        (json!({ "id": "/A_b", "cmd": "x" }), "/id"),
        (json!({ "id": "/a" }), "/cmd"),
    ] {
        let (status, told) = answer(ask(&none, &request("POST", "/v2/apps", body)));
        assert_eq!(
            (status, &told["message"]),
            (422, &json!("Object is not valid"))
        );
        assert_eq!(told["details"][0]["path"], path);
    }
    let mut broken = request("POST", "/v2/apps", Value::Null);
    broken.body = b"{".to_vec();
    let (status, told) = answer(ask(&none, &broken));
    assert_eq!((status, &told["message"]), (400, &json!("Invalid JSON")));
}

#[test]
fn a_second_app_of_the_same_id_and_a_locked_app_are_409() {
    let work = post(json!({ "id": "/a", "cmd": "x" }));
    let again = request("POST", "/v2/apps", json!({ "id": "/a", "cmd": "y" }));
    assert_eq!(answer(ask(&work, &again)).0, 409);

    let put = request("PUT", "/v2/apps/a", json!({ "cmd": "y" }));
    let Outcome::Call(_, then) = ask(&work, &put) else {
        panic!("a change is a call");
    };
    let cluster = Cluster::default();
    let world = World {
        work: &work,
        now: Wall(0),
        cluster: &cluster,
    };
    let locked = Reply::Refused(Refusal::Conflict {
        message: "a rollout is in progress".into(),
        rollouts: vec!["r1".into()],
    });
    let (status, body) = answer(then(&locked, &world));
    assert_eq!(status, 409);
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .starts_with("App is locked by one or more deployments.")
    );
    assert_eq!(body["deployments"], json!([{ "id": "r1" }]));
}

#[test]
fn ping_is_answered_in_all_three_forms() {
    let none = Records::default();
    let mut ping = request("GET", "/ping", Value::Null);
    assert_eq!(answer(ask(&none, &ping)), (200, json!("pong")));
    ping.accept = Some("application/json".into());
    let Outcome::Answer(quoted) = ask(&none, &ping) else {
        panic!("a ping is answered");
    };
    assert_eq!(quoted.body, Body::Json("pong".into()));
    ping.accept = Some("image/png".into());
    assert_eq!(answer(ask(&none, &ping)).0, 204);
}

#[test]
fn a_group_is_one_change_and_drops_what_it_no_longer_names() {
    let work = post(json!({ "id": "/g/old", "cmd": "x" }));
    let body = json!({ "id": "/g", "apps": [{ "id": "web", "cmd": "y" }], "groups": [
        { "id": "db", "apps": [{ "id": "main", "cmd": "z" }] },
    ] });
    let (objects, _) = applied(ask(&work, &request("PUT", "/v2/groups", body.clone())));
    let names: Vec<_> = objects
        .iter()
        .filter(|object| object.spec.kind() == Kind::Service)
        .map(|object| object.name.as_str())
        .collect();
    assert_eq!(names, ["/g/web", "/g/db/main"]);
    let dry = request("PUT", "/v2/groups/g?dryRun=True", body);
    let (_, steps) = answer(ask(&work, &dry));
    let last = steps["steps"][0]["actions"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        last,
        json!({ "action": "StopApplication", "app": "/g/old" })
    );
}
