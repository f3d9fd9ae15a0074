//! When instances started, and what they are told of it.
#![allow(clippy::unwrap_used)]

mod kernel;

use kernel::{Kernel, service};
use mezz_proto::v1::TaskInfo;
use serde_json::{Value, json};

fn variable(info: &TaskInfo, name: &str) -> Option<String> {
    let environment = info.command.as_ref()?.environment.as_ref()?;
    let mut all = environment.variables.iter();
    all.find(|variable| variable.name == name)?.value.clone()
}

#[test]
fn when_an_instance_started_is_the_same_after_a_master_that_died_at_once() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/web", "serve", json!({})));
    let started = |kernel: &Kernel| kernel.instances("/web")[0].started_at.unwrap();
    let before = started(&kernel);
    kernel.pass_ns(300_000_000);
    kernel.restart();
    assert_eq!(started(&kernel), before);
}

#[test]
fn an_app_is_told_its_version_and_its_ports_by_the_numbers_that_it_asked_for() {
    let template = |command: &str, env: Value| {
        json!({ "template": { "containers": [{
            "command": command, "env": env,
            "ports": [{ "name": "http-api", "service_port": 10_001 }, { "name": "other" }],
        }] } })
    };
    let mut kernel = Kernel::new(1);
    let app = json!({ "MARATHON_APP_ID": "/web" });
    kernel.apply(service("/web", "serve", template("serve", app.clone())));
    let first = kernel.launches[0].1.clone();
    let version = variable(&first, "MARATHON_APP_VERSION").unwrap();
    assert!(version.ends_with('Z') && version.contains('T'), "{version}");
    let ports = variable(&first, "PORTS").unwrap();
    let (http, other) = ports.split_once(',').unwrap();
    for name in [
        "PORT",
        "PORT0",
        "PORT_10001",
        "PORT_HTTP_API",
        "PORT_HTTP-API",
    ] {
        assert_eq!(variable(&first, name).as_deref(), Some(http), "{name}");
    }
    assert_eq!(
        variable(&first, &format!("PORT_{other}")).as_deref(),
        Some(other)
    );

    kernel.pass(5);
    kernel.apply(service("/web", "serve", template("serve more", app)));
    kernel.pass(60);
    let second = kernel.launches.last().unwrap().1.clone();
    assert!(variable(&second, "MARATHON_APP_VERSION").unwrap() > version);

    kernel.apply(service("/plain", "serve", json!({})));
    let plain = kernel.launches.last().unwrap().1.clone();
    assert_eq!(variable(&plain, "MARATHON_APP_VERSION"), None);
}
