//! Services with several checks of one kind.
#![allow(clippy::unwrap_used)]

mod kernel;

use kernel::{Kernel, service};
use mezz_workload::event::{CheckFound, FoundByMany};
use serde_json::{Value, json};

fn checked(checks: Value) -> (Kernel, String) {
    let mut kernel = Kernel::new(1);
    let template = json!({ "containers": [{
        "command": "serve", "ports": [{ "name": "a" }, { "name": "b" }], "checks": checks,
    }] });
    kernel.apply(service("/web", "serve", json!({ "template": template })));
    let id = kernel.ids("/web").remove(0);
    (kernel, id)
}

fn is_ready(kernel: &Kernel) -> bool {
    kernel.service_status("/web").ready == 1
}

#[test]
fn an_instance_with_several_ready_checks_is_ready_when_it_passes_all_of_them() {
    let http = |port| json!({ "http": { "port": port, "scheme": "https", "statuses": [204] } });
    let (mut kernel, id) = checked(json!({ "ready": [http("a"), http("b")], "report": http("a") }));
    let task = kernel.tasks[&id].info.clone();
    assert!(task.check.is_some() && task.health_check.is_none());
    let terms = kernel.terms[&id].clone().unwrap();
    assert_eq!((terms.checks.len(), terms.health_checks.len()), (2, 0));
    assert_eq!(terms.https_checks, [0, 1, 2]);

    kernel.set_check(&id, CheckFound::Http(204));
    assert!(!is_ready(&kernel), "the second has not spoken yet");
    let found = |second| FoundByMany {
        health: Vec::new(),
        checks: vec![None, Some(CheckFound::Http(second)), None],
    };
    kernel.set_findings(&id, found(200));
    assert!(!is_ready(&kernel), "the second does not pass");
    kernel.set_findings(&id, found(204));
    assert!(is_ready(&kernel));
    let instance = &kernel.instances("/web")[0];
    assert_eq!(instance.found(1), Some(CheckFound::Http(204)));
    assert_eq!(instance.found(2), None);
}

#[test]
fn what_each_health_check_says_is_kept_with_the_time_of_its_last_change() {
    let tcp = |port| json!({ "tcp": { "port": port }, "failures": 0 });
    let (mut kernel, id) = checked(json!({ "health": [tcp("a"), tcp("b")] }));
    let task = kernel.tasks[&id].info.clone();
    let first = task.health_check.unwrap();
    assert_eq!(first.consecutive_failures, Some(u32::MAX), "0 is for never");
    let terms = kernel.terms[&id].clone().unwrap();
    assert_eq!(terms.health_checks.len(), 1);

    let found = |first, second| FoundByMany {
        health: vec![first, second],
        checks: Vec::new(),
    };
    kernel.set_findings(&id, found(Some((true, 0)), None));
    let known = |kernel: &Kernel| {
        let instance = kernel.instances("/web").remove(0);
        instance.findings.clone().unwrap().health.clone()
    };
    let since = known(&kernel)[0].unwrap().changed_at;
    assert!(known(&kernel)[1].is_none() && !is_ready(&kernel));
    kernel.pass(5);
    kernel.set_findings(&id, found(Some((true, 0)), Some((false, 2))));
    let now = known(&kernel);
    assert_eq!(now[0].unwrap().changed_at, since);
    let second = now[1].unwrap();
    assert!(!second.alive && second.failures == 2 && second.changed_at > since);
    kernel.set_findings(&id, found(Some((true, 0)), Some((true, 0))));
    kernel.set_health(&id, true);
    assert!(is_ready(&kernel));
    kernel.restart();
    assert_eq!(known(&kernel)[0].unwrap().changed_at, since);
}
