//! What Marathon's API answers of an app can be put back, and nothing changes.
#![allow(clippy::unwrap_used)]

mod views;

use mezz_spec::Spec;
use mezz_workload::records::Records;
use serde_json::{Value, json};
use views::{answer, applied, ask, post, request};

fn apps() -> Vec<Value> {
    vec![
        json!({ "id": "/a", "cmd": "x" }),
        json!({ "id": "/a", "args": ["x", "y"], "ports": [0, 8080], "requirePorts": true, "uris": ["http://h/f"] }),
        json!({ "id": "/a", "cmd": "x", "ports": [], "instances": 0, "unreachableStrategy": "disabled" }),
        json!({
            "id": "/g/a", "cmd": "x", "cpus": 0.25, "mem": 33.5, "disk": 1, "gpus": 0, "user": "u", "role": "g",
            "env": { "A": "b", "N": 1, "S": { "secret": "s" } }, "secrets": { "s": { "source": "/g/s" } },
            "labels": { "HAPROXY_0_VHOST": "h" }, "dependencies": ["../b", "c"],
            "fetch": [{ "uri": "http://h/f", "extract": false, "executable": true, "cache": true, "destPath": "d" }],
            "constraints": [["hostname", "UNIQUE"], ["rack", "GROUP_BY"], ["@zone", "IS", "z"], ["a", "UNLIKE", "b.*"]],
            "portDefinitions": [{ "port": 0, "name": "http", "protocol": "udp,tcp", "labels": { "VIP_0": "/a:80" } }],
            "healthChecks": [{ "protocol": "MESOS_HTTP", "path": "/up", "portIndex": 0, "gracePeriodSeconds": 1.5 }],
            "readinessChecks": [{ "portName": "http", "httpStatusCodesForReady": [200, 302] }],
            "upgradeStrategy": { "minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.25 },
            "unreachableStrategy": { "inactiveAfterSeconds": 5, "expungeAfterSeconds": 10 },
            "killSelection": "OLDEST_FIRST", "backoffSeconds": 2, "backoffFactor": 2, "maxLaunchDelaySeconds": 60,
            "taskKillGracePeriodSeconds": 7, "resourceLimits": { "cpus": "unlimited", "mem": 64 },
            "container": { "type": "MESOS", "volumes": [{ "containerPath": "p", "secret": "s" }] },
            "networks": [{ "mode": "host" }], "acceptedResourceRoles": ["*"],
        }),
    ]
}

fn service(work: &Records) -> Value {
    let (_, record) = work.objects.iter().next().unwrap();
    let Spec::Service(service) = &*record.spec else {
        panic!("an app is a service");
    };
    without_notes(service)
}

fn without_notes(service: &mezz_spec::service::Service) -> Value {
    let mut service = service.clone();
    service.annotations.clear();
    serde_json::to_value(service).unwrap()
}

#[test]
fn what_is_answered_of_an_app_can_be_put_back_and_changes_nothing() {
    for app in apps() {
        let id = app["id"].as_str().unwrap().to_owned();
        let work = post(app.clone());
        for embed in [
            "",
            "?embed=app.tasks&embed=app.taskStats&embed=app.readiness",
        ] {
            let get = request("GET", &format!("/v2/apps{id}{embed}"), Value::Null);
            let (status, shown) = answer(ask(&work, &get));
            assert_eq!(status, 200);
            for partial in ["", "?partialUpdate=false"] {
                let put = request(
                    "PUT",
                    &format!("/v2/apps{id}{partial}"),
                    shown["app"].clone(),
                );
                let (objects, _) = applied(ask(&work, &put));
                let Spec::Service(again) = &objects[0].spec else {
                    panic!("an app is a service");
                };
                assert_eq!(without_notes(again), service(&work), "{app}");
            }
        }
    }
}

#[test]
fn a_service_that_was_written_otherwise_is_an_app_that_can_be_put_back() {
    for app in apps() {
        let id = app["id"].as_str().unwrap().to_owned();
        let mut work = post(app.clone());
        let (_, record) = work.objects.iter().next().unwrap();
        let mut record = (**record).clone();
        let Spec::Service(own) = &*record.spec else {
            panic!("an app is a service");
        };
        let mut own = own.clone();
        own.annotations.clear();
        record.spec = std::sync::Arc::new(Spec::Service(own));
        work.objects.insert(record.key.index(), record);
        let get = request("GET", &format!("/v2/apps{id}"), Value::Null);
        let (_, shown) = answer(ask(&work, &get));
        let put = request(
            "PUT",
            &format!("/v2/apps{id}?partialUpdate=false"),
            shown["app"].clone(),
        );
        let (objects, _) = applied(ask(&work, &put));
        let Spec::Service(again) = &objects[0].spec else {
            panic!("an app is a service");
        };
        let (again, before) = (without_notes(again), service(&work));
        for part in ["replicas", "placement", "restart", "unreachable", "after"] {
            assert_eq!(again[part], before[part], "{part} of {app}");
        }
    }
}
