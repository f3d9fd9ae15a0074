//! Offers that lie: taken back after their least time for a task or a framework that lacks just that.
#![allow(clippy::unwrap_used)]
mod world;

use mezz_core::config::Config;
use mezz_core::event::Event;
use mezz_core::key::RequestKey;
use mezz_core::native::{NativeCall, NativeTask};
use mezz_core::time::{MILLISECOND_NS, SECOND_NS};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_workload::call::{ApplyMode, Call, Conflict};
use v1::scheduler::event::Type;
use world::{Agent, Framework, World, framework_info};

const RESOURCES: &str = "cpus:4;mem:4096";

/// A framework that has been offered the whole cluster.
fn idle_one(world: &mut World) -> (Framework, Vec<v1::Offer>) {
    let idle = world.subscribe(framework_info("idle", &["idle"], &[]));
    let offers = world.take_offers(&idle);
    (idle, offers)
}

fn run_native(world: &mut World, name: &str, resources: &str) {
    let task = NativeTask {
        name: name.into(),
        id: Some(name.into()),
        role: "*".into(),
        resources: mezz_resource::parse_text(resources, "*")
            .unwrap()
            .to_proto(),
        priority: 0,
        port_count: 0,
        command: v1::CommandInfo {
            value: Some("sleep 9".into()),
            ..v1::CommandInfo::default()
        },
        container: None,
        labels: None,
        kill_policy: None,
    };
    world.feed(Event::Native {
        request: RequestKey(900),
        call: Box::new(NativeCall::Run(Box::new(task))),
    });
}

fn launched(world: &mut World, agent: &Agent) -> usize {
    let bodies = world.take_bodies(agent);
    let runs = bodies.iter().map(|body| match body {
        Body::RunTasks(run) => run.tasks.len(),
        _ => 0,
    });
    runs.sum()
}

