//! What happens to services when agents go and come, what they wait for, and the brakes.
#![allow(clippy::unwrap_used)]

mod kernel;

use kernel::{Kernel, name, object, service};
use mezz_proto::v1::TaskState;
use mezz_spec::Kind;
use mezz_spec::service::Replicas;
use mezz_state::time::Wall;
use mezz_workload::KillLimits;
use mezz_workload::call::{Call, Conflict, Lasting};
use mezz_workload::event::Event;
use mezz_workload::records::{Phase, RolloutState};
use serde_json::json;

fn agent_of(kernel: &Kernel, id: &str) -> String {
    kernel.tasks[id].agent.to_string()
}

#[test]
fn an_unreachable_instance_is_replaced_at_once_and_ended_should_it_come_back() {
    let mut kernel = Kernel::new(2);
    kernel.apply(service("/web", "serve", json!({})));
    let old = kernel.ids("/web").remove(0);
    let agent = agent_of(&kernel, &old);
    kernel.lose_agent(&agent);
    let ids = kernel.ids("/web");
    assert!(ids.len() == 1 && ids[0] != old);
    assert_eq!(kernel.service_status("/web").ready, 1);
    assert_eq!(kernel.service_status("/web").failures, 0);
    kernel.restart();
    kernel.regain_agent(&agent);
    assert_eq!(kernel.kills.last().unwrap().1, old);
    assert_eq!(kernel.tasks.len(), 1);
}

#[test]
fn a_replacement_waits_as_long_as_it_is_told_to_and_an_instance_back_before_is_taken_back() {
    let mut kernel = Kernel::new(2);
    let unreachable = json!({ "replace_after": "60s", "expunge_after": "1h" });
    kernel.apply(service(
        "/web",
        "serve",
        json!({ "unreachable": unreachable }),
    ));
    let old = kernel.ids("/web").remove(0);
    let agent = agent_of(&kernel, &old);
    kernel.lose_agent(&agent);
    assert_eq!(kernel.instances("/web")[0].phase, Phase::Unreachable);
    kernel.pass(59);
    assert_eq!(kernel.launches.len(), 1);
    kernel.regain_agent(&agent);
    kernel.pass(600);
    assert_eq!(kernel.ids("/web"), std::slice::from_ref(&old));
    assert_eq!(kernel.service_status("/web").ready, 1);

    kernel.lose_agent(&agent);
    kernel.pass(61);
    assert_eq!((kernel.launches.len(), kernel.ids("/web").len()), (2, 2));
    kernel.regain_agent(&agent);
    assert_eq!(kernel.ids("/web").len(), 1);
    assert_eq!(kernel.kills.last().unwrap().1, old);
}

#[test]
fn a_service_that_is_never_replaced_waits_for_its_agent() {
    let mut kernel = Kernel::new(2);
    let unreachable = json!({ "replace_after": "never", "expunge_after": "never" });
    kernel.apply(service(
        "/db",
        "serve",
        json!({ "unreachable": unreachable }),
    ));
    let old = kernel.ids("/db").remove(0);
    let agent = agent_of(&kernel, &old);
    kernel.lose_agent(&agent);
    kernel.pass(100_000);
    kernel.restart();
    kernel.pass(100_000);
    assert_eq!(kernel.launches.len(), 1);
    let why = kernel
        .workloads
        .why_instance(&old, Wall(kernel.now))
        .unwrap();
    assert!(why[0].contains("never replaced"), "{why:?}");
    kernel.drop_agent(&agent);
    assert_eq!(kernel.launches.len(), 2, "gone is gone");
}

#[test]
fn one_instance_runs_on_each_agent_and_follows_their_coming_and_going() {
    let mut kernel = Kernel::new(3);
    kernel.apply(service("/agent", "v1", json!({ "replicas": "per_node" })));
    assert_eq!(kernel.ids("/agent").len(), 3);
    assert_eq!(kernel.last_rollout("/agent").state, RolloutState::Succeeded);
    kernel.add_agent(7);
    kernel.tell_agents();
    kernel.settle();
    assert_eq!(kernel.ids("/agent").len(), 4);
    kernel.drop_agent("agent-000");
    assert_eq!(kernel.service_status("/agent").ready, 3);
    kernel.apply(service("/agent", "v2", json!({ "replicas": "per_node" })));
    assert_eq!(kernel.last_rollout("/agent").state, RolloutState::Succeeded);
    let mut agents: Vec<String> = kernel
        .tasks
        .values()
        .map(|task| task.agent.to_string())
        .collect();
    agents.dedup();
    assert_eq!(agents.len(), 3);
    assert_eq!(kernel.launches.len(), 7);
}

