//! Services: started, kept up, scaled and ended.
#![allow(clippy::unwrap_used)]

mod kernel;

use std::sync::Arc;

use kernel::{Kernel, name, object, service};
use mezz_proto::v1::TaskState;
use mezz_spec::Kind;
use mezz_spec::service::Replicas;
use mezz_workload::call::{Call, Conflict, Refusal};
use mezz_workload::event::CheckFound;
use mezz_workload::records::{InstanceRecord, Owner, Phase, RolloutState};
use serde_json::json;

fn ordinal(instance: &Arc<InstanceRecord>) -> u32 {
    match instance.owner {
        Owner::Service { ordinal, .. } => ordinal,
        Owner::Run { .. } => unreachable!("it is a service's"),
    }
}

#[test]
fn a_service_has_as_many_instances_as_it_says() {
    let mut kernel = Kernel::new(2);
    let applied = kernel.apply(service("/team/web", "serve", json!({ "replicas": 3 })));
    assert!(applied.rollout.is_some());
    let status = kernel.service_status("/team/web");
    assert_eq!((status.wanted, status.running, status.ready), (3, 3, 3));
    assert_eq!(status.stable_generation, Some(1));
    assert!(kernel.is_true(Kind::Service, "/team/web", "ready"));
    assert!(!kernel.is_true(Kind::Service, "/team/web", "progressing"));
}

#[test]
fn an_instance_that_fails_is_replaced_after_its_delay_which_grows() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/web", "serve", json!({})));
    let mut gaps = Vec::new();
    for _ in 0..3 {
        let id = kernel.ids("/web").remove(0);
        kernel.end(&id, TaskState::TaskFailed, "exit 1");
        let failed_at = kernel.now;
        assert!(kernel.ids("/web").is_empty());
        while kernel.ids("/web").is_empty() {
            kernel.pass_ns(100_000_000);
        }
        gaps.push((kernel.launches.last().unwrap().0 - failed_at) / kernel::SECOND);
    }
    assert_eq!(gaps, [1, 2, 4]);
}

#[test]
fn instances_that_failed_too_often_in_a_row_are_shown_as_crash_looping_until_somebody_forgives() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/web", "serve", json!({})));
    for _ in 0..5 {
        let id = kernel.ids("/web").remove(0);
        kernel.end(&id, TaskState::TaskFailed, "exit 1");
        kernel.pass(20);
    }
    assert!(kernel.is_true(Kind::Service, "/web", "crash_looping"));
    let id = kernel.ids("/web").remove(0);
    kernel.end(&id, TaskState::TaskFailed, "exit 1");
    assert!(kernel.ids("/web").is_empty());
    kernel.call(Call::ResetBackoff { name: name("/web") });
    assert_eq!(kernel.ids("/web").len(), 1);
    assert!(!kernel.is_true(Kind::Service, "/web", "crash_looping"));
}

#[test]
fn an_instance_that_ran_for_long_starts_the_count_of_failures_anew() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/web", "serve", json!({})));
    for _ in 0..3 {
        let id = kernel.ids("/web").remove(0);
        kernel.end(&id, TaskState::TaskFailed, "exit 1");
        kernel.pass(1_000);
    }
    assert_eq!(kernel.service_status("/web").failures, 1);
}

#[test]
fn an_instance_that_its_health_check_kills_counts_as_failed_and_one_that_somebody_kills_does_not() {
    let mut kernel = Kernel::new(1);
    let health = json!({ "health": { "tcp": { "port": 80 } } });
    let more = json!({ "template": { "containers": [ { "checks": health } ] } });
    kernel.apply(service("/web", "serve", more));
    let id = kernel.ids("/web").remove(0);
    assert_eq!(kernel.service_status("/web").ready, 0);
    kernel.set_health(&id, true);
    assert_eq!(kernel.service_status("/web").ready, 1);
    kernel.set_health(&id, false);
    let status = kernel.service_status("/web");
    assert_eq!((status.ready, status.unhealthy), (0, 1));
    kernel.end(&id, TaskState::TaskKilled, "health check failed");
    let status = kernel.service_status("/web");
    assert_eq!(status.failures, 1);
    assert_eq!(
        &*status.last_failure.unwrap().message,
        "health check failed"
    );
    kernel.pass(2);
    let id = kernel.ids("/web").remove(0);
    kernel.set_health(&id, true);
    kernel.end(&id, TaskState::TaskKilled, "an operator");
    assert_eq!(kernel.ids("/web").len(), 1, "replaced at once");
    assert_eq!(kernel.service_status("/web").failures, 1);
}

