//! Users' objects in the kernel: placed by the ledger, durable before they start, taken over by the next master.
#![allow(clippy::unwrap_used)]
mod world;

use std::collections::BTreeMap;

use mezz_core::Master;
use mezz_core::config::Config;
use mezz_core::effect::Reply;
use mezz_core::event::Event;
use mezz_core::key::RequestKey;
use mezz_core::time::SECOND_NS;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_workload::call::{ApplyMode, Call, Conflict, Reply as WorkReply};
use v1::TaskState as S;
use world::{Agent, Framework, World};

fn service(name: &str, spec: serde_json::Value) -> Object {
    Object {
        name: Name::new(name).unwrap(),
        labels: BTreeMap::new(),
        spec: Spec::from_json(Kind::Service, spec).unwrap(),
        generation: None,
    }
}

fn sleepers(replicas: u32) -> Object {
    service(
        "/team/web",
        serde_json::json!({
            "replicas": replicas,
            "template": { "containers": [{ "command": "sleep 100", "ports": [{ "name": "http" }] }] }
        }),
    )
}

fn apply(world: &mut World, objects: Vec<Object>) -> WorkReply {
    let request = RequestKey(900);
    world.feed(Event::Work {
        request,
        call: Box::new(Call::Apply {
            objects,
            mode: ApplyMode::Commit,
            conflict: Conflict::Supersede,
        }),
        by: None,
    });
    let Some(Reply::Work(reply)) = world.replies.remove(&request) else {
        panic!("no reply");
    };
    *reply
}

/// What was sent to an agent to be started.
fn launched(world: &mut World, agent: &Agent) -> Vec<v1::TaskInfo> {
    let bodies = world.take_bodies(agent);
    let launches = bodies.into_iter().filter_map(|body| match body {
        Body::RunTasks(run) => Some(run.tasks),
        _ => None,
    });
    launches.flatten().map(|task| task.task).collect()
}

fn mezz(world: &World) -> Framework {
    let records = world.master.records();
    let (_, own) = records
        .frameworks
        .iter()
        .find(|(_, own)| own.built_in)
        .unwrap();
    Framework {
        id: own.id.to_string(),
        stream: mezz_core::key::StreamKey(0),
        stream_id: String::new(),
    }
}

#[test]
fn a_service_is_placed_and_starts_on_an_agent_with_its_port() {
    let mut world = World::new();
    let agent = world.agent("cpus:4;mem:4096;ports:[31000-32000]");
    let reply = apply(&mut world, vec![sleepers(2)]);
    let WorkReply::Applied(applied) = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(applied[0].generation, 1);
    world.settle();
    let tasks = launched(&mut world, &agent);
    assert_eq!(tasks.len(), 2);
    assert!(tasks[0].task_id.value.starts_with("team_web.instance-"));
    let variables = &tasks[0]
        .command
        .as_ref()
        .unwrap()
        .environment
        .as_ref()
        .unwrap()
        .variables;
    let port = variables
        .iter()
        .find(|own| own.name == "PORT_HTTP")
        .unwrap();
    assert!((31000..=32000).contains(&port.value().parse::<u32>().unwrap()));
    let stored = world
        .store
        .keys()
        .filter(|key| key.starts_with("core/work/instance/"));
    assert_eq!(stored.count(), 2, "{:?}", world.store.keys());
}

#[test]
fn an_instance_that_fails_is_started_again_after_its_back_off() {
    let mut world = World::new();
    let agent = world.agent("cpus:4;mem:4096;ports:[31000-32000]");
    apply(&mut world, vec![sleepers(1)]);
    world.settle();
    let first = launched(&mut world, &agent).remove(0).task_id.value;
    let own = mezz(&world);
    world.update(&agent, &own, &first, S::TaskRunning, 1);
    world.update(&agent, &own, &first, S::TaskFailed, 2);
    world.pass(5 * SECOND_NS);
    let again = launched(&mut world, &agent);
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].task_id.value, first);
}

#[test]
fn the_end_of_an_instance_is_acknowledged_when_what_became_of_it_is_durable() {
    let mut world = World::new();
    let agent = world.agent("cpus:4;mem:4096;ports:[31000-32000]");
    apply(&mut world, vec![sleepers(1)]);
    world.settle();
    let id = launched(&mut world, &agent).remove(0).task_id.value;
    let own = mezz(&world);
    world.update(&agent, &own, &id, S::TaskRunning, 1);
    assert_eq!(world.acknowledged.pop().unwrap(), (id.clone(), None));
    let before = world.written;
    world.update(&agent, &own, &id, S::TaskFailed, 2);
    let (task, after) = world.acknowledged.pop().unwrap();
    assert_eq!(task, id);
    assert!(after > Some(before), "{after:?}");
}