#[test]
fn services_begin_when_what_they_come_after_is_healthy() {
    let mut kernel = Kernel::new(2);
    kernel.manners.starts = false;
    kernel.apply_all(vec![
        object(Kind::Group, "/shop", json!({ "after": ["/base"] })),
        service("/base/db", "serve", json!({})),
        service("/base/queue", "serve", json!({ "after": ["/base/db"] })),
        service("/shop/web", "serve", json!({ "after": ["/elsewhere"] })),
    ]);
    assert_eq!(kernel.launches.len(), 1);
    let id = kernel.ids("/base/db").remove(0);
    kernel.run(&id);
    let id = kernel.ids("/base/queue").remove(0);
    let why = kernel
        .workloads
        .why(Kind::Service, &name("/shop/web"), Wall(kernel.now))
        .unwrap();
    assert!(
        why[0].contains("waiting for /base/queue to be healthy"),
        "{why:?}"
    );
    kernel.restart();
    kernel.pass(10_000);
    kernel.run(&id);
    assert!(kernel.ids("/shop/web").is_empty());
    let why = kernel
        .workloads
        .why(Kind::Service, &name("/shop/web"), Wall(kernel.now))
        .unwrap();
    assert!(
        why[0].contains("/elsewhere, which does not exist"),
        "{why:?}"
    );
    kernel.apply(service("/elsewhere", "serve", json!({})));
    let id = kernel.ids("/elsewhere").remove(0);
    kernel.run(&id);
    assert_eq!(kernel.ids("/shop/web").len(), 1);
}

#[test]
fn so_many_stay_as_a_service_says_whatever_its_strategy_would_allow() {
    let mut kernel = Kernel::new(1);
    let spec = json!({ "replicas": 4, "disruption": { "min_available": 3 },
        "update": { "strategy": { "rolling": { "max_surge": 0, "max_unavailable": "100%" } } } });
    kernel.apply(service("/web", "v1", spec.clone()));
    kernel.manners.starts = false;
    kernel.apply(service("/web", "v2", spec));
    assert_eq!(kernel.kills.len(), 1);
    assert_eq!(kernel.service_status("/web").ready, 3);
}

#[test]
fn kills_are_told_a_few_at_a_time() {
    let mut kernel = Kernel::new(4);
    kernel.workloads.limit_kills(KillLimits {
        per_second: 10,
        burst: 20,
    });
    kernel.apply(service("/web", "v1", json!({ "replicas": 100 })));
    kernel.delete(Kind::Service, "/web");
    assert_eq!(kernel.kills.len(), 20);
    let waiting = kernel.ids("/web").remove(0);
    let why = kernel
        .workloads
        .why_instance(&waiting, Wall(kernel.now))
        .unwrap();
    assert!(
        why[0].contains("its object was deleted") && why[1].contains("not been told yet"),
        "{why:?}"
    );
    kernel.pass(3);
    assert!(
        (45..=55).contains(&kernel.kills.len()),
        "{}",
        kernel.kills.len()
    );
    kernel.pass(10);
    assert!(kernel.tasks.is_empty());
}

#[test]
fn while_everything_is_frozen_nothing_starts_ends_or_rolls() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/web", "v1", json!({ "replicas": 3 })));
    kernel.call(Call::Freeze {
        lasts: Lasting::UntilLetGo,
    });
    kernel.apply(service("/web", "v2", json!({ "replicas": 3 })));
    let id = kernel.ids("/web").remove(0);
    kernel.end(&id, TaskState::TaskFailed, "");
    kernel.pass(10_000);
    kernel.restart();
    kernel.pass(10_000);
    assert_eq!((kernel.launches.len(), kernel.kills.len()), (3, 0));
    assert!(kernel.workloads.records().is_frozen());
    kernel.call(Call::Thaw);
    kernel.pass(60);
    assert_eq!(kernel.service_status("/web").ready, 3);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
}

#[test]
fn what_the_store_gives_back_unreadable_is_left_alone() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/web", "v1", json!({ "replicas": 3 })));
    kernel.apply(service("/other", "v1", json!({})));
    for value in kernel
        .store
        .iter_mut()
        .filter(|(key, _)| !key.contains("other") && !key.starts_with("work/instance"))
    {
        *value.1 = bytes::Bytes::from_static(b"\x01broken");
    }
    kernel.restart();
    kernel.pass(10_000);
    assert_eq!((kernel.tasks.len(), kernel.kills.len()), (4, 0));
    assert!(!kernel.workloads.unreadable().is_empty());
    kernel.apply(service("/fresh", "v1", json!({})));
    kernel.pass(100);
    assert_eq!((kernel.tasks.len(), kernel.kills.len()), (5, 0));
}