fn rescinded(world: &mut World, framework: &Framework) -> Vec<String> {
    let events = world.take_events(framework);
    let rescinds = events
        .into_iter()
        .filter(|event| event.r#type() == Type::Rescind);
    rescinds
        .filter_map(|event| Some(event.rescind?.offer_id.value))
        .collect()
}

fn ids(offers: &[v1::Offer]) -> Vec<String> {
    offers.iter().map(|offer| offer.id.value.clone()).collect()
}

#[test]
fn a_native_task_gets_its_place_a_second_after_the_offer_that_is_in_its_way() {
    let mut world = World::new();
    let agent = world.agent(RESOURCES);
    let (idle, offers) = idle_one(&mut world);
    assert_eq!(offers.len(), 1);
    run_native(&mut world, "t", "cpus:1;mem:64");
    world.pass(SECOND_NS - 20 * MILLISECOND_NS);
    assert_eq!(launched(&mut world, &agent), 0);
    assert!(
        rescinded(&mut world, &idle).is_empty(),
        "an offer stands for a second"
    );
    world.pass(30 * MILLISECOND_NS);
    assert_eq!(launched(&mut world, &agent), 1);
    let events = world.take_events(&idle);
    let rescinded = events
        .iter()
        .find_map(|event| event.rescind.clone())
        .unwrap();
    assert_eq!(rescinded.offer_id, offers[0].id);
    let again = events
        .iter()
        .find_map(|event| event.offers.clone())
        .unwrap();
    let left = mezz_resource::Resources::from_proto(&again.offers[0].resources).unwrap();
    assert_eq!(left.scalar("cpus").0, 3000, "the rest is offered again");
}

#[test]
fn a_native_task_that_comes_later_gets_its_place_at_once() {
    let mut world = World::new();
    let agent = world.agent(RESOURCES);
    idle_one(&mut world);
    world.pass(10 * SECOND_NS);
    run_native(&mut world, "t", "cpus:1;mem:64");
    world.settle();
    assert_eq!(launched(&mut world, &agent), 1);
}

#[test]
fn as_many_native_tasks_as_fit_get_the_places_that_offers_hold() {
    let mut world = World::new();
    let agents = [(); 3].map(|()| world.agent(RESOURCES));
    let (_, offers) = idle_one(&mut world);
    assert_eq!(offers.len(), 3);
    for nth in 0..7 {
        run_native(&mut world, &format!("t{nth}"), "cpus:2;mem:64");
    }
    world.pass(2 * SECOND_NS);
    assert_eq!(agents.map(|agent| launched(&mut world, &agent)), [2, 2, 2]);
}

#[test]
fn a_task_that_would_fit_nowhere_takes_no_offer_back() {
    let mut world = World::new();
    world.agent(RESOURCES);
    let (idle, _) = idle_one(&mut world);
    run_native(&mut world, "t", "cpus:5;mem:64");
    world.pass(10 * SECOND_NS);
    assert!(rescinded(&mut world, &idle).is_empty());
}

#[test]
fn a_framework_below_its_share_gets_what_another_lets_lie() {
    let mut world = World::new();
    world.agent(RESOURCES);
    world.agent(RESOURCES);
    let (idle, offers) = idle_one(&mut world);
    let late = world.subscribe(framework_info("late", &["late"], &[]));
    assert!(world.take_offers(&late).is_empty());
    world.pass(SECOND_NS);
    let got = world.take_offers(&late);
    assert_eq!(got.len(), 1);
    let gone = rescinded(&mut world, &idle);
    assert_eq!(gone.len(), 1);
    assert!(ids(&offers).contains(&gone[0]));
    // When it lets it lie as well, nobody takes it away from it, nor it from others.
    world.pass(30 * SECOND_NS);
    assert!(rescinded(&mut world, &idle).is_empty());
    assert!(rescinded(&mut world, &late).is_empty());
}

#[test]
fn a_framework_that_uses_what_it_gets_goes_on_getting_what_another_lets_lie() {
    let mut world = World::new();
    for _ in 0..3 {
        world.agent(RESOURCES);
    }
    let (idle, _) = idle_one(&mut world);
    let busy = world.subscribe(framework_info("busy", &["busy"], &[]));
    world.pass(2 * SECOND_NS);
    let mut used = 0;
    for _ in 0..20 {
        for offer in world.take_offers(&busy) {
            used += 1;
            let id = format!("t{used}");
            let task = world::task(&id, &offer.agent_id, RESOURCES);
            world.accept(&busy, &[offer], vec![task]);
        }
        world.pass(SECOND_NS);
    }
    assert_eq!(used, 2, "until it is not below its share any more");
    assert_eq!(rescinded(&mut world, &idle).len(), 2);
}

#[test]
fn with_a_hold_of_zero_no_offer_is_taken_back_before_its_time_is_over() {
    let mut world = World::with(Config {
        offer_hold_ns: 0,
        ..Config::default()
    });
    let agent = world.agent(RESOURCES);
    let (idle, _) = idle_one(&mut world);
    run_native(&mut world, "t", "cpus:1;mem:64");
    world.pass(50 * SECOND_NS);
    assert_eq!(launched(&mut world, &agent), 0);
    assert!(rescinded(&mut world, &idle).is_empty());
    world.pass(11 * SECOND_NS);
    assert_eq!(launched(&mut world, &agent), 1);
}

#[test]
fn an_instance_of_a_service_gets_its_place_in_the_same_way() {
    let mut world = World::new();
    let agent = world.agent(RESOURCES);
    let (idle, offers) = idle_one(&mut world);
    let spec = serde_json::json!({
        "replicas": 1,
        "template": { "containers": [{ "command": "sleep 9" }] }
    });
    let object = Object {
        name: Name::new("/team/web").unwrap(),
        labels: std::collections::BTreeMap::new(),
        spec: Spec::from_json(Kind::Service, spec).unwrap(),
        generation: None,
    };
    world.feed(Event::Work {
        request: RequestKey(901),
        call: Box::new(Call::Apply {
            objects: vec![object],
            mode: ApplyMode::Commit,
            conflict: Conflict::Supersede,
        }),
        by: None,
    });
    world.pass(SECOND_NS - 20 * MILLISECOND_NS);
    assert_eq!(launched(&mut world, &agent), 0);
    world.pass(SECOND_NS / 5);
    assert_eq!(rescinded(&mut world, &idle), ids(&offers));
    assert_eq!(launched(&mut world, &agent), 1);
}