#[test]
fn the_next_master_goes_on_with_the_instances_that_run() {
    let mut world = World::new();
    let agent = world.agent("cpus:4;mem:4096;ports:[31000-32000]");
    apply(&mut world, vec![sleepers(1)]);
    world.settle();
    let info = launched(&mut world, &agent).remove(0);
    let own = mezz(&world);
    world.update(&agent, &own, &info.task_id.value, S::TaskRunning, 1);
    let framework = (*world
        .master
        .records()
        .frameworks
        .iter()
        .next()
        .unwrap()
        .1
        .info)
        .clone();
    let task = v1::Task {
        name: info.name.clone(),
        task_id: info.task_id.clone(),
        framework_id: framework.id.clone().unwrap(),
        agent_id: v1::AgentId {
            value: agent.id.clone(),
        },
        state: S::TaskRunning as i32,
        resources: info.resources.clone(),
        ..v1::Task::default()
    };
    let mut world = World::restarted(Config::default(), "n", 2, world.store.clone());
    let back = world.reregister(
        &agent.id,
        "cpus:4;mem:4096;ports:[31000-32000]",
        vec![framework],
        vec![task],
    );
    world.pass(60 * SECOND_NS);
    assert!(
        launched(&mut world, &back).is_empty(),
        "nothing is started twice"
    );
    let work = &world.master.records().work;
    assert_eq!(work.instances.len(), 1);
    let snapshot = world.master.snapshot();
    assert!(Master::from_snapshot(&snapshot).is_ok());
}

#[test]
fn an_instance_is_replaced_when_its_agent_is_lost() {
    let mut world = World::new();
    let lost = world.agent("cpus:1;mem:1024;ports:[31000-32000]");
    apply(&mut world, vec![sleepers(1)]);
    world.settle();
    let id = launched(&mut world, &lost).remove(0).task_id.value;
    let own = mezz(&world);
    world.update(&lost, &own, &id, S::TaskRunning, 1);
    world.feed(Event::SessionClosed(lost.session));
    world.pass(60 * SECOND_NS);
    let other = world.agent("cpus:1;mem:1024;ports:[31000-32000]");
    assert!(launched(&mut world, &other).is_empty());
    world.pass(60 * SECOND_NS);
    assert_eq!(launched(&mut world, &other).len(), 1);
}

#[test]
fn a_job_that_may_be_preempted_makes_room_for_a_service_of_higher_priority_and_goes_on_later() {
    let mut world = World::new();
    let agent = world.agent("cpus:1;mem:1024;ports:[31000-32000]");
    let job = Object {
        name: Name::new("/team/batch").unwrap(),
        labels: BTreeMap::new(),
        spec: Spec::from_json(
            Kind::Job,
            serde_json::json!({
                "preemptible": true,
                "template": { "containers": [{ "command": "sleep 100", "resources": { "cpus": 1 } }] }
            }),
        )
        .unwrap(),
        generation: None,
    };
    apply(&mut world, vec![job]);
    world.settle();
    let victim = launched(&mut world, &agent).remove(0).task_id.value;
    let own = mezz(&world);
    world.update(&agent, &own, &victim, S::TaskRunning, 1);
    let urgent = service(
        "/team/web",
        serde_json::json!({
            "priority": 10,
            "template": { "containers": [{ "command": "sleep 100", "resources": { "cpus": 1 } }] }
        }),
    );
    apply(&mut world, vec![urgent]);
    world.pass(5 * SECOND_NS);
    let bodies = world.take_bodies(&agent);
    let killed = bodies
        .iter()
        .any(|body| matches!(body, Body::KillTask(kill) if kill.task_id.value == victim));
    assert!(killed, "{bodies:?}");
    world.update(&agent, &own, &victim, S::TaskKilled, 2);
    world.pass(SECOND_NS);
    let started = launched(&mut world, &agent);
    assert_eq!(started.len(), 1);
    assert!(
        started[0].task_id.value.starts_with("team_web."),
        "{}",
        started[0].task_id.value
    );
    let runs = &world.master.records().work.runs;
    let (_, run) = runs.iter().next().unwrap();
    assert_eq!(
        (run.counts.failed, run.counts.retried, run.counts.waiting),
        (0, 0, 1)
    );
}
