//! What happens to services when the configs and secrets change that they were given.
#![allow(clippy::unwrap_used)]

mod kernel;

use kernel::{Kernel, object, service};
use mezz_spec::Kind;
use mezz_workload::records::RolloutState;
use serde_json::{Value, json};

fn web(policy: &str) -> Value {
    let env = json!({ "LEVEL": { "config": { "name": "/settings", "key": "level" } },
                      "PASSWORD": { "secret": { "name": "/db" } } });
    json!({ "replicas": 2, "on_material_change": policy, "template": { "containers": [ { "env": env } ] } })
}

fn config(kernel: &mut Kernel, level: &str, other: &str) {
    let spec = json!({ "data": { "level": level, "other": other } });
    kernel.apply(object(Kind::Config, "/settings", spec));
}

fn secret(kernel: &mut Kernel, digest: &str) {
    let spec = json!({ "data": { "password": null }, "digest": digest });
    kernel.apply(object(Kind::Secret, "/db", spec));
}

#[test]
fn a_service_that_asks_for_it_is_rolled_when_what_it_was_given_changes() {
    let mut kernel = Kernel::new(2);
    kernel.apply(service("/web", "serve", web("restart")));
    assert!(kernel.ids("/web").is_empty());
    config(&mut kernel, "low", "a");
    secret(&mut kernel, "one");
    let first = kernel.ids("/web");
    assert_eq!(first.len(), 2);
    config(&mut kernel, "low", "b");
    assert_eq!(
        kernel.ids("/web"),
        first,
        "another key is none of its business"
    );
    config(&mut kernel, "high", "b");
    kernel.pass(30);
    let second = kernel.ids("/web");
    assert!(second.len() == 2 && second.iter().all(|id| !first.contains(id)));
    secret(&mut kernel, "two");
    kernel.pass(30);
    let third = kernel.ids("/web");
    assert!(third.len() == 2 && third.iter().all(|id| !second.contains(id)));
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
    kernel.restart();
    kernel.pass(30);
    assert_eq!(kernel.ids("/web"), third);
}

#[test]
fn a_service_that_does_not_keeps_its_instances_and_gives_new_ones_the_new() {
    let mut kernel = Kernel::new(2);
    config(&mut kernel, "low", "a");
    secret(&mut kernel, "one");
    kernel.apply(service("/web", "serve", web("keep")));
    let first = kernel.ids("/web");
    secret(&mut kernel, "two");
    kernel.pass(30);
    assert_eq!(kernel.ids("/web"), first);
    let mut more = web("keep");
    more["replicas"] = json!(3);
    kernel.apply(service("/web", "serve", more));
    let task = &kernel.launches.last().unwrap().1;
    let variables = &task
        .command
        .as_ref()
        .unwrap()
        .environment
        .as_ref()
        .unwrap()
        .variables;
    let given = variables
        .iter()
        .find(|variable| variable.name == "PASSWORD")
        .unwrap();
    let reference = given.secret.as_ref().unwrap().reference.as_ref().unwrap();
    assert_eq!(reference.name, "/db@two");
}
