//! What an apply would do, asked of the kernel without doing it.
#![allow(clippy::unwrap_used)]
mod world;

use std::collections::BTreeMap;

use mezz_core::effect::Reply;
use mezz_core::event::Event;
use mezz_core::key::RequestKey;
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_workload::call::{ApplyMode, Call, Change, Conflict, Refusal, Reply as WorkReply};
use mezz_workload::plan::{Fires, Plan};
use serde_json::json;
use world::World;

fn object(kind: Kind, name: &str, spec: serde_json::Value) -> Object {
    Object {
        name: Name::new(name).unwrap(),
        labels: BTreeMap::new(),
        spec: Spec::from_json(kind, spec).unwrap(),
        generation: None,
    }
}

fn service(replicas: u32, command: &str, cpus: f64) -> Object {
    let spec = json!({
        "replicas": replicas,
        "template": { "containers": [{ "command": command, "resources": { "cpus": cpus, "mem": 10 } }] },
    });
    object(Kind::Service, "/team/web", spec)
}

fn ask(world: &mut World, objects: Vec<Object>) -> Reply {
    let request = RequestKey(901);
    world.feed(Event::Plan {
        request,
        objects,
        conflict: Conflict::Supersede,
    });
    world.replies.remove(&request).unwrap()
}

fn plan(world: &mut World, objects: Vec<Object>) -> Plan {
    match ask(world, objects) {
        Reply::Planned(plan) => *plan,
        other => panic!("{other:?}"),
    }
}

fn apply(world: &mut World, objects: Vec<Object>) {
    world.feed(Event::Work {
        request: RequestKey(900),
        call: Box::new(Call::Apply {
            objects,
            mode: ApplyMode::Commit,
            conflict: Conflict::Supersede,
        }),
        by: None,
    });
    world.settle();
}

#[test]
fn a_plan_says_where_new_instances_go_and_why_others_find_no_place_and_changes_nothing() {
    let mut world = World::new();
    let one = world.agent("cpus:2;mem:1000;ports:[31000-31010]");
    let two = world.agent("cpus:2;mem:1000;ports:[31000-31010]");
    let before = world.master.records().work.clone();
    let plan = plan(&mut world, vec![service(5, "sleep 9", 1.0)]);
    let [web] = plan.objects.as_slice() else {
        panic!("{plan:?}");
    };
    assert_eq!(web.change, Some(Change::Created));
    let agents = web.now.places.iter().map(|place| &*place.agent.id);
    let mut agents: Vec<&str> = agents.collect();
    agents.sort_unstable();
    let (one, two) = (one.id.as_str(), two.id.as_str());
    assert_eq!(agents, [one, one, two, two]);
    assert_eq!((web.now.waiting, web.follow), (1, 0));
    assert!(
        web.now.reasons.iter().any(|reason| reason.contains("cpus")),
        "{:?}",
        web.now.reasons
    );
    assert!(world.master.records().work == before);
}

#[test]
fn a_plan_of_a_changed_service_tells_the_first_wave_and_how_many_follow() {
    let mut world = World::new();
    world.agent("cpus:9;mem:1000;ports:[31000-31010]");
    apply(&mut world, vec![service(3, "sleep 9", 1.0)]);
    let plan = plan(&mut world, vec![service(3, "sleep 10", 1.0)]);
    let web = &plan.objects[0];
    assert_eq!((web.change, web.generation), (Some(Change::Updated), 2));
    assert!(web.old.is_some());
    assert!(web.now.count > 0, "{web:?}");
    assert_eq!(web.now.count + web.follow, 3);
}

#[test]
fn a_plan_of_a_cron_tells_its_next_fire_times_and_tries_the_first_run() {
    let mut world = World::new();
    world.agent("cpus:1;mem:100;ports:[31000-31010]");
    let run = |cpus: f64| json!({ "template": { "containers": [{ "command": "true", "resources": { "cpus": cpus, "mem": 10 } }] } });
    let small = json!({ "schedules": ["*/5 * * * *"], "run": { "job": run(0.5) } });
    let large = json!({ "schedules": ["*/5 * * * *"], "run": { "job": run(4.0) } });
    let plan = plan(
        &mut world,
        vec![
            object(Kind::Cron, "/small", small),
            object(Kind::Cron, "/large", large),
        ],
    );
    for one in &plan.objects {
        assert!(matches!(&one.fires, Fires::At(times) if times.len() == 3));
        let first = one.first_run.as_ref().unwrap().as_ref().unwrap();
        let is_small = one.name.as_str() == "/small";
        assert_eq!(
            (first.count, first.waiting),
            if is_small { (1, 0) } else { (0, 1) }
        );
    }
}

#[test]
fn a_plan_of_what_would_be_refused_is_refused() {
    let mut world = World::new();
    let cron = json!({ "schedules": ["* * * * *"], "run": { "job_ref": { "name": "/nowhere" } } });
    let reply = ask(&mut world, vec![object(Kind::Cron, "/c", cron)]);
    let Reply::Work(reply) = reply else {
        panic!("{reply:?}");
    };
    assert!(matches!(
        *reply,
        WorkReply::Refused(Refusal::Invalid { .. })
    ));
}