#[test]
fn scaling_goes_both_ways_and_the_kill_order_says_who_goes() {
    for (order, left) in [("youngest_first", [0, 1]), ("oldest_first", [2, 3])] {
        let mut kernel = Kernel::new(2);
        let spec = json!({ "replicas": 2, "kill_order": order });
        kernel.apply(service("/web", "serve", spec));
        kernel.pass(10);
        kernel.call(Call::Scale {
            name: name("/web"),
            replicas: Replicas::Count(4),
            conflict: Conflict::Reject,
        });
        assert_eq!(kernel.service_status("/web").ready, 4);
        kernel.call(Call::Scale {
            name: name("/web"),
            replicas: Replicas::Count(2),
            conflict: Conflict::Reject,
        });
        let mut ordinals: Vec<u32> = kernel.instances("/web").iter().map(ordinal).collect();
        ordinals.sort_unstable();
        assert_eq!(ordinals, left, "{order}");
        assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
    }
}

#[test]
fn a_draining_instance_is_shown_before_it_is_told_to_end() {
    let mut kernel = Kernel::new(1);
    let kill = json!({ "drain": "2s", "grace": "5s" });
    let pre_stop = json!({ "command": "leave", "timeout": "1s" });
    let more = json!({ "template": { "kill": kill, "containers": [ { "pre_stop": pre_stop } ] } });
    kernel.apply(service("/web", "serve", more));
    kernel.manners.ends = false;
    kernel.delete(Kind::Service, "/web");
    let instance = kernel.instances("/web").remove(0);
    assert_eq!(instance.phase, Phase::Draining);
    assert!(!instance.ready && kernel.kills.is_empty());
    kernel.pass(3);
    assert_eq!(kernel.kills.len(), 1);
    assert_eq!(kernel.instances("/web")[0].phase, Phase::Stopping);
    kernel.pass(30);
    assert!(
        kernel.kills.len() > 1,
        "told again while nothing comes of it"
    );
    let id = kernel.ids("/web").remove(0);
    kernel.end(&id, TaskState::TaskKilled, "");
    assert!(kernel.workloads.records().objects.is_empty());
    kernel.pass(5);
    assert!(
        kernel.store.keys().eq(["work/known"]),
        "{:?}",
        kernel.store.keys()
    );
    assert!(kernel.timers.is_empty(), "{:?}", kernel.timers);
}

#[test]
fn a_ready_check_says_when_an_instance_is_ready_and_for_how_long_it_must_have_been() {
    let mut kernel = Kernel::new(1);
    let ready = json!({ "ready": { "http": { "port": 80 } } });
    let more = json!({
        "template": { "containers": [ { "checks": ready } ] },
        "update": { "ready_for": "10s" },
    });
    kernel.apply(service("/web", "serve", more));
    let id = kernel.ids("/web").remove(0);
    kernel.set_check(&id, CheckFound::Http(503));
    kernel.pass(20);
    assert_eq!(kernel.service_status("/web").ready, 0);
    kernel.set_check(&id, CheckFound::Http(204));
    kernel.pass(9);
    assert_eq!(kernel.service_status("/web").ready, 0);
    kernel.pass(1);
    assert_eq!(kernel.service_status("/web").ready, 1);
    kernel.set_check(&id, CheckFound::Http(500));
    assert_eq!(kernel.service_status("/web").ready, 0);
}