#[test]
fn an_empty_store_kills_nothing() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/web", "v1", json!({ "replicas": 3 })));
    kernel.store.clear();
    kernel.restart();
    kernel.pass(10_000);
    assert_eq!((kernel.tasks.len(), kernel.kills.len()), (3, 0));
    kernel.apply(service("/other", "v1", json!({ "replicas": 1 })));
    kernel.pass(10_000);
    assert_eq!((kernel.tasks.len(), kernel.kills.len()), (4, 0));
}

#[test]
fn nothing_is_ended_or_replaced_before_all_agents_have_reported() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/web", "v1", json!({ "replicas": 3 })));
    let id = kernel.ids("/web").remove(0);
    kernel.tasks.remove(&id);
    kernel.take_over();
    kernel.tell_agents();
    kernel.call(Call::Scale {
        name: name("/web"),
        replicas: Replicas::Count(1),
        conflict: Conflict::Supersede,
    });
    kernel.pass(1_000);
    assert_eq!((kernel.launches.len(), kernel.kills.len()), (3, 0));
    let left: Vec<String> = kernel.tasks.keys().cloned().collect();
    for id in left {
        kernel.tell(&id);
    }
    kernel.send(Event::Reconciled);
    kernel.settle();
    assert_eq!(kernel.tasks.len(), 1);
    assert_eq!(kernel.service_status("/web").ready, 1);
}

#[test]
fn health_and_back_off_survive_a_restart_of_the_master() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service(
        "/web",
        "v1",
        json!({ "replicas": 2, "restart": { "initial": "1m" } }),
    ));
    let id = kernel.ids("/web").remove(0);
    kernel.end(&id, TaskState::TaskFailed, "no such file");
    kernel.pass(5);
    kernel.restart();
    let status = kernel.service_status("/web");
    assert_eq!((status.failures, status.ready), (1, 1));
    assert_eq!(&*status.last_failure.unwrap().message, "no such file");
    kernel.pass(50);
    assert_eq!(kernel.launches.len(), 2);
    let why = kernel
        .workloads
        .why(Kind::Service, &name("/web"), Wall(kernel.now))
        .unwrap();
    assert!(
        why.iter()
            .any(|why| why.contains("the next start is in 5s")),
        "{why:?}"
    );
    kernel.pass(6);
    assert_eq!(kernel.launches.len(), 3);
}

#[test]
fn a_service_follows_what_is_measured_of_it_within_its_bounds() {
    let mut kernel = Kernel::new(4);
    let autoscale = json!({ "min": 2, "max": 8, "metrics": [ { "of": "cpu", "target": 50 } ] });
    kernel.apply(service("/web", "v1", json!({ "replicas": 3 })));
    kernel.apply(service("/web", "v1", json!({ "replicas": autoscale })));
    assert_eq!(kernel.ids("/web").len(), 3, "it begins with what there is");
    let object = kernel.object(Kind::Service, "/web").key;
    let measure = |kernel: &mut Kernel, percent: u64| {
        kernel.pass(400);
        kernel.send(Event::Metrics {
            object,
            averages: vec![Some(percent * 1_000)],
        });
        kernel.settle();
        kernel.ids("/web").len()
    };
    assert_eq!(measure(&mut kernel, 100), 6);
    assert_eq!(measure(&mut kernel, 52), 6);
    assert_eq!(measure(&mut kernel, 500), 8);
    kernel.restart();
    assert_eq!(kernel.ids("/web").len(), 8);
    assert_eq!(measure(&mut kernel, 1), 2);
    let why = kernel
        .workloads
        .why(Kind::Service, &name("/web"), Wall(kernel.now))
        .unwrap();
    assert!(
        why.iter()
            .any(|why| why.contains("between 2 and 8 holds 2")),
        "{why:?}"
    );
}

#[test]
fn starts_that_never_reach_an_agent_are_not_repeated_at_once() {
    let mut kernel = Kernel::new(1);
    kernel.manners.starts = false;
    kernel.apply(service("/web", "v1", json!({})));
    let id = kernel.ids("/web").remove(0);
    kernel.end(&id, TaskState::TaskDropped, "");
    assert_eq!(kernel.launches.len(), 1);
    kernel.pass(2);
    assert_eq!(kernel.launches.len(), 2);
    assert_eq!(kernel.service_status("/web").failures, 0);
}