#[test]
fn the_task_of_an_instance_says_all_that_its_template_does() {
    let mut kernel = Kernel::new(1);
    let container = json!({
        "command": ["/bin/serve", "--now"],
        "env": { "A": "1", "LEVEL": { "config": { "name": "/team/settings", "key": "level" } },
                 "PASSWORD": { "secret": { "name": "/team/db" } } },
        "artifacts": [ { "uri": "http://x/y.tgz" } ],
        "ports": [ { "name": "http", "labels": { "vip": "a" } }, { "name": "admin-ui", "host_port": 31900 } ],
        "checks": { "health": { "http": { "port": "http", "path": "/up" } } },
    });
    kernel.apply_all(vec![
        object(
            Kind::Group,
            "/team",
            json!({ "env": { "B": "2", "A": "0" }, "role": "prod" }),
        ),
        object(
            Kind::Config,
            "/team/settings",
            json!({ "data": { "level": "high" } }),
        ),
        object(
            Kind::Secret,
            "/team/db",
            json!({ "data": { "password": null }, "digest": "x" }),
        ),
        object(
            Kind::Service,
            "/team/web",
            json!({ "template": { "user": "nobody", "containers": [ container ] } }),
        ),
    ]);
    let task = kernel.launches[0].1.clone();
    assert_eq!(task.name, "web.team");
    assert!(task.task_id.value.starts_with("team_web.instance-"));
    let command = task.command.unwrap();
    assert_eq!(command.arguments, ["/bin/serve", "--now"]);
    assert_eq!(
        (command.shell, command.user.as_deref()),
        (Some(false), Some("nobody"))
    );
    assert_eq!(command.uris[0].value, "http://x/y.tgz");
    let variables = command.environment.unwrap().variables;
    let value = |name: &str| {
        let variable = variables.iter().find(|variable| variable.name == name);
        variable.and_then(|variable| variable.value.clone())
    };
    let ports = &kernel.instances("/team/web")[0].ports;
    let first = ports[0].to_string();
    for (name, wanted) in [
        ("A", "1"),
        ("B", "2"),
        ("LEVEL", "high"),
        ("HOST", "host-000"),
        ("PORT", &first),
        ("PORT0", &first),
        ("PORT_HTTP", &first),
        ("PORT1", "31900"),
        ("PORT_ADMIN_UI", "31900"),
        ("MEZZ_ORDINAL", "0"),
        ("MEZZ_NAME", "/team/web"),
    ] {
        assert_eq!(value(name).as_deref(), Some(wanted), "{name}");
    }
    let secret = variables
        .iter()
        .find(|variable| variable.name == "PASSWORD");
    let reference = secret
        .unwrap()
        .secret
        .as_ref()
        .unwrap()
        .reference
        .as_ref()
        .unwrap();
    assert_eq!(
        (&*reference.name, reference.key.as_deref()),
        ("/team/db@x", Some("password"))
    );
    assert_eq!(
        task.health_check.unwrap().http.unwrap().port,
        u32::from(ports[0])
    );
    let announced = task.discovery.unwrap().ports.unwrap().ports;
    assert_eq!(announced[0].name.as_deref(), Some("http"));
    assert_eq!(announced[1].number, 31_900);
    assert_eq!(kernel.last_role.as_deref(), Some("prod"));
}

#[test]
fn a_service_whose_secret_is_missing_starts_when_it_comes() {
    let mut kernel = Kernel::new(1);
    let env = json!({ "PASSWORD": { "secret": { "name": "/db" } } });
    kernel.apply(service(
        "/web",
        "serve",
        json!({ "template": { "containers": [ { "env": env } ] } }),
    ));
    assert!(kernel.ids("/web").is_empty() && kernel.demands.is_empty());
    assert!(kernel.is_true(Kind::Service, "/web", "blocked"));
    kernel.apply(object(
        Kind::Secret,
        "/db",
        json!({ "data": { "only": null } }),
    ));
    assert_eq!(kernel.ids("/web").len(), 1);
    assert!(!kernel.is_true(Kind::Service, "/web", "blocked"));
}

#[test]
fn killing_an_instance_replaces_it_unless_the_service_is_scaled_down_with_it() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/web", "serve", json!({ "replicas": 3 })));
    let victim = kernel.ids("/web").remove(0);
    kernel.call(Call::KillInstances {
        ids: vec![victim.clone()],
        scale_down: false,
    });
    assert_eq!(kernel.ids("/web").len(), 3);
    assert!(!kernel.ids("/web").contains(&victim));
    let victim = kernel.ids("/web").remove(0);
    kernel.call(Call::KillInstances {
        ids: vec![victim.clone()],
        scale_down: true,
    });
    assert_eq!(kernel.ids("/web").len(), 2);
    assert!(!kernel.ids("/web").contains(&victim));
    assert_eq!(kernel.service_status("/web").wanted, 2);
    assert!(matches!(
        kernel.refused(Call::KillInstances {
            ids: vec!["nobody".into()],
            scale_down: false
        }),
        Refusal::NotFound { .. }
    ));
}
